//! Connections of accounts: the same object under the root, a provider, a toolkit, a user and an auth config.

use std::sync::Arc;

use async_graphql::{Context, SimpleObject};
use futures_util::future::{BoxFuture, FutureExt as _};

use super::account_filters::ConnectedAccountOrder;
use super::accounts::ConnectedAccount;
use super::enums::ConnectedAccountStatus;
use super::errors::FieldError;
use super::freshness::DataFreshness;
use super::object_type::object_type;
use super::operation_context::operation;
use super::page_info::PageInfo;
use super::preserialized::{Preserialized, PreserializedList};
use crate::domain::filters::AccountFilter;
use crate::domain::input::BadInput;
use crate::domain::page::{Direction, PageArguments, PageSizes};
use crate::loaders::cache::freshness::Freshness;
use crate::loaders::health::HealthEvaluator;
use crate::loaders::lists::counts::{CountQuery, StatusCounts};
use crate::loaders::lists::multi_parent::AccountQuery;
use crate::loaders::lists::parent::Parent;
use crate::loaders::lists::slice::Slice;
use crate::loaders::loader::{AccountsKey, CountKey};
use crate::loaders::settings::ConnectionSettings;

/// Returns the query for a connection's arguments. `selects` returns whether a field of `pageInfo` is selected: to know
/// whether more accounts follow may cost another row, so that is only done if selected.
pub(super) fn account_query(
    filter: AccountFilter,
    order_by: Option<ConnectedAccountOrder>,
    page: PageArguments,
    connections: &ConnectionSettings,
    selects: impl Fn(&str) -> bool,
) -> Result<AccountQuery, BadInput> {
    let ConnectionSettings { accounts_default, page_max, .. } = *connections;
    let mut page = page.check(PageSizes { default: accounts_default, max: page_max })?;
    page.has_more_selected = match page.direction {
        Direction::Forward => selects("hasNextPage"),
        Direction::Backward => selects("hasPreviousPage"),
    };
    Ok(AccountQuery { filter, order: order_by.unwrap_or_default().into(), page })
}

/// Resolves a connection of accounts: validates the arguments and joins the loader's batch. `parent` and `filter` are
/// results, because the resolvers return `Option<Result<…>>` and cannot use `?` themselves.
pub(super) fn resolve_account_connection<'c>(
    ctx: &'c Context<'_>,
    parent: Result<Parent, BadInput>,
    filter: Result<AccountFilter, BadInput>,
    page: PageArguments,
    order_by: Option<ConnectedAccountOrder>,
) -> BoxFuture<'c, Result<Preserialized<ConnectedAccountConnection>, FieldError>> {
    // Boxed: the library's future of a field contains that of its resolver twice, and moves it.
    let resolved = async move {
        let (parent, filter) = (parent?, filter?);
        let operation = operation(ctx);
        let selected = ctx.look_ahead();
        let selects = |field: &str| selected.field("pageInfo").field(field).exists();
        let query = account_query(filter, order_by, page, &operation.parts.connections, selects)?;
        let by_status = selected.field("statusCounts").exists();
        let counted = CountQuery { filter: query.filter.clone(), order: query.order, by_status };
        let count = CountKey { parent: parent.clone(), query: counted };
        let slice = operation.accounts(AccountsKey::new(parent, Arc::new(query))).await?;
        let is_counted = by_status || (slice.total_items.is_none() && selected.field("totalCount").exists());
        let evaluator = Arc::clone(&operation.loader().evaluator);
        Ok(Preserialized(ConnectedAccountConnection { slice, count, is_counted, evaluator }))
    };
    resolved.boxed()
}

pub(super) struct ConnectedAccountConnection {
    slice: Arc<Slice>,
    count: CountKey,
    /// Whether the query selects counts that the slice does not contain.
    is_counted: bool,
    evaluator: Arc<HealthEvaluator>,
}

/// The number of accounts in one status.
#[derive(SimpleObject)]
pub(super) struct ConnectedAccountStatusCount {
    status: ConnectedAccountStatus,
    count: i32,
}

