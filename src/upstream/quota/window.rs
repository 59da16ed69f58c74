//! The window that the upstream's headers count: limit, remaining calls, reset.
//!
//! Windows are distinguished by their reset times on the upstream's clock: responses arrive in any order, and
//! one counted before midnight says nothing about the new day. Within a window the smallest remaining number
//! is the latest one and wins.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::headers::{QuotaHeaders, WindowEnd, later};
use super::moment::{CLOCK_SKEW_MAX, DAY, FUTURE_MAX, MINUTE, Moment};

/// Reset times closer than this belong to the same window: a reset stated as a delay varies with the latency.
const SAME_RESET_WITHIN: SignedDuration = SignedDuration::from_secs(30);

/// One counted window, and the transition to the next.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    limit: Option<u64>,
    /// Whether a response stated the limit. Otherwise it follows from the remaining calls, and holds for this window
    /// only.
    is_limit_stated: bool,
    /// Whether a response stated when the window ends.
    is_reset_stated: bool,
    /// Smallest remaining number stated in this window.
    reported_remaining: Option<u64>,
    /// Calls without any response since the last number that a response stated. The upstream may have counted them.
    lost_calls: u64,
    /// Calls of all replicas since the window began.
    sent_calls: u64,
    pub(super) began: Instant,
    /// End of the window, late enough for the clock of any replica.
    pub(super) resets: Instant,
    /// Part of `resets` that allows for the clock of the replica that stated it.
    skew: Duration,
    pub(super) resets_at: Option<Timestamp>,
    /// End of the previous window.
    ended_at: Option<Timestamp>,
    pub(super) length: Duration,
}

/// Counts of the store that the current state includes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct SharedCounts {
    pub(super) sent: u64,
    pub(super) lost: u64,
}

/// A window as replicas share it. `sent_before` and `lost_before` are the counts of the store when the window began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SharedWindow {
    limit: Option<u64>,
    is_limit_stated: bool,
    is_reset_stated: bool,
    remaining: Option<u64>,
    sent_before: i64,
    lost_before: i64,
    began: u64,
    resets: u64,
    resets_at: Option<Timestamp>,
    ended_at: Option<Timestamp>,
    length_ms: u64,
}

impl SharedWindow {
    /// Returns the window; `None` if no replica can have written it. The end of a window that is `known` here is
    /// exact.
    pub(super) fn window(
        self,
        moment: Moment,
        counts: SharedCounts,
        known: Option<Window>,
    ) -> Option<Window> {
        let length = Duration::from_millis(self.length_ms);
        if length.is_zero() || length > FUTURE_MAX {
            return None;
        }
        let resets = (moment.instant(self.resets) + CLOCK_SKEW_MAX, CLOCK_SKEW_MAX);
        let known = known.filter(|known| known.resets_at == self.resets_at && self.resets_at.is_some());
        let (resets, skew) = known.map_or(resets, |known| (known.resets, known.skew));
        Some(Window {
            limit: self.limit,
            is_limit_stated: self.is_limit_stated,
            is_reset_stated: self.is_reset_stated,
            reported_remaining: self.remaining,
            lost_calls: since(counts.lost, self.lost_before),
            sent_calls: since(counts.sent, self.sent_before),
            began: moment.instant(self.began).min(moment.now),
            resets,
            skew,
            resets_at: self.resets_at,
            ended_at: self.ended_at,
            length,
        })
    }
}

impl Window {
    /// Creates the currently open window, with unknown limit.
    pub(super) fn unknown(now: Instant) -> Self {
        Self {
            limit: None,
            is_limit_stated: false,
            is_reset_stated: false,
            reported_remaining: None,
            lost_calls: 0,
            sent_calls: 0,
            began: now,
            resets: now + DAY,
            skew: Duration::ZERO,
            resets_at: None,
            ended_at: None,
            length: DAY,
        }
    }

