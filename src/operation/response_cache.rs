//! Cache of whole responses, above execution: a repeated query costs one lookup and is neither parsed nor executed.
//!
//! [`ResponseCache`] is the entry point; the engine uses it. Two events can change a response. One is time, at
//! `OperationStats::valid_until`. The other is a change of the data that it depends on, which changes the data's
//! [`Revision`]: a fetch, a failed fetch, an invalidation or an eviction.
//!
//! A response is cached only if nothing that it depends on was fetched during its execution, and it is served until one
//! of these events. It therefore equals, byte for byte, the response that execution would return at that moment. The
//! first response to a query, whose data had to be fetched, is not cached; the second is.
//!
//! The data caches record the [`Dependencies`], because every read passes through them. Rejected: one revision for the
//! whole tenant. Under memory pressure, each eviction would invalidate all responses of the tenant.
//!
//! Equal requests at the same time share one execution.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::FutureExt as _;
use tokio::time::Instant;

use super::request::OperationRequest;
use super::response::{OperationResponse, Outcome};
use crate::domain::bounded_map::BoundedMap;
use crate::domain::caller::{Caller, TenantFingerprints};
use crate::domain::clock::{Clock, ClockJumps};
use crate::domain::error_behavior::ErrorBehavior;
use crate::domain::view::View;
use crate::loaders::cache::dependencies::{self, Dependencies};
use crate::loaders::cache::freshness::ValueSource;
use crate::loaders::cache::single_flight::SingleFlight;
use crate::loaders::cache::upstream_cache::{CredentialRevisions, DataState, Revision};
use crate::telemetry::request_scope::in_current_request;
use crate::telemetry::requests::ResponseSource;

/// Root fields whose responses depend on the current time or on the caller's session.
const NEVER_CACHED: [&str; 2] = ["upstreams", "viewer"];

/// Approximate memory of an entry apart from its texts, in bytes. An entry can be the last that holds the numbers of its
/// two credentials.
const ENTRY_BYTES: usize = 640 + 2 * size_of::<CredentialRevisions>();

/// Divisor of a body's size for its compressed forms.
const COMPRESSED_PART: usize = 4;

/// Whether responses with these root fields may be cached and shared by concurrent requests.
pub(super) fn is_shareable<'f>(mut root_fields: impl Iterator<Item = &'f str>) -> bool {
    root_fields.all(|name| !NEVER_CACHED.contains(&name))
}

/// The identity of a response: the caller and the request, compared completely.
#[derive(PartialEq, Eq, Hash)]
pub(super) struct ResponseKey {
    tenant: TenantFingerprints,
    view: View,
    document: Arc<str>,
    operation_name: Option<Box<str>>,
    /// As JSON text, because a decoded value takes many times the memory. Another order of members is another key.
    variables: Box<str>,
    on_error: ErrorBehavior,
}

impl ResponseKey {
    /// Returns the key of a caller's request, or `None` if its variables cannot be serialized.
    pub(super) fn of(document: &Arc<str>, request: &OperationRequest, caller: &Caller) -> Option<Self> {
        let variables = match request.variables.is_empty() {
            true => String::new(),
            false => serde_json::to_string(&request.variables).ok()?,
        };
        Some(Self {
            tenant: caller.tenant.fingerprints(),
            view: caller.view(),
            document: Arc::clone(document),
            operation_name: request.operation_name.as_deref().map(Into::into),
            variables: variables.into(),
            on_error: request.on_error,
        })
    }

    pub(super) fn weight_bytes(&self) -> usize {
        let name = self.operation_name.as_deref().map_or(0, str::len);
        let member = self.view.member().map_or(0, |id| id.as_str().len());
        self.document.len() + name + self.variables.len() + member
    }
}

/// A cached response and its validity.
struct CachedResponse {
    response: OperationResponse,
    /// End of its validity by time. `None` if the response has no upstream data. It is then valid while the revision is
    /// unchanged.
    valid_until: Option<Instant>,
    dependencies: Dependencies,
    /// The numbers that change with the data.
    data_state: DataState,
    /// Revision of the data at the time of the execution.
    revision: Revision,
    /// Number of jumps of the clock so far. A jump changes the times in responses.
    jumps: ClockJumps,
}

