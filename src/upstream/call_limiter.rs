//! Decides whether a credential's call may be sent to its upstream, and records the outcome of each call.
//!
//! There is one [`CallLimiter`] per credential, because quotas belong to keys, and one tenant's failures must not
//! affect another. The number of limiters is bounded, because callers may bring their own keys. An evicted credential
//! starts again with an unknown quota, which its first response states.
//!
//! [`CallLimiter::acquire`] checks the quota and the breaker, waits for a concurrency permit, and checks again, because
//! the state may have changed meanwhile. A call that may not be sent is *held*: its caller gets an error at once. With
//! other replicas, limiters of the same credential exchange their calls ([`sharing`]).

mod sharing;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{HeaderMap, StatusCode};
use tokio::time::Instant;
use tower::retry::budget::TpsBudget;

use super::breaker::{Breaker, Ticket};
use super::concurrency::{ConcurrencyPermit, CredentialConcurrency, UpstreamConcurrency};
use super::counts::{CallCounters, CallCounts, HoldReason};
use super::error::{UpstreamError, UpstreamFailure};
use super::jitter::jitter;
use super::metrics;
use super::problem_log::ProblemLog;
use super::quota::{
    Call, CallDecision, CallEvent, CallId, Purpose, Quota, QuotaFigures, QuotaHeaders, ReplicaCalls,
};
use super::rate_limit;
use super::refusals::{RefusalKey, Refusals};
use super::request_kind::RequestKind;
use super::retry;
use super::settings::UpstreamSettings;
use super::status::{CallHistory, UpstreamStatus};
use crate::domain::clock::Clock;
use crate::domain::credential::{Credential, Fingerprint};
use crate::domain::problems::Problems;
use crate::domain::upstream_name::{Upstream, UpstreamName};
use crate::replicas::Replicas;
use crate::telemetry::metrics::readings::Readings;
use sharing::{QuotaSharing, SharedQuota};

/// Maximum number of credentials with a limiter.
const LIMITERS_MAX: u64 = 10_000;

/// Time for which calls with a key are refused locally after a 401. A client that repeats a wrong key would
/// otherwise cause a call per request, and upstreams lock out such callers.
const KEY_REJECTION_TTL: Duration = Duration::from_secs(5);

/// `retryAfterMs` if no concurrency permit became free. The actual time is unknown, so it is not zero.
const CONCURRENCY_RETRY_AFTER: Duration = Duration::from_secs(1);

/// The limiters of all credentials at one upstream.
#[derive(Clone)]
pub(super) struct CallLimiters {
    upstream: UpstreamName,
    settings: Arc<UpstreamSettings>,
    clock: Clock,
    counters: Arc<CallCounters>,
    problem_log: Arc<ProblemLog>,
    concurrency: UpstreamConcurrency,
    limiters: moka::sync::Cache<[u8; 32], Arc<CallLimiter>>,
    refusals: Refusals,
    sharing: Option<Arc<QuotaSharing>>,
}

impl CallLimiters {
    pub(super) fn new(upstream: UpstreamName, settings: Arc<UpstreamSettings>, clock: Clock) -> Self {
        let limiters = moka::sync::Cache::new(LIMITERS_MAX);
        let concurrency = UpstreamConcurrency::new(&settings.concurrency);
        let (counters, problem_log) = (Arc::default(), Arc::default());
        let refusals = Refusals::default();
        Self {
            upstream,
            settings,
            clock,
            counters,
            problem_log,
            concurrency,
            limiters,
            refusals,
            sharing: None,
        }
    }

    /// Shares quotas with other replicas. Must be called before the first call.
    pub(super) fn sharing(self, replicas: Option<Replicas>) -> Self {
        let sharing = replicas.map(|replicas| QuotaSharing::start(replicas, self.upstream));
        Self { sharing, ..self }
    }

    pub(super) fn of<U: Upstream>(&self, credential: &Credential<U>) -> Arc<CallLimiter> {
        self.limiters.get_with(*credential.fingerprint().digest(), || {
            let Some(sharing) = &self.sharing else { return Arc::new(self.limiter(None)) };
            let tag = credential.fingerprint().tag();
            let limiter = Arc::new(self.limiter(Some(sharing.of(tag))));
            sharing.add(&limiter, tag);
            limiter
        })
    }

