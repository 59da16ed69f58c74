//! Our own calls of the last minutes.
//!
//! When the upstream counts a call is not known, only that it lies between its leaving and its coming
//! back. So a call takes its place in the minute from the one until a minute after the other, and is
//! taken off what the headers say is left until an answer of its own has headers. Counting at the moment
//! of sending alone would let eleven calls arrive in one minute where the first was slow.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::MINUTE;

/// A call that has not come back by then never will; far above any deadline of a call.
const CALL_LOST_AFTER: Duration = Duration::from_secs(120);

/// The most that are remembered, some 600 KB. More calls in two minutes have no limit that is_relevant.
const RECENT_CALLS_MAX: usize = 16_384;

/// A call under way, as [`Quota::on_sent`](super::Quota::on_sent) numbered it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Call(u64);

#[derive(Debug, Default)]
pub(super) struct RecentCalls {
    /// The number of the first in `recent`; the others follow without a gap.
    first: u64,
    recent: VecDeque<RecentCall>,
    /// How many of them are not confirmed of: a count to keep, as every call asks for it and there may be
    /// thousands.
    unconfirmed: u64,
    last: Option<Instant>,
}

/// A call that is remembered.
#[derive(Debug)]
pub(super) struct RecentCall {
    pub(super) sent: Instant,
    pub(super) ended: Option<Instant>,
    /// Whether an answer headers what was left after it.
    pub(super) confirmed: bool,
}

impl RecentCall {
    fn minute_end(&self) -> Instant {
        self.ended.map_or(self.sent + CALL_LOST_AFTER, |ended| ended + MINUTE)
    }

    fn is_relevant(&self, now: Instant) -> bool {
        self.minute_end() > now || (!self.confirmed && self.sent + CALL_LOST_AFTER > now)
    }
}

impl RecentCalls {
    pub(super) fn start(&mut self, now: Instant) -> Call {
        let call = Call(self.first + self.recent.len() as u64);
        self.recent.push_back(RecentCall { sent: now, ended: None, confirmed: false });
        self.unconfirmed += 1;
        self.last = Some(now);
        call
    }

    /// One that had left before, and perhaps came back: another replica's, headers late. It takes its place behind those
    /// that are known; when it ended stays what it was.
    pub(super) fn add(&mut self, sent: Instant, ended: Option<Instant>) -> Call {
        let sent = self.recent.back().map_or(sent, |latest| latest.sent.max(sent));
        let last = self.last.max(Some(sent));
        let call = self.start(sent);
        self.last = last;
        if let Some(ended) = ended {
            self.end(&call, ended);
        }
        call
    }

    /// One had left by then, whoever's it was.
    pub(super) fn had_left(&mut self, at: Instant) {
        self.last = self.last.max(Some(at));
    }

    /// Whether it came back, as far as it is remembered.
    pub(super) fn has_ended(&self, call: Call) -> bool {
        let recent = call.0.checked_sub(self.first).and_then(|place| usize::try_from(place).ok());
        recent.and_then(|place| self.recent.get(place)).is_some_and(|recent| recent.ended.is_some())
    }

    /// The latest so many that are remembered, in the order in which they left.
    pub(super) fn latest(&self, most: usize) -> impl Iterator<Item = (Call, &RecentCall)> {
        (self.first..).map(Call).zip(&self.recent).skip(self.recent.len().saturating_sub(most))
    }

    /// The earliest that is remembered, or the next.
    pub(super) fn earliest(&self) -> Call {
        Call(self.first)
    }

    pub(super) fn end(&mut self, call: &Call, now: Instant) {
        if let Some(recent) = self.find(call) {
            recent.ended.get_or_insert(now);
        }
    }

    pub(super) fn hear(&mut self, call: &Call) {
        if let Some(recent) = self.find(call)
            && !std::mem::replace(&mut recent.confirmed, true)
        {
            self.unconfirmed -= 1;
        }
    }

    fn find(&mut self, call: &Call) -> Option<&mut RecentCall> {
        let place = usize::try_from(call.0.checked_sub(self.first)?).ok()?;
        self.recent.get_mut(place)
    }

    /// Forgets the calls that no longer matter; says of how many nothing was confirmed.
    pub(super) fn forget(&mut self, now: Instant) -> u64 {
        let mut unconfirmed = 0;
        while let Some(front) = self.recent.front() {
            if front.is_relevant(now) && self.recent.len() <= RECENT_CALLS_MAX {
                break;
            }
            unconfirmed += u64::from(!front.confirmed);
            self.recent.pop_front();
            self.first += 1;
        }
        self.unconfirmed -= unconfirmed;
        unconfirmed
    }

    /// The calls of which no answer has headers yet.
    pub(super) fn unconfirmed(&self) -> u64 {
        self.unconfirmed
    }

    /// The calls that an upstream may have counted within one minute with one that leaves now.
    pub(super) fn in_minute(&self, now: Instant) -> u64 {
        self.recent.iter().filter(|recent| recent.minute_end() > now).count() as u64
    }

    /// The calls that left within the last minute: the same, but for those that take their time.
    pub(super) fn left_in_minute(&self, now: Instant) -> u64 {
        let since = now.checked_sub(MINUTE);
        let earlier = self.recent.partition_point(|recent| since.is_some_and(|since| recent.sent <= since));
        (self.recent.len() - earlier) as u64
    }

    /// When there will be room for one more, of at most `limit` in a minute; none where there is now.
    pub(super) fn room_at(&self, now: Instant, limit: u64) -> Option<Instant> {
        (self.recent.len() as u64).checked_sub(limit)?;
        let mut leaving: Vec<_> =
            self.recent.iter().map(RecentCall::minute_end).filter(|leaves| *leaves > now).collect();
        let over = usize::try_from((leaving.len() as u64).checked_sub(limit)?).ok()?;
        leaving.sort_unstable();
        leaving.get(over).copied()
    }

    /// When the last one left.
    pub(super) fn last(&self) -> Option<Instant> {
        self.last
    }
}
