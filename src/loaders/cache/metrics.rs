//! Metrics of the caches: reads by freshness, and the weight of each cache in bytes.
//!
//! `read_through` counts each read in [`ReadCounts`]. The owners of the caches report these counts and, with
//! [`read_weight`], their weights. `telemetry::metrics::declared` declares the metrics.

use std::sync::atomic::{AtomicU64, Ordering};

use super::freshness::FreshnessState;
use crate::domain::upstream_name::UpstreamName;
use crate::telemetry::metrics::declared;
use crate::telemetry::metrics::readings::Readings;

/// Label of a read: the freshness of the value that it returned.
#[derive(Debug, Clone, Copy)]
pub(crate) enum ReadFreshness {
    Fresh,
    Stale,
    StaleOnError,
    /// The value had to be fetched first, or the fetch failed.
    Miss,
}

impl ReadFreshness {
    const ALL: [(Self, &str); 4] = [
        (Self::Fresh, "fresh"),
        (Self::Stale, "stale"),
        (Self::StaleOnError, "stale_on_error"),
        (Self::Miss, "miss"),
    ];

    /// Returns the label for a cached value that was served.
    pub(crate) fn served(state: FreshnessState) -> Self {
        match state {
            FreshnessState::Fresh => Self::Fresh,
            FreshnessState::Stale => Self::Stale,
            FreshnessState::StaleOnError => Self::StaleOnError,
        }
    }
}

/// Number of reads by freshness.
#[derive(Debug, Default)]
pub(crate) struct ReadCounts([AtomicU64; ReadFreshness::ALL.len()]);

impl ReadCounts {
    pub(crate) fn count(&self, read: ReadFreshness) {
        if let Some(count) = self.0.get(read as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn read(&self, upstream: UpstreamName, readings: &mut Readings) {
        for ((_, freshness), count) in ReadFreshness::ALL.iter().zip(&self.0) {
            let labels = [upstream.slug(), freshness];
            readings.count(&declared::CACHE_READS, &labels, count.load(Ordering::Relaxed));
        }
    }
}

/// Reports the weight of a cache and its limit.
pub(crate) fn read_weight(cache: &str, weight_bytes: u64, limit_bytes: u64, readings: &mut Readings) {
    readings.level(&declared::CACHE_WEIGHT, &[cache], weight_bytes);
    readings.level(&declared::CACHE_LIMIT, &[cache], limit_bytes);
}