    fn limiter(&self, shared: Option<SharedQuota>) -> CallLimiter {
        CallLimiter {
            upstream: self.upstream,
            clock: self.clock,
            counters: Arc::clone(&self.counters),
            concurrency: CredentialConcurrency::new(&self.settings.concurrency, self.concurrency.clone()),
            budget: retry::budget(&self.settings.retry),
            refusals: self.refusals.clone(),
            refusal_generation: fastrand::u64(..).into(),
            state: Mutex::new(LimiterState {
                quota: Quota::new(self.settings.quota.clone()),
                replica_calls: shared.as_ref().map(|_| SharedQuota::replica_calls()),
                breaker: Breaker::new(self.settings.breaker.clone()),
                history: CallHistory::default(),
                rejected_key: None,
            }),
            shared,
        }
    }

    /// Forgets the refused requests of a credential: its data, or its permissions, may have changed.
    pub(super) fn forget_refusals<U>(&self, credential: &Fingerprint<U>) {
        if let Some(limiter) = self.limiters.get(credential.digest()) {
            limiter.refusal_generation.store(fastrand::u64(..), Ordering::Relaxed);
        }
    }

    /// Counts and logs the parts of a response that could not be read or were not requested.
    pub(super) fn count_problems(&self, problems: &Problems) {
        self.problem_log.log(problems);
        self.counters.add_problems(problems);
    }

    /// Returns the outcomes of all calls.
    pub(super) fn counts(&self) -> CallCounts {
        let now = self.clock.instant_now();
        // A breaker whose time is over allows the next call, so it does not count as open.
        let open_breakers =
            self.limiters.iter().filter(|(_, limiter)| limiter.lock().breaker.wait(now).is_some());
        let breakers_open = open_breakers.count() as u64;
        CallCounts { breakers_open, in_flight: self.concurrency.in_use(), ..self.counters.read() }
    }

    /// Adds the metrics of all calls and quotas.
    pub(super) fn read(&self, readings: &mut Readings) {
        self.counts().read(self.upstream, readings);
        metrics::read_durations(self.counters.durations(), self.upstream, readings);
        let now = self.clock.instant_now();
        let quotas = self.limiters.iter().map(|(_, limiter)| limiter.lock().quota.figures(now));
        if let Some(tightest) = QuotaFigures::tightest(quotas) {
            tightest.read(self.upstream, readings);
        }
    }
}

/// Limiter of one credential.
pub(super) struct CallLimiter {
    upstream: UpstreamName,
    clock: Clock,
    counters: Arc<CallCounters>,
    concurrency: CredentialConcurrency,
    budget: TpsBudget,
    refusals: Refusals,
    /// Part of the keys of this credential's refusals.
    refusal_generation: AtomicU64,
    state: Mutex<LimiterState>,
    /// State shared with other replicas; `None` without a store.
    shared: Option<SharedQuota>,
}

struct LimiterState {
    quota: Quota,
    /// Calls by replica, if the quota is shared.
    replica_calls: Option<ReplicaCalls>,
    breaker: Breaker,
    history: CallHistory,
    /// The upstream's 401 for this key, and the time until which it is returned without a call.
    rejected_key: Option<(Instant, UpstreamError)>,
}

impl LimiterState {
    fn rejected_key(&self, now: Instant) -> Option<(Duration, &UpstreamError)> {
        let (until, refusal) = self.rejected_key.as_ref().filter(|(until, _)| *until > now)?;
        Some((*until - now, refusal))
    }

    /// Records that a call is sent. It has an id if the quota is shared.
    fn on_sent(&mut self, now: Instant) -> (Call, Option<CallId>) {
        match &mut self.replica_calls {
            Some(replica_calls) => {
                let (call, id) = replica_calls.on_sent(&mut self.quota, now);
                (call, Some(id))
            }
            None => (self.quota.on_sent(now), None),
        }
    }

    fn quota_wait(&self, now: Instant, purpose: Purpose) -> Option<Duration> {
        match self.quota.may_call(now, purpose) {
            CallDecision::Allowed => None,
            CallDecision::NotBefore(at) => Some(at - now),
        }
    }
}

