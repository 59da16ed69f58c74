//! The limiter of one credential, and the permission for one call.
//!
//! [`CallLimiter::acquire`] is the entry point. Its [`CallPermit`] receives the response and the outcome of the call.
//! `sharing` exchanges the quota with the other replicas.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{HeaderMap, StatusCode};
use tokio::time::Instant;
use tower::retry::budget::TpsBudget;

use crate::domain::bounded_map::BoundedMap;
use crate::domain::clock::Clock;
use crate::domain::upstream_name::UpstreamName;
use crate::replicas::Replicas;
use crate::upstream::breaker::{Breaker, Ticket};
use crate::upstream::concurrency::{ConcurrencyPermit, CredentialConcurrency};
use crate::upstream::counts::{CallCounters, HoldReason};
use crate::upstream::error::{UpstreamError, UpstreamFailure};
use crate::upstream::quota::{
    Call, CallDecision, CallNumber, Exchange, PendingResponse, Purpose, Quota, QuotaHeaders,
};
use crate::upstream::rate_limit;
use crate::upstream::refusals::{RefusalKey, Refusals};
use crate::upstream::request_kind::RequestKind;
use crate::upstream::status::{CallHistory, UpstreamStatus};

/// Limiters by credential.
pub(super) type Limiters = BoundedMap<[u8; 32], Arc<CallLimiter>>;

/// Time for which calls with a key are refused locally after a 401. A client that repeats a wrong key would
/// otherwise cause a call per request, and upstreams lock out such callers.
const KEY_REJECTION_TTL: Duration = Duration::from_secs(5);

/// `retryAfterMs` if no concurrency permit became free. The actual time is unknown, so it is not zero.
const CONCURRENCY_RETRY_AFTER: Duration = Duration::from_secs(1);

/// Limiter of one credential.
pub(in crate::upstream) struct CallLimiter {
    pub(super) upstream: UpstreamName,
    pub(super) clock: Clock,
    pub(in crate::upstream) counters: Arc<CallCounters>,
    pub(super) concurrency: CredentialConcurrency,
    /// The retry budget of the credential.
    pub(in crate::upstream) budget: TpsBudget,
    pub(in crate::upstream) refusals: Refusals,
    /// Part of the keys of this credential's refusals.
    pub(super) refusal_generation: AtomicU64,
    pub(super) state: Mutex<LimiterState>,
}

pub(super) struct LimiterState {
    pub(super) quota: Quota,
    /// Exchange with other replicas; `None` without a store.
    pub(super) shared: Option<SharedQuota>,
    pub(super) breaker: Breaker,
    pub(super) history: CallHistory,
    /// The upstream's 401 for this key, and the time until which it is returned without a call.
    pub(super) rejected_key: Option<(Instant, UpstreamError)>,
}

/// A quota that other replicas share, and the access to the store.
pub(super) struct SharedQuota {
    pub(super) replicas: Replicas,
    pub(super) exchange: Exchange,
    /// Time of the last attempt.
    pub(super) exchanged_at: Option<Instant>,
    /// Whether a task shares what is unshared.
    pub(super) is_pushing: bool,
}

impl LimiterState {
    fn rejected_key(&self, now: Instant) -> Option<(Duration, &UpstreamError)> {
        let (until, refusal) = self.rejected_key.as_ref().filter(|(until, _)| *until > now)?;
        Some((*until - now, refusal))
    }

