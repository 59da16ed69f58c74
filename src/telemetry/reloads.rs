//! Reloads of the configuration: their number, and when the current configuration was loaded.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use jiff::Timestamp;

use super::metrics::Metrics;
use super::metrics::declared;

/// Counts of reloads.
#[derive(Debug)]
pub struct Reloads {
    succeeded: AtomicU64,
    refused: AtomicU64,
    /// Milliseconds since 1970.
    in_force_since: AtomicI64,
}

impl Reloads {
    /// Creates the counts at the start, and adds them to the metrics.
    #[must_use]
    pub fn measured_by(metrics: &Metrics, started_at: Timestamp) -> Arc<Self> {
        let since = AtomicI64::new(started_at.as_millisecond());
        let reloads =
            Self { succeeded: AtomicU64::new(0), refused: AtomicU64::new(0), in_force_since: since };
        let reloads = Arc::new(reloads);
        let read = Arc::clone(&reloads);
        metrics.register("reloads", move |readings| {
            for (outcome, count) in [("ok", &read.succeeded), ("refused", &read.refused)] {
                readings.count(&declared::RELOADS, &[outcome], count.load(Ordering::Relaxed));
            }
            let since = Timestamp::from_millisecond(read.in_force_since.load(Ordering::Relaxed));
            let since = since.unwrap_or_default().as_duration().as_secs_f64();
            readings.gauge(&declared::CONFIG_IN_FORCE, &[], since);
        });
        reloads
    }

    /// Counts a reload that was applied.
    pub fn succeeded(&self, now: Timestamp) {
        self.succeeded.fetch_add(1, Ordering::Relaxed);
        self.in_force_since.store(now.as_millisecond(), Ordering::Relaxed);
    }

    /// Counts a reload that was refused.
    pub fn record_refusal(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }
}
