//! Our calls of the last minutes: those of this replica, and in another list those of others.
//!
//! The upstream counts a call at an unknown time between sending and response. So a call occupies the minute
//! from its sending until one minute after its response, and is subtracted from the remaining calls until its
//! own response confirms a number. Counting only at the time of sending would allow eleven calls to arrive in
//! one minute if the first was slow.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::moment::MINUTE;

/// Time after which a call without a response is considered lost; far above the deadline of any call.
pub(super) const CALL_LOST_AFTER: Duration = Duration::from_secs(120);

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
    /// Number of calls in `recent` that no response has confirmed yet. Stored because every call needs it and there may
    /// be thousands.
    pub(super) unconfirmed: u64,
    /// Time of the last sent call.
    pub(super) last: Option<Instant>,
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

    /// Creates the list of other replicas' calls. A confirmed one is not the last, as far as this list knows.
    pub(super) fn of_others(mut calls: Vec<RecentCall>) -> Self {
        calls.sort_unstable_by_key(|call| call.sent);
        let unconfirmed = || calls.iter().filter(|call| !call.is_confirmed);
        let (last, count) = (unconfirmed().map(|call| call.sent).max(), unconfirmed().count() as u64);
        Self { first: 0, unconfirmed: count, recent: calls.into(), last }
    }

    /// Returns until when the call occupies the minute, and until when it is unconfirmed.
    pub(super) fn expiry(&self, call: Call) -> Option<(Instant, Option<Instant>)> {
        let recent = self.recent.get(usize::try_from(call.0.checked_sub(self.first)?).ok()?)?;
        Some((recent.minute_end(), (!recent.is_confirmed).then(|| recent.sent + CALL_LOST_AFTER)))
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
        let index = usize::try_from(call.0.checked_sub(self.first)?).ok()?;
        self.recent.get_mut(index)
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

    /// Returns the number of remembered calls.
    pub(super) fn len(&self) -> usize {
        self.recent.len()
    }

    /// Returns when each call ends to occupy the minute of a call that is sent now.
    pub(super) fn minute_ends(&self, now: Instant) -> impl Iterator<Item = Instant> {
        self.recent.iter().map(RecentCall::minute_end).filter(move |end| *end > now)
    }

    /// Returns the number of calls sent within the last minute. Unlike in [`Self::minute_ends`], slow calls do not count
    /// longer.
    pub(super) fn sent_in_minute(&self, now: Instant) -> u64 {
        let since = now.checked_sub(MINUTE);
        let earlier = self.recent.partition_point(|recent| since.is_some_and(|since| recent.sent <= since));
        (self.recent.len() - earlier) as u64
    }
}

/// Returns when one more call fits into `limit` per minute; `None` if it fits now.
pub(super) fn room_at(minute_ends: impl Iterator<Item = Instant>, limit: u64) -> Option<Instant> {
    let mut ends: Vec<_> = minute_ends.collect();
    let over = usize::try_from((ends.len() as u64).checked_sub(limit)?).ok()?;
    ends.sort_unstable();
    ends.get(over).copied()
}
