//! [`OperationEngine`]: runs queries and mutations to their response.
//!
//! [`OperationEngine::run`] is the entry point for HTTP; `super::subscription` adds subscriptions. Tests and `app`
//! build the engine over an [`Executor`].

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use async_graphql::{Response, ServerError};
use futures_util::future::{BoxFuture, Either, FutureExt as _, Ready, ready};
use tokio::time::Instant;

use super::admission::Admission;
use super::cost::{CostModel, ReportedCost};
use super::deadline::Deadline;
use super::document::{Documents, InvalidSchema};
use super::executor::Executor;
use super::persisted::PersistedDocuments;
use super::persisted::trusted::TrustedDocuments;
use super::prepare::{PendingOperation, PreparedOperation, Preparer, TransportRules};
use super::rate_limits::settings::{RateLimitSettings, RateLimits};
use super::rate_limits::{CallerLimits, RateLimiter};
use super::request::OperationRequest;
use super::response::OperationResponse;
use super::response_body::ResponseExtensions;
use super::response_cache::{ResponseCache, ResponseKey};
use super::settings::{DocumentSettings, LimitSettings};
use crate::domain::caller::{Caller, Tenant};
use crate::domain::clock::Clock;
use crate::loaders::cache::freshness::ValueSource;
use crate::loaders::cache::metrics::read_weight;
use crate::loaders::settings::{ConnectionSettings, ListSettings, Shares};
use crate::loaders::stats::OperationStats;
use crate::telemetry::metrics::{Metrics, declared};
use crate::telemetry::requests::ResponseSource;
use crate::telemetry::traces;

/// Maximum size of a request that may share its execution with equal requests and whose response may be cached. A
/// shared execution continues after its client has disconnected, and holds the request in memory until then. Without
/// this limit, clients could use that to get around the limit on memory for request bodies.
const SHARED_REQUEST_MAX_BYTES: usize = 64 * 1024;

/// A response that is known at once, as a cached one is, or an execution. The execution is boxed: it is large, and the
/// futures around this one, which contain it, are moved for cached responses too.
pub(crate) type ResponseFuture<'e> = Either<Ready<OperationResponse>, BoxFuture<'e, OperationResponse>>;

/// Adds the state of the caller's limits to a response, and records the response in its trace.
pub(super) fn complete(response: OperationResponse, limits: Option<&CallerLimits>) -> OperationResponse {
    response.with_rate_limit(limits).recorded_in_trace()
}

/// Runs operations. Cheap to clone.
#[derive(Clone)]
pub struct OperationEngine {
    pub(super) executor: Arc<dyn Executor>,
    pub(super) preparer: Preparer,
    responses: Arc<ResponseCache>,
    clock: Clock,
    pub(super) admission: Arc<Admission>,
    rate_limiter: Option<Arc<RateLimiter>>,
}

impl OperationEngine {
    /// Creates an engine. `shares` has the memory limits of its caches; `clock` must be the executor's clock. The
    /// settings of connections and lists determine the cost of operations.
    ///
    /// # Errors
    /// If apollo-compiler cannot read the executor's schema, which is a bug in Switchboard.
    pub fn new(
        executor: impl Executor,
        shares: &Shares,
        clock: Clock,
        limits: LimitSettings,
        connections: ConnectionSettings,
        lists: ListSettings,
    ) -> Result<Self, InvalidSchema> {
        let documents = Documents::new(&executor.sdl(), shares.documents, limits.clone())?;
        let cost_model = CostModel::new(&documents.schema, connections, lists);
        let preparer = Preparer {
            documents: Arc::new(documents),
            persisted: Arc::new(PersistedDocuments::none()),
            metrics: executor.metrics(),
        };
        let engine = Self {
            preparer,
            executor: Arc::new(executor),
            responses: Arc::new(ResponseCache::new(shares.responses, clock)),
            clock,
            admission: Arc::new(Admission::new(limits, cost_model)),
            rate_limiter: None,
        };
        Ok(engine.with_metrics())
    }