    pub(super) fn quota_wait(&self, now: Instant, purpose: Purpose) -> Option<Duration> {
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
    pub(in crate::upstream) async fn acquire(
        self: &Arc<Self>,
        kind: RequestKind,
        purpose: Purpose,
        deadline: Instant,
    ) -> Result<CallPermit, UpstreamError> {
        self.refresh_if_held(purpose).await;
        self.check(&self.lock(), self.clock.instant_now(), purpose)?;
        let Some(concurrency) = self.concurrency.acquire(deadline).await else {
            return Err(self.hold(HoldReason::Concurrency, CONCURRENCY_RETRY_AFTER));
        };
        let mut reservation = self.reserve().await;
        let (now, state) = (self.clock.instant_now(), &mut *self.lock());
        self.check(state, now, purpose)?;
        let (call, ticket) = (state.quota.on_sent(now), state.breaker.start_call());
        let number = reservation.take();
        if let (Some(number), Some(shared)) = (number, &mut state.shared) {
            shared.exchange.on_sent(&state.quota, number, call);
            self.push(state);
        }
        Ok(CallPermit {
            limiter: Arc::clone(self),
            call,
            number,
            ticket,
            sent: Instant::now(),
            has_response: false,
            kind,
            ended: false,
            _concurrency: concurrency,
        })
    }

    /// Returns the generation of this credential's refusals, a part of their keys. A refusal has that in which its call
    /// started.
    pub(in crate::upstream) fn refusal_generation(&self) -> u64 {
        self.refusal_generation.load(Ordering::Relaxed)
    }

    /// Returns the upstream's refusal of the same request moments ago.
    pub(in crate::upstream) fn refusal(&self, key: impl FnOnce() -> RefusalKey) -> Option<UpstreamError> {
        self.refusals.get(key).inspect(|_| self.counters.on_held(HoldReason::RefusedRequest))
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
    pub(in crate::upstream) fn would_allow(&self, purpose: Purpose, wait: Duration) -> bool {
        let (at, state) = (self.clock.instant_now() + wait, self.lock());
        state.quota_wait(at, purpose).is_none() && state.breaker.wait(at).is_none()
    }

    /// Returns the time for which data that is read now is fresh. It is long enough that all data of the credential can
    /// be refreshed once within it, within the quota. LeadLex has one list per credential. At Composio, the number of
    /// pages is estimated from the calls of the last minute, scaled to `ttl`. The estimate counts a page twice if it
    /// was called twice. An exact count would have to be kept in each cache, and matters only if thousands of pages
    /// share the calls of one minute.
    pub(in crate::upstream) fn fresh_for(&self, ttl: Duration) -> Duration {
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
    pub(in crate::upstream) fn refresh_wait(&self) -> Option<Duration> {
        let now = self.clock.instant_now();
        let state = self.lock();
        let rejected_key = state.rejected_key(now).map(|(wait, _)| wait);
        rejected_key.max(state.quota_wait(now, Purpose::Refresh)).max(state.breaker.wait(now))
    }

    pub(in crate::upstream) fn status(self: &Arc<Self>) -> UpstreamStatus {
        self.refresh();
        let now = self.clock.instant_now();
        let state = self.lock();
        let is_held = state.quota_wait(now, Purpose::Needed).is_some();
        state.history.status(state.quota.figures(now), is_held, state.breaker.state(now))
    }

    /// Locks the state. It is consistent after every step, so a poisoned lock is ignored.
    pub(super) fn lock(&self) -> MutexGuard<'_, LimiterState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Permission for one call in flight. Dropping it before [`Self::end`] means that the call was cancelled. That says
/// nothing about the upstream. It frees the concurrency permit, and the call still counts in the quota.
pub(in crate::upstream) struct CallPermit {
    limiter: Arc<CallLimiter>,
    call: Call,
    /// Number of the call if the quota is shared.
    number: Option<CallNumber>,
    ticket: Ticket,
    sent: Instant,
    has_response: bool,
    pub(in crate::upstream) kind: RequestKind,
    ended: bool,
    _concurrency: ConcurrencyPermit,
}

impl CallPermit {
    /// Records the head of a response. After a 429, returns the time for which further calls are held.
    pub(in crate::upstream) fn on_response(
        &mut self,
        status: StatusCode,
        headers: &HeaderMap,
    ) -> Option<Duration> {
        self.has_response = true;
        let (now, wall) = (self.limiter.clock.instant_now(), self.limiter.clock.now());
        let upstream_now = rate_limit::upstream_now(headers, wall);
        let quota_headers = QuotaHeaders::read(headers, upstream_now);
        self.limiter.counters.add_unreadable_headers(rate_limit::unreadable(headers, upstream_now));
        let is_refused = status == StatusCode::TOO_MANY_REQUESTS;
        let jitter = is_refused.then(fastrand::f64);
        let response = PendingResponse { call: self.call, at: now, headers: quota_headers, jitter };
        let mut state = self.limiter.lock();
        response.apply(&mut state.quota);
        self.share(&mut state, Some(response));
        if is_refused { state.quota_wait(now, Purpose::Needed) } else { None }
    }

    /// Shares the response, or the end of a call without one.
    fn share(&self, state: &mut LimiterState, response: Option<PendingResponse>) {
        if let (Some(number), Some(shared)) = (self.number, &mut state.shared) {
            response.into_iter().for_each(|response| shared.exchange.on_response(response));
            shared.exchange.on_ended(&state.quota, self.limiter.moment(), number);
            self.limiter.push(state);
        }
    }

    /// Records the end of the call, with or without a response.
    pub(in crate::upstream) fn end(mut self, outcome: Result<(), &UpstreamError>) {
        self.ended = true;
        let (now, wall) = (self.limiter.clock.instant_now(), self.limiter.clock.now());
        self.limiter.counters.on_ended(outcome, self.sent.elapsed());
        let mut state = self.limiter.lock();
        if !self.has_response {
            // The connection is closed, so the upstream has counted the call by now, if at all.
            state.quota.on_response(&self.call, now, &QuotaHeaders::read(&HeaderMap::new(), wall));
            self.share(&mut state, None);
        }
        let is_rejected_key = outcome.is_err_and(|error| error.failure == UpstreamFailure::Unauthorized);
        // A refused write or read of reference data does not affect the status: a key without that permission can still read.
        let is_irrelevant = match self.kind {
            RequestKind::Read => false,
            RequestKind::ReferenceRead => !is_rejected_key,
            RequestKind::Write => outcome.is_err_and(UpstreamError::is_refusal),
        };
        if !is_irrelevant {
            state.history.record(wall, outcome);
        }
        match outcome {
            _ if self.kind == RequestKind::ReferenceRead => state.breaker.on_cancelled(self.ticket, now),
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
