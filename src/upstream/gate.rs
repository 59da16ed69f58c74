//! What stands between one credential and its upstream: whether a call may leave, and what is learnt of
//! those that did.
//!
//! There is one gate for each credential, as quotas are a key's and one tenant's trouble is no other's.
//! Their number is bounded: callers may bring keys of their own. A credential that was forgotten begins
//! anew, and its first answer tells its quota again.
//!
//! A call passes the quota, then the line for a place, then the breaker. It is judged before the line, so that
//! nobody stands there for nothing, and once more behind it, as things will have changed.
//!
//! Where there are other replicas, gates of the same credential know of one another's calls ([`sharing`]).

mod sharing;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{HeaderMap, StatusCode};
use tokio::time::Instant;
use tower::retry::budget::TpsBudget;

use super::breaker::{Breaker, Ticket};
use super::concurrency::{CommonPlaces, Place, Places};
use super::counts::{CallCounts, Counters, Hold};
use super::drift::Drift;
use super::error::{UpstreamError, UpstreamFailure};
use super::jitter::jitter;
use super::metrics;
use super::quota::{Call, CallId, Event, Fleet, Purpose, Quota, QuotaFigures, Told, Verdict};
use super::retry;
use super::settings::UpstreamSettings;
use super::standing::{Record, Standing};
use crate::domain::clock::Clock;
use crate::domain::credential::Credential;
use crate::domain::problems::Problems;
use crate::domain::upstream_name::{Upstream, UpstreamName};
use crate::replicas::Replicas;
use crate::telemetry::metrics::readings::Readings;
use sharing::{Shared, Sharing};

/// How many credentials are remembered.
const GATES_MAX: u64 = 10_000;

/// How long a key that was refused with 401 is not tried again: a caller that repeats a wrong key would
/// make a call for each of its requests, and upstreams lock out whoever does that.
const REFUSED_FOR: Duration = Duration::from_secs(5);

/// When to ask again, where no place became free: nobody knows, so not at once.
const CROWDED_FOR: Duration = Duration::from_secs(1);

/// The gates of all credentials at one upstream.
#[derive(Clone)]
pub(super) struct Gates {
    upstream: UpstreamName,
    settings: Arc<UpstreamSettings>,
    clock: Clock,
    counters: Arc<Counters>,
    drift: Arc<Drift>,
    places: CommonPlaces,
    gates: moka::sync::Cache<[u8; 32], Arc<Gate>>,
    sharing: Option<Arc<Sharing>>,
}

impl Gates {
    pub(super) fn new(upstream: UpstreamName, settings: Arc<UpstreamSettings>, clock: Clock) -> Self {
        let gates = moka::sync::Cache::new(GATES_MAX);
        let places = CommonPlaces::new(&settings.concurrency);
        let (counters, drift) = (Arc::default(), Arc::default());
        Self { upstream, settings, clock, counters, drift, places, gates, sharing: None }
    }

    /// The same, of which all replicas' gates know one another's calls. Before the first call.
    pub(super) fn sharing(self, replicas: Option<Replicas>) -> Self {
        let sharing = replicas.map(|replicas| Sharing::start(replicas, self.upstream));
        Self { sharing, ..self }
    }

    pub(super) fn of<U: Upstream>(&self, credential: &Credential<U>) -> Arc<Gate> {
        self.gates.get_with(*credential.fingerprint().digest(), || {
            let Some(sharing) = &self.sharing else { return Arc::new(self.gate(None)) };
            let tag = credential.fingerprint().tag();
            let gate = Arc::new(self.gate(Some(sharing.of(tag))));
            sharing.add(&gate, tag);
            gate
        })
    }

    fn gate(&self, shared: Option<Shared>) -> Gate {
        Gate {
            upstream: self.upstream,
            clock: self.clock,
            counters: Arc::clone(&self.counters),
            places: Places::new(&self.settings.concurrency, self.places.clone()),
            budget: retry::budget(&self.settings.retry),
            state: Mutex::new(State {
                quota: Quota::new(self.settings.quota.clone()),
                fleet: shared.as_ref().map(|_| Shared::fleet()),
                breaker: Breaker::new(self.settings.breaker.clone()),
                record: Record::default(),
                refused: None,
            }),
            shared,
        }
    }

