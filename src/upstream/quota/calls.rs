//! Our own calls of the last minutes.
//!
//! The upstream counts a call at an unknown time between sending and response. So a call occupies the minute
//! from its sending until one minute after its response, and is subtracted from the remaining calls until its
//! own response confirms a number. Counting only at the time of sending would allow eleven calls to arrive in
//! one minute if the first was slow.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::MINUTE;

/// Time after which a call without a response is considered lost; far above the deadline of any call.
const CALL_LOST_AFTER: Duration = Duration::from_secs(120);

/// Maximum number of remembered calls, about 600 KB. A client that makes more calls in two minutes has no
/// limit that this model needs.
const RECENT_CALLS_MAX: usize = 16_384;

/// Number of a sent call, assigned by [`Quota::on_sent`](super::Quota::on_sent).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Call(u64);

#[derive(Debug, Default)]
pub(super) struct RecentCalls {
    /// Number of the first call in `recent`; the others follow without a gap.
    first: u64,
    recent: VecDeque<RecentCall>,
    /// Number of unconfirmed calls in `recent`. Stored because every call needs it and there may be thousands.
    unconfirmed: u64,
    last: Option<Instant>,
}

/// A remembered call.
#[derive(Debug)]
pub(super) struct RecentCall {
    pub(super) sent: Instant,
    pub(super) ended: Option<Instant>,
    /// Whether a response stated the remaining calls after it.
    pub(super) is_confirmed: bool,
}

impl RecentCall {
    fn minute_end(&self) -> Instant {
        self.ended.map_or(self.sent + CALL_LOST_AFTER, |ended| ended + MINUTE)
    }

    fn is_relevant(&self, now: Instant) -> bool {
        self.minute_end() > now || (!self.is_confirmed && self.sent + CALL_LOST_AFTER > now)
    }
}

impl RecentCalls {
    pub(super) fn start(&mut self, now: Instant) -> Call {
        let call = Call(self.first + self.recent.len() as u64);
        self.recent.push_back(RecentCall { sent: now, ended: None, is_confirmed: false });
        self.unconfirmed += 1;
        self.last = Some(now);
        call
    }

    /// Adds an earlier call of another replica that was reported late. It is placed after all known calls; its
    /// end time stays unchanged.
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

    /// Records that some call was sent at `at`.
    pub(super) fn had_left(&mut self, at: Instant) {
        self.last = self.last.max(Some(at));
    }

    /// Whether the call has ended, as far as remembered.
    pub(super) fn has_ended(&self, call: Call) -> bool {
        let recent = call.0.checked_sub(self.first).and_then(|place| usize::try_from(place).ok());
        recent.and_then(|place| self.recent.get(place)).is_some_and(|recent| recent.ended.is_some())
    }

    /// Returns the latest `most` calls, in the order of sending.
    pub(super) fn latest(&self, most: usize) -> impl Iterator<Item = (Call, &RecentCall)> {
        (self.first..).map(Call).zip(&self.recent).skip(self.recent.len().saturating_sub(most))
    }

    /// Returns the earliest remembered call, or the next one.
    pub(super) fn earliest(&self) -> Call {
        Call(self.first)
    }

    pub(super) fn end(&mut self, call: &Call, now: Instant) {
        if let Some(recent) = self.find(call) {
            recent.ended.get_or_insert(now);
        }
    }

    pub(super) fn confirm(&mut self, call: &Call) {
        if let Some(recent) = self.find(call)
            && !std::mem::replace(&mut recent.is_confirmed, true)
        {
            self.unconfirmed -= 1;
        }
    }

    fn find(&mut self, call: &Call) -> Option<&mut RecentCall> {
        let place = usize::try_from(call.0.checked_sub(self.first)?).ok()?;
        self.recent.get_mut(place)
    }

    /// Forgets calls that are no longer relevant. Returns how many of them were unconfirmed.
    pub(super) fn forget(&mut self, now: Instant) -> u64 {
        let mut unconfirmed = 0;
        while let Some(front) = self.recent.front() {
            if front.is_relevant(now) && self.recent.len() <= RECENT_CALLS_MAX {
                break;
            }
            unconfirmed += u64::from(!front.is_confirmed);
            self.recent.pop_front();
            self.first += 1;
        }
        self.unconfirmed -= unconfirmed;
        unconfirmed
    }

    /// Returns the number of calls that no response has confirmed yet.
    pub(super) fn unconfirmed(&self) -> u64 {
        self.unconfirmed
    }

    /// Returns the number of calls that an upstream may count in the same minute as a call sent now.
    pub(super) fn in_minute(&self, now: Instant) -> u64 {
        self.recent.iter().filter(|recent| recent.minute_end() > now).count() as u64
    }

    /// Returns the number of calls sent within the last minute. Unlike [`Self::in_minute`], slow calls do not count
    /// longer.
    pub(super) fn left_in_minute(&self, now: Instant) -> u64 {
        let since = now.checked_sub(MINUTE);
        let earlier = self.recent.partition_point(|recent| since.is_some_and(|since| recent.sent <= since));
        (self.recent.len() - earlier) as u64
    }

    /// Returns when one more call fits into `limit` per minute; `None` if it fits now.
    pub(super) fn room_at(&self, now: Instant, limit: u64) -> Option<Instant> {
        (self.recent.len() as u64).checked_sub(limit)?;
        let mut leaving: Vec<_> =
            self.recent.iter().map(RecentCall::minute_end).filter(|leaves| *leaves > now).collect();
        let over = usize::try_from((leaving.len() as u64).checked_sub(limit)?).ok()?;
        leaving.sort_unstable();
        leaving.get(over).copied()
    }

    /// Returns the time of the last sent call.
    pub(super) fn last(&self) -> Option<Instant> {
        self.last
    }
}
