//! Connections of accounts: the same object under the root, a provider, a toolkit, a user and an
//! auth config.

use std::sync::Arc;

use async_graphql::{Context, Object};

use super::account_filters::ConnectedAccountOrder;
use super::accounts::ConnectedAccount;
use super::errors::FieldError;
use super::operation_context::operation;
use super::page_info::PageInfo;
use crate::domain::accounts::SharedAccount;
use crate::domain::filters::AccountFilter;
use crate::domain::input::BadInput;
use crate::domain::page::PageArguments;
use crate::loaders::batch::{AccountArguments, AccountsOf, CountOf};
use crate::loaders::joined::Parent;
use crate::loaders::lists::{Slice, Wanted};

/// The arguments of a connection, as far as all of them have the same.
pub(super) struct ConnectionArguments {
    pub(super) after: Option<String>,
    pub(super) first: Option<i32>,
    pub(super) order_by: Option<ConnectedAccountOrder>,
}

/// Resolves a connection of accounts: checks the arguments and joins the batch of its level.
pub(super) async fn connect(
    ctx: &Context<'_>,
    parent: Result<Parent, BadInput>,
    filter: Result<AccountFilter, BadInput>,
    ConnectionArguments { after, first, order_by }: ConnectionArguments,
) -> Result<ConnectedAccountConnection, FieldError> {
    let (parent, filter) = (parent?, filter?);
    let operation = operation(ctx);
    let page =
        PageArguments { after, first, ..Default::default() }.check(operation.connections().accounts())?;
    // Asked of the query and not guessed: only then may knowing it cost another row.
    let is_next_asked = ctx.look_ahead().field("pageInfo").field("hasNextPage").exists();
    let wanted = Wanted { after: page.after, size: page.size, is_next_asked };
    let order = order_by.unwrap_or_default().into();
    let count = CountOf { parent: parent.clone(), filter: filter.clone(), order };
    let arguments = Arc::new(AccountArguments { filter, order, wanted });
    let slice = operation.accounts(AccountsOf { parent, arguments }).await?;
    Ok(ConnectedAccountConnection { slice, count })
}

pub(super) struct ConnectedAccountConnection {
    slice: Arc<Slice>,
    count: CountOf,
}

/// A page of connected accounts.
#[Object]
impl ConnectedAccountConnection {
    /// The accounts with their cursors.
    async fn edges(&self) -> Vec<ConnectedAccountEdge> {
        let accounts = self.slice.accounts().cloned().enumerate();
        accounts
            .map(|(place, account)| ConnectedAccountEdge { slice: Arc::clone(&self.slice), place, account })
            .collect()
    }

    /// The accounts without their cursors.
    async fn nodes(&self) -> Vec<ConnectedAccount> {
        self.slice.accounts().cloned().map(ConnectedAccount).collect()
    }

    /// Where this page stands in its list.
    async fn page_info(&self) -> PageInfo {
        let accounts = self.slice.accounts().len();
        PageInfo {
            has_next_page: self.slice.has_next,
            has_previous_page: self.slice.has_previous,
            start_cursor: self.slice.cursor(0),
            end_cursor: accounts.checked_sub(1).and_then(|last| self.slice.cursor(last)),
        }
    }

    /// How many accounts match; null where the upstream did not say.
    async fn total_count(&self, ctx: &Context<'_>) -> Option<Result<i32, FieldError>> {
        let count = match self.slice.total_items {
            Some(total) => Ok(Some(total)),
            None => operation(ctx).count(self.count.clone()).await,
        };
        Some(count.transpose()?.map(|count| i32::try_from(count).unwrap_or(i32::MAX)))
    }
}

pub(super) struct ConnectedAccountEdge {
    slice: Arc<Slice>,
    place: usize,
    account: SharedAccount,
}

/// A connected account in a page.
#[Object]
impl ConnectedAccountEdge {
    /// Where the account stands: the `after` of the page that follows it.
    async fn cursor(&self) -> String {
        self.slice.cursor(self.place).unwrap_or_default()
    }

    /// The account.
    async fn node(&self) -> ConnectedAccount {
        ConnectedAccount(Arc::clone(&self.account))
    }
}
