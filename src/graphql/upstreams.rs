//! What this layer knows of its own sources, and having them read again.

use async_graphql::{Context, Enum, Object, SimpleObject};

use super::errors::FieldError;
use super::moment::{DateTime, moment};
use super::object_type::write_enum;
use super::operation_context::operation;
use crate::domain::upstream_name;
use crate::loaders::upstream_status::UpstreamOverview;
use crate::upstream::status::{self, UpstreamStatus};

/// One of the two REST APIs behind this graph.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "upstream_name::UpstreamName")]
pub(super) enum UpstreamName {
    /// The workspace API: integrations.
    Leadlex,
    /// The connected-accounts API.
    Composio,
}

/// How a source is, by its last calls.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "status::UpstreamState")]
pub(super) enum UpstreamState {
    /// Its last call was answered.
    Up,
    /// Its last call failed, and the next may go.
    Degraded,
    /// Its quota allows no call now.
    RateLimited,
    /// It does not accept the key, or the key lacks a permission.
    Unauthorized,
    /// It does not answer.
    Down,
    /// It was not called yet.
    Unknown,
}

write_enum!(UpstreamName);

pub(super) struct Upstream {
    source: UpstreamOverview,
    /// Whether more is told than its name and state.
    is_told: bool,
}

impl Upstream {
    /// What its calls told, for whom that is to know.
    fn status(&self) -> Option<&UpstreamStatus> {
        self.source.status.as_ref().filter(|_| self.is_told)
    }
}

/// A source of this layer, seen from here.
#[Object]
impl Upstream {
    async fn name(&self) -> UpstreamName {
        self.source.name.into()
    }

    async fn state(&self) -> UpstreamState {
        let status = self.source.status.as_ref();
        status.map_or(status::UpstreamState::Unknown, |status| status.state).into()
    }

    /// This and the fields below: null for a caller who is no ADMIN.
    async fn quota(&self) -> Option<UpstreamQuota> {
        let quota = self.status()?.quota;
        let int = |calls: u64| i32::try_from(calls).unwrap_or(i32::MAX);
        Some(UpstreamQuota {
            limit: quota.limit.map(int),
            remaining: quota.remaining.map(int),
            resets_at: moment(quota.resets_at),
        })
    }

    async fn last_success_at(&self) -> Option<DateTime> {
        moment(self.status()?.last_success_at)
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
        let cache = self.is_told.then_some(self.source.cache)?;
        let int = |figure: u64| i32::try_from(figure).unwrap_or(i32::MAX);
        Some(UpstreamCacheStatistics {
            entries: int(cache.entries),
            hits: int(cache.hits),
            misses: int(cache.misses),
            stale_served: int(cache.stale_served),
        })
    }
}

/// The calls that an upstream allows, as far as it said.
#[derive(SimpleObject)]
pub(super) struct UpstreamQuota {
    /// The calls of one window.
    limit: Option<i32>,
    /// What is left of them.
    remaining: Option<i32>,
    resets_at: Option<DateTime>,
}

/// The last call that failed.
#[derive(SimpleObject)]
pub(super) struct UpstreamErrorInfo {
    code: String,
    at: DateTime,
    /// The upstream's request id, for its support.
    request_id: Option<String>,
}

/// How this layer's cache has served a source's data.
#[derive(SimpleObject)]
pub(super) struct UpstreamCacheStatistics {
    /// What is kept now.
    entries: i32,
    /// Answered with fresh data.
    hits: i32,
    /// What had to be read.
    misses: i32,
    /// Answered with data past its time.
    stale_served: i32,
}

/// Both sources.
pub(super) fn upstreams(ctx: &Context<'_>) -> Vec<Upstream> {
    let is_told = operation(ctx).caller().view().is_full();
    operation(ctx).loader().sources().into_iter().map(|source| Upstream { source, is_told }).collect()
}

pub(super) struct Mutation;

/// The root of every mutation.
#[Object]
impl Mutation {
    /// Drops what is cached for the caller and reads it again. Within a quota that allows it; otherwise the payload says when.
    async fn refresh(
        &self,
        ctx: &Context<'_>,
        upstream: Option<UpstreamName>,
    ) -> Result<RefreshPayload, FieldError> {
        if !operation(ctx).caller().view().is_full() {
            return Err(FieldError::ForAdmins);
        }
        let retry_at = operation(ctx).loader().refresh(upstream.map(Into::into)).await;
        Ok(RefreshPayload { upstreams: upstreams(ctx), retry_at: moment(retry_at) })
    }
}

/// What became of a refresh.
#[derive(SimpleObject)]
pub(super) struct RefreshPayload {
    upstreams: Vec<Upstream>,
    /// When the next refresh will be taken, where this one was not.
    retry_at: Option<DateTime>,
}
