//! What stands between one credential and its upstream: whether a call may leave, and what is learnt of
//! those that did.
//!
//! There is one gate for each credential, as quotas are a key's and one tenant's trouble is no other's.
//! Their number is bounded: callers may bring keys of their own. A credential that was forgotten begins
//! anew, and its first answer tells its quota again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{HeaderMap, StatusCode};
use tokio::time::Instant;

use super::error::{UpstreamError, UpstreamFailure};
use super::quota::{Call, Purpose, Quota, QuotaSettings, Verdict};
use super::standing::{Record, Standing};
use crate::domain::clock::Clock;
use crate::domain::credential::Credential;
use crate::domain::upstream_name::{Upstream, UpstreamName};

/// How many credentials are remembered.
const GATES_MAX: u64 = 10_000;

/// How long a key that was refused with 401 is not tried again: a caller that repeats a wrong key would
/// make a call for each of its requests, and upstreams lock out whoever does that.
const REFUSED_FOR: Duration = Duration::from_secs(5);

/// The gates of all credentials at one upstream.
#[derive(Clone)]
pub(super) struct Gates {
    upstream: UpstreamName,
    quota: QuotaSettings,
    clock: Clock,
    gates: moka::sync::Cache<[u8; 32], Arc<Gate>>,
}

impl Gates {
    pub(super) fn new(upstream: UpstreamName, quota: QuotaSettings, clock: Clock) -> Self {
        Self { upstream, quota, clock, gates: moka::sync::Cache::new(GATES_MAX) }
    }

    pub(super) fn of<U: Upstream>(&self, credential: &Credential<U>) -> Arc<Gate> {
        self.gates.get_with(*credential.fingerprint().digest(), || {
            Arc::new(Gate {
                upstream: self.upstream,
                clock: self.clock,
                state: Mutex::new(State {
                    quota: Quota::new(self.quota.clone()),
                    record: Record::default(),
                    refused: None,
                }),
            })
        })
    }
}

/// The gate of one credential.
pub(super) struct Gate {
    upstream: UpstreamName,
    clock: Clock,
    state: Mutex<State>,
}

struct State {
    quota: Quota,
    record: Record,
    /// The upstream's refusal of the key itself, and until when it is believed.
    refused: Option<(Instant, UpstreamError)>,
}

impl State {
    fn refused(&self, now: Instant) -> Option<(Duration, &UpstreamError)> {
        let (until, refusal) = self.refused.as_ref().filter(|(until, _)| *until > now)?;
        Some((*until - now, refusal))
    }

    fn held(&self, now: Instant, purpose: Purpose) -> Option<Duration> {
        match self.quota.may_call(now, purpose) {
            Verdict::Now => None,
            Verdict::At(at) => Some(at - now),
        }
    }
}

impl Gate {
    /// Lets a call leave.
    ///
    /// # Errors
    /// Where none may: the key was refused a moment ago, or the quota has none left for that purpose.
    pub(super) fn pass(self: &Arc<Self>, purpose: Purpose) -> Result<Passage, UpstreamError> {
        let now = Instant::now();
        let mut state = self.lock();
        if let Some((_, refusal)) = state.refused(now) {
            return Err(refusal.clone());
        }
        if let Some(wait) = state.held(now, purpose) {
            return Err(UpstreamError::held(self.upstream, UpstreamFailure::RateLimited, wait));
        }
        let call = state.quota.sent(now);
        Ok(Passage { gate: Arc::clone(self), call, heard: false })
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
    pub(super) fn may_refresh(&self) -> Option<Duration> {
        let now = Instant::now();
        let state = self.lock();
        state.refused(now).map(|(wait, _)| wait).max(state.held(now, Purpose::Refresh))
    }

    pub(super) fn standing(&self) -> Standing {
        let now = Instant::now();
        let state = self.lock();
        state.record.standing(state.quota.figures(now), state.held(now, Purpose::Needed).is_some())
    }

    /// Every step leaves the state whole, so a panic elsewhere while it was locked does not matter.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call under way. One that is dropped before its end was cancelled: that says nothing of the upstream,
/// and the quota takes it for counted there.
pub(super) struct Passage {
    gate: Arc<Gate>,
    call: Call,
    heard: bool,
}

impl Passage {
    /// The head of an answer is there; says how long a 429 holds the next call back.
    pub(super) fn heard(&mut self, status: StatusCode, headers: &HeaderMap) -> Option<Duration> {
        self.heard = true;
        let (now, wall) = (Instant::now(), self.gate.clock.now());
        let mut state = self.gate.lock();
        if status == StatusCode::TOO_MANY_REQUESTS {
            state.quota.refused(&self.call, now, wall, headers, jitter());
            state.held(now, Purpose::Needed)
        } else {
            state.quota.answered(&self.call, now, wall, headers);
            None
        }
    }

    /// It is over, by an answer or without one.
    pub(super) fn end(self, outcome: Result<(), &UpstreamError>) {
        let (now, wall) = (Instant::now(), self.gate.clock.now());
        let mut state = self.gate.lock();
        if !self.heard {
            // The connection is gone: what the upstream counts of it, it has counted by now.
            state.quota.answered(&self.call, now, wall, &HeaderMap::new());
        }
        state.record.note(wall, outcome);
        if let Err(error) = outcome
            && error.failure == UpstreamFailure::Unauthorized
        {
            state.refused = Some((now + REFUSED_FOR, error.clone()));
        }
    }
}

/// A number in 0 to 1 by chance: the standard library draws a key of its own for each hasher. Nothing
/// here needs a better one, and a crate for it would be one more.
fn jitter() -> f64 {
    use std::hash::{BuildHasher, RandomState};
    let drawn = RandomState::new().hash_one(());
    f64::from(u32::try_from(drawn >> 32).unwrap_or(0)) / f64::from(u32::MAX)
}
