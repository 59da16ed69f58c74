//! The type `IntegrationHealth`: counts per status, and what needs attention.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_graphql::{Context, Object, SimpleObject};

use super::account_connection::{
    ConnectedAccountConnection, ConnectedAccountStatusCount, int, resolve_account_connection, status_counts,
};
use super::account_filters::ConnectedAccountOrder;
use super::enums::ProviderStatus;
use super::errors::FieldError;
use super::operation_context::operation;
use super::preserialized::Preserialized;
use super::providers::Provider;
use crate::domain::filters::{AccountFilter, AccountOrder};
use crate::domain::open_enum::OpenEnum as _;
use crate::domain::page::PageArguments;
use crate::domain::providers;
use crate::loaders::cache::freshness::Cached;
use crate::loaders::lists::counts::CountQuery;
use crate::loaders::lists::parent::Parent;
use crate::loaders::loader::CountKey;

/// The number of integrations in one status.
#[derive(SimpleObject)]
pub(super) struct ProviderStatusCount {
    status: ProviderStatus,
    count: i32,
}

pub(super) struct IntegrationHealth;

/// The health of the workspace at a glance. Fields fail independently of each other.
#[Object]
impl IntegrationHealth {
    /// The number of integrations per status; null if the workspace API is unavailable.
    async fn provider_counts(
        &self,
        ctx: &Context<'_>,
    ) -> Option<Result<Vec<ProviderStatusCount>, FieldError>> {
        let listed = operation(ctx).providers().await;
        Some(listed.map(|Cached { value: list, .. }| {
            // A status without integrations is reported as 0.
            let statuses =
                providers::ProviderStatus::KNOWN.iter().chain([&providers::ProviderStatus::UNKNOWN]);
            let mut counts: BTreeMap<_, u64> = statuses.map(|status| (*status, 0)).collect();
            for listed in list.iter() {
                *counts.entry(listed.provider.status.kind()).or_default() += 1;
            }
            let count = |(status, count)| {
                Some(ProviderStatusCount { status: ProviderStatus::from(status), count: int(count)? })
            };
            counts.into_iter().filter_map(count).collect()
        }))
    }

    /// The number of connected accounts per status; null if the connected-accounts API is unavailable or counting would
    /// take too many calls.
    async fn account_counts(
        &self,
        ctx: &Context<'_>,
    ) -> Option<Result<Vec<ConnectedAccountStatusCount>, FieldError>> {
        let query = CountQuery {
            filter: AccountFilter::default(),
            order: AccountOrder::NEWEST_FIRST,
            by_status: true,
        };
        let counts = operation(ctx).counts(CountKey { parent: Parent::Project, query }).await;
        counts.map(|counts| status_counts(counts.by_status)).transpose()
    }

    /// The integrations that need attention, at most 100 of them. All are in `providers(filter: { needsAttention: true
    /// })`.
    async fn providers_needing_attention(
        &self,
        ctx: &Context<'_>,
    ) -> Option<Result<Vec<Provider>, FieldError>> {
        let operation = operation(ctx);
        let evaluator = &operation.loader().evaluator;
        let listed = operation.providers().await;
        Some(listed.map(|Cached { value: list, freshness }| {
            let needing = list.iter().filter(|listed| evaluator.provider(&listed.provider).needs_attention);
            let needing = needing.take(operation.parts.connections.page_max);
            needing.map(|listed| Provider(Arc::clone(listed), freshness, Arc::clone(evaluator))).collect()
        }))
    }

    /// The accounts that need attention (`EXPIRED`, `FAILED`, or pending for more than ten minutes), most recently
    /// updated first.
    async fn accounts_needing_attention(
        &self,
        ctx: &Context<'_>,
        after: Option<String>,
        before: Option<String>,
        first: Option<i32>,
        last: Option<i32>,
    ) -> Option<Result<Preserialized<ConnectedAccountConnection>, FieldError>> {
        let filter = AccountFilter::needing_attention(&operation(ctx).loader().evaluator.rules);
        let page = PageArguments { after, before, first, last };
        let order_by = Some(ConnectedAccountOrder::NEWEST_CHANGE_FIRST);
        Some(resolve_account_connection(ctx, Ok(Parent::Project), Ok(filter), page, order_by).await)
    }
}