object_type! {
    /// A page of connected accounts.
    impl ConnectedAccountConnection |connection| {
        /// The edges of the page: accounts with their cursors.
        object edges: PreserializedList<ConnectedAccountEdge> = PreserializedList(connection.iter_edges().collect());

        /// The accounts of the page.
        object nodes: PreserializedList<ConnectedAccount> = PreserializedList(connection.iter_nodes().collect());

        /// Information to aid in pagination.
        object page_info: PageInfo = connection.page();

        /// The total number of matching accounts; null if the upstream does not report it.
        async fn total_count(&self, ctx: &Context<'_>) -> Option<Result<i32, FieldError>> {
            if let Some(total) = self.slice.total_items {
                return int(total).map(Ok);
            }
            let counts = operation(ctx).counts(self.count.clone()).await;
            let rows_seen = self.slice.rows_seen;
            counts.map(|counts| counts.total.filter(|total| *total >= rows_seen).and_then(int)).transpose()
        }

        /// The number of matching accounts per status. Exact, or null.
        async fn status_counts(
            &self,
            ctx: &Context<'_>,
        ) -> Option<Result<Vec<ConnectedAccountStatusCount>, FieldError>> {
            let counts = operation(ctx).counts(self.count.clone()).await;
            counts.map(|counts| status_counts(counts.by_status)).transpose()
        }

        /// Whether the page has all requested accounts. False if the upstream failed or a page limit was reached before
        /// the page was complete.
        is_complete: bool = connection.slice.is_complete;

        /// The freshness of the oldest data on the page; null if no upstream data was needed.
        async fn freshness(&self, ctx: &Context<'_>) -> Option<DataFreshness> {
            let counts = match self.is_counted {
                // Counts that failed have errors in their own fields.
                true => operation(ctx).counts(self.count.clone()).await.ok(),
                false => None,
            };
            let parts = self.slice.freshness.into_iter().chain(counts.and_then(|counts| counts.freshness));
            Freshness::of(parts).map(DataFreshness)
        }
    }
}

impl ConnectedAccountConnection {
    fn iter_edges(&self) -> impl Iterator<Item = ConnectedAccountEdge> {
        let nodes = self.iter_nodes().enumerate();
        nodes.map(|(index, node)| ConnectedAccountEdge { slice: Arc::clone(&self.slice), index, node })
    }

    fn iter_nodes(&self) -> impl Iterator<Item = ConnectedAccount> {
        let row = |(account, freshness)| {
            ConnectedAccount(Arc::clone(account), freshness, Arc::clone(&self.evaluator))
        };
        self.slice.accounts().map(row)
    }

    fn page(&self) -> PageInfo {
        let accounts = self.slice.accounts().len();
        PageInfo {
            has_next_page: self.slice.has_next,
            has_previous_page: self.slice.has_previous,
            start_cursor: self.slice.cursor(0),
            end_cursor: accounts.checked_sub(1).and_then(|last| self.slice.cursor(last)),
        }
    }
}

/// Converts a count to GraphQL's `Int`; `None` if it exceeds the maximum, 2^31 - 1 (specification, 3.5.1).
pub(super) fn int(count: u64) -> Option<i32> {
    i32::try_from(count).ok()
}

/// Converts counts to their schema type; `None` if one of them exceeds `Int`.
pub(super) fn status_counts(counts: Option<StatusCounts>) -> Option<Vec<ConnectedAccountStatusCount>> {
    let count = |(status, count)| {
        let status = ConnectedAccountStatus::from(status);
        Some(ConnectedAccountStatusCount { status, count: int(count)? })
    };
    counts?.into_iter().map(count).collect()
}

pub(super) struct ConnectedAccountEdge {
    slice: Arc<Slice>,
    index: usize,
    node: ConnectedAccount,
}

object_type! {
    /// An edge in a connection.
    impl ConnectedAccountEdge |edge| {
        /// A cursor for use in pagination, as `after` or `before`.
        cursor: String = edge.slice.cursor(edge.index).unwrap_or_default();

        /// The account at the end of the edge.
        object node: &ConnectedAccount = &edge.node;
    }
}