    /// Counts what of an answer could not be read or was not asked for, and tells the log of it.
    pub(super) fn count_problems(&self, problems: &Problems) {
        self.drift.tell(problems);
        self.counters.met(problems);
    }

    /// What became of all calls.
    pub(super) fn counts(&self) -> CallCounts {
        let now = Instant::now();
        // One whose pause is over lets the next call try: where nobody asks, nobody is held back, and nothing is known to be down.
        let holding = self.gates.iter().filter(|(_, gate)| gate.lock().breaker.holds(now).is_some());
        let breakers_open = holding.count() as u64;
        CallCounts { breakers_open, under_way: self.places.taken(), ..self.counters.read() }
    }

    /// Puts what metrics tell of all calls, and of the quotas, into a reading.
    pub(super) fn read(&self, readings: &mut Readings) {
        self.counts().read(self.upstream, readings);
        metrics::read_durations(self.counters.durations(), self.upstream, readings);
        let now = Instant::now();
        let quotas = self.gates.iter().map(|(_, gate)| gate.lock().quota.figures(now));
        if let Some(tightest) = QuotaFigures::tightest(quotas) {
            tightest.read(self.upstream, readings);
        }
    }
}

/// The gate of one credential.
pub(super) struct Gate {
    upstream: UpstreamName,
    clock: Clock,
    counters: Arc<Counters>,
    places: Places,
    budget: TpsBudget,
    state: Mutex<State>,
    /// What it shares with other replicas; none where there are none.
    shared: Option<Shared>,
}

struct State {
    quota: Quota,
    /// Whose calls the quota's are, where it is shared.
    fleet: Option<Fleet>,
    breaker: Breaker,
    record: Record,
    /// The upstream's refusal of the key itself, and until when it is believed.
    refused: Option<(Instant, UpstreamError)>,
}

impl State {
    fn refused(&self, now: Instant) -> Option<(Duration, &UpstreamError)> {
        let (until, refusal) = self.refused.as_ref().filter(|(until, _)| *until > now)?;
        Some((*until - now, refusal))
    }

    /// A call leaves; it has an id where others hear of it.
    fn leave(&mut self, now: Instant) -> (Call, Option<CallId>) {
        match &mut self.fleet {
            Some(fleet) => {
                let (call, id) = fleet.leave(&mut self.quota, now);
                (call, Some(id))
            }
            None => (self.quota.sent(now), None),
        }
    }

    fn quota_holds(&self, now: Instant, purpose: Purpose) -> Option<Duration> {
        match self.quota.may_call(now, purpose) {
            Verdict::Now => None,
            Verdict::At(at) => Some(at - now),
        }
    }
}

impl Gate {
    /// Lets a call leave, perhaps after a while in line.
    ///
    /// # Errors
    /// Where none may: the key was refused a moment ago, the quota has none left for that purpose, the
    /// breaker is open, or no place became free.
    pub(super) async fn pass(
        self: &Arc<Self>,
        purpose: Purpose,
        deadline: Instant,
    ) -> Result<Passage, UpstreamError> {
        self.look().await;
        self.judge(&self.lock(), Instant::now(), purpose)?;
        let Some(place) = self.places.take(deadline).await else {
            return Err(self.held(Hold::Concurrency, CROWDED_FOR));
        };
        let now = Instant::now();
        let mut state = self.lock();
        self.judge(&state, now, purpose)?;
        let ((call, id), ticket) = (state.leave(now), state.breaker.leave());
        self.tell(id, Event::Sent);
        let gate = Arc::clone(self);
        Ok(Passage { gate, call, id, ticket, sent: now, heard: false, ended: false, _place: place })
    }

    fn judge(&self, state: &State, now: Instant, purpose: Purpose) -> Result<(), UpstreamError> {
        if let Some((_, refusal)) = state.refused(now) {
            self.counters.held(Hold::RefusedKey);
            return Err(refusal.clone().repeated());
        }
        if let Some(wait) = state.quota_holds(now, purpose) {
            return Err(self.held(Hold::Quota, wait));
        }
        match state.breaker.holds(now) {
            Some(wait) => Err(self.held(Hold::Breaker, wait)),
            None => Ok(()),
        }
    }