    /// Adds limits over time of each caller; `tokens` are those of tokens by their names.
    #[must_use]
    pub fn with_rate_limits(
        mut self,
        settings: &RateLimitSettings,
        tokens: impl IntoIterator<Item = (Box<str>, RateLimits)>,
    ) -> Self {
        self.rate_limiter = RateLimiter::new(settings, tokens).map(Arc::new);
        self.with_metrics()
    }

    /// Takes over the callers' usage of their limits over time from another engine.
    #[must_use]
    pub fn keeping_usage_of(mut self, other: &Self) -> Self {
        if let (Some(limiter), Some(other)) = (&self.rate_limiter, &other.rate_limiter) {
            self.rate_limiter = Some(Arc::new(limiter.keeping_usage_of(other)));
        }
        self.with_metrics()
    }

    /// Adds the engine's caches and rate limits to the executor's metrics, instead of those that it added before.
    fn with_metrics(self) -> Self {
        let (responses, documents) = (Arc::clone(&self.responses), Arc::clone(&self.preparer.documents));
        let rate_limiter = self.rate_limiter.clone();
        self.metrics().register("operations", move |readings| {
            let (weight, limit) = responses.weight_and_limit_bytes();
            read_weight("responses", weight, limit, readings);
            let (weight, limit) = (documents.results.weight(), documents.results.limit);
            read_weight("documents", weight, limit, readings);
            readings.declare(&declared::RATE_LIMITED);
            if let Some(limiter) = &rate_limiter {
                limiter.read(readings);
            }
        });
        self
    }

    /// Adds documents that clients can name. An invalid trusted document is refused when it is requested;
    /// [`Self::invalid_trusted_documents`] lists them.
    #[must_use]
    pub fn with_documents(mut self, settings: &DocumentSettings, trusted: Option<TrustedDocuments>) -> Self {
        self.preparer.persisted = Arc::new(PersistedDocuments::new(settings, trusted));
        self
    }

    /// Takes over the documents that clients have registered with another engine.
    #[must_use]
    pub fn keeping_registered_documents(mut self, other: &Self) -> Self {
        let persisted = self.preparer.persisted.with_registered_of(&other.preparer.persisted);
        self.preparer.persisted = Arc::new(persisted);
        self
    }

