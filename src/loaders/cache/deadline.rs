//! The time until which one operation waits for its upstreams.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::domain::upstream_name::UpstreamName;
use crate::upstream::error::{UpstreamError, UpstreamFailure};

/// Longer than any process runs.
const NEVER: Duration = Duration::from_secs(100 * 365 * 86_400);

/// The time until which one operation waits for its upstreams.
#[derive(Debug)]
pub struct UpstreamDeadline {
    until: Instant,
    is_exceeded: AtomicBool,
}

impl UpstreamDeadline {
    /// A deadline at an instant.
    #[must_use]
    pub fn new(until: Instant) -> Self {
        Self { until, is_exceeded: AtomicBool::new(false) }
    }

    /// A deadline that is never reached, for reads of background tasks.
    #[must_use]
    pub fn never() -> Self {
        Self::new(Instant::now() + NEVER)
    }

    /// Waits for a fetch until the deadline. A fetch that others wait for too has a deadline of its own, and continues for
    /// those with more time.
    ///
    /// # Errors
    /// `UPSTREAM_TIMEOUT` if the deadline was reached first; `DEADLINE_EXCEEDED` if it had passed before. The fetch is not
    /// started then.
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

    /// Whether a wait was given up, or not begun, because of the deadline.
    #[must_use]
    pub fn is_exceeded(&self) -> bool {
        self.is_exceeded.load(Ordering::Relaxed)
    }
}