impl CallLimiter {
    /// Waits until a call may be sent.
    ///
    /// # Errors
    /// If the call may not be sent: the key was rejected moments ago, the quota has no call left for this purpose, the
    /// breaker is open, or no concurrency permit became free.
    pub(super) async fn acquire(
        self: &Arc<Self>,
        kind: RequestKind,
        purpose: Purpose,
        deadline: Instant,
    ) -> Result<CallPermit, UpstreamError> {
        self.load_snapshot().await;
        self.check(&self.lock(), self.clock.instant_now(), purpose)?;
        let Some(concurrency) = self.concurrency.acquire(deadline).await else {
            return Err(self.hold(HoldReason::Concurrency, CONCURRENCY_RETRY_AFTER));
        };
        let now = self.clock.instant_now();
        let mut state = self.lock();
        self.check(&state, now, purpose)?;
        let ((call, id), ticket) = (state.on_sent(now), state.breaker.start_call());
        self.publish(id, CallEvent::Sent);
        let limiter = Arc::clone(self);
        Ok(CallPermit {
            limiter,
            call,
            id,
            ticket,
            sent: Instant::now(),
            has_response: false,
            kind,
            ended: false,
            _concurrency: concurrency,
        })
    }

    /// Returns the key of a request in the cache of refusals.
    pub(super) fn refusal_key(&self, credential: &[u8; 32], path: &str, query: &str) -> RefusalKey {
        Refusals::key(credential, self.refusal_generation.load(Ordering::Relaxed), path, query)
    }

    /// Returns the upstream's refusal of the same request moments ago.
    pub(super) fn refusal(&self, key: &RefusalKey) -> Option<UpstreamError> {
        self.refusals.get(key).inspect(|_| self.counters.on_held(HoldReason::RefusedRequest))
    }

    /// Records the failure of a request, after its retries.
    pub(super) fn on_failed(&self, key: RefusalKey, error: &UpstreamError) {
        self.refusals.put(key, error);
    }

    fn check(&self, state: &LimiterState, now: Instant, purpose: Purpose) -> Result<(), UpstreamError> {
        if let Some((_, refusal)) = state.rejected_key(now) {
            self.counters.on_held(HoldReason::RefusedKey);
            return Err(refusal.clone().repeated());
        }
        if let Some(wait) = state.quota_wait(now, purpose) {
            return Err(self.hold(HoldReason::Quota, wait));
        }
        match state.breaker.wait(now) {
            Some(wait) => Err(self.hold(HoldReason::Breaker, wait)),
            None => Ok(()),
        }
    }

    /// Returns the error of a call that is held. For the breaker and the concurrency limit, the client receives
    /// "unavailable" with a `retryAfterMs`. `OVERLOADED` would mean that Switchboard itself is overloaded.
    fn hold(&self, reason: HoldReason, wait: Duration) -> UpstreamError {
        self.counters.on_held(reason);
        let failure = match reason {
            HoldReason::Quota => UpstreamFailure::RateLimited,
            HoldReason::RefusedKey
            | HoldReason::RefusedRequest
            | HoldReason::Breaker
            | HoldReason::Concurrency => UpstreamFailure::Unavailable,
        };
        UpstreamError::held(self.upstream, failure, wait)
    }

    /// Whether a call would be allowed after `wait` if the state did not change. If not, waiting is useless.
    pub(super) fn would_allow(&self, purpose: Purpose, wait: Duration) -> bool {
        let (at, state) = (self.clock.instant_now() + wait, self.lock());
        state.quota_wait(at, purpose).is_none() && state.breaker.wait(at).is_none()
    }

    /// Returns the retry budget of the credential.
    pub(super) fn budget(&self) -> &TpsBudget {
        &self.budget
    }

    /// Counts a call that repeats a failed one.
    pub(super) fn on_retry(&self) {
        self.counters.on_retry();
    }

    /// Returns the time for which data that is read now is fresh. It is long enough that all data of the credential can
    /// be refreshed once within it, within the quota. LeadLex has one list per credential. At Composio, the number of
    /// pages is estimated from the calls of the last minute, scaled to `ttl`. The estimate counts a page twice if it
    /// was called twice. An exact count would have to be kept in each cache, and matters only if thousands of pages
    /// share the calls of one minute.
    pub(super) fn fresh_for(&self, ttl: Duration) -> Duration {
        let now = self.clock.instant_now();
        let state = self.lock();
        let items = match self.upstream {
            UpstreamName::Leadlex => 1,
            UpstreamName::Composio => {
                let calls = u128::from(state.quota.calls_in_minute(now));
                usize::try_from(calls.saturating_mul(ttl.as_millis()) / 60_000).unwrap_or(usize::MAX)
            }
        };
        state.quota.fresh_for(now, ttl, items.max(1))
    }