/// The cached responses, and the executions in flight.
pub(super) struct ResponseCache {
    clock: Clock,
    responses: BoundedMap<Arc<ResponseKey>, Arc<CachedResponse>>,
    /// Executions by key and by the epochs at their start. A request after an expiry does not join an execution that
    /// began before it.
    flights: SingleFlight<(Arc<ResponseKey>, (u64, u64)), OperationResponse>,
}

impl ResponseCache {
    /// Creates a cache of at most `limit_bytes`.
    pub(super) fn new(limit_bytes: u64, clock: Clock) -> Self {
        let weigh = |key: &Arc<ResponseKey>, cached: &Arc<CachedResponse>| {
            let body = cached.response.body.len();
            ENTRY_BYTES + key.weight_bytes() + body + body / COMPRESSED_PART
        };
        Self {
            clock,
            responses: BoundedMap::with_limit_bytes(limit_bytes, weigh),
            flights: SingleFlight::new(|_| OperationResponse::crashed()),
        }
    }

    /// Removes all cached responses.
    pub(super) fn clear(&self) {
        self.responses.clear();
    }

    /// Returns the weight of the cached responses and its limit.
    pub(super) fn weight_and_limit_bytes(&self) -> (u64, u64) {
        (self.responses.weight(), self.responses.limit)
    }

    /// Returns all cached responses with their keys as text, for tests that search them for secrets.
    pub(super) fn dump(&self) -> Vec<(String, Bytes)> {
        let entry = |(key, cached): (Arc<ResponseKey>, Arc<CachedResponse>)| {
            let ResponseKey { tenant, view, document, variables, .. } = &*key;
            let key = format!("{tenant:?} {view:?} {document} {variables}");
            (key, cached.response.body.clone())
        };
        self.responses.iter().map(entry).collect()
    }

    /// Returns the cached response if execution would still return it.
    pub(super) fn lookup(&self, key: &ResponseKey) -> Option<OperationResponse> {
        let cached = self.responses.get(key)?;
        let is_in_time = cached.valid_until.is_none_or(|until| self.clock.instant_now() < until);
        let has_jumped = cached.jumps != self.clock.jumps();
        let has_changed = cached.revision != cached.data_state.revision(cached.dependencies);
        (is_in_time && !has_jumped && !has_changed).then(|| cached.response.clone())
    }

    /// Joins the execution of an equal request that is in progress, or starts `execution`. Returns the response and its
    /// source. `execution` returns its response and the end of its validity by time; `data_state` is that of the caller.
    pub(super) async fn get(
        self: &Arc<Self>,
        key: Arc<ResponseKey>,
        data_state: DataState,
        execution: impl Future<Output = (OperationResponse, Option<Instant>)> + Send + 'static,
    ) -> (OperationResponse, ValueSource) {
        let flight_key = (key.clone(), data_state.revision(Dependencies::default()).epochs);
        let (responses, cache_key) = (Arc::clone(self), Arc::clone(&key));
        let caching_execution = async move {
            let (before, jumps) = (data_state.revision(Dependencies::ALL), responses.clock.jumps());
            let ((response, valid_until), dependencies) = dependencies::recorded(execution).await;
            let is_whole = response.outcome == (Outcome::Executed { whole: true });
            let revision = data_state.revision(dependencies);
            // A late response has stale or missing data. A caller with more time executes again.
            if is_whole && !response.is_late && revision.is_unchanged_since(&before) {
                let response = response.to_cached();
                responses.store(
                    cache_key,
                    CachedResponse { response, valid_until, dependencies, data_state, revision, jumps },
                );
            }
            response
        };
        let cached = || self.lookup(&key);
        let (mut response, source) =
            self.flights.join(flight_key, cached, in_current_request(caching_execution).boxed()).await;
        if source == ValueSource::Joined {
            response.origin = response.origin.for_copy(ResponseSource::Joined);
        }
        (response, source)
    }

    fn store(&self, key: Arc<ResponseKey>, cached: CachedResponse) {
        if cached.valid_until.is_none_or(|until| self.clock.instant_now() < until) {
            self.responses.insert(key, Arc::new(cached));
        }
    }
}
