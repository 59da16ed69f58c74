//! What stands between one credential and its upstream: whether a call may leave, and what is learnt of
//! those that did.
//!
//! There is one limiter for each credential, as quotas are a key's and one tenant's trouble is no other's.
//! Their number is bounded: callers may bring keys of their own. A credential that was forgotten begins
//! anew, and its first answer tells its quota again.
//!
//! A call passes the quota, then the line for a place, then the breaker. It is judged before the line, so that
//! nobody stands there for nothing, and once more behind it, as things will have changed.
//!
//! Where there are other replicas, limiters of the same credential know of one another's calls ([`sharing`]).

mod sharing;

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
use super::retry;
use super::settings::UpstreamSettings;
use super::status::{CallHistory, UpstreamStatus};
use crate::domain::clock::Clock;
use crate::domain::credential::Credential;
use crate::domain::problems::Problems;
use crate::domain::upstream_name::{Upstream, UpstreamName};
use crate::replicas::Replicas;
use crate::telemetry::metrics::readings::Readings;
use sharing::{QuotaSharing, SharedQuota};

/// How many credentials are remembered.
const LIMITERS_MAX: u64 = 10_000;

/// How long a key that was rejected_key with 401 is not tried again: a caller that repeats a wrong key would
/// make a call for each of its requests, and upstreams lock out whoever does that.
const KEY_REJECTION_TTL: Duration = Duration::from_secs(5);

/// When to ask again, where no place became free: nobody knows, so not at once.
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
    sharing: Option<Arc<QuotaSharing>>,
}

impl CallLimiters {
    pub(super) fn new(upstream: UpstreamName, settings: Arc<UpstreamSettings>, clock: Clock) -> Self {
        let limiters = moka::sync::Cache::new(LIMITERS_MAX);
        let concurrency = UpstreamConcurrency::new(&settings.concurrency);
        let (counters, problem_log) = (Arc::default(), Arc::default());
        Self { upstream, settings, clock, counters, problem_log, concurrency, limiters, sharing: None }
    }

    /// The same, of which all replicas' limiters know one another's calls. Before the first call.
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

    /// Counts what of an answer could not be read or was not asked for, and tells the log of it.
    pub(super) fn count_problems(&self, problems: &Problems) {
        self.problem_log.log(problems);
        self.counters.add_problems(problems);
    }

    /// What became of all calls.
    pub(super) fn counts(&self) -> CallCounts {
        let now = Instant::now();
        // One whose pause is over lets the next call try: where nobody asks, nobody is held back, and nothing is known to be down.
        let holding = self.limiters.iter().filter(|(_, limiter)| limiter.lock().breaker.wait(now).is_some());
        let breakers_open = holding.count() as u64;
        CallCounts { breakers_open, in_flight: self.concurrency.in_use(), ..self.counters.read() }
    }

    /// Puts what metrics tell of all calls, and of the quotas, into a reading.
    pub(super) fn read(&self, readings: &mut Readings) {
        self.counts().read(self.upstream, readings);
        metrics::read_durations(self.counters.durations(), self.upstream, readings);
        let now = Instant::now();
        let quotas = self.limiters.iter().map(|(_, limiter)| limiter.lock().quota.figures(now));
        if let Some(tightest) = QuotaFigures::tightest(quotas) {
            tightest.read(self.upstream, readings);
        }
    }
}

/// The limiter of one credential.
pub(super) struct CallLimiter {
    upstream: UpstreamName,
    clock: Clock,
    counters: Arc<CallCounters>,
    concurrency: CredentialConcurrency,
    budget: TpsBudget,
    state: Mutex<LimiterState>,
    /// What it shares with other replicas; none where there are none.
    shared: Option<SharedQuota>,
}

struct LimiterState {
    quota: Quota,
    /// Whose calls the quota's are, where it is shared.
    replica_calls: Option<ReplicaCalls>,
    breaker: Breaker,
    history: CallHistory,
    /// The upstream's refusal of the key itself, and until when it is believed.
    rejected_key: Option<(Instant, UpstreamError)>,
}

impl LimiterState {
    fn rejected_key(&self, now: Instant) -> Option<(Duration, &UpstreamError)> {
        let (until, refusal) = self.rejected_key.as_ref().filter(|(until, _)| *until > now)?;
        Some((*until - now, refusal))
    }

