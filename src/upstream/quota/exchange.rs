//! The exchange of one quota with other replicas: this replica's calls, and the responses to them.
//!
//! A call is reserved in the store before it is sent, and the reply lists the calls of the other replicas. So the
//! order in the store decides which of two replicas sends the last call. A response changes the shared state, which
//! is written only if it has not changed meanwhile; otherwise the newer state is loaded and the response applied to
//! it. Calls and responses that could not be shared wait for the store. No I/O here: the
//! [call limiter](crate::upstream::call_limiter) passes [`Request`]s on.
//!
//! Rejected: to publish each call to the other replicas, which each merge. Two replicas that decide within the time
//! of a message then do not know each other's call.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use super::calls::{CALL_LOST_AFTER, Call};
use super::credential_quota::Quota;
use super::headers::QuotaHeaders;
use super::moment::{CLOCK_SKEW_MAX, Moment};
use super::shared_state::{OtherCall, SharedState};
use crate::replicas::quota::{QuotaExchange, QuotaReply, QuotaWrite, SharedCall};

/// Time after its last exchange for which a replica is counted; longer than the interval of a starter key's calls.
const REPLICA_TTL: Duration = Duration::from_secs(1_800);

/// Calls that wait for the store; older ones are dropped, and then only headers count them.
const UNSHARED_MAX: usize = 1_024;

/// Responses that wait for the store. The latest ones state the remaining calls.
const PENDING_MAX: usize = 64;

/// Number of a call among those of this replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::upstream) struct CallNumber(u64);

/// A response that the shared state may not include yet.
#[derive(Debug, Clone, Copy)]
pub(in crate::upstream) struct PendingResponse {
    pub(in crate::upstream) call: Call,
    pub(in crate::upstream) at: Instant,
    pub(in crate::upstream) headers: QuotaHeaders,
    /// For a 429, as in [`Quota::on_rate_limited`].
    pub(in crate::upstream) jitter: Option<f64>,
}

impl PendingResponse {
    pub(in crate::upstream) fn apply(&self, quota: &mut Quota) {
        match self.jitter {
            Some(jitter) => quota.on_rate_limited(&self.call, self.at, &self.headers, jitter),
            None => quota.on_response(&self.call, self.at, &self.headers),
        }
    }
}

/// The times until which a call occupies the minute and is unconfirmed; 0: it does not, or is not.
type Expiry = (u64, u64);

/// State of the exchange of one quota.
#[derive(Debug)]
pub(in crate::upstream) struct Exchange {
    key: String,
    /// Random, so that no other replica uses it.
    replica: String,
    next: CallNumber,
    /// Values of the last reply.
    tick: u64,
    version: u64,
    replicas: u64,
    /// Own calls that the quota remembers; `None` for one that is only reserved.
    own: BTreeMap<CallNumber, Option<Call>>,
    unshared: BTreeMap<CallNumber, Expiry>,
    pending: VecDeque<(u64, PendingResponse)>,
    responses: u64,
    /// Whether the store lacks the state that is known here.
    is_state_missing: bool,
}

/// A message to the store, and the items that its reply confirms.
#[derive(Debug)]
pub(in crate::upstream) struct Request {
    pub(in crate::upstream) exchange: QuotaExchange,
    calls: BTreeMap<CallNumber, Expiry>,
    next: CallNumber,
    responses: u64,
}

impl Exchange {
    /// Creates the exchange of the credential with this key.
    pub(in crate::upstream) fn new(key: String) -> Self {
        Self {
            key,
            replica: format!("{:016x}", fastrand::u64(..)),
            next: CallNumber(0),
            tick: 0,
            version: 0,
            replicas: 1,
            own: BTreeMap::new(),
            unshared: BTreeMap::new(),
            pending: VecDeque::new(),
            responses: 0,
            is_state_missing: false,
        }
    }

    /// Reserves a call. The next request shares it.
    pub(in crate::upstream) fn reserve(&mut self, moment: Moment) -> CallNumber {
        let number = self.next;
        self.next = CallNumber(number.0 + 1);
        let until = moment.millis(moment.now + CALL_LOST_AFTER);
        self.own.insert(number, None);
        self.share(number, (until, until));
        number
    }

    /// Records that the reserved call is sent.
    pub(in crate::upstream) fn on_sent(&mut self, quota: &Quota, number: CallNumber, call: Call) {
        self.own.insert(number, Some(call));
        // Calls that the quota has forgotten are no longer relevant.
        while let Some(oldest) = self.own.first_entry()
            && oldest.get().is_some_and(|call| quota.calls.expiry(call).is_none())
        {
            oldest.remove();
        }
    }

    /// Returns a reservation: the call is not sent.
    pub(in crate::upstream) fn cancel(&mut self, number: CallNumber) {
        self.own.remove(&number);
        self.share(number, (0, 0));
    }

    /// Shares a response that the quota already includes.
    pub(in crate::upstream) fn on_response(&mut self, response: PendingResponse) {
        self.responses += 1;
        self.pending.push_back((self.responses, response));
        if self.pending.len() > PENDING_MAX {
            self.pending.pop_front();
        }
    }

