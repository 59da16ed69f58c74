//! Activity of a connection and its timeouts: detects clients that are gone or too slow.
//!
//! A client that sends a head byte by byte, reads a response byte by byte or disappears would otherwise use a
//! connection permit and memory forever. Rejected: hyper's header timeout. It also runs between two requests, so one
//! value would apply to idle connections and to slow heads. It also does not run until hyper has detected HTTP/1 or
//! HTTP/2.

use std::sync::{Arc, Mutex, PoisonError};
use std::task::Waker;
use std::time::Duration;

use tokio::time::Instant;

/// Timeouts of a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ConnectionTimeouts {
    /// Time from a request's first byte to the end of its head. For the first request, from the start of the
    /// connection.
    pub(crate) head: Duration,
    /// Time without an active request.
    pub(crate) idle: Duration,
    /// Time in which the client must read bytes that are ready.
    pub(crate) write: Duration,
}

/// The timeout that expired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExpiredTimeout {
    /// A request head did not arrive.
    Head,
    /// No further request arrived.
    Idle,
    /// The client did not read a response.
    Write,
}

/// Activity of a connection, shared by its socket, its requests and the timeout check.
#[derive(Debug)]
pub(crate) struct ConnectionActivity(Mutex<ActivityState>);

#[derive(Debug)]
struct ActivityState {
    /// Number of requests whose responses are not completely handed to the HTTP library.
    active_requests: usize,
    /// Numbers and start times of finite responses that are being sent.
    sending: Vec<(u64, Instant)>,
    next_response_id: u64,
    idle_since: Instant,
    head_since: Option<Instant>,
    stalled_since: Option<Instant>,
    /// Whether bytes can arrive that do not belong to a request, as in HTTP/2.
    is_multiplexed: bool,
    /// Whether the client stopped reading a stream.
    is_aborted: bool,
    /// Whether the response can still be sent after the client has closed its side: only a finite response over HTTP/1.
    is_answerable: bool,
    /// Time at which the client closed its side of the connection, and the reader that waits for the end of the
    /// response.
    half_closed: Option<(Instant, Waker)>,
    /// The handler that waits for more of the request's body.
    body_reader: Option<Waker>,
}

impl ConnectionActivity {
    pub(crate) fn new() -> Arc<Self> {
        let now = Instant::now();
        Arc::new(Self(Mutex::new(ActivityState {
            active_requests: 0,
            sending: Vec::new(),
            next_response_id: 0,
            idle_since: now,
            head_since: Some(now),
            stalled_since: None,
            is_multiplexed: false,
            is_aborted: false,
            is_answerable: false,
            half_closed: None,
            body_reader: None,
        })))
    }

    fn change<T>(&self, change: impl FnOnce(&mut ActivityState) -> T) -> T {
        // The state is consistent after every change, so a poisoned lock is ignored.
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Records that bytes arrived.
    pub(crate) fn on_read(&self) {
        self.change(|state| {
            if state.active_requests == 0 && state.head_since.is_none() && !state.is_multiplexed {
                state.head_since = Some(Instant::now());
            }
        });
    }

    /// Records that the client accepted bytes, or that bytes are ready and it accepted none.
    pub(crate) fn on_write(&self, has_written: bool) {
        self.change(|state| match (has_written, state.stalled_since) {
            (true, Some(_)) => state.stalled_since = None,
            (false, None) => state.stalled_since = Some(Instant::now()),
            _ => {}
        });
    }

    /// Records that a complete request head arrived.
    pub(crate) fn begin_request(self: &Arc<Self>, is_multiplexed: bool) -> ActiveRequest {
        self.change(|state| {
            state.active_requests += 1;
            state.head_since = None;
            state.is_multiplexed = is_multiplexed;
            state.is_answerable = !is_multiplexed;
        });
        ActiveRequest { activity: Arc::clone(self), response_id: None }
    }

    /// Whether no request is active.
    pub(crate) fn is_idle(&self) -> bool {
        self.change(|state| state.active_requests == 0)
    }

    /// Whether the end of input must be hidden from the HTTP library, which would drop the request. A client may close
    /// its side after its request and still read the response (RFC 9112, 9.6). Streams and incomplete requests end with
    /// the client's side.
    pub(crate) fn defers_end(&self, reader: &Waker) -> bool {
        self.change(|state| {
            let is_deferred = state.is_answerable && state.active_requests > 0;
            if is_deferred {
                let since = state.half_closed.as_ref().map_or_else(Instant::now, |(since, _)| *since);
                state.half_closed = Some((since, reader.clone()));
                // If the request's body is complete, its handler gets the rest now; otherwise it waits again.
                if let Some(body_reader) = state.body_reader.take() {
                    body_reader.wake();
                }
            }
            is_deferred
        })
    }

    /// Records that the handler received a part of the request's body, or waits for more.
    pub(crate) fn on_body(&self, waiting: Option<&Waker>) {
        self.change(|state| match waiting {
            Some(_) if state.half_closed.is_some() => state.stop_deferring(),
            waiting => state.body_reader = waiting.cloned(),
        });
    }

    /// Records that the client stopped reading a stream. Only the task that feeds the stream can detect it.
    pub(crate) fn abort(&self) {
        self.change(|state| state.is_aborted = true);
    }

    /// Returns the timeout that has expired, if any.
    pub(crate) fn expired_timeout(&self, timeouts: ConnectionTimeouts) -> Option<ExpiredTimeout> {
        self.change(|state| {
            let has_expired = |since: Instant, limit| since.elapsed() >= limit;
            let oldest = state.sending.iter().map(|(_, since)| *since).min();
            if state.is_aborted {
                return Some(ExpiredTimeout::Write);
            }
            // A client that has closed its side may be gone, so the write timeout applies to it.
            let half_closed = state.half_closed.as_ref().map(|(since, _)| *since);
            if [state.stalled_since, oldest, half_closed]
                .into_iter()
                .flatten()
                .any(|since| has_expired(since, timeouts.write))
            {
                return Some(ExpiredTimeout::Write);
            }
            match (state.active_requests, state.head_since) {
                (0, Some(since)) => has_expired(since, timeouts.head).then_some(ExpiredTimeout::Head),
                (0, None) => has_expired(state.idle_since, timeouts.idle).then_some(ExpiredTimeout::Idle),
                _ => None,
            }
        })
    }
}

/// An active request; ends when its response is handed over or dropped.
#[derive(Debug)]
pub(crate) struct ActiveRequest {
    activity: Arc<ConnectionActivity>,
    response_id: Option<u64>,
}

impl ActiveRequest {
    /// Records that a finite response is ready, so the client must read it from now on.
    pub(crate) fn response_ready(&mut self) {
        self.response_id = Some(self.activity.change(|state| {
            state.next_response_id += 1;
            state.sending.push((state.next_response_id, Instant::now()));
            state.next_response_id
        }));
    }

    /// Records that the response is a stream, which ends with the client's side of the connection.
    pub(crate) fn stream_ready(&self) {
        self.activity.change(ActivityState::stop_deferring);
    }
}

impl Drop for ActiveRequest {
    fn drop(&mut self) {
        self.activity.change(|state| {
            if let Some(response_id) = self.response_id {
                state.sending.retain(|(sent, _)| *sent != response_id);
            }
            state.active_requests -= 1;
            if state.active_requests == 0 {
                state.idle_since = Instant::now();
                state.stop_deferring();
            }
        });
    }
}

impl ActivityState {
    fn stop_deferring(&mut self) {
        self.is_answerable = false;
        if let Some((_, reader)) = self.half_closed.take() {
            reader.wake();
        }
    }
}
