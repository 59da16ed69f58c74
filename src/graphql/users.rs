//! The type `User`: an end user of the project.

use async_graphql::Context;

use super::account_connection::{ConnectedAccountConnection, resolve_account_connection};
use super::account_filters::{ConnectedAccountOrder, UserAccountFilter};
use super::errors::FieldError;
use super::object_type::{IdRef, object_type};
use super::preserialized::Preserialized;
use crate::domain::input::{BadInput, BadInputReason};
use crate::domain::page::PageArguments;
use crate::loaders::lists::parent::Parent;

pub(super) struct User {
    id: String,
}

impl User {
    pub(super) fn new(id: &str) -> Self {
        Self { id: id.to_owned() }
    }

    fn parent(&self) -> Result<Parent, BadInput> {
        let unusable = |_| {
            let message = "Composio cannot list the accounts of this user: its ID is blank, longer than 256 bytes, or has a \
                comma or a control character. Use another ID for the user.";
            BadInput::new(BadInputReason::BadId, message)
        };
        Parent::user(&self.id).map_err(unusable)
    }
}

object_type! {
    /// An end user of the project, known by ID only. Other subgraphs can add fields.
    impl User |Self { id }| {
        /// The ID that the application assigned when the account was connected.
        id: IdRef<'_> = IdRef(id);

        /// The accounts connected by this user.
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
        ) -> Option<Result<Preserialized<ConnectedAccountConnection>, FieldError>> {
            let page = PageArguments { after, before, first, last };
            let filter = filter.unwrap_or_default().check();
            Some(resolve_account_connection(ctx, self.parent(), filter, page, order_by).await)
        }
    }
}