    /// A call that is not made. Whether it is the breaker or the crowd, to a client the upstream is
    /// unavailable (OVERLOADED would be this layer's own trouble), and `retryAfterMs` says for how long.
    fn held(&self, by: Hold, wait: Duration) -> UpstreamError {
        self.counters.held(by);
        let failure = match by {
            Hold::Quota => UpstreamFailure::RateLimited,
            Hold::RefusedKey | Hold::Breaker | Hold::Concurrency => UpstreamFailure::Unavailable,
        };
        UpstreamError::held(self.upstream, failure, wait)
    }

    /// Whether, as things stand, a call would pass at that moment: what it is not worth waiting for.
    pub(super) fn would_let(&self, purpose: Purpose, at: Instant) -> bool {
        let state = self.lock();
        state.quota_holds(at, purpose).is_none() && state.breaker.holds(at).is_none()
    }

    /// What retries of its calls draw on.
    pub(super) fn budget(&self) -> &TpsBudget {
        &self.budget
    }

    /// A call leaves that is another's repetition.
    pub(super) fn count_retry(&self) {
        self.counters.retried();
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
        let refused = state.refused(now).map(|(wait, _)| wait);
        refused.max(state.quota_holds(now, Purpose::Refresh)).max(state.breaker.holds(now))
    }

    pub(super) fn standing(&self) -> Standing {
        let now = Instant::now();
        let state = self.lock();
        let is_held = state.quota_holds(now, Purpose::Needed).is_some();
        state.record.standing(state.quota.figures(now), is_held, state.breaker.state(now))
    }

    /// Every step leaves the state whole, so a panic elsewhere while it was locked does not matter.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call under way. One that is dropped before its end was cancelled, which says nothing of the upstream:
/// its place is free again, and the quota takes it for counted.
pub(super) struct Passage {
    gate: Arc<Gate>,
    call: Call,
    id: Option<CallId>,
    ticket: Ticket,
    sent: Instant,
    heard: bool,
    ended: bool,
    _place: Place,
}

impl Passage {
    /// The head of an answer is there; says how long a 429 holds the next call back.
    pub(super) fn heard(&mut self, status: StatusCode, headers: &HeaderMap) -> Option<Duration> {
        self.heard = true;
        let (now, wall) = (Instant::now(), self.gate.clock.now());
        let told = Told::read(headers, wall);
        let mut state = self.gate.lock();
        self.gate.put_soon();
        if status == StatusCode::TOO_MANY_REQUESTS {
            state.quota.hear_refusal(&self.call, now, &told, jitter());
            self.gate.tell(self.id, Event::Refused(told));
            state.quota_holds(now, Purpose::Needed)
        } else {
            state.quota.hear_answer(&self.call, now, &told);
            self.gate.tell(self.id, Event::Answered(told));
            None
        }
    }

    /// It is over, by an answer or without one.
    pub(super) fn end(mut self, outcome: Result<(), &UpstreamError>) {
        self.ended = true;
        let (now, wall) = (Instant::now(), self.gate.clock.now());
        self.gate.counters.ended(outcome, now - self.sent);
        let mut state = self.gate.lock();
        if !self.heard {
            // The connection is gone: what the upstream counts of it, it has counted by now.
            state.quota.answered(&self.call, now, wall, &HeaderMap::new());
            self.gate.tell(self.id, Event::Ended);
        }
        state.record.note(wall, outcome);
        match outcome {
            Err(error) if error.failure.is_trouble() => state.breaker.failed(self.ticket, now),
            Err(error) if error.failure == UpstreamFailure::Internal => {
                state.breaker.cancelled(self.ticket, now);
            }
            Ok(()) | Err(_) => state.breaker.answered(self.ticket),
        }
        if let Err(error) = outcome
            && error.failure == UpstreamFailure::Unauthorized
        {
            state.refused = Some((now + REFUSED_FOR, error.clone()));
        }
    }
}

impl Drop for Passage {
    fn drop(&mut self) {
        if !self.ended {
            self.gate.counters.cancelled();
            self.gate.lock().breaker.cancelled(self.ticket, Instant::now());
        }
    }
}
