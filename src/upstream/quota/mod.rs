//! The quota that one credential has at one upstream: when may the next call go, and is it worth it?
//!
//! A pure model on the caller's clock: no waiting, no locks, no I/O. Whoever calls the upstream tells
//! it of each call ([`Quota::on_sent`]) and of each answer ([`Quota::on_response`], [`Quota::on_rate_limited`]), and
//! asks it before the next ([`Quota::may_call`]). A token bucket of our own would be simpler, but the
//! customer's other programs spend the same calls, and only the headers know of those.
//!
//! - `window` is what the headers count: LeadLex's day, Composio's minute (UPSTREAMS.md A8, B1.6 and 7).
//! - `calls` are our own of the last minute: for LeadLex's limit by the minute, which has no header, and
//!   for the calls of which no header has headers yet.
//! - `pace` spreads what is left evenly over the time that is left.
//! - `replica_calls` feeds it the calls of other replicas, as if they were this one's; `observation` is what one that starts is headers.

mod calls;
mod headers;
mod pace;
mod replica_calls;
mod settings;
mod snapshot;
mod window;

#[cfg(test)]
mod day_tests;
#[cfg(test)]
mod property_tests;
#[cfg(test)]
mod replica_property_tests;
#[cfg(test)]
mod replica_tests;
#[cfg(test)]
mod tests;

use std::time::Duration;

use http::HeaderMap;
use jiff::Timestamp;
use tokio::time::Instant;

pub use calls::Call;
pub(super) use headers::QuotaHeaders;
pub(super) use replica_calls::{CallEvent, CallId, CallMessage, ReplicaCalls};
pub use settings::QuotaSettings;
pub(super) use snapshot::QuotaSnapshot;

use calls::RecentCalls;
use pace::Pace;
use window::Window;

const DAY: Duration = Duration::from_secs(86_400);
const MINUTE: Duration = Duration::from_secs(60);

/// How long a limit holds that no header states and that is only inferred. Then one call may go, to see whether it is still there.
const INFERRED_FOR: Duration = Duration::from_secs(300);

/// How long after the last call one more may go where the headers' calls are not used up, and only
/// calls of which nothing was confirmed may have used them up: after an outage somebody has to ask.
const PROBE_AFTER: Duration = Duration::from_secs(600);

/// What a call is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Somebody waits, and there is nothing to show.
    Needed,
    /// There is something older to show.
    Refresh,
}

/// Whether a call may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallDecision {
    /// At once.
    Allowed,
    /// Not before that moment, as things stand; then ask again.
    NotBefore(Instant),
}

/// How the quota stands, for whoever operates this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotaFigures {
    /// The calls of one window; none where nobody headers.
    pub limit: Option<u64>,
    /// What is left of them, our calls under way taken off.
    pub remaining: Option<u64>,
    /// When the window ends, on the upstream's clock.
    pub resets_at: Option<Timestamp>,
    /// How long it is.
    pub length: Option<Duration>,
}

/// The quota of one credential at one upstream.
#[derive(Debug)]
pub struct Quota {
    settings: QuotaSettings,
    /// None where neither the headers nor the settings count calls.
    window: Option<Window>,
    calls: RecentCalls,
    held_until: Option<Instant>,
    /// Refusals with no answer between them.
    refusals: u32,
    /// The limit by the minute that a 429 taught, and until when it is believed.
    learned: Option<(u64, Instant)>,
    /// How many other replicas call, as far as is known: each may let a call go that is not confirmed of yet.
    others: u64,
}

impl Quota {
    /// A quota of which nothing but the settings is known.
    #[must_use]
    pub fn new(settings: QuotaSettings) -> Self {
        Self {
            settings,
            window: None,
            calls: RecentCalls::default(),
            held_until: None,
            refusals: 0,
            learned: None,
            others: 0,
        }
    }

    /// A call leaves. One that never comes back in [`Quota::on_response`] or [`Quota::on_rate_limited`] is taken
    /// for counted by the upstream, until a later answer says otherwise.
    #[must_use]
    pub fn on_sent(&mut self, now: Instant) -> Call {
        self.count(now);
        self.calls.start(now)
    }

