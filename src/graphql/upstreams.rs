//! The type `Upstream`, and the `refresh` mutation.

use async_graphql::{Context, Enum, Object, SimpleObject};

use super::date_time::{DateTime, date_time};
use super::error_behavior::{NonNull, is_halted};
use super::errors::FieldError;
use super::object_type::write_enum;
use super::operation_context::operation;
use crate::domain::upstream_name;
use crate::loaders::upstream_status::UpstreamOverview;
use crate::upstream::status::{self, UpstreamStatus};

/// An upstream API.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "upstream_name::UpstreamName")]
pub(super) enum UpstreamName {
    /// The LeadLex workspace API, which serves integrations.
    Leadlex,
    /// The Composio API, which serves connected accounts.
    Composio,
}

/// The state of an upstream, derived from its most recent calls.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "status::UpstreamState")]
pub(super) enum UpstreamState {
    /// The last call succeeded.
    Up,
    /// The upstream answered the last call, but not with a usable response.
    Degraded,
    /// The rate limit is exhausted.
    RateLimited,
    /// The credential is rejected or lacks a permission.
    Unauthorized,
    /// The last call got no response or a server error, or calls are suspended.
    Down,
    /// No call has been made yet.
    Unknown,
}

write_enum!(UpstreamName);

pub(super) struct Upstream {
    source: UpstreamOverview,
    /// Whether fields other than name and state are visible.
    shows_details: bool,
}

impl Upstream {
    /// Returns the status if it is visible to the caller.
    fn status(&self) -> Option<&UpstreamStatus> {
        self.source.status.as_ref().filter(|_| self.shows_details)
    }
}

/// An upstream API as observed by Switchboard.
#[Object]
impl Upstream {
    async fn name(&self) -> UpstreamName {
        self.source.name.into()
    }

    async fn state(&self) -> UpstreamState {
        let status = self.source.status.as_ref();
        status.map_or(status::UpstreamState::Unknown, |status| status.state).into()
    }

    /// The upstream's rate limit. Like `lastSuccessAt`, `lastError` and `cache`, visible to callers with the `ADMIN`
    /// role only.
    async fn quota(&self) -> Option<UpstreamQuota> {
        let quota = self.status()?.quota;
        let int = |calls: u64| i32::try_from(calls).unwrap_or(i32::MAX);
        Some(UpstreamQuota {
            limit: quota.limit.map(int),
            remaining: quota.remaining.map(int),
            resets_at: date_time(quota.resets_at),
        })
    }

    async fn last_success_at(&self) -> Option<DateTime> {
        date_time(self.status()?.last_success_at)
    }

    async fn last_error(&self) -> Option<UpstreamErrorInfo> {
        let error = self.status()?.last_error.as_ref()?;
        Some(UpstreamErrorInfo {
            code: error.code.to_owned(),
            at: DateTime(error.at),
            request_id: error.request_id.as_deref().map(str::to_owned),
        })
    }

    async fn cache(&self) -> Option<UpstreamCacheStatistics> {
        let cache = self.shows_details.then_some(self.source.cache)?;
        let int = |figure: u64| i32::try_from(figure).unwrap_or(i32::MAX);
        Some(UpstreamCacheStatistics {
            entries: int(cache.entries),
            hits: int(cache.hits),
            misses: int(cache.misses),
            stale_served: int(cache.stale_served),
        })
    }
}

/// The rate limit of an upstream, as far as it reports it.
#[derive(SimpleObject)]
pub(super) struct UpstreamQuota {
    /// The number of calls per window.
    limit: Option<i32>,
    /// The number of calls left in the current window.
    remaining: Option<i32>,
    resets_at: Option<DateTime>,
}

/// The most recent failed call to an upstream.
#[derive(SimpleObject)]
pub(super) struct UpstreamErrorInfo {
    code: String,
    at: DateTime,
    /// The upstream's request ID, for its support.
    request_id: Option<String>,
}

/// Statistics of the cache of an upstream's data.
#[derive(SimpleObject)]
pub(super) struct UpstreamCacheStatistics {
    /// The number of entries.
    entries: i32,
    /// The number of reads served with fresh data.
    hits: i32,
    /// The number of reads that required a fetch.
    misses: i32,
    /// The number of reads served with expired data.
    stale_served: i32,
}

/// Returns both upstreams.
pub(super) fn upstreams(ctx: &Context<'_>) -> Vec<Upstream> {
    let shows_details = operation(ctx).caller.view().is_full();
    operation(ctx)
        .loader()
        .upstream_overviews()
        .into_iter()
        .map(|source| Upstream { source, shows_details })
        .collect()
}

pub(super) struct UpstreamMutations;

// Merged into the root type, so it needs another name.
#[Object(name = "UpstreamMutations")]
impl UpstreamMutations {
    /// Invalidates the cached data of the caller, so that it is fetched again. Limited in rate: if this refresh is
    /// rejected, `retryAt` says when the next one is accepted.
    async fn refresh(&self, ctx: &Context<'_>, upstream: Option<UpstreamName>) -> NonNull<RefreshPayload> {
        if is_halted(ctx) {
            return NonNull(None);
        }
        if !operation(ctx).caller.view().is_full() {
            return NonNull(Some(Err(FieldError::ForAdmins)));
        }
        let retry_at = operation(ctx).loader().refresh(upstream.map(Into::into)).await;
        NonNull(Some(Ok(RefreshPayload { upstreams: upstreams(ctx), retry_at: date_time(retry_at) })))
    }
}

/// The result of a `refresh` mutation.
#[derive(SimpleObject)]
pub(super) struct RefreshPayload {
    upstreams: Vec<Upstream>,
    /// When the next refresh is accepted; null if this one was.
    retry_at: Option<DateTime>,
}
