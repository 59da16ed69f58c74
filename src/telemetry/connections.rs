//! Connections of a listener: how many are open, and how many were refused before they had a request to record.
//!
//! Refused connections have no log line each, because clients could then fill the log. At most one line a minute has
//! their number.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::metrics::Metrics;
use super::metrics::declared;

/// Minimum time between two warnings about refused connections.
const LOGGED_EACH: Duration = Duration::from_secs(60);

/// Reason why a connection is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// The limit of connections is reached; the client gets a 503.
    Full,
    /// Too many clients are being sent a 503 already; this one is disconnected without one.
    Flooded,
    /// The request head is not HTTP, or states the length of its body in two ways.
    Malformed,
    /// The request head exceeds its limit.
    HeadTooLarge,
}

impl Refused {
    const ALL: [(Self, &str); 4] = [
        (Self::Full, "full"),
        (Self::Flooded, "flooded"),
        (Self::Malformed, "malformed"),
        (Self::HeadTooLarge, "head_too_large"),
    ];
}

/// The connections of one listener.
#[derive(Debug, Default)]
pub struct Connections {
    refused: [AtomicU64; Refused::ALL.len()],
    /// Free permits and their total; none before the listener starts.
    places: OnceLock<(Arc<Semaphore>, usize)>,
    /// Time of the last warning, and the number of refusals by then.
    logged: Mutex<Option<(Instant, u64)>>,
}

impl Connections {
    /// Creates the counts of a listener (`public`, `ops`), and adds them to the metrics.
    #[must_use]
    pub fn measured_by(metrics: &Metrics, listener: &'static str) -> Arc<Self> {
        let connections = Arc::new(Self::default());
        let read = Arc::clone(&connections);
        metrics.read(listener, move |readings| {
            for ((_, reason), count) in Refused::ALL.iter().zip(&read.refused) {
                let count = count.load(Ordering::Relaxed);
                readings.count(&declared::CONNECTIONS_REFUSED, &[listener, reason], count);
            }
            readings.level(&declared::CONNECTIONS, &[listener], read.open());
        });
        connections
    }

    /// Sets the permits of the listener, when it starts.
    pub(crate) fn listens(&self, free: &Arc<Semaphore>, places: usize) {
        // Each listener calls this once; a second value would be ignored.
        let _ = self.places.set((Arc::clone(free), places));
    }

    fn open(&self) -> u64 {
        let open = self.places.get().map(|(free, places)| places.saturating_sub(free.available_permits()));
        open.and_then(|open| u64::try_from(open).ok()).unwrap_or_default()
    }

    /// Counts a refused connection.
    pub(crate) fn refused(&self, why: Refused) {
        if let Some(count) = self.refused.get(why as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        if let Refused::Full | Refused::Flooded = why {
            self.log();
        }
    }

    fn log(&self) {
        let of = |why: Refused| self.refused.get(why as usize).map_or(0, |it| it.load(Ordering::Relaxed));
        let all = of(Refused::Full) + of(Refused::Flooded);
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        let (now, before) = (Instant::now(), logged.map_or(0, |(_, count)| count));
        if logged.is_none_or(|(at, _)| now.duration_since(at) >= LOGGED_EACH) {
            *logged = Some((now, all));
            let places = self.places.get().map(|(_, places)| places);
            tracing::warn!(
                places,
                refused = all.saturating_sub(before),
                "connections are refused: all places are taken (server.connections_max)"
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
        connections.listens(&Arc::new(Semaphore::new(2)), 2);
        let flood = || (0..100).for_each(|_| connections.refused(Refused::Full));
        let first = logged(flood);
        assert_eq!(first.lines().count(), 1, "{first}");
        assert!(first.contains("WARN") && first.contains("places=2 refused=1"), "{first}");
        assert_eq!(logged(|| connections.refused(Refused::Flooded)), "");
        tokio::time::advance(LOGGED_EACH).await;
        let next = logged(|| connections.refused(Refused::Flooded));
        assert!(next.contains("refused=101"), "{next}");
        assert_eq!(logged(|| connections.refused(Refused::Malformed)), "");
    }
}
