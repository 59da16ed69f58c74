//! The deadline of an operation.
//!
//! All waits for upstreams end at [`Deadline::waits_end`]. A field whose data has not arrived by then is null with an
//! error, and the other fields are returned. The operation itself ends a little later, so that there is time to build
//! the response. An operation that still runs at that time is dropped.

use std::time::Duration;

use tokio::time::Instant;

/// Divisor of the time limit. The last part is reserved for building the response.
const RESPONSE_PART: u32 = 50;

/// The deadline of one operation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline {
    /// Time at which waits for upstreams end.
    pub(super) waits_end: Instant,
    /// Time at which the operation is dropped.
    pub(super) ends: Instant,
}

impl Deadline {
    /// Creates the deadline of an operation that starts now.
    pub(super) fn after(timeout: Duration) -> Self {
        let ends = Instant::now() + timeout;
        Self { waits_end: ends - timeout / RESPONSE_PART, ends }
    }

    /// Whether the time for waits is over.
    pub(super) fn is_over(self) -> bool {
        self.waits_end <= Instant::now()
    }
}
