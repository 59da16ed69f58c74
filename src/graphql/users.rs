//! An end user of the project.

use async_graphql::{Context, ID, Object};

use super::account_connection::{ConnectedAccountConnection, connect};
use super::account_filters::{ConnectedAccountOrder, UserAccountFilter};
use super::errors::FieldError;
use super::plain::Plain;
use super::plain::PlainField::{self, Leaf};
use super::written::One;
use crate::domain::page::PageArguments;
use crate::loaders::lists::parent::Parent;

pub(super) struct User {
    id: String,
}

impl User {
    pub(super) fn new(id: &str) -> Self {
        Self { id: id.to_owned() }
    }
}

/// An end user, known to this layer only by id: other subgraphs own the rest of it.
#[Object]
impl User {
    /// The id that the application gave when the account was connected.
    async fn id(&self) -> ID {
        ID::from(&self.id)
    }

    /// The accounts that this user connected.
    #[expect(clippy::too_many_arguments, reason = "the arguments are the schema's own")]
    async fn connected_accounts(
        &self,
        ctx: &Context<'_>,
        after: Option<String>,
        before: Option<String>,
        first: Option<i32>,
        last: Option<i32>,
        filter: Option<UserAccountFilter>,
        #[graphql(default_with = "Some(ConnectedAccountOrder::default())")] order_by: Option<
            ConnectedAccountOrder,
        >,
    ) -> Option<Result<One<ConnectedAccountConnection>, FieldError>> {
        let page = PageArguments { after, before, first, last };
        Some(connect(ctx, Parent::user(&self.id), filter.unwrap_or_default().check(), page, order_by).await)
    }
}

impl Plain for User {
    const FIELDS: &'static [(&'static str, PlainField<Self>)] =
        &[("id", Leaf(|user, json| json.put(&user.id)))];
}
