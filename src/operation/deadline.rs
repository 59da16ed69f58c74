//! The deadline of an operation.
//!
//! It is passed to everything that waits for an upstream. What has not arrived by then is null with an error at its
//! own field, and the rest of the response is kept. So that there is time to build that response, waits end a little
//! before the operation does. An operation that still runs at its end is dropped.

use std::time::Duration;

use tokio::time::Instant;

/// Which part of its time an operation keeps for putting its answer together.
const ANSWERING_PART: u32 = 50;

/// The timeout of an operation without limits: longer than anything that it waits for.
const UNSAID: Duration = Duration::from_secs(86_400);

/// The deadline of one operation, from the point of view of its client.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline {
    /// The end of its waits for upstreams.
    pub(super) waits: Instant,
    /// When it is dropped.
    pub(super) ends: Instant,
}

impl Deadline {
    /// Of an operation that begins now.
    pub(super) fn after(timeout: Option<Duration>) -> Self {
        let timeout = timeout.unwrap_or(UNSAID);
        let ends = Instant::now() + timeout;
        Self { waits: ends - timeout / ANSWERING_PART, ends }
    }

    /// Whether there is nothing left to wait for.
    pub(super) fn is_over(self) -> bool {
        self.waits <= Instant::now()
    }
}
