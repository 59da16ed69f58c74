//! The window that the upstream's headers count: limit, remaining calls, reset.
//!
//! Windows are distinguished by their reset times on the upstream's clock: responses arrive in any order, and
//! one counted before midnight says nothing about the new day. Within a window the smallest remaining number
//! is the latest one and wins.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::headers::{QuotaHeaders, WindowEnd, later};
use super::{DAY, MINUTE};

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
    /// Calls lost without a confirmation since the last confirmed number.
    assumed_counted: u64,
    /// Our calls since the window began.
    ours: u64,
    began: Instant,
    resets: Instant,
    resets_at: Option<Timestamp>,
    /// End of the previous window.
    ended_at: Option<Timestamp>,
    length: Duration,
}

impl Window {
    /// Creates the currently open window, with unknown limit.
    pub(super) fn unknown(now: Instant) -> Self {
        Self {
            limit: None,
            is_limit_stated: false,
            is_reset_stated: false,
            reported_remaining: None,
            assumed_counted: 0,
            ours: 0,
            began: now,
            resets: now + DAY,
            resets_at: None,
            ended_at: None,
            length: DAY,
        }
    }

    /// Returns the window that is open at `now`: this one, or a new one with the same limit. It is unknown
    /// which `unconfirmed` calls the new window counts, so all of them are assumed.
    pub(super) fn at(mut self, now: Instant, unconfirmed: u64) -> Self {
        let Some(over) = now.checked_duration_since(self.resets) else { return self };
        let whole = u32::try_from(over.as_nanos() / self.length.as_nanos().max(1)).unwrap_or(u32::MAX);
        let skipped = self.length.saturating_mul(whole);
        self.began = self.resets + skipped;
        self.resets = self.began + self.length;
        self.ended_at = self.resets_at.map(|at| later(at, skipped));
        self.resets_at = self.ended_at.map(|at| later(at, self.length));
        self.limit = self.limit.filter(|_| self.is_limit_stated);
        self.reported_remaining = self.limit;
        self.assumed_counted = 0;
        self.ours = unconfirmed;
        self
    }

