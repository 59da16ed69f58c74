//! The calls of all replicas that share a quota, by whose they are.
//!
//! What another replica tells of its calls ([`CallMessage`]) is fed into the model as if the calls were this one's, so that
//! the model needs no word of replicas. A call is numbered by whoever makes it: what is headers twice counts once, and a
//! number that was left out is a call of which nothing was confirmed. A sum over all replicas, kept in the store, would be
//! shorter, but each call would have to wait for it, and nobody could call while the store is away.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::{Call, Quota, QuotaHeaders};

/// How far apart replicas' clocks may be. What is headers is taken to be younger than it seems by that much: too young
/// only makes the quota seem smaller.
const CLOCK_SKEW_MAX: Duration = Duration::from_secs(5);

/// How long a replica is counted after its last call.
const REPLICA_TTL: Duration = Duration::from_secs(600);

/// The most others that are counted, far above any number of replicas that share a key.
const REPLICAS_MAX: usize = 256;

/// The most calls that are taken for left out at once.
const MISSING_CALLS_MAX: u64 = 256;

/// A call: whose it is, and its number there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(in crate::upstream) struct CallId(pub(super) u64, pub(super) u64);

/// What a replica tells of a call: numbers and moments, nothing of what was asked or answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::upstream) struct CallMessage {
    pub(in crate::upstream) call: CallId,
    pub(in crate::upstream) event: CallEvent,
    /// When, on the clock of whoever tells it.
    pub(in crate::upstream) at: Timestamp,
}

/// What became of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::upstream) enum CallEvent {
    /// It left.
    Sent,
    /// It came back, with any status but 429.
    Answered(QuotaHeaders),
    /// It came back with 429.
    #[serde(rename = "refused")]
    RateLimited(QuotaHeaders),
    /// It will not come back: its connection is gone.
    Ended,
}

/// Whose calls the calls of a quota are.
#[derive(Debug)]
pub(in crate::upstream) struct ReplicaCalls {
    pub(super) own: u64,
    next: u64,
    calls: HashMap<CallId, Call>,
    ids: BTreeMap<Call, CallId>,
    others: HashMap<u64, Other>,
}

#[derive(Debug)]
struct Other {
    /// The number of its next call; none where some may have been missed.
    next: Option<u64>,
    last: Instant,
}

impl ReplicaCalls {
    /// One in which this replica is called `own`, which no other is.
    pub(in crate::upstream) fn new(own: u64) -> Self {
        Self { own, next: 0, calls: HashMap::new(), ids: BTreeMap::new(), others: HashMap::new() }
    }

    /// A call of this replica leaves.
    pub(in crate::upstream) fn on_sent(&mut self, quota: &mut Quota, now: Instant) -> (Call, CallId) {
        let id = CallId(self.own, self.next);
        self.next += 1;
        let call = quota.on_sent(now);
        self.remember(quota, now, id, call);
        (call, id)
    }

    /// Another's call; `jitter` as in [`Quota::on_rate_limited`].
    pub(in crate::upstream) fn on_message(
        &mut self,
        quota: &mut Quota,
        now: Instant,
        wall: Timestamp,
        message: &CallMessage,
        jitter: f64,
    ) {
        let Some(call) = self.call_of(quota, now, message.call) else { return };
        if quota.calls.has_ended(call) {
            return;
        }
        let read = |headers: QuotaHeaders| {
            headers.after(age(wall, message.at)).unwrap_or_else(|| QuotaHeaders::nothing(wall))
        };
        match message.event {
            CallEvent::Sent => {}
            CallEvent::Answered(headers) => quota.on_response_headers(&call, now, &read(headers)),
            CallEvent::RateLimited(headers) => {
                quota.on_rate_limited_headers(&call, now, &read(headers), jitter)
            }
            CallEvent::Ended => quota.on_response_headers(&call, now, &QuotaHeaders::nothing(wall)),
        }
    }

    /// Some may have been missed, nobody knows how many: what is confirmed next leaves none out.
    pub(in crate::upstream) fn on_gap(&mut self) {
        for other in self.others.values_mut() {
            other.next = None;
        }
    }

    /// The call that the quota knows by that id; one of which nothing was confirmed leaves now. None for what is long over,
    /// and for this replica's own.
    fn call_of(&mut self, quota: &mut Quota, now: Instant, id: CallId) -> Option<Call> {
        if let Some(known) = self.calls.get(&id) {
            return Some(*known).filter(|_| id.0 != self.own);
        }
        let expected = self.others.get(&id.0).and_then(|other| other.next);
        if id.0 == self.own || expected.is_some_and(|next| id.1 < next) || !self.has_room_for(id.0, now) {
            return None;
        }
        for number in expected.unwrap_or(id.1).max(id.1.saturating_sub(MISSING_CALLS_MAX))..id.1 {
            let call = quota.on_sent(now);
            self.remember(quota, now, CallId(id.0, number), call);
        }
        let call = quota.on_sent(now);
        self.remember(quota, now, id, call);
        self.expect_after(id);
        Some(call)
    }

    /// The call that the quota knows by that id, or else one of the past.
    pub(super) fn past_call(
        &mut self,
        quota: &mut Quota,
        now: Instant,
        id: CallId,
        sent: Instant,
        ended: Option<Instant>,
    ) -> Option<Call> {
        if let Some(known) = self.calls.get(&id) {
            return Some(*known).filter(|_| id.0 != self.own);
        }
        if id.0 == self.own || !self.has_room_for(id.0, now) {
            return None;
        }
        let call = quota.calls.add(sent, ended);
        self.remember(quota, now, id, call);
        Some(call)
    }

    /// Whose the call is.
    pub(super) fn id_of(&self, call: Call) -> Option<CallId> {
        self.ids.get(&call).copied()
    }

    fn has_room_for(&mut self, other: u64, now: Instant) -> bool {
        self.others.retain(|_, other| other.last + REPLICA_TTL > now);
        self.others.contains_key(&other) || self.others.len() < REPLICAS_MAX
    }

    fn remember(&mut self, quota: &mut Quota, now: Instant, id: CallId, call: Call) {
        self.calls.insert(id, call);
        self.ids.insert(call, id);
        // Whatever the quota has forgotten is_relevant no more.
        let earliest = quota.calls.earliest();
        while let Some(oldest) = self.ids.first_entry().filter(|oldest| *oldest.key() < earliest) {
            self.calls.remove(&oldest.remove());
        }
        self.others.retain(|_, other| other.last + REPLICA_TTL > now);
        if id.0 != self.own {
            self.others.entry(id.0).or_insert(Other { next: None, last: now }).last = now;
        }
        quota.others = self.others.len() as u64;
    }

    /// Whatever other call comes next from there, its number is higher.
    pub(super) fn expect_after(&mut self, id: CallId) {
        if let Some(other) = self.others.get_mut(&id.0) {
            other.next = other.next.max(Some(id.1.saturating_add(1)));
        }
    }
}

/// How long ago something was headers, at least.
pub(super) fn age(wall: Timestamp, at: Timestamp) -> Duration {
    Duration::try_from(wall.duration_since(at)).unwrap_or_default().saturating_sub(CLOCK_SKEW_MAX)
}
