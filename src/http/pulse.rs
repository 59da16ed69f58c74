//! What a connection is doing, and since when: by this it is told whether its peer is still there, and in good faith.
//!
//! A peer that sends a head byte by byte, takes an answer byte by byte or went away without a word costs a place and
//! memory for as long as nobody looks. hyper's own time for heads was rejected: it runs between two requests as well, so that
//! one value would have to serve for a kept connection and for a slow head, and it is silent before HTTP/1 or HTTP/2 is told.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How long a connection may take for what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// From a request's first byte to the end of its head; for the first request, from the connection on.
    pub(crate) head: Duration,
    /// Without any request under way.
    pub(crate) idle: Duration,
    /// To take what is ready to be sent.
    pub(crate) write: Duration,
}

/// What took too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Overdue {
    /// A request's head.
    Head,
    /// The next request.
    Idle,
    /// The taking of an answer.
    Write,
}

/// A connection's state, shared by its socket, its requests and whoever watches it.
#[derive(Debug)]
pub(crate) struct Pulse(Mutex<State>);

#[derive(Debug)]
struct State {
    /// Requests whose answers are not handed over whole.
    under_way: usize,
    /// Answers with an end that are being sent, and since when.
    answering: BTreeMap<u64, Instant>,
    answers: u64,
    idle_since: Instant,
    head_since: Option<Instant>,
    stalled_since: Option<Instant>,
    /// Whether bytes arrive that belong to no request, as HTTP/2 has them.
    is_multiplexed: bool,
    /// Whether an answer without an end is not taken any more.
    is_given_up: bool,
}

impl Pulse {
    pub(crate) fn new() -> Arc<Self> {
        let now = Instant::now();
        Arc::new(Self(Mutex::new(State {
            under_way: 0,
            answering: BTreeMap::new(),
            answers: 0,
            idle_since: now,
            head_since: Some(now),
            stalled_since: None,
            is_multiplexed: false,
            is_given_up: false,
        })))
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        // Every change leaves a state that can be read.
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Bytes have arrived.
    pub(crate) fn read(&self) {
        self.change(|state| {
            if state.under_way == 0 && state.head_since.is_none() && !state.is_multiplexed {
                state.head_since = Some(Instant::now());
            }
        });
    }

    /// The peer took bytes, or took none although there are some.
    pub(crate) fn wrote(&self, any: bool) {
        self.change(|state| match (any, state.stalled_since) {
            (true, Some(_)) => state.stalled_since = None,
            (false, None) => state.stalled_since = Some(Instant::now()),
            _ => {}
        });
    }

    /// A request's head has arrived whole.
    pub(crate) fn begin(self: &Arc<Self>, is_multiplexed: bool) -> UnderWay {
        self.change(|state| {
            state.under_way += 1;
            state.head_since = None;
            state.is_multiplexed = is_multiplexed;
        });
        UnderWay { pulse: Arc::clone(self), answer: None }
    }

    /// An answer that has no end was not taken for as long as any may take: whoever feeds it knows, and nobody here.
    pub(crate) fn give_up(&self) {
        self.change(|state| state.is_given_up = true);
    }

    /// What takes too long by now.
    pub(crate) fn overdue(&self, patience: Patience) -> Option<Overdue> {
        self.change(|state| {
            let over = |since: Instant, limit| since.elapsed() >= limit;
            let oldest = state.answering.values().min().copied();
            if state.is_given_up {
                return Some(Overdue::Write);
            }
            if [state.stalled_since, oldest].into_iter().flatten().any(|since| over(since, patience.write)) {
                return Some(Overdue::Write);
            }
            match (state.under_way, state.head_since) {
                (0, Some(since)) => over(since, patience.head).then_some(Overdue::Head),
                (0, None) => over(state.idle_since, patience.idle).then_some(Overdue::Idle),
                _ => None,
            }
        })
    }
}

/// A request, until its answer is handed over whole or given up.
#[derive(Debug)]
pub(crate) struct UnderWay {
    pulse: Arc<Pulse>,
    answer: Option<u64>,
}

impl UnderWay {
    /// Its answer is there, and has an end: from now on the peer is to take it.
    pub(crate) fn answered(&mut self) {
        self.answer = Some(self.pulse.change(|state| {
            state.answers += 1;
            state.answering.insert(state.answers, Instant::now());
            state.answers
        }));
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.pulse.change(|state| {
            if let Some(answer) = self.answer {
                state.answering.remove(&answer);
            }
            state.under_way -= 1;
            if state.under_way == 0 {
                state.idle_since = Instant::now();
            }
        });
    }
}
