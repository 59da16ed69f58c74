//! Until when an operation may take.
//!
//! Its time is handed down to whatever waits for an upstream ([`crate::loaders::cache::deadline::UpstreamDeadline::wait`]): what has not
//! come by then is null with an error at its own field, and the rest of the answer stays. So that there is time to put that
//! answer together, waits end a little before the operation does. What does not end by itself then is dropped whole.

use std::time::Duration;

use tokio::time::Instant;

/// Which part of its time an operation keeps for putting its answer together.
const ANSWERING_PART: u32 = 50;

/// How long an operation may take where nothing was said: longer than anything that it waits for.
const UNSAID: Duration = Duration::from_secs(86_400);

/// The end of one operation, as it is seen by whoever asked for it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline {
    /// Until when it waits for upstreams.
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
