//! The model of one quota: all calls of a credential, and the limits that responses state.
//!
//! [`Quota::may_call`] decides; the other methods record calls and responses. Times are the caller's.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::calls::{Call, RecentCalls, room_at};
use super::headers::QuotaHeaders;
use super::pace::Pace;
use super::settings::QuotaSettings;
use super::window::{SharedCounts, Window, minute_of_day};

/// Lifetime of a limit that was only inferred, not stated by a header. Then one call tests it.
const INFERRED_FOR: Duration = Duration::from_secs(300);

/// Time after the last call when one more is allowed although the window may be used up, if only unconfirmed
/// calls can have used it up. Without that, no call would be made after an outage until the reset.
pub(super) const PROBE_AFTER: Duration = Duration::from_secs(600);

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
    pub(super) settings: QuotaSettings,
    /// `None` if neither headers nor settings state a limit per window.
    pub(super) window: Option<Window>,
    pub(super) calls: RecentCalls,
    /// Calls of other replicas, as last read.
    pub(super) others: RecentCalls,
    /// Time of the last call of any replica that was shared with a response.
    pub(super) last_shared: Option<Instant>,
    pub(super) held_until: Option<Instant>,
    /// Part of `held_until` that allows for the clock of the replica that stated it.
    pub(super) held_skew: Duration,
    /// Consecutive 429 responses.
    pub(super) refusals: u32,
    /// Limit per minute inferred from a 429, and its expiry.
    pub(super) inferred_limit: Option<(u64, Instant)>,
    pub(super) counts: SharedCounts,
    /// This replica's share while it cannot read the calls of others.
    pub(super) share: Option<Share>,
}

/// Part of a quota that one replica may use alone.
#[derive(Debug, Clone, Copy)]
pub(super) struct Share {
    pub(super) replicas: u64,
    /// Remaining calls when the share began.
    pub(super) left: Option<u64>,
    /// Begin of the window that `left` belongs to.
    pub(super) began: Option<Instant>,
    /// Calls of this replica since the share began.
    pub(super) spent: u64,
    /// End of the share; `None` while the store does not reply.
    pub(super) ends_at: Option<Instant>,
}

impl Share {
    /// Returns this replica's remaining calls, if `floor` calls remain for others.
    fn left(&self, floor: u64) -> Option<u64> {
        Some((self.left?.saturating_sub(floor) / self.replicas).saturating_sub(self.spent))
    }
}

impl Quota {
    /// Creates a quota for which only the settings are known.
    #[must_use]
    pub fn new(settings: QuotaSettings) -> Self {
        Self {
            settings,
            window: None,
            calls: RecentCalls::default(),
            others: RecentCalls::default(),
            last_shared: None,
            held_until: None,
            held_skew: Duration::ZERO,
            refusals: 0,
            inferred_limit: None,
            counts: SharedCounts::default(),
            share: None,
        }
    }

    /// Records that a call is sent. A call without a later [`Quota::on_response`] or
    /// [`Quota::on_rate_limited`] is assumed to be counted by the upstream until a later response shows
    /// otherwise.
    #[must_use]
    pub(crate) fn on_sent(&mut self, now: Instant) -> Call {
        self.count(now);
        self.calls.start(now)
    }

    /// Records a response with any status but 429.
    pub(in crate::upstream) fn on_response(&mut self, call: &Call, now: Instant, headers: &QuotaHeaders) {
        self.learn(call, now, headers);
        if self.held_until.is_none_or(|until| until <= now) {
            self.refusals = 0;
        }
    }