    /// Returns the time that a refresh has to wait; `None` if it may be sent now.
    pub(super) fn refresh_wait(&self) -> Option<Duration> {
        let now = self.clock.instant_now();
        let state = self.lock();
        let rejected_key = state.rejected_key(now).map(|(wait, _)| wait);
        rejected_key.max(state.quota_wait(now, Purpose::Refresh)).max(state.breaker.wait(now))
    }

    pub(super) fn status(&self) -> UpstreamStatus {
        let now = self.clock.instant_now();
        let state = self.lock();
        let is_held = state.quota_wait(now, Purpose::Needed).is_some();
        state.history.status(state.quota.figures(now), is_held, state.breaker.state(now))
    }

    /// Locks the state. It is consistent after every step, so a poisoned lock is ignored.
    fn lock(&self) -> MutexGuard<'_, LimiterState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Permission for one call in flight. Dropping it before [`Self::end`] means that the call was cancelled. That says
/// nothing about the upstream. It frees the concurrency permit, and the call still counts in the quota.
pub(super) struct CallPermit {
    limiter: Arc<CallLimiter>,
    call: Call,
    id: Option<CallId>,
    ticket: Ticket,
    sent: Instant,
    has_response: bool,
    kind: RequestKind,
    ended: bool,
    _concurrency: ConcurrencyPermit,
}

impl CallPermit {
    /// Returns the kind of the call.
    pub(super) fn kind(&self) -> RequestKind {
        self.kind
    }

    /// Records the head of a response. After a 429, returns the time for which further calls are held.
    pub(super) fn on_response(&mut self, status: StatusCode, headers: &HeaderMap) -> Option<Duration> {
        self.has_response = true;
        let (now, wall) = (self.limiter.clock.instant_now(), self.limiter.clock.now());
        let quota_headers = QuotaHeaders::read(headers, wall);
        self.limiter.counters.add_unreadable_headers(rate_limit::unreadable(headers, wall));
        let mut state = self.limiter.lock();
        self.limiter.schedule_store();
        if status == StatusCode::TOO_MANY_REQUESTS {
            state.quota.on_rate_limited_headers(&self.call, now, &quota_headers, jitter());
            self.limiter.publish(self.id, CallEvent::RateLimited(quota_headers));
            state.quota_wait(now, Purpose::Needed)
        } else {
            state.quota.on_response_headers(&self.call, now, &quota_headers);
            self.limiter.publish(self.id, CallEvent::Answered(quota_headers));
            None
        }
    }

    /// Records the end of the call, with or without a response.
    pub(super) fn end(mut self, outcome: Result<(), &UpstreamError>) {
        self.ended = true;
        let (now, wall) = (self.limiter.clock.instant_now(), self.limiter.clock.now());
        self.limiter.counters.on_ended(outcome, self.sent.elapsed());
        let mut state = self.limiter.lock();
        if !self.has_response {
            // The connection is closed, so the upstream has counted the call by now, if at all.
            state.quota.on_response(&self.call, now, wall, &HeaderMap::new());
            self.limiter.publish(self.id, CallEvent::Ended);
        }
        let is_rejected_key = outcome.is_err_and(|error| error.failure == UpstreamFailure::Unauthorized);
        // A refused write or lookup does not affect the status: a key without that permission can still read.
        let is_irrelevant = match self.kind {
            RequestKind::Read => false,
            RequestKind::Lookup => !is_rejected_key,
            RequestKind::Write => outcome.is_err_and(UpstreamError::is_refusal),
        };
        if !is_irrelevant {
            state.history.record(wall, outcome);
        }
        match outcome {
            _ if self.kind == RequestKind::Lookup => state.breaker.on_cancelled(self.ticket, now),
            Err(error) if error.failure.is_trouble() => state.breaker.on_failure(self.ticket, now),
            Err(error) if error.failure == UpstreamFailure::Internal => {
                state.breaker.on_cancelled(self.ticket, now);
            }
            Ok(()) | Err(_) => state.breaker.on_response(self.ticket),
        }
        if let Err(error) = outcome
            && is_rejected_key
        {
            state.rejected_key = Some((now + KEY_REJECTION_TTL, error.clone()));
        }
    }
}

impl Drop for CallPermit {
    fn drop(&mut self) {
        if !self.ended {
            self.limiter.counters.on_cancelled();
            let now = self.limiter.clock.instant_now();
            self.limiter.lock().breaker.on_cancelled(self.ticket, now);
        }
    }
}
