//! How often what was how large: a histogram of fixed buckets.

use std::time::Duration;

use prometheus_client::encoding::{EncodeMetric as _, MetricEncoder};
use prometheus_client::metrics::histogram::Histogram;

/// From a finished answer to an operation's whole time, in seconds. Whatever can time out by default (a call after 10 s, a question after
/// 15, an operation after 30) has a bucket that ends there.
const DURATIONS: [f64; 17] = [
    0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 30.0,
];

/// From one key to the longest list of ids.
const SIZES: [f64; 10] = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0];

/// Observations, counted by size; clones count together.
#[derive(Debug, Clone)]
pub struct Distribution(Histogram);

impl Distribution {
    /// Of spans of time.
    #[must_use]
    pub fn of_durations() -> Self {
        Self(Histogram::new(DURATIONS))
    }

    /// Of numbers of things.
    #[must_use]
    pub fn of_sizes() -> Self {
        Self(Histogram::new(SIZES))
    }

    /// One took so long.
    pub fn took(&self, time: Duration) {
        self.0.observe(time.as_secs_f64());
    }

    /// One was so large.
    #[expect(clippy::cast_precision_loss, reason = "no batch has 2^52 keys")]
    pub fn had(&self, things: usize) {
        self.0.observe(things as f64);
    }

    pub(super) fn write(&self, encoder: MetricEncoder<'_>) -> std::fmt::Result {
        self.0.encode(encoder)
    }
}