    /// Records a 429. If calls remain in the window, the limit per minute was exceeded
    /// (docs/upstreams.md#leadlex-open-questions): hold calls for 1 to 60 s, longer each time; `jitter` (0 to 1)
    /// shortens this by up to half. Otherwise hold until the reset. A plausible `Retry-After` applies in both
    /// cases.
    pub(in crate::upstream) fn on_rate_limited(
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
        if self.held_until.is_none_or(|held| held < until) {
            (self.held_until, self.held_skew) = (Some(until), Duration::ZERO);
        }
        // Only headers with remaining calls show that another limit was exceeded. A 429 without them may come
        // from a proxy, and only its own delay is known.
        let states_calls_left = headers.remaining.is_some_and(|left| left > 0);
        if states_calls_left && !headers.is_wait_stated && self.minute_limit(now).is_none() {
            let passed = (self.minute_ends(now).count() as u64).saturating_sub(1).max(1);
            self.inferred_limit = Some((passed, now + INFERRED_FOR));
        }
    }

    /// Returns whether a call may be sent now.
    pub(crate) fn may_call(&self, now: Instant, purpose: Purpose) -> CallDecision {
        let at =
            [Some(now), self.held_until, self.minute_allows(now, purpose), self.window_allows(now, purpose)]
                .into_iter()
                .flatten()
                .max();
        at.filter(|at| *at > now).map_or(CallDecision::Allowed, CallDecision::NotBefore)
    }

    /// Returns how long data read now counts as fresh: `ttl`, extended until all `items` that share this
    /// quota can be refreshed once per interval until the reset without using the reserve.
    #[must_use]
    pub fn fresh_for(&self, now: Instant, ttl: Duration, items: usize) -> Duration {
        match self.pace(now) {
            // A TTL of zero disables caching and stays zero.
            Some(pace) if !ttl.is_zero() => pace.interval_per_item(now, items).max(ttl),
            _ => ttl,
        }
    }

    /// Returns the number of calls sent within the last minute.
    pub(crate) fn calls_in_minute(&self, now: Instant) -> u64 {
        self.calls.sent_in_minute(now).saturating_add(self.others.sent_in_minute(now))
    }

    /// Returns the current state for display.
    #[must_use]
    pub fn figures(&self, now: Instant) -> QuotaFigures {
        let window = self.window_at(now);
        QuotaFigures {
            limit: window.and_then(|window| window.limit(self.per_day())),
            remaining: window.and_then(|window| window.left(self.unconfirmed(), self.per_day())),
            resets_at: window.and_then(|window| window.resets_at),
            length: window.map(|window| window.length),
        }
    }

