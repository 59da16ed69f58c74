//! State of a quota in the form that replicas share: times of the wall clock instead of [`Instant`]s.
//!
//! The value contains the statements of responses. Calls are shared one by one (`exchange.rs`), and the store counts
//! those that were sent or lost, so the value contains only the differences to these counts.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::calls::{CALL_LOST_AFTER, RecentCall, RecentCalls};
use super::credential_quota::{Quota, Share};
use super::moment::{CLOCK_SKEW_MAX, FUTURE_MAX, MINUTE, Moment};
use super::window::SharedWindow;

/// Time after the first reply of the store in which this replica still uses only its share. It is longer than the time
/// until the other replicas notice that the store is back.
const REJOIN_DELAY: Duration = Duration::from_secs(6);

/// A quota as replicas share it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SharedState {
    window: Option<SharedWindow>,
    held_until: Option<u64>,
    refusals: u32,
    inferred_limit: Option<(u64, u64)>,
    last: Option<u64>,
}

/// A call of another replica: until when it occupies the minute, and until when it is unconfirmed.
pub(super) type OtherCall = (Option<u64>, Option<u64>);

impl Quota {
    /// Returns the state to share.
    pub(super) fn shared_state(&mut self, moment: Moment) -> SharedState {
        self.advance(moment.now);
        SharedState {
            window: self.window.map(|window| window.shared(moment, self.counts)),
            held_until: self.held_until.map(|until| moment.millis(until - self.held_skew)),
            refusals: self.refusals,
            inferred_limit: self.inferred_limit.map(|(limit, until)| (limit, moment.millis(until))),
            // Without calls of others in flight, which may be reservations that are returned.
            last: self.calls.last.max(self.last_shared).map(|last| moment.millis(last)),
        }
    }

    /// Replaces the state by the shared one.
    pub(super) fn load(&mut self, moment: Moment, state: &SharedState) {
        self.window = state.window.and_then(|window| window.window(moment, self.counts, self.window));
        let held = state.held_until.map(|until| moment.instant(until) + CLOCK_SKEW_MAX);
        // This replica's own hold is exact.
        if held.is_none()
            || self.held_until.is_none_or(|own| held.is_some_and(|held| held > own + CLOCK_SKEW_MAX))
        {
            (self.held_until, self.held_skew) = (held, CLOCK_SKEW_MAX);
        }
        self.refusals = state.refusals;
        self.inferred_limit = state.inferred_limit.map(|(limit, until)| (limit, moment.instant(until)));
        self.last_shared = state.last.map(|last| moment.instant(last).min(moment.now));
    }

    /// Replaces the known calls of other replicas.
    pub(super) fn load_others(&mut self, moment: Moment, calls: impl Iterator<Item = OtherCall>) {
        let calls = calls.map(|(minute_until, unconfirmed_until)| {
            let ago =
                |until: u64, time: Duration| moment.instant(until).checked_sub(time).unwrap_or(moment.now);
            let ended = minute_until.map(|until| ago(until, MINUTE) + CLOCK_SKEW_MAX);
            let sent = unconfirmed_until.map(|until| ago(until, CALL_LOST_AFTER));
            RecentCall {
                sent: sent.or(ended).unwrap_or(moment.now),
                // In flight, both times are those of a lost call.
                ended: ended.or(sent).filter(|_| minute_until != unconfirmed_until),
                is_confirmed: sent.is_none(),
            }
        });
        self.others = RecentCalls::of_others(calls.collect());
    }

    /// Limits this replica to its share of the remaining calls until [`Self::rejoin`].
    pub(super) fn isolate(&mut self, now: Instant, replicas: u64) {
        self.advance(now);
        match &mut self.share {
            Some(share) => share.ends_at = None,
            None => {
                let (replicas, began) = (replicas.max(1), self.window.map(|window| window.began));
                self.share = Some(Share { replicas, left: self.left(), began, spent: 0, ends_at: None });
            }
        }
    }

    /// Ends the share, after a delay in which the other replicas share the calls that they sent meanwhile.
    pub(super) fn rejoin(&mut self, now: Instant) {
        if let Some(share) = &mut self.share
            && *share.ends_at.get_or_insert(now + REJOIN_DELAY) <= now
        {
            self.share = None;
        }
    }

    /// Time for which the state stays relevant.
    pub(super) fn relevant_for(&self, now: Instant) -> Duration {
        let until = self.window.map(|window| window.resets).max(self.held_until);
        until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now)).min(FUTURE_MAX)
    }
}