    /// Returns the metrics of this engine.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.preparer.metrics
    }

    /// Returns the invalid trusted documents: each one's id and first error, ordered by id.
    pub(crate) fn invalid_trusted_documents(&self) -> Vec<(String, String)> {
        let trusted = self.preparer.persisted.trusted().into_iter().flat_map(TrustedDocuments::all);
        let invalid = trusted.filter_map(|(id, text)| {
            let errors = self.preparer.documents.validate(text).err()?;
            Some((id.to_owned(), errors.first()?.message.clone()))
        });
        let mut invalid: Vec<_> = invalid.collect();
        invalid.sort_unstable();
        invalid
    }

    /// Clears the caches of documents and responses.
    pub fn clear_caches(&self) {
        self.preparer.documents.results.clear();
        self.responses.clear();
    }

    /// Invalidates a tenant's accounts, because Composio has reported a change.
    pub fn accounts_changed(&self, tenant: &Tenant) {
        self.executor.accounts_changed(tenant);
    }

    /// Shares the validated documents of another engine, for tests that send the same requests to many.
    #[must_use]
    pub fn sharing_documents_of(mut self, other: &Self) -> Self {
        self.preparer.documents = Arc::clone(&other.preparer.documents);
        self
    }

    /// Returns all cached responses with their keys as text, for tests that search them for secrets.
    #[must_use]
    pub fn dump(&self) -> Vec<(String, bytes::Bytes)> {
        self.responses.dump()
    }

    /// Runs one operation and returns its response. Errors are a part of the response.
    pub fn run(
        &self,
        request: OperationRequest,
        rules: TransportRules,
        caller: Caller,
    ) -> ResponseFuture<'_> {
        let limits = self.limits_of(&caller);
        match self.begin(request, &caller, limits.as_ref()) {
            Ok(pending) => self.run_pending(pending, rules, caller, limits),
            Err(refused) => Either::Left(ready(complete(refused, limits.as_ref()))),
        }
    }

    /// Returns the caller's limits over time, if it has any.
    pub(super) fn limits_of(&self, caller: &Caller) -> Option<CallerLimits> {
        self.rate_limiter.as_ref().and_then(|limiter| limiter.of(caller))
    }

    /// Counts a request and finds its document.
    pub(super) fn begin(
        &self,
        request: OperationRequest,
        caller: &Caller,
        limits: Option<&CallerLimits>,
    ) -> Result<PendingOperation, OperationResponse> {
        if let Some(limits) = limits {
            limits.charge_request().map_err(|limited| OperationResponse::rate_limited(&limited, limits))?;
        }
        self.preparer.begin(request, &caller.tenant)
    }

    /// Counts the complexity of an operation. One that costs more than `[limits]` allow is not counted, as it will be
    /// refused.
    pub(super) fn charge_execution(
        &self,
        prepared: &PreparedOperation,
        limits: &CallerLimits,
    ) -> Result<(), OperationResponse> {
        let Ok(cost) = self.admission.check(prepared) else { return Ok(()) };
        let refused = limits
            .charge_execution(cost)
            .map_err(|limited| OperationResponse::rate_limited(&limited, limits));
        refused.map_err(|response| response.with_operation(&prepared.resolved.counted))
    }

    /// Returns the cached response, or executes the operation.
    pub(super) fn run_pending(
        &self,
        pending: PendingOperation,
        rules: TransportRules,
        caller: Caller,
        limits: Option<CallerLimits>,
    ) -> ResponseFuture<'_> {
        if traces::is_active()
            && let Ok(resolved) = self.preparer.resolve(&pending)
        {
            resolved.record_in_trace();
        }
        // Only ADMINs may see the upstream calls of a request. A request for them bypasses the response cache, because
        // a cached response makes no calls.
        let traces_calls = pending.request.requests_call_trace() && caller.view().is_full();
        let key = match traces_calls {
            true => None,
            false => ResponseKey::of(&pending.document.text, &pending.request, &caller),
        };
        // Only queries are cached, and every transport allows queries, so a hit needs no check of the transport. It
        // skips `resolve`, which otherwise stores the documents that clients register.
        if let Some(cached) = key.as_ref().and_then(|key| self.responses.lookup(key)) {
            self.preparer.persisted.store(&pending.document);
            return Either::Left(ready(complete(cached, limits.as_ref())));
        }
        let key = key.map(Arc::new);
        Either::Right(Box::pin(async move {
            let limits = limits.as_ref();
            let response = self.execute_pending(&pending, key, traces_calls, rules, &caller, limits).await;
            complete(response, limits)
        }))
    }

    /// Executes an operation whose response is not cached, or joins an execution of an equal request. Without a key the
    /// response is neither shared nor cached.
    async fn execute_pending(
        &self,
        pending: &PendingOperation,
        key: Option<Arc<ResponseKey>>,
        traces_calls: bool,
        rules: TransportRules,
        caller: &Caller,
        limits: Option<&CallerLimits>,
    ) -> OperationResponse {
        let deadline = self.admission.deadline();
        let mut uncharged_limits = limits;
        loop {
            let prepared = self.preparer.resolve(pending).and_then(|resolved| {
                resolved.check_transport(rules)?;
                self.preparer.prepare(resolved, &pending.request)
            });
            let prepared = match prepared {
                Ok(prepared) => prepared,
                Err(refused) => return refused,
            };
            if let Some(limits) = uncharged_limits.take()
                && let Err(refused) = self.charge_execution(&prepared, limits)
            {
                return refused;
            }
            let operation = Arc::clone(&prepared.resolved.counted);
            let is_small = |key: &&Arc<ResponseKey>| key.weight_bytes() <= SHARED_REQUEST_MAX_BYTES;
            let shared = key.as_ref().filter(|_| prepared.is_shareable).filter(is_small);
            let Some(key) = shared.map(Arc::clone) else {
                let (caller, limits) = (caller.clone(), limits.cloned());
                // Boxed, because the future is large, and a shared execution does not need it.
                return self
                    .execute_within_limits(prepared, caller, limits, traces_calls, deadline)
                    .boxed()
                    .await
                    .0;
            };
            let data_state = self.executor.data_state(caller);
            let (engine, execution_caller, limits) = (self.clone(), caller.clone(), limits.cloned());
            let execution = async move {
                engine.execute_within_limits(prepared, execution_caller, limits, false, deadline).await
            };
            let (response, source) = self.responses.get(key, data_state, execution.boxed()).await;
            // The joined execution had an earlier deadline and ran out of time. This request has time left, so it tries
            // again.
            if source != ValueSource::Joined || !response.is_late || deadline.is_over() {
                return response.with_operation(&operation);
            }
        }
    }

    /// Executes an operation within the limits. The operation is refused if it costs too much or gets no permit in
    /// time, and is cancelled at its deadline.
    async fn execute_within_limits(
        &self,
        prepared: PreparedOperation,
        caller: Caller,
        limits: Option<CallerLimits>,
        traces_calls: bool,
        deadline: Deadline,
    ) -> (OperationResponse, Option<Instant>) {
        let operation = Arc::clone(&prepared.resolved.counted);
        let cost = match self.admission.check(&prepared) {
            Ok(cost) => cost,
            Err(errors) => return (prepared.resolved.refused(&errors), None),
        };
        let executed = async {
            let stats = OperationStats::new(traces_calls, deadline.waits_end)
                .with_response_bytes(self.admission.response_bytes());
            let reported = traces_calls.then(|| self.admission.report(cost));
            self.execute(prepared, caller, limits, stats, reported).await
        };
        let (response, valid_until) = self
            .admission
            .run(cost, deadline, executed.boxed())
            .await
            .unwrap_or_else(|refused| (refused, None));
        (response.with_operation(&operation), valid_until)
    }

    /// Executes an operation. Returns its response and the time at which it changes without new data.
    async fn execute(
        &self,
        prepared: PreparedOperation,
        caller: Caller,
        limits: Option<CallerLimits>,
        stats: OperationStats,
        cost: Option<ReportedCost>,
    ) -> (OperationResponse, Option<Instant>) {
        let (stats, view) = (Arc::new(stats), caller.view());
        let _charge = limits.map(|limits| limits.counting_calls(Arc::clone(&stats)));
        let (introspected, on_error) = (prepared.introspected(), prepared.on_error);
        let request = prepared.into_request();
        let executed = async {
            let mut executed = self.executor.execute(request, caller, Arc::clone(&stats)).await;
            // The executor does not resolve introspection fields; the published schema does.
            if let Some((resolved, variables)) = introspected {
                let (document, operation) = (&resolved.document.validated, &resolved.operation);
                match self.preparer.documents.introspection(|| self.executor.published_sdl()) {
                    Ok(shown) => shown.fill(document, operation, &variables, &mut executed.data),
                    // A bug in Switchboard, so the message is logged and the client does not see it.
                    Err(invalid) => return Response::from_errors(vec![ServerError::new(invalid, None)]),
                }
            }
            executed
        };
        // A panic ends this operation and not its connection. The operation's state is dropped with the future.
        let mut response = match AssertUnwindSafe(executed).catch_unwind().await {
            Ok(executed) => {
                let extensions = ResponseExtensions::of(&stats, &view, cost);
                OperationResponse::executed(&executed.data, executed.errors, on_error, extensions)
            }
            Err(_) => OperationResponse::crashed(),
        };
        let freshness = stats.freshness();
        (response.origin.source, response.origin.cost) = (Some(ResponseSource::Executed), stats.cost());
        response.is_late = stats.is_late();
        response.read_at = freshness.map(|freshness| self.clock.tokio_instant(freshness.fetched_at));
        (response, stats.valid_until())
    }
}