    /// Returns the window that is open at `now`: this one, or a new one with the same limit. It is unknown
    /// which `unconfirmed` calls the new window counts, so all of them are assumed.
    pub(super) fn at(mut self, now: Instant, unconfirmed: u64) -> Self {
        let Some(over) = now.checked_duration_since(self.resets) else { return self };
        let periods = u32::try_from(over.as_nanos() / self.length.as_nanos().max(1)).unwrap_or(u32::MAX);
        let skipped = self.length.saturating_mul(periods);
        self.began = self.resets + skipped;
        self.resets = self.began + self.length;
        self.ended_at = self.resets_at.map(|at| later(at, skipped));
        self.resets_at = self.ended_at.map(|at| later(at, self.length));
        self.limit = self.limit.filter(|_| self.is_limit_stated);
        self.reported_remaining = self.limit;
        self.lost_calls = 0;
        self.sent_calls = unconfirmed;
        self
    }

    /// Applies the headers of a response. Returns whether they state the remaining calls of this window.
    pub(super) fn on_headers(&mut self, headers: &QuotaHeaders, now: Instant) -> bool {
        self.is_reset_stated |= headers.ends != WindowEnd::Unknown;
        match (headers.ends, self.resets_at) {
            (WindowEnd::Unknown, Some(_)) if !headers.has_counts() => return false,
            (_, None) => {
                self.end_at(headers, now);
                self.length = match headers.ends {
                    WindowEnd::Within(length) => length,
                    WindowEnd::Reset | WindowEnd::Unknown => DAY.max(headers.resets_in),
                };
            }
            (WindowEnd::Reset, Some(known)) => {
                if self.ended_at.is_some_and(|ended| headers.resets_at <= later_by(ended, SAME_RESET_WITHIN))
                {
                    return false;
                }
                if headers.resets_at > later_by(known, SAME_RESET_WITHIN) {
                    self.restart(headers, now);
                } else {
                    // Each estimate is late by the latency, so the earliest is the best.
                    if now + headers.resets_in < self.resets {
                        (self.resets, self.skew) = (now + headers.resets_in, Duration::ZERO);
                    }
                    self.resets_at = Some(known.min(headers.resets_at));
                }
            }
            (WindowEnd::Within(_), Some(_)) => {
                // Only the numbers show a new window. A smaller rise may be a response out of order; if most
                // of the limit remains, the difference does not matter.
                let rise = self.reported_remaining.and_then(|left| headers.remaining?.checked_sub(left));
                let is_new = rise.is_some_and(|rise| rise > self.limit.unwrap_or(0) / 2);
                if is_new {
                    self.restart(headers, now);
                } else if rise.is_none_or(|rise| rise == 0) {
                    // A lower number may belong to a later window, which ends later.
                    self.end_at(headers, now);
                }
            }
            (WindowEnd::Unknown, Some(_)) => {}
        }
        self.count_down(headers)
    }

    fn restart(&mut self, headers: &QuotaHeaders, now: Instant) {
        self.ended_at = self.resets_at;
        self.end_at(headers, now);
        self.began = now;
        self.reported_remaining = None;
        self.lost_calls = 0;
        self.sent_calls = 1;
    }

    fn end_at(&mut self, headers: &QuotaHeaders, now: Instant) {
        (self.resets, self.skew) = (now + headers.resets_in, Duration::ZERO);
        self.resets_at = Some(headers.resets_at);
    }

    fn count_down(&mut self, headers: &QuotaHeaders) -> bool {
        if headers.limit.is_some() && self.limit.is_some() && headers.limit != self.limit {
            // The plan has changed.
            self.reported_remaining = None;
        }
        self.is_limit_stated |= headers.limit.is_some();
        self.limit = headers.limit.or(self.limit.max(headers.remaining.filter(|left| *left > 0)));
        let in_limit = |left: u64| self.limit.map_or(left, |limit| left.min(limit));
        let Some(remaining) = headers.remaining.map(in_limit) else {
            self.reported_remaining = self.reported_remaining.or(self.limit);
            return false;
        };
        self.reported_remaining = Some(self.reported_remaining.map_or(remaining, |left| left.min(remaining)));
        self.lost_calls = 0;
        true
    }