    /// Shares that a response has arrived, or that none will.
    pub(in crate::upstream) fn on_ended(&mut self, quota: &Quota, moment: Moment, number: CallNumber) {
        let call = self.own.get(&number).copied().flatten();
        if let Some((minute_end, unconfirmed)) = call.and_then(|call| quota.calls.expiry(call)) {
            let unconfirmed = unconfirmed.map_or(0, |until| moment.millis(until));
            self.share(number, (moment.millis(minute_end), unconfirmed));
        }
    }

    /// Shares all recent calls again, because the store may have lost them.
    pub(in crate::upstream) fn share_all(&mut self, quota: &Quota, moment: Moment) {
        for number in self.own.keys().copied().collect::<Vec<_>>() {
            self.on_ended(quota, moment, number);
        }
    }

    fn share(&mut self, number: CallNumber, expiry: Expiry) {
        self.unshared.insert(number, expiry);
        if self.unshared.len() > UNSHARED_MAX {
            self.unshared.pop_first();
        }
    }

    /// Whether something is known here that the store may lack.
    pub(in crate::upstream) fn has_unshared(&self) -> bool {
        !self.unshared.is_empty() || self.must_write()
    }

    fn must_write(&self) -> bool {
        !self.pending.is_empty() || self.is_state_missing
    }

    /// Creates a request with all unshared calls, and the state if it has changed.
    pub(in crate::upstream) fn request(&self, quota: &mut Quota, moment: Moment) -> Request {
        let state = self.must_write().then(|| quota.shared_state(moment));
        let value = state.and_then(|state| serde_json::to_vec(&state).ok());
        let id = |number: CallNumber| format!("{}:{:x}", self.replica, number.0);
        let calls = self.unshared.iter().map(|(number, (minute_until, unconfirmed_until))| SharedCall {
            id: id(*number),
            minute_until: *minute_until,
            unconfirmed_until: *unconfirmed_until,
        });
        let now = moment.millis(moment.now);
        let exchange = QuotaExchange {
            key: self.key.clone(),
            now,
            expired_before: now.saturating_sub(CLOCK_SKEW_MAX.as_secs() * 1_000),
            ttl: quota.relevant_for(moment.now).max(REPLICA_TTL),
            replica: self.replica.clone(),
            replica_until: moment.millis(moment.now + REPLICA_TTL),
            calls: calls.collect(),
            write: value.map(|value| QuotaWrite { version: self.version, value }),
        };
        Request { exchange, calls: self.unshared.clone(), next: self.next, responses: self.responses }
    }

    /// Applies the reply to a request. Returns whether its value could be read.
    pub(in crate::upstream) fn on_reply(
        &mut self,
        quota: &mut Quota,
        moment: Moment,
        request: &Request,
        reply: &QuotaReply,
    ) -> bool {
        self.unshared.retain(|number, expiry| request.calls.get(number) != Some(&*expiry));
        if reply.is_accepted {
            self.pending.retain(|(number, _)| *number > request.responses);
        }
        quota.rejoin(moment.now);
        if reply.tick <= self.tick {
            return true;
        }
        let was_emptied = reply.version < self.version;
        (self.tick, self.version, self.replicas) = (reply.tick, reply.version, reply.replicas);
        // The model counts a reserved call when it is sent.
        let reserved = self.own.range(..request.next).filter(|(_, call)| call.is_none()).count();
        quota.counts.sent = reply.sent.saturating_sub(reserved as u64);
        quota.counts.lost = reply.lost;
        quota.load_others(moment, self.calls_of_others(reply).into_values());
        let state = serde_json::from_slice::<SharedState>(&reply.value);
        if let Ok(state) = &state {
            quota.load(moment, state);
            self.pending.iter().for_each(|(_, response)| response.apply(quota));
        }
        if was_emptied {
            self.share_all(quota, moment);
        }
        self.is_state_missing = state.is_err() && quota.window.is_some();
        state.is_ok() || reply.value.is_empty()
    }

    fn calls_of_others<'a>(&self, reply: &'a QuotaReply) -> HashMap<&'a str, OtherCall> {
        let mut calls = HashMap::<_, OtherCall>::new();
        let own_number = |id: &str| {
            let number = id.strip_prefix(self.replica.as_str())?.strip_prefix(':')?;
            u64::from_str_radix(number, 16).ok().map(CallNumber)
        };
        for (id, until) in reply.minute.iter().filter(|(id, _)| own_number(id).is_none()) {
            calls.entry(id.as_str()).or_default().0 = Some(*until);
        }
        // The quota forgets a lost call before the store counts it.
        let is_remembered = |number| self.own.contains_key(&number) || self.unshared.contains_key(&number);
        for (id, until) in
            reply.unconfirmed.iter().filter(|(id, _)| !own_number(id).is_some_and(is_remembered))
        {
            calls.entry(id.as_str()).or_default().1 = Some(*until);
        }
        calls
    }

    /// Records that the store did not reply. Until it does, this replica uses its share of the quota.
    pub(in crate::upstream) fn on_failure(&self, quota: &mut Quota, now: Instant) {
        quota.isolate(now, self.replicas);
    }
}
