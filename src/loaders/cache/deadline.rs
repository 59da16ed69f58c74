//! The time until which one operation waits for its upstreams.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::domain::upstream_name::UpstreamName;
use crate::upstream::error::{UpstreamError, UpstreamFailure};

/// A time that is longer than any process runs.
const NEVER: Duration = Duration::from_secs(100 * 365 * 86_400);

/// The time until which one operation waits for its upstreams.
#[derive(Debug)]
pub struct UpstreamDeadline {
    until: Instant,
    is_exceeded: AtomicBool,
}

impl UpstreamDeadline {
    /// Creates a deadline at an instant.
    #[must_use]
    pub fn new(until: Instant) -> Self {
        Self { until, is_exceeded: AtomicBool::new(false) }
    }

    /// Creates a deadline that is never reached, for reads of background tasks.
    #[must_use]
    pub fn never() -> Self {
        Self::new(Instant::now() + NEVER)
    }

    /// Waits for a fetch until the deadline. The end of the wait does not end the fetch, which other operations may
    /// have joined.
    ///
    /// # Errors
    /// `UPSTREAM_TIMEOUT` if the deadline passes first. `DEADLINE_EXCEEDED` if it had already passed; the fetch is then
    /// not started.
    pub(crate) async fn wait<T>(
        &self,
        upstream: UpstreamName,
        fetch: impl Future<Output = T>,
    ) -> Result<T, UpstreamError> {
        let result = if self.until <= Instant::now() {
            Err(UpstreamFailure::DeadlineExceeded)
        } else {
            timeout_at(self.until, fetch).await.map_err(|_elapsed| UpstreamFailure::Timeout)
        };
        result.map_err(|failure| {
            self.is_exceeded.store(true, Ordering::Relaxed);
            UpstreamError::new(upstream, failure)
        })
    }

    /// Whether the deadline ended a wait, or prevented one.
    #[must_use]
    pub fn is_exceeded(&self) -> bool {
        self.is_exceeded.load(Ordering::Relaxed)
    }
}
