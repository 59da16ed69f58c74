//! The window that the upstream's headers count: its limit, what is left, and when it starts afresh.
//!
//! Two windows are told apart by their resets, on the upstream's own clock: answers come in any order,
//! and one that was counted before midnight says nothing of the new day. Within one window the smallest
//! number left is the latest, and wins.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::headers::{Ends, Told, later};
use super::{DAY, MINUTE};

/// Resets closer to each other mean the same window: those told as a delay move with each answer's latency.
const SAME_WITHIN: SignedDuration = SignedDuration::from_secs(30);

/// One counted window, and how it goes on from there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    limit: Option<u64>,
    /// Whether a response stated the limit. Otherwise it follows from what was left, and holds for this window alone.
    is_limit_stated: bool,
    /// Whether a response stated when the window ends.
    is_reset_stated: bool,
    /// The smallest number left that was told in this window.
    told_left: Option<u64>,
    /// Calls of which nothing was ever heard, since something was.
    presumed: u64,
    /// Calls that left since it began.
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
    pub(super) fn untold(now: Instant) -> Self {
        Self {
            limit: None,
            is_limit_stated: false,
            is_reset_stated: false,
            told_left: None,
            presumed: 0,
            ours: 0,
            began: now,
            resets: now + DAY,
            resets_at: None,
            ended_at: None,
            length: DAY,
        }
    }

    /// The window that is open at `now`: this one, or a fresh one after it with the limit that is known.
    /// Which of the `unheard` calls the new one counts is not known: all of them, then.
    pub(super) fn at(mut self, now: Instant, unheard: u64) -> Self {
        let Some(over) = now.checked_duration_since(self.resets) else { return self };
        let whole = u32::try_from(over.as_nanos() / self.length.as_nanos().max(1)).unwrap_or(u32::MAX);
        let skipped = self.length.saturating_mul(whole);
        self.began = self.resets + skipped;
        self.resets = self.began + self.length;
        self.ended_at = self.resets_at.map(|at| later(at, skipped));
        self.resets_at = self.ended_at.map(|at| later(at, self.length));
        self.limit = self.limit.filter(|_| self.is_limit_stated);
        self.told_left = self.limit;
        self.presumed = 0;
        self.ours = unheard;
        self
    }

    /// Takes in what an answer told; says whether that was what is left of this very window.
    pub(super) fn hear(&mut self, told: &Told, now: Instant) -> bool {
        self.is_reset_stated |= told.ends != Ends::Untold;
        match (told.ends, self.resets_at) {
            (Ends::Untold, Some(_)) if !told.counts() => return false,
            (_, None) => {
                (self.resets, self.resets_at) = (now + told.resets_in, Some(told.resets_at));
                self.length = match told.ends {
                    Ends::Within(length) => length,
                    Ends::Told | Ends::Untold => DAY.max(told.resets_in),
                };
            }
            (Ends::Told, Some(known)) => {
                if self.ended_at.is_some_and(|ended| told.resets_at <= later_by(ended, SAME_WITHIN)) {
                    return false;
                }
                if told.resets_at > later_by(known, SAME_WITHIN) {
                    self.start_afresh(told, now);
                } else {
                    // Each estimate is late by what the answer took: the earliest is the best.
                    self.resets = self.resets.min(now + told.resets_in);
                    self.resets_at = Some(known.min(told.resets_at));
                }
            }
            (Ends::Within(_), Some(_)) => {
                // Nothing else tells of a new window. A smaller rise may be answers out of order, and
                // where most of the limit is left it makes no difference.
                let rise = self.told_left.and_then(|left| told.remaining?.checked_sub(left));
                let is_new = rise.is_some_and(|rise| rise > self.limit.unwrap_or(0) / 2);
                if is_new && !told.is_late {
                    self.start_afresh(told, now);
                } else if rise.is_none_or(|rise| rise == 0) {
                    // The window of this number ends later than that of the one before, perhaps.
                    (self.resets, self.resets_at) = (now + told.resets_in, Some(told.resets_at));
                }
            }
            (Ends::Untold, Some(_)) => {}
        }
        self.count_down(told)
    }

    fn start_afresh(&mut self, told: &Told, now: Instant) {
        self.ended_at = self.resets_at;
        (self.resets, self.resets_at) = (now + told.resets_in, Some(told.resets_at));
        self.began = now;
        self.told_left = None;
        self.presumed = 0;
        self.ours = 1;
    }

    fn count_down(&mut self, told: &Told) -> bool {
        if told.limit.is_some() && self.limit.is_some() && told.limit != self.limit {
            if told.is_late {
                return false;
            }
            // Another plan from now on.
            self.told_left = None;
        }
        self.is_limit_stated |= told.limit.is_some();
        self.limit = told.limit.or(self.limit.max(told.remaining.filter(|left| *left > 0)));
        let in_limit = |left: u64| self.limit.map_or(left, |limit| left.min(limit));
        let Some(remaining) = told.remaining.map(in_limit) else {
            self.told_left = self.told_left.or(self.limit);
            return false;
        };
        self.told_left = Some(self.told_left.map_or(remaining, |left| left.min(remaining)));
        if !told.is_late {
            // What comes late may have been told before those calls.
            self.presumed = 0;
        }
        true
    }

    /// One more call of ours leaves.
    pub(super) fn count(&mut self) {
        self.ours = self.ours.saturating_add(1);
    }

    /// So many calls had left at least, since it began: what a replica tells that was there before this one.
    pub(super) fn count_up_to(&mut self, calls: u64, told: &Told) {
        if self.resets_at.is_some_and(|at| at.duration_since(told.resets_at).abs() <= SAME_WITHIN) {
            self.ours = self.ours.max(calls);
        }
    }

    /// What is known of it, in the words of an answer, where `unheard` calls may have gone off the number told.
    pub(super) fn told(&self, now: Instant, unheard: u64) -> Option<Told> {
        let ends = match self.limit.or(self.told_left) {
            _ if self.length <= MINUTE => Ends::Within(self.length),
            Some(_) => Ends::Told,
            None => Ends::Untold,
        };
        Some(Told {
            limit: self.limit,
            remaining: self.told_left.map(|left| left.saturating_sub(unheard.saturating_add(self.presumed))),
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

    /// That many calls will not be heard of any more; the upstream may have counted them.
    pub(super) fn presume(&mut self, unheard: u64) {
        self.presumed = self.presumed.saturating_add(unheard);
    }

    /// What is left for us, where `unheard` calls may have gone off the number told.
    pub(super) fn left(&self, unheard: u64, per_day: Option<u64>) -> Option<u64> {
        self.left_but_for(unheard.saturating_add(self.presumed), per_day)
    }

    /// What would be left if the upstream had counted none of the calls of which nothing was heard.
    pub(super) fn left_at_best(&self, per_day: Option<u64>) -> Option<u64> {
        self.left_but_for(0, per_day)
    }

    fn left_but_for(&self, calls: u64, per_day: Option<u64>) -> Option<u64> {
        let told = self.told_left.map(|left| left.saturating_sub(calls));
        let cap = self.cap(per_day).map(|cap| cap.saturating_sub(self.ours));
        told.into_iter().chain(cap).min()
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
