//! Connections of a listener: how many are open, and how many were refused before a request could be recorded for them.
//!
//! Refused connections are not logged one by one, because clients could then fill the log. At most one line a minute
//! reports how many were refused at the limit of connections; malformed and too large requests are only counted.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::metrics::Metrics;
use super::metrics::declared;
use crate::domain::text_enum::text_enum;

/// Minimum time between two warnings about refused connections.
const WARNING_INTERVAL: Duration = Duration::from_secs(60);

text_enum! {
    /// Reason why a connection is refused.
    pub enum Refused {
        /// The limit of connections is reached; the client gets a 503.
        Full = "full",
        /// Too many clients are being sent a 503 already; this one is disconnected without one.
        Flooded = "flooded",
        /// The request head is not HTTP, or states the length of its body in two ways.
        Malformed = "malformed",
        /// The request head exceeds its limit.
        HeadTooLarge = "head_too_large",
    }
    /// Returns the value in metrics.
    pub fn label;
}

/// The connections of one listener.
#[derive(Debug, Default)]
pub struct Connections {
    refused: [AtomicU64; Refused::ALL.len()],
    /// Free permits and their total; none before the listener starts.
    permits: OnceLock<(Arc<Semaphore>, usize)>,
    /// Time of the last warning, and the number of refusals by then.
    last_warning: Mutex<Option<(Instant, u64)>>,
}

impl Connections {
    /// Creates the counts of a listener (`public`, `ops`), and adds them to the metrics.
    #[must_use]
    pub fn measured_by(metrics: &Metrics, listener: &'static str) -> Arc<Self> {
        let connections = Arc::new(Self::default());
        let counts = Arc::clone(&connections);
        metrics.register(listener, move |readings| {
            for (reason, count) in Refused::ALL.iter().zip(&counts.refused) {
                let count = count.load(Ordering::Relaxed);
                readings.count(&declared::CONNECTIONS_REFUSED, &[listener, reason.label()], count);
            }
            readings.level(&declared::CONNECTIONS, &[listener], counts.open_count());
        });
        connections
    }

    /// Sets the permits of the listener, when it starts.
    pub(crate) fn set_permits(&self, free: &Arc<Semaphore>, permits: usize) {
        // Each listener calls this once; a second value would be ignored.
        let _ = self.permits.set((Arc::clone(free), permits));
    }

    fn open_count(&self) -> u64 {
        let open = self.permits.get().map(|(free, permits)| permits.saturating_sub(free.available_permits()));
        open.and_then(|open| u64::try_from(open).ok()).unwrap_or_default()
    }

    /// Counts a refused connection.
    pub(crate) fn record_refusal(&self, reason: Refused) {
        if let Some(count) = self.refused.get(reason as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        if let Refused::Full | Refused::Flooded = reason {
            self.log();
        }
    }

    fn log(&self) {
        let count_of =
            |reason: Refused| self.refused.get(reason as usize).map_or(0, |it| it.load(Ordering::Relaxed));
        let refused_so_far = count_of(Refused::Full) + count_of(Refused::Flooded);
        let mut last_warning = self.last_warning.lock().unwrap_or_else(PoisonError::into_inner);
        let (now, before) = (Instant::now(), last_warning.map_or(0, |(_, count)| count));
        if last_warning.is_none_or(|(at, _)| now.duration_since(at) >= WARNING_INTERVAL) {
            *last_warning = Some((now, refused_so_far));
            let permits = self.permits.get().map(|(_, permits)| permits);
            tracing::warn!(
                permits,
                refused = refused_so_far.saturating_sub(before),
                "connections are refused: their limit is reached (server.connections_max)"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::tests::logged;

    #[tokio::test(start_paused = true)]
    async fn a_full_listener_logs_one_line_a_minute_with_the_number_of_refusals() {
        let connections = Connections::default();
        connections.set_permits(&Arc::new(Semaphore::new(2)), 2);
        let flood = || (0..100).for_each(|_| connections.record_refusal(Refused::Full));
        let first = logged(flood);
        assert_eq!(first.lines().count(), 1, "{first}");
        assert!(first.contains("WARN") && first.contains("permits=2 refused=1"), "{first}");
        assert_eq!(logged(|| connections.record_refusal(Refused::Flooded)), "");
        tokio::time::advance(WARNING_INTERVAL).await;
        let next = logged(|| connections.record_refusal(Refused::Flooded));
        assert!(next.contains("refused=101"), "{next}");
        assert_eq!(logged(|| connections.record_refusal(Refused::Malformed)), "");
    }
}