    /// Applies the headers of a response. Returns whether they state the remaining calls of this window.
    pub(super) fn on_headers(&mut self, headers: &QuotaHeaders, now: Instant) -> bool {
        self.is_reset_stated |= headers.ends != WindowEnd::Unknown;
        match (headers.ends, self.resets_at) {
            (WindowEnd::Unknown, Some(_)) if !headers.has_counts() => return false,
            (_, None) => {
                (self.resets, self.resets_at) = (now + headers.resets_in, Some(headers.resets_at));
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
                    self.resets = self.resets.min(now + headers.resets_in);
                    self.resets_at = Some(known.min(headers.resets_at));
                }
            }
            (WindowEnd::Within(_), Some(_)) => {
                // Only the numbers show a new window. A smaller rise may be a response out of order; if most
                // of the limit remains, the difference does not matter.
                let rise = self.reported_remaining.and_then(|left| headers.remaining?.checked_sub(left));
                let is_new = rise.is_some_and(|rise| rise > self.limit.unwrap_or(0) / 2);
                if is_new && !headers.is_late {
                    self.restart(headers, now);
                } else if rise.is_none_or(|rise| rise == 0) {
                    // A lower number may belong to a later window, which ends later.
                    (self.resets, self.resets_at) = (now + headers.resets_in, Some(headers.resets_at));
                }
            }
            (WindowEnd::Unknown, Some(_)) => {}
        }
        self.count_down(headers)
    }

    fn restart(&mut self, headers: &QuotaHeaders, now: Instant) {
        self.ended_at = self.resets_at;
        (self.resets, self.resets_at) = (now + headers.resets_in, Some(headers.resets_at));
        self.began = now;
        self.reported_remaining = None;
        self.assumed_counted = 0;
        self.ours = 1;
    }

    fn count_down(&mut self, headers: &QuotaHeaders) -> bool {
        if headers.limit.is_some() && self.limit.is_some() && headers.limit != self.limit {
            if headers.is_late {
                return false;
            }
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
        if !headers.is_late {
            // Late headers may precede the calls assumed to be counted.
            self.assumed_counted = 0;
        }
        true
    }

    /// Counts one more call of ours.
    pub(super) fn count(&mut self) {
        self.ours = self.ours.saturating_add(1);
    }

    /// Raises the number of our calls to at least `calls`, as reported by an older replica.
    pub(super) fn count_up_to(&mut self, calls: u64, headers: &QuotaHeaders) {
        if self.resets_at.is_some_and(|at| at.duration_since(headers.resets_at).abs() <= SAME_RESET_WITHIN) {
            self.ours = self.ours.max(calls);
        }
    }

    /// Returns the state in the form of headers, where `unconfirmed` calls may have used the stated number.
    pub(super) fn headers(&self, now: Instant, unconfirmed: u64) -> Option<QuotaHeaders> {
        let ends = match self.limit.or(self.reported_remaining) {
            _ if self.length <= MINUTE => WindowEnd::Within(self.length),
            Some(_) => WindowEnd::Reset,
            None => WindowEnd::Unknown,
        };
        Some(QuotaHeaders {
            limit: self.limit,
            remaining: self
                .reported_remaining
                .map(|left| left.saturating_sub(unconfirmed.saturating_add(self.assumed_counted))),
            ends,
            resets_in: self.resets.saturating_duration_since(now).max(Duration::from_secs(1)),
            resets_at: self.resets_at?,
            wait: None,
            is_wait_stated: false,
            is_late: false,
        })
    }

    /// Returns the number of our calls since the window began.
    pub(super) fn ours(&self) -> u64 {
        self.ours
    }

    /// Records lost calls that the upstream may have counted.
    pub(super) fn assume_counted(&mut self, unconfirmed: u64) {
        self.assumed_counted = self.assumed_counted.saturating_add(unconfirmed);
    }

    /// Returns the remaining calls, where `unconfirmed` calls may have used the stated number.
    pub(super) fn left(&self, unconfirmed: u64, per_day: Option<u64>) -> Option<u64> {
        self.left_but_for(unconfirmed.saturating_add(self.assumed_counted), per_day)
    }

    /// Returns the remaining calls if the upstream counted no unconfirmed call.
    pub(super) fn left_at_most(&self, per_day: Option<u64>) -> Option<u64> {
        self.left_but_for(0, per_day)
    }

    fn left_but_for(&self, calls: u64, per_day: Option<u64>) -> Option<u64> {
        let headers = self.reported_remaining.map(|left| left.saturating_sub(calls));
        let cap = self.cap(per_day).map(|cap| cap.saturating_sub(self.ours));
        headers.into_iter().chain(cap).min()
    }

    /// Returns the limit of the whole window.
    pub(super) fn limit(&self, per_day: Option<u64>) -> Option<u64> {
        self.cap(per_day).or(self.limit)
    }

    /// Returns the limit per minute that follows from the window's limit.
    pub(super) fn minute_limit(&self, per_day: Option<u64>) -> Option<u64> {
        if self.length <= MINUTE {
            return self.limit;
        }
        self.limit.or(per_day).filter(|_| self.counts_days()).and_then(minute_of_day)
    }

    /// Returns the maximum number of our own calls, if lower than the limit in the headers.
    fn cap(&self, per_day: Option<u64>) -> Option<u64> {
        per_day.filter(|cap| self.counts_days() && self.limit.is_none_or(|limit| limit > *cap))
    }

    fn counts_days(&self) -> bool {
        self.length >= DAY && self.length < DAY * 2
    }

    /// Whether the window's end is only inferred, from headers that state neither it nor a limit.
    pub(super) fn is_end_inferred(&self) -> bool {
        !self.is_reset_stated && !self.is_limit_stated
    }

    pub(super) fn began(&self) -> Instant {
        self.began
    }

    pub(super) fn resets(&self) -> Instant {
        self.resets
    }

    pub(super) fn resets_at(&self) -> Option<Timestamp> {
        self.resets_at
    }

    pub(super) fn length(&self) -> Duration {
        self.length
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

fn later_by(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.checked_add(by).unwrap_or(Timestamp::MAX)
}
