//! The deadline of an operation.
//!
//! It is passed to everything that waits for an upstream. What has not arrived by then is null with an error at its
//! own field, and the rest of the response is kept. So that there is time to build that response, waits end a little
//! before the operation does. An operation that still runs at its end is dropped.

use std::time::Duration;

use tokio::time::Instant;

/// Divisor of the time limit: the last part is reserved for building the response.
const RESPONSE_PART: u32 = 50;

/// Time limit of an operation without limits: longer than any wait.
const NO_LIMIT: Duration = Duration::from_secs(86_400);

/// The deadline of one operation, from the point of view of its client.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline {
    /// The end of its waits for upstreams.
    pub(super) waits: Instant,
    /// Time at which the operation is dropped.
    pub(super) ends: Instant,
}

impl Deadline {
    /// Creates the deadline of an operation that starts now.
    pub(super) fn after(timeout: Option<Duration>) -> Self {
        let timeout = timeout.unwrap_or(NO_LIMIT);
        let ends = Instant::now() + timeout;
        Self { waits: ends - timeout / RESPONSE_PART, ends }
    }

    /// Whether the time for waits is over.
    pub(super) fn is_over(self) -> bool {
        self.waits <= Instant::now()
    }
}
