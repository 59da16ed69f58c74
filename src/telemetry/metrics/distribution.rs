//! Histograms with fixed buckets, for durations and sizes.

use std::time::Duration;

use prometheus_client::encoding::{EncodeMetric as _, MetricEncoder};
use prometheus_client::metrics::histogram::Histogram;

/// Buckets from the duration of a cached response to the deadline of an operation, in seconds. Each default timeout (10
/// s for a call, 15 s for a query with retries, 30 s for an operation) is the limit of a bucket.
const DURATIONS: [f64; 17] = [
    0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 30.0,
];

/// Buckets from one key to the largest batch.
const SIZES: [f64; 10] = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0];

/// A histogram; its clones share their counts.
#[derive(Debug, Clone)]
pub struct Distribution(Histogram);

impl Distribution {
    /// Creates a histogram of durations.
    #[must_use]
    pub fn of_durations() -> Self {
        Self(Histogram::new(DURATIONS))
    }

    /// Creates a histogram of sizes.
    #[must_use]
    pub fn of_sizes() -> Self {
        Self(Histogram::new(SIZES))
    }

    /// Counts a duration.
    pub fn record_duration(&self, time: Duration) {
        self.0.observe(time.as_secs_f64());
    }

    /// Counts a size.
    #[expect(clippy::cast_precision_loss, reason = "no batch has 2^52 keys")]
    pub fn record_size(&self, size: usize) {
        self.0.observe(size as f64);
    }

    pub(super) fn write(&self, encoder: MetricEncoder<'_>) -> std::fmt::Result {
        self.0.encode(encoder)
    }
}
