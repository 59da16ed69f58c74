//! Calls of all replicas that share a quota, by replica.
//!
//! A [`CallMessage`] of another replica is applied to the quota as if the call were local, so the model does
//! not know about replicas. Each replica numbers its calls: a duplicate message counts once, and a skipped
//! number is an unconfirmed call. A shared counter in the store would be shorter, but each call would wait for
//! it, and no call could be made while the store is unreachable.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::{Call, Quota, QuotaHeaders};

/// Assumed maximum clock difference between replicas. Messages are treated as this much younger than they
/// seem. An age that is too low only makes the quota seem smaller.
const CLOCK_SKEW_MAX: Duration = Duration::from_secs(5);

/// Time after its last call for which a replica is counted.
const REPLICA_TTL: Duration = Duration::from_secs(600);

/// Maximum number of other replicas, far above the number that share a key.
const REPLICAS_MAX: usize = 256;

/// Maximum number of calls that one gap in the numbers adds.
const MISSING_CALLS_MAX: u64 = 256;

/// Identifies a call: replica, and number of the call there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(in crate::upstream) struct CallId(pub(super) u64, pub(super) u64);

/// Message about one call of a replica: numbers and times, no content of requests or responses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::upstream) struct CallMessage {
    pub(in crate::upstream) call: CallId,
    pub(in crate::upstream) event: CallEvent,
    /// Time on the sender's clock.
    pub(in crate::upstream) at: Timestamp,
}

/// Event in the life of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::upstream) enum CallEvent {
    /// The call was sent.
    Sent,
    /// A response arrived, with any status but 429.
    Answered(QuotaHeaders),
    /// A 429 arrived.
    #[serde(rename = "refused")]
    RateLimited(QuotaHeaders),
    /// No response will arrive: the connection is closed.
    Ended,
}

/// Maps calls of replicas to calls of the quota.
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
    /// Number of the replica's next call; `None` if messages may be missing.
    next: Option<u64>,
    last: Instant,
}

impl ReplicaCalls {
    /// Creates the map of the replica `own`. No other replica may use this number.
    pub(in crate::upstream) fn new(own: u64) -> Self {
        Self { own, next: 0, calls: HashMap::new(), ids: BTreeMap::new(), others: HashMap::new() }
    }

    /// Records that this replica sends a call.
    pub(in crate::upstream) fn on_sent(&mut self, quota: &mut Quota, now: Instant) -> (Call, CallId) {
        let id = CallId(self.own, self.next);
        self.next += 1;
        let call = quota.on_sent(now);
        self.remember(quota, now, id, call);
        (call, id)
    }

    /// Applies a message of another replica; `jitter` as in [`Quota::on_rate_limited`].
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

    /// Records that messages may be missing. The next number of each replica then implies no skipped calls.
    pub(in crate::upstream) fn on_gap(&mut self) {
        for other in self.others.values_mut() {
            other.next = None;
        }
    }

    /// Returns the call with this id, and adds it if it is unknown. `None` for a call that ended long ago, and
    /// for this replica's own calls.
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

    /// Returns the call with this id, and adds it with its past times if it is unknown.
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

    /// Returns the id of a call.
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
        // Calls that the quota has forgotten are no longer relevant.
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

    /// Records that the replica's next call has a higher number than `id`.
    pub(super) fn expect_after(&mut self, id: CallId) {
        if let Some(other) = self.others.get_mut(&id.0) {
            other.next = other.next.max(Some(id.1.saturating_add(1)));
        }
    }
}

/// Returns the minimum age of a message.
pub(super) fn age(wall: Timestamp, at: Timestamp) -> Duration {
    Duration::try_from(wall.duration_since(at)).unwrap_or_default().saturating_sub(CLOCK_SKEW_MAX)
}