    /// A call leaves; it has an id where others hear of it.
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
    /// Lets a call leave, perhaps after a while in line.
    ///
    /// # Errors
    /// Where none may: the key was rejected_key a moment ago, the quota has none left for that purpose, the
    /// breaker is open, or no place became free.
    pub(super) async fn acquire(
        self: &Arc<Self>,
        purpose: Purpose,
        deadline: Instant,
    ) -> Result<CallPermit, UpstreamError> {
        self.load_snapshot().await;
        self.check(&self.lock(), Instant::now(), purpose)?;
        let Some(concurrency) = self.concurrency.acquire(deadline).await else {
            return Err(self.hold(HoldReason::Concurrency, CONCURRENCY_RETRY_AFTER));
        };
        let now = Instant::now();
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
            sent: now,
            has_response: false,
            ended: false,
            _concurrency: concurrency,
        })
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

    /// A call that is not made. Whether it is the breaker or the crowd, to a client the upstream is
    /// unavailable (OVERLOADED would be this layer's own trouble), and `retryAfterMs` says for how long.
    fn hold(&self, by: HoldReason, wait: Duration) -> UpstreamError {
        self.counters.on_held(by);
        let failure = match by {
            HoldReason::Quota => UpstreamFailure::RateLimited,
            HoldReason::RefusedKey | HoldReason::Breaker | HoldReason::Concurrency => {
                UpstreamFailure::Unavailable
            }
        };
        UpstreamError::held(self.upstream, failure, wait)
    }

    /// Whether, as things stand, a call would pass at that moment: what it is not worth waiting for.
    pub(super) fn would_allow(&self, purpose: Purpose, at: Instant) -> bool {
        let state = self.lock();
        state.quota_wait(at, purpose).is_none() && state.breaker.wait(at).is_none()
    }

    /// What retries of its calls draw on.
    pub(super) fn budget(&self) -> &TpsBudget {
        &self.budget
    }

    /// A call leaves that is another's repetition.
    pub(super) fn on_retry(&self) {
        self.counters.on_retry();
    }

    /// How long what is read now is to count as fresh, where everything that shares the quota is to be
    /// read again once in that time. How many things those are is told by the upstream: LeadLex has one
    /// list for each credential; of Composio's pages, those count that were called for in the last
    /// minute, scaled to `ttl`. (Two calls for one page in a minute of which it is fresh for the half are
    /// one thing. Which pages exist would be a count to keep in each cache, for a number that only
    /// matters where thousands of pages share one minute's calls.)
    pub(super) fn fresh_for(&self, ttl: Duration) -> Duration {
        let now = Instant::now();
        let state = self.lock();
        let things = match self.upstream {
            UpstreamName::Leadlex => 1,
            UpstreamName::Composio => {
                let calls = u128::from(state.quota.calls_in_minute(now));
                usize::try_from(calls.saturating_mul(ttl.as_millis()) / 60_000).unwrap_or(usize::MAX)
            }
        };
        state.quota.fresh_for(now, ttl, things.max(1))
    }

    /// How long a refresh has to wait; none where it may go now.
    pub(super) fn refresh_wait(&self) -> Option<Duration> {
        let now = Instant::now();
        let state = self.lock();
        let rejected_key = state.rejected_key(now).map(|(wait, _)| wait);
        rejected_key.max(state.quota_wait(now, Purpose::Refresh)).max(state.breaker.wait(now))
    }

    pub(super) fn status(&self) -> UpstreamStatus {
        let now = Instant::now();
        let state = self.lock();
        let is_held = state.quota_wait(now, Purpose::Needed).is_some();
        state.history.status(state.quota.figures(now), is_held, state.breaker.state(now))
    }

    /// Every step leaves the state whole, so a panic elsewhere while it was locked does not matter.
    fn lock(&self) -> MutexGuard<'_, LimiterState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call under way. One that is dropped before its end was cancelled, which says nothing of the upstream:
/// its place is free again, and the quota takes it for counted.
pub(super) struct CallPermit {
    limiter: Arc<CallLimiter>,
    call: Call,
    id: Option<CallId>,
    ticket: Ticket,
    sent: Instant,
    has_response: bool,
    ended: bool,
    _concurrency: ConcurrencyPermit,
}

impl CallPermit {
    /// The head of an answer is there; says how long a 429 holds the next call back.
    pub(super) fn on_response(&mut self, status: StatusCode, headers: &HeaderMap) -> Option<Duration> {
        self.has_response = true;
        let (now, wall) = (Instant::now(), self.limiter.clock.now());
        let told = QuotaHeaders::read(headers, wall);
        let mut state = self.limiter.lock();
        self.limiter.schedule_store();
        if status == StatusCode::TOO_MANY_REQUESTS {
            state.quota.on_rate_limited_headers(&self.call, now, &told, jitter());
            self.limiter.publish(self.id, CallEvent::RateLimited(told));
            state.quota_wait(now, Purpose::Needed)
        } else {
            state.quota.on_response_headers(&self.call, now, &told);
            self.limiter.publish(self.id, CallEvent::Answered(told));
            None
        }
    }

    /// It is over, by an answer or without one.
    pub(super) fn end(mut self, outcome: Result<(), &UpstreamError>) {
        self.ended = true;
        let (now, wall) = (Instant::now(), self.limiter.clock.now());
        self.limiter.counters.on_ended(outcome, now - self.sent);
        let mut state = self.limiter.lock();
        if !self.has_response {
            // The connection is gone: what the upstream counts of it, it has counted by now.
            state.quota.on_response(&self.call, now, wall, &HeaderMap::new());
            self.limiter.publish(self.id, CallEvent::Ended);
        }
        state.history.record(wall, outcome);
        match outcome {
            Err(error) if error.failure.is_trouble() => state.breaker.on_failure(self.ticket, now),
            Err(error) if error.failure == UpstreamFailure::Internal => {
                state.breaker.on_cancelled(self.ticket, now);
            }
            Ok(()) | Err(_) => state.breaker.on_response(self.ticket),
        }
        if let Err(error) = outcome
            && error.failure == UpstreamFailure::Unauthorized
        {
            state.rejected_key = Some((now + KEY_REJECTION_TTL, error.clone()));
        }
    }
}

impl Drop for CallPermit {
    fn drop(&mut self) {
        if !self.ended {
            self.limiter.counters.on_cancelled();
            self.limiter.lock().breaker.on_cancelled(self.ticket, Instant::now());
        }
    }
}