    /// Counts one more sent call.
    pub(super) fn count_sent(&mut self) {
        self.sent_calls = self.sent_calls.saturating_add(1);
    }

    /// Returns the window in the form that replicas share.
    pub(super) fn shared(&self, moment: Moment, counts: SharedCounts) -> SharedWindow {
        SharedWindow {
            limit: self.limit,
            is_limit_stated: self.is_limit_stated,
            is_reset_stated: self.is_reset_stated,
            remaining: self.reported_remaining,
            sent_before: counts.sent.cast_signed().saturating_sub_unsigned(self.sent_calls),
            lost_before: counts.lost.cast_signed().saturating_sub_unsigned(self.lost_calls),
            began: moment.millis(self.began),
            resets: moment.millis(self.resets - self.skew),
            resets_at: self.resets_at,
            ended_at: self.ended_at,
            length_ms: u64::try_from(self.length.as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// Records lost calls that the upstream may have counted.
    pub(super) fn add_lost(&mut self, unconfirmed: u64) {
        self.lost_calls = self.lost_calls.saturating_add(unconfirmed);
    }

    /// Returns the remaining calls, where `unconfirmed` calls may have used the stated number.
    pub(super) fn left(&self, unconfirmed: u64, per_day: Option<u64>) -> Option<u64> {
        self.left_after(unconfirmed.saturating_add(self.lost_calls), per_day)
    }

    /// Returns the remaining calls if the upstream counted no unconfirmed call.
    pub(super) fn left_without_unconfirmed(&self, per_day: Option<u64>) -> Option<u64> {
        self.left_after(0, per_day)
    }

    fn left_after(&self, calls: u64, per_day: Option<u64>) -> Option<u64> {
        let headers = self.reported_remaining.map(|left| left.saturating_sub(calls));
        let configured = self.lower_limit(per_day).map(|limit| limit.saturating_sub(self.sent_calls));
        headers.into_iter().chain(configured).min()
    }

    /// Returns the limit of the window.
    pub(super) fn limit(&self, per_day: Option<u64>) -> Option<u64> {
        self.lower_limit(per_day).or(self.limit)
    }

    /// Returns the limit per minute that follows from the window's limit.
    pub(super) fn minute_limit(&self, per_day: Option<u64>) -> Option<u64> {
        if self.length <= MINUTE {
            return self.limit;
        }
        self.limit.or(per_day).filter(|_| self.counts_days()).and_then(minute_of_day)
    }

    /// Returns the configured limit of all replicas' calls, if it is lower than the limit in the headers.
    fn lower_limit(&self, per_day: Option<u64>) -> Option<u64> {
        per_day.filter(|calls| self.counts_days() && self.limit.is_none_or(|limit| limit > *calls))
    }

    fn counts_days(&self) -> bool {
        self.length >= DAY && self.length < DAY * 2
    }

    /// Whether the window's end is only inferred, from headers that state neither it nor a limit.
    pub(super) fn is_end_inferred(&self) -> bool {
        !self.is_reset_stated && !self.is_limit_stated
    }

    /// Returns the end of the window without the allowance for clocks.
    pub(super) fn expected_reset(&self) -> Instant {
        self.resets - self.skew
    }
}

/// Limits per minute of LeadLex's plans (docs/upstreams.md#leadlex-rate-limits).
pub(super) fn minute_of_day(per_day: u64) -> Option<u64> {
    match per_day {
        ..=100 => Some(10),
        101..=1_000 => Some(50),
        1_001..=10_000 => Some(200),
        _ => None,
    }
}

/// Returns how far a count has grown since it was `before`.
fn since(count: u64, before: i64) -> u64 {
    u64::try_from(count.cast_signed().saturating_sub(before)).unwrap_or_default()
}

fn later_by(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.checked_add(by).unwrap_or(Timestamp::MAX)
}