    /// It came back, with any status but 429. `wall` is the local time, needed only where the answer
    /// has no `Date`.
    pub fn on_response(&mut self, call: &Call, now: Instant, wall: Timestamp, headers: &HeaderMap) {
        self.on_response_headers(call, now, &QuotaHeaders::read(headers, wall));
    }

    /// The same, by what the answer headers.
    pub(super) fn on_response_headers(&mut self, call: &Call, now: Instant, headers: &QuotaHeaders) {
        self.learn(call, now, headers);
        if self.held_until.is_none_or(|until| until <= now) {
            self.refusals = 0;
        }
    }

    /// It came back with 429. With calls left it was the minute's limit (UPSTREAMS.md B2): hold for 1 to
    /// 60 s, longer each time; `jitter`, in 0 to 1, shortens that by up to half. Else hold until the
    /// reset. A sane `Retry-After` is honoured in both cases (B3).
    pub fn on_rate_limited(
        &mut self,
        call: &Call,
        now: Instant,
        wall: Timestamp,
        headers: &HeaderMap,
        jitter: f64,
    ) {
        self.on_rate_limited_headers(call, now, &QuotaHeaders::read(headers, wall), jitter);
    }

    /// The same, by what the answer headers.
    pub(super) fn on_rate_limited_headers(
        &mut self,
        call: &Call,
        now: Instant,
        headers: &QuotaHeaders,
        jitter: f64,
    ) {
        self.learn(call, now, headers);
        let left = headers.remaining.or_else(|| self.left());
        // Then the reset is the day's, and the limit that refused another.
        let some_left = left.is_some_and(|left| left > 0);
        let wait = headers.wait.filter(|_| !some_left || headers.asks_to_wait).unwrap_or_default();
        if self.held_until.is_none_or(|until| until <= now) {
            self.refusals = self.refusals.saturating_add(1);
        }
        // A wait may be wrong, as an epoch read on a wrong clock is: no row of refusals goes on by the second.
        let until = now + wait.max(backoff(self.refusals, jitter));
        self.held_until = self.held_until.max(Some(until));
        // Only headers that count calls say that another limit than theirs has refused. A 429 without them may come from a proxy, and says
        // nothing beyond its own wait.
        if left.is_some_and(|left| left > 0) && !headers.asks_to_wait && self.minute_limit(now).is_none() {
            let passed = self.calls.in_minute(now).saturating_sub(1).max(1);
            self.learned = Some((passed, now + INFERRED_FOR));
        }
    }

    /// Whether a call may go now.
    #[must_use]
    pub fn may_call(&self, now: Instant, purpose: Purpose) -> CallDecision {
        let at =
            [Some(now), self.held_until, self.minute_allows(now, purpose), self.window_allows(now, purpose)]
                .into_iter()
                .flatten()
                .max();
        at.filter(|at| *at > now).map_or(CallDecision::Allowed, CallDecision::NotBefore)
    }

    /// How long what is read now is to count as fresh: `ttl`, stretched until refreshing `keys` things
    /// (all that share this quota) once in each such time can go on until the reset without the reserve.
    #[must_use]
    pub fn fresh_for(&self, now: Instant, ttl: Duration, keys: usize) -> Duration {
        match self.pace(now) {
            // What is not to be kept at all stays so.
            Some(pace) if !ttl.is_zero() => pace.each(now, keys).max(ttl),
            _ => ttl,
        }
    }

    /// The calls that left within the last minute.
    #[must_use]
    pub fn calls_in_minute(&self, now: Instant) -> u64 {
        self.calls.left_in_minute(now)
    }

    /// How it stands.
    #[must_use]
    pub fn figures(&self, now: Instant) -> QuotaFigures {
        let window = self.window_at(now);
        QuotaFigures {
            limit: window.and_then(|window| window.limit(self.per_day())),
            remaining: window.and_then(|window| window.left(self.calls.unconfirmed(), self.per_day())),
            resets_at: window.and_then(|window| window.resets_at()),
            length: window.map(|window| window.length()),
        }
    }

    /// One call leaves, or had left.
    fn count(&mut self, now: Instant) {
        self.advance(now);
        if self.window.is_none() && self.settings.per_day > 0 {
            self.window = Some(Window::unknown(now));
        }
        if let Some(window) = &mut self.window {
            window.count();
        }
    }

