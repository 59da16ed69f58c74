//! What a connection is doing, and since when: by this it is told whether its peer is still there, and in good faith.
//!
//! A peer that sends a head byte by byte, takes an answer byte by byte or went away without a word costs a permit and
//! memory for as long as nobody looks. hyper's own time for heads was rejected: it runs between two requests as well, so that
//! one value would have to serve for a kept connection and for a slow head, and it is silent before HTTP/1 or HTTP/2 is told.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How long a connection may take for what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ConnectionTimeouts {
    /// From a request's first byte to the end of its head; for the first request, from the connection on.
    pub(crate) head: Duration,
    /// Without any request under way.
    pub(crate) idle: Duration,
    /// To take what is ready to be sent.
    pub(crate) write: Duration,
}

/// What took too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExpiredTimeout {
    /// A request's head.
    Head,
    /// The next request.
    Idle,
    /// The taking of an answer.
    Write,
}

/// A connection's state, shared by its socket, its requests and whoever watches it.
#[derive(Debug)]
pub(crate) struct ConnectionActivity(Mutex<ActivityState>);

#[derive(Debug)]
struct ActivityState {
    /// Requests whose answers are not handed over whole.
    active_requests: usize,
    /// Answers with an end that are being sent, and since when.
    sending: BTreeMap<u64, Instant>,
    next_response_id: u64,
    idle_since: Instant,
    head_since: Option<Instant>,
    stalled_since: Option<Instant>,
    /// Whether bytes arrive that belong to no request, as HTTP/2 has them.
    is_multiplexed: bool,
    /// Whether an answer without an end is not taken any more.
    is_aborted: bool,
}

impl ConnectionActivity {
    pub(crate) fn new() -> Arc<Self> {
        let now = Instant::now();
        Arc::new(Self(Mutex::new(ActivityState {
            active_requests: 0,
            sending: BTreeMap::new(),
            next_response_id: 0,
            idle_since: now,
            head_since: Some(now),
            stalled_since: None,
            is_multiplexed: false,
            is_aborted: false,
        })))
    }

    fn change<T>(&self, change: impl FnOnce(&mut ActivityState) -> T) -> T {
        // Every change leaves a state that can be read.
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Bytes have arrived.
    pub(crate) fn on_read(&self) {
        self.change(|state| {
            if state.active_requests == 0 && state.head_since.is_none() && !state.is_multiplexed {
                state.head_since = Some(Instant::now());
            }
        });
    }

    /// The peer took bytes, or took none although there are some.
    pub(crate) fn on_write(&self, any: bool) {
        self.change(|state| match (any, state.stalled_since) {
            (true, Some(_)) => state.stalled_since = None,
            (false, None) => state.stalled_since = Some(Instant::now()),
            _ => {}
        });
    }

    /// A request's head has arrived whole.
    pub(crate) fn begin_request(self: &Arc<Self>, is_multiplexed: bool) -> ActiveRequest {
        self.change(|state| {
            state.active_requests += 1;
            state.head_since = None;
            state.is_multiplexed = is_multiplexed;
        });
        ActiveRequest { activity: Arc::clone(self), answer: None }
    }

    /// An answer that has no end was not taken for as long as any may take: whoever feeds it knows, and nobody here.
    pub(crate) fn abort(&self) {
        self.change(|state| state.is_aborted = true);
    }

    /// What takes too long by now.
    pub(crate) fn expired_timeout(&self, timeouts: ConnectionTimeouts) -> Option<ExpiredTimeout> {
        self.change(|state| {
            let over = |since: Instant, limit| since.elapsed() >= limit;
            let oldest = state.sending.values().min().copied();
            if state.is_aborted {
                return Some(ExpiredTimeout::Write);
            }
            if [state.stalled_since, oldest].into_iter().flatten().any(|since| over(since, timeouts.write)) {
                return Some(ExpiredTimeout::Write);
            }
            match (state.active_requests, state.head_since) {
                (0, Some(since)) => over(since, timeouts.head).then_some(ExpiredTimeout::Head),
                (0, None) => over(state.idle_since, timeouts.idle).then_some(ExpiredTimeout::Idle),
                _ => None,
            }
        })
    }
}

/// A request, until its answer is handed over whole or given up.
#[derive(Debug)]
pub(crate) struct ActiveRequest {
    activity: Arc<ConnectionActivity>,
    answer: Option<u64>,
}

impl ActiveRequest {
    /// Its answer is there, and has an end: from now on the peer is to take it.
    pub(crate) fn response_ready(&mut self) {
        self.answer = Some(self.activity.change(|state| {
            state.next_response_id += 1;
            state.sending.insert(state.next_response_id, Instant::now());
            state.next_response_id
        }));
    }
}

impl Drop for ActiveRequest {
    fn drop(&mut self) {
        self.activity.change(|state| {
            if let Some(answer) = self.answer {
                state.sending.remove(&answer);
            }
            state.active_requests -= 1;
            if state.active_requests == 0 {
                state.idle_since = Instant::now();
            }
        });
    }
}
