//! The window that the upstream's headers count: its limit, what is left, and when it starts afresh.
//!
//! Two windows are headers apart by their resets, on the upstream's own clock: answers come in any order,
//! and one that was counted before midnight says nothing of the new day. Within one window the smallest
//! number left is the latest, and wins.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::headers::{QuotaHeaders, WindowEnd, later};
use super::{DAY, MINUTE};

/// Resets closer to each other mean the same window: those headers as a delay move with each answer's latency.
const SAME_RESET_WITHIN: SignedDuration = SignedDuration::from_secs(30);

/// One counted window, and how it goes on from there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    limit: Option<u64>,
    /// Whether a response stated the limit. Otherwise it follows from what was left, and holds for this window alone.
    is_limit_stated: bool,
    /// Whether a response stated when the window ends.
    is_reset_stated: bool,
    /// The smallest number left that was headers in this window.
    reported_remaining: Option<u64>,
    /// RecentCalls of which nothing was ever confirmed, since something was.
    assumed_counted: u64,
    /// RecentCalls that left since it began.
    ours: u64,
    began: Instant,
    resets: Instant,
    resets_at: Option<Timestamp>,
    /// When the window before it ended.
    ended_at: Option<Timestamp>,
    length: Duration,
}

impl Window {
    /// The window that is open now, of which nothing is known yet.
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

    /// The window that is open at `now`: this one, or a fresh one after it with the limit that is known.
    /// Which of the `unconfirmed` calls the new one counts is not known: all of them, then.
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

    /// Takes in what an answer headers; says whether that was what is left of this very window.
    pub(super) fn hear(&mut self, headers: &QuotaHeaders, now: Instant) -> bool {
        self.is_reset_stated |= headers.ends != WindowEnd::Unknown;
        match (headers.ends, self.resets_at) {
            (WindowEnd::Unknown, Some(_)) if !headers.counts() => return false,
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
                    // Each estimate is late by what the answer took: the earliest is the best.
                    self.resets = self.resets.min(now + headers.resets_in);
                    self.resets_at = Some(known.min(headers.resets_at));
                }
            }
            (WindowEnd::Within(_), Some(_)) => {
                // Nothing else tells of a new window. A smaller rise may be answers out of order, and
                // where most of the limit is left it makes no difference.
                let rise = self.reported_remaining.and_then(|left| headers.remaining?.checked_sub(left));
                let is_new = rise.is_some_and(|rise| rise > self.limit.unwrap_or(0) / 2);
                if is_new && !headers.is_late {
                    self.restart(headers, now);
                } else if rise.is_none_or(|rise| rise == 0) {
                    // The window of this number ends later than that of the one before, perhaps.
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
            // Another plan from now on.
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
            // What comes late may have been headers before those calls.
            self.assumed_counted = 0;
        }
        true
    }

    /// One more call of ours leaves.
    pub(super) fn count(&mut self) {
        self.ours = self.ours.saturating_add(1);
    }

    /// So many calls had left at least, since it began: what a replica tells that was there before this one.
    pub(super) fn count_up_to(&mut self, calls: u64, headers: &QuotaHeaders) {
        if self.resets_at.is_some_and(|at| at.duration_since(headers.resets_at).abs() <= SAME_RESET_WITHIN) {
            self.ours = self.ours.max(calls);
        }
    }

    /// What is known of it, in the words of an answer, where `unconfirmed` calls may have gone off the number headers.
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
            asks_to_wait: false,
            is_late: false,
        })
    }

    /// The calls that left since it began.
    pub(super) fn ours(&self) -> u64 {
        self.ours
    }

    /// That many calls will not be confirmed of any more; the upstream may have counted them.
    pub(super) fn assume_counted(&mut self, unconfirmed: u64) {
        self.assumed_counted = self.assumed_counted.saturating_add(unconfirmed);
    }

    /// What is left for us, where `unconfirmed` calls may have gone off the number headers.
    pub(super) fn left(&self, unconfirmed: u64, per_day: Option<u64>) -> Option<u64> {
        self.left_but_for(unconfirmed.saturating_add(self.assumed_counted), per_day)
    }

    /// What would be left if the upstream had counted none of the calls of which nothing was confirmed.
    pub(super) fn left_at_most(&self, per_day: Option<u64>) -> Option<u64> {
        self.left_but_for(0, per_day)
    }

    fn left_but_for(&self, calls: u64, per_day: Option<u64>) -> Option<u64> {
        let headers = self.reported_remaining.map(|left| left.saturating_sub(calls));
        let cap = self.cap(per_day).map(|cap| cap.saturating_sub(self.ours));
        headers.into_iter().chain(cap).min()
    }

    /// The calls of the whole window.
    pub(super) fn limit(&self, per_day: Option<u64>) -> Option<u64> {
        self.cap(per_day).or(self.limit)
    }

    /// The limit by the minute that follows.
    pub(super) fn minute_limit(&self, per_day: Option<u64>) -> Option<u64> {
        if self.length <= MINUTE {
            return self.limit;
        }
        self.limit.or(per_day).filter(|_| self.counts_days()).and_then(minute_of_day)
    }

    /// The most calls of our own, where the headers allow more.
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

/// LeadLex's plans (UPSTREAMS.md B1.6).
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