    fn learn(&mut self, call: &Call, now: Instant, headers: &QuotaHeaders) {
        self.calls.end(call, now);
        self.advance(now);
        if self.window.is_none() && headers.counts() {
            self.window = Some(Window::unknown(now));
        }
        if let Some(window) = &mut self.window
            && window.hear(headers, now)
        {
            self.calls.hear(call);
        }
    }

    /// Moves on to the window that is open now, and forgets calls that no longer matter.
    fn advance(&mut self, now: Instant) {
        self.window = self.window_at(now);
        let unconfirmed = self.calls.forget(now);
        if let Some(window) = &mut self.window {
            window.assume_counted(unconfirmed);
        }
    }

    fn window_at(&self, now: Instant) -> Option<Window> {
        self.window.map(|window| window.at(now, self.calls.unconfirmed()))
    }

    fn left(&self) -> Option<u64> {
        self.window?.left(self.calls.unconfirmed(), self.per_day())
    }

    fn per_day(&self) -> Option<u64> {
        Some(u64::from(self.settings.per_day)).filter(|calls| *calls > 0)
    }

    /// What a call for that purpose leaves of a limit: a refresh the whole reserve, a needed one half; and where that
    /// is less than one for each other replica, so many, as they may let a call go at the same moment. (Of a limit that
    /// is hardly larger than their number, half: refusals are worse than few calls, but not than none.)
    fn floor(&self, limit: u64, purpose: Purpose) -> u64 {
        let reserve = limit.saturating_mul(u64::from(self.settings.reserve_percent.min(100))) / 100;
        let reserve = match purpose {
            Purpose::Needed => reserve / 2,
            Purpose::Refresh => reserve,
        };
        reserve.max(self.others.min(limit / 2))
    }

    fn window_allows(&self, now: Instant, purpose: Purpose) -> Option<Instant> {
        let window = self.window_at(now)?;
        let floor = self.floor(window.limit(self.per_day()).unwrap_or(0), purpose);
        if window.left(self.calls.unconfirmed(), self.per_day())? > floor {
            return match purpose {
                Purpose::Needed => None,
                Purpose::Refresh => self.pace(now)?.next(now, self.calls.last()),
            };
        }
        let maybe_used_up = window.left_at_most(self.per_day()).is_some_and(|left| left > floor);
        match self.calls.last() {
            Some(last) if window.is_end_inferred() && self.per_day().is_none() => {
                Some(window.resets().min(last + INFERRED_FOR))
            }
            Some(last) if maybe_used_up => Some(window.resets().min(last + PROBE_AFTER)),
            _ => Some(window.resets()),
        }
    }

    fn minute_allows(&self, now: Instant, purpose: Purpose) -> Option<Instant> {
        let limit = self.minute_limit(now)?;
        self.calls.room_at(now, limit.saturating_sub(self.floor(limit, purpose)).max(1))
    }

    fn minute_limit(&self, now: Instant) -> Option<u64> {
        if self.settings.per_minute > 0 {
            return Some(self.settings.per_minute.into());
        }
        let known = match self.window_at(now) {
            Some(window) => window.minute_limit(self.per_day()),
            None => self.per_day().and_then(window::minute_of_day),
        };
        known.or_else(|| self.learned.filter(|(_, until)| *until > now).map(|(limit, _)| limit))
    }

    fn pace(&self, now: Instant) -> Option<Pace> {
        let window = self.window_at(now)?;
        let limit = window.limit(self.per_day())?;
        let left = window.left(self.calls.unconfirmed(), self.per_day())?;
        let reserve = self.floor(limit, Purpose::Refresh);
        Some(Pace {
            whole: limit.saturating_sub(reserve),
            left: left.saturating_sub(reserve),
            began: window.began(),
            resets: window.resets(),
            length: window.length(),
        })
    }
}

fn backoff(refusals: u32, jitter: f64) -> Duration {
    let step = 2_u32.saturating_pow(refusals.saturating_sub(1)).min(60);
    let jitter = if jitter.is_finite() { jitter.clamp(0.0, 1.0) } else { 0.0 };
    Duration::from_secs_f64((f64::from(step) * (1.0 - jitter / 2.0)).max(1.0))
}