    /// Counts one sent call in the window.
    fn count(&mut self, now: Instant) {
        self.advance(now);
        if self.window.is_none() && self.settings.per_day > 0 {
            self.window = Some(Window::unknown(now));
        }
        if let Some(window) = &mut self.window {
            window.count_sent();
        }
        self.counts.sent = self.counts.sent.saturating_add(1);
        if let Some(share) = &mut self.share {
            share.spent = share.spent.saturating_add(1);
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
    pub(super) fn advance(&mut self, now: Instant) {
        self.window = self.window_at(now);
        let unconfirmed = self.calls.forget(now).saturating_add(self.others.forget(now));
        self.counts.lost = self.counts.lost.saturating_add(unconfirmed);
        if let Some(window) = &mut self.window {
            window.add_lost(unconfirmed);
        }
        self.share = self.window.map_or(self.share, |window| self.share_of(&window));
    }

    /// Returns this replica's share of a window. A window that began later starts a new share.
    fn share_of(&self, window: &Window) -> Option<Share> {
        let (share, began) = (self.share?, Some(window.began));
        let left = || window.left(self.unconfirmed(), self.per_day());
        Some(if share.began == began { share } else { Share { left: left(), began, spent: 0, ..share } })
    }

    fn window_at(&self, now: Instant) -> Option<Window> {
        self.window.map(|window| window.at(now, self.unconfirmed()))
    }

    pub(super) fn left(&self) -> Option<u64> {
        self.window?.left(self.unconfirmed(), self.per_day())
    }

    /// Number of calls of all replicas that no response has confirmed yet.
    fn unconfirmed(&self) -> u64 {
        self.calls.unconfirmed.saturating_add(self.others.unconfirmed)
    }

    /// Time of the last call of any replica.
    pub(super) fn last(&self) -> Option<Instant> {
        self.calls.last.max(self.others.last).max(self.last_shared)
    }

    fn minute_ends(&self, now: Instant) -> impl Iterator<Item = Instant> {
        self.calls.minute_ends(now).chain(self.others.minute_ends(now))
    }

    fn per_day(&self) -> Option<u64> {
        Some(u64::from(self.settings.per_day)).filter(|calls| *calls > 0)
    }

    /// Returns how many calls of a limit must remain after a call: for a refresh the full reserve, for a
    /// needed call half of it.
    fn floor(&self, limit: u64, purpose: Purpose) -> u64 {
        let reserve = limit.saturating_mul(u64::from(self.settings.reserve_percent.min(100))) / 100;
        match purpose {
            Purpose::Needed => reserve / 2,
            Purpose::Refresh => reserve,
        }
    }

    fn window_allows(&self, now: Instant, purpose: Purpose) -> Option<Instant> {
        let window = self.window_at(now)?;
        let floor = self.floor(window.limit(self.per_day()).unwrap_or(0), purpose);
        let left = window.left(self.unconfirmed(), self.per_day())?;
        if self.share_of(&window).and_then(|share| share.left(floor)) == Some(0) {
            return Some(window.resets);
        }
        if left > floor {
            return match purpose {
                Purpose::Needed => None,
                Purpose::Refresh => self.pace(now)?.next(now, self.last()),
            };
        }
        let maybe_used_up = window.left_without_unconfirmed(self.per_day()).is_some_and(|left| left > floor);
        match self.last() {
            Some(last) if window.is_end_inferred() && self.per_day().is_none() => {
                Some(window.resets.min(last + INFERRED_FOR))
            }
            Some(last) if maybe_used_up => Some(window.resets.min(last + PROBE_AFTER)),
            _ => Some(window.resets),
        }
    }

    fn minute_allows(&self, now: Instant, purpose: Purpose) -> Option<Instant> {
        let limit = self.minute_limit(now)?;
        let limit = limit.saturating_sub(self.floor(limit, purpose)).max(1);
        let share = self.share.map_or(limit, |share| (limit / share.replicas).max(1));
        if ((self.calls.len() + self.others.len()) as u64) < share {
            return None;
        }
        room_at(self.calls.minute_ends(now), share).max(room_at(self.minute_ends(now), limit))
    }

    fn minute_limit(&self, now: Instant) -> Option<u64> {
        if self.settings.per_minute > 0 {
            return Some(self.settings.per_minute.into());
        }
        let known = match self.window_at(now) {
            Some(window) => window.minute_limit(self.per_day()),
            None => self.per_day().and_then(minute_of_day),
        };
        known.or_else(|| self.inferred_limit.filter(|(_, until)| *until > now).map(|(limit, _)| limit))
    }

    fn pace(&self, now: Instant) -> Option<Pace> {
        let window = self.window_at(now)?;
        let limit = window.limit(self.per_day())?;
        let left = window.left(self.unconfirmed(), self.per_day())?;
        let reserve = self.floor(limit, Purpose::Refresh);
        let (mut total, mut left) = (limit.saturating_sub(reserve), left.saturating_sub(reserve));
        if let Some(share) = self.share_of(&window) {
            total /= share.replicas;
            left = share.left(reserve).map_or(left, |own| left.min(own));
        }
        // The pace is no limit, so all replicas use the same end of the window.
        let resets = window.expected_reset();
        Some(Pace { total, left, began: window.began, resets, length: window.length })
    }
}

pub(super) fn backoff(refusals: u32, jitter: f64) -> Duration {
    let step = 2_u32.saturating_pow(refusals.saturating_sub(1)).min(60);
    let jitter = if jitter.is_finite() { jitter.clamp(0.0, 1.0) } else { 0.0 };
    Duration::from_secs_f64((f64::from(step) * (1.0 - jitter / 2.0)).max(1.0))
}
