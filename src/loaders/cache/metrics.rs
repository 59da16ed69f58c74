//! What metrics tell of how values are got: what reads were served, how large batches are, what all that is kept weighs, and how much
//! is watched.

use std::sync::atomic::{AtomicU64, Ordering};

use super::freshness::FreshnessState;
use crate::domain::upstream_name::UpstreamName;
use crate::loaders::loader::Sources;
use crate::loaders::watch::Watches;
use crate::telemetry::metrics::declared;
use crate::telemetry::metrics::distribution::Distribution;
use crate::telemetry::metrics::readings::Readings;

/// What a read was served.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Read {
    Fresh,
    Stale,
    StaleOnError,
    /// Something that had to be fetched first, or nothing.
    Miss,
}

impl Read {
    const ALL: [(Self, &str); 4] = [
        (Self::Fresh, "fresh"),
        (Self::Stale, "stale"),
        (Self::StaleOnError, "stale_on_error"),
        (Self::Miss, "miss"),
    ];

    /// One that was served what is kept.
    pub(crate) fn served(state: FreshnessState) -> Self {
        match state {
            FreshnessState::Fresh => Self::Fresh,
            FreshnessState::Stale => Self::Stale,
            FreshnessState::StaleOnError => Self::StaleOnError,
        }
    }
}

/// How many reads were served what.
#[derive(Debug, Default)]
pub(crate) struct Reads([AtomicU64; Read::ALL.len()]);

impl Reads {
    pub(crate) fn count(&self, read: Read) {
        if let Some(count) = self.0.get(read as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn read(&self, upstream: UpstreamName, readings: &mut Readings) {
        for ((_, freshness), count) in Read::ALL.iter().zip(&self.0) {
            let labels = [upstream.slug(), freshness];
            readings.count(&declared::CACHE_READS, &labels, count.load(Ordering::Relaxed));
        }
    }
}

/// What a batch is of.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Batch {
    Providers,
    Account,
    Accounts,
    Counts,
}

impl Batch {
    const WORDS: [&str; 4] = ["providers", "account", "accounts", "counts"];
}

/// How much batches were asked for.
#[derive(Debug)]
pub struct BatchSizes([Distribution; Batch::WORDS.len()]);

impl Default for BatchSizes {
    fn default() -> Self {
        Self(Batch::WORDS.map(|_| Distribution::of_sizes()))
    }
}

impl BatchSizes {
    pub(crate) fn count(&self, batch: Batch, keys: usize) {
        if let Some(sizes) = self.0.get(batch as usize) {
            sizes.had(keys);
        }
    }
}

impl Sources {
    /// Puts what metrics tell of them, and of the calls behind them, into a reading.
    pub fn read_metrics(&self, readings: &mut Readings) {
        let Self { providers, lists, accounts_by_id, health: _, batch_sizes } = self;
        providers.client().read_metrics(readings);
        lists.client().read_metrics(readings);
        providers.holdings().reads.read(UpstreamName::Leadlex, readings);
        lists.holdings().reads.read(UpstreamName::Composio, readings);
        for (loader, sizes) in Batch::WORDS.iter().zip(&batch_sizes.0) {
            readings.distribution(&declared::BATCH_KEYS, &[loader], sizes);
        }
        let shares = lists.holdings().settings.shares();
        let [pages, totals, ways_back] = lists.weights_bytes();
        let [listed, last_known] = providers.weights_bytes();
        for (cache, weight, limit) in [
            ("pages", pages, shares.pages),
            ("accounts", accounts_by_id.weight_bytes(), shares.accounts),
            ("totals", totals, shares.totals),
            ("ways_back", ways_back, shares.ways_back),
            ("providers", listed, shares.providers),
            ("last_known", last_known, shares.last_known),
        ] {
            read_weight(cache, weight, limit, readings);
        }
    }
}

/// Puts what a cache weighs, and may weigh, into a reading.
pub(crate) fn read_weight(cache: &str, weight_bytes: u64, limit_bytes: u64, readings: &mut Readings) {
    readings.level(&declared::CACHE_WEIGHT, &[cache], weight_bytes);
    readings.level(&declared::CACHE_LIMIT, &[cache], limit_bytes);
}

impl Watches {
    /// Puts how much is watched into a reading.
    pub fn read_metrics(&self, readings: &mut Readings) {
        let [providers, accounts] = self.feeds();
        readings.level(&declared::WATCHES, &[UpstreamName::Leadlex.slug()], providers);
        readings.level(&declared::WATCHES, &[UpstreamName::Composio.slug()], accounts);
    }
}
