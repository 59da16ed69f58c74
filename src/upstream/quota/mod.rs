//! Model of the rate limit that one credential has at one upstream: when the next call may be sent, and at
//! which pace data is refreshed.
//!
//! A pure model on the caller's clock: no waiting, no locks, no I/O. The [call limiter](super::call_limiter)
//! reports each call ([`Quota::on_sent`]) and each response ([`Quota::on_response`],
//! [`Quota::on_rate_limited`]), and asks before each call ([`Quota::may_call`]). A local token bucket would be
//! simpler, but the customer's other programs use the same limit, and only the response headers count their
//! calls.
//!
//! - `headers` parses the rate limit headers of one response.
//! - `window` is the window that the headers count: a day at LeadLex, a minute at Composio
//!   (docs/upstreams.md#composio-rate-limits, #leadlex-rate-limits).
//! - `calls` are our own calls of the last minutes, for LeadLex's limit per minute, which has no header, and
//!   for calls that no header confirms yet.
//! - `pace` spreads the remaining calls evenly over the remaining time.
//! - `replica_calls` adds the calls of other replicas; `snapshot` is the state that a starting replica reads.

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

/// Lifetime of a limit that was only inferred, not stated by a header. Then one call tests it.
const INFERRED_FOR: Duration = Duration::from_secs(300);

/// Time after the last call when one more is allowed although the window may be used up, if only unconfirmed
/// calls can have used it up. Without that, no call would be made after an outage until the reset.
const PROBE_AFTER: Duration = Duration::from_secs(600);

/// Reason for a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A client waits, and no older data exists.
    Needed,
    /// Older data exists and can be served.
    Refresh,
}

/// Decision about the next call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallDecision {
    /// The call may be sent now.
    Allowed,
    /// No call may be sent before this time. Ask again then.
    NotBefore(Instant),
}

/// State of a quota, for the status page and metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotaFigures {
    /// Calls allowed in one window; `None` if no header stated a limit.
    pub limit: Option<u64>,
    /// Remaining calls, after subtracting our calls in flight.
    pub remaining: Option<u64>,
    /// End of the window, on the upstream's clock.
    pub resets_at: Option<Timestamp>,
    /// Length of the window.
    pub length: Option<Duration>,
}

/// Quota of one credential at one upstream.
#[derive(Debug)]
pub struct Quota {
    settings: QuotaSettings,
    /// `None` if neither headers nor settings state a limit per window.
    window: Option<Window>,
    calls: RecentCalls,
    held_until: Option<Instant>,
    /// Consecutive 429 responses.
    refusals: u32,
    /// Limit per minute inferred from a 429, and its expiry.
    learned: Option<(u64, Instant)>,
    /// Number of other known replicas. Each may send one call that is not reported here yet.
    others: u64,
}

impl Quota {
    /// Creates a quota for which only the settings are known.
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

    /// Records that a call is sent. A call without a later [`Quota::on_response`] or
    /// [`Quota::on_rate_limited`] is assumed to be counted by the upstream until a later response shows
    /// otherwise.
    #[must_use]
    pub fn on_sent(&mut self, now: Instant) -> Call {
        self.count(now);
        self.calls.start(now)
    }

    /// Records a response with any status but 429. `wall` is the local time, used if the response has no
    /// `Date`.
    pub fn on_response(&mut self, call: &Call, now: Instant, wall: Timestamp, headers: &HeaderMap) {
        self.on_response_headers(call, now, &QuotaHeaders::read(headers, wall));
    }

    /// Records the same from parsed headers.
    pub(super) fn on_response_headers(&mut self, call: &Call, now: Instant, headers: &QuotaHeaders) {
        self.learn(call, now, headers);
        if self.held_until.is_none_or(|until| until <= now) {
            self.refusals = 0;
        }
    }

    /// Records a 429. If calls remain in the window, the limit per minute was exceeded
    /// (docs/upstreams.md#leadlex-open-questions): hold calls for 1 to 60 s, longer each time; `jitter` (0 to 1)
    /// shortens this by up to half. Otherwise hold until the reset. A plausible `Retry-After` applies in both
    /// cases.
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

    /// Records the same from parsed headers.
    pub(super) fn on_rate_limited_headers(
        &mut self,
        call: &Call,
        now: Instant,
        headers: &QuotaHeaders,
        jitter: f64,
    ) {
        self.learn(call, now, headers);
        let left = headers.remaining.or_else(|| self.left());
        // In that case the reset is that of the day, but another limit was exceeded.
        let some_left = left.is_some_and(|left| left > 0);
        let wait = headers.wait.filter(|_| !some_left || headers.is_wait_stated).unwrap_or_default();
        if self.held_until.is_none_or(|until| until <= now) {
            self.refusals = self.refusals.saturating_add(1);
        }
        // `wait` may be wrong, for example an epoch read with a wrong clock. The backoff prevents a 429 every
        // second.
        let until = now + wait.max(backoff(self.refusals, jitter));
        self.held_until = self.held_until.max(Some(until));
        // Only headers with remaining calls show that another limit was exceeded. A 429 without them may come
        // from a proxy, and only its own delay is known.
        let states_calls_left = headers.remaining.is_some_and(|left| left > 0);
        if states_calls_left && !headers.is_wait_stated && self.minute_limit(now).is_none() {
            let passed = self.calls.in_minute(now).saturating_sub(1).max(1);
            self.learned = Some((passed, now + INFERRED_FOR));
        }
    }

    /// Returns whether a call may be sent now.
    #[must_use]
    pub fn may_call(&self, now: Instant, purpose: Purpose) -> CallDecision {
        let at =
            [Some(now), self.held_until, self.minute_allows(now, purpose), self.window_allows(now, purpose)]
                .into_iter()
                .flatten()
                .max();
        at.filter(|at| *at > now).map_or(CallDecision::Allowed, CallDecision::NotBefore)
    }

    /// Returns how long data read now counts as fresh: `ttl`, extended until all `keys` items that share this
    /// quota can be refreshed once per interval until the reset without using the reserve.
    #[must_use]
    pub fn fresh_for(&self, now: Instant, ttl: Duration, keys: usize) -> Duration {
        match self.pace(now) {
            // A TTL of zero disables caching and stays zero.
            Some(pace) if !ttl.is_zero() => pace.interval_per_item(now, keys).max(ttl),
            _ => ttl,
        }
    }

    /// Returns the number of calls sent within the last minute.
    #[must_use]
    pub fn calls_in_minute(&self, now: Instant) -> u64 {
        self.calls.left_in_minute(now)
    }

    /// Returns the current state for display.
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

    /// Counts one sent call in the window.
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
        if self.window.is_none() && headers.has_counts() {
            self.window = Some(Window::unknown(now));
        }
        if let Some(window) = &mut self.window
            && window.on_headers(headers, now)
        {
            self.calls.confirm(call);
        }
    }

    /// Moves to the window that is open at `now`, and forgets calls that are no longer relevant.
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

    /// Returns how many calls of a limit must remain after a call: for a refresh the whole reserve, for a
    /// needed call half of it, and at least one per other replica, because each may send a call at the same
    /// moment. If the limit is hardly larger than the number of replicas, half of the limit remains: a few
    /// calls are better than none.
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
