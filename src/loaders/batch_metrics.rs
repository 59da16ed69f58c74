//! Metrics of batches: how many keys one load has.

use crate::telemetry::metrics::declared;
use crate::telemetry::metrics::distribution::Distribution;
use crate::telemetry::metrics::readings::Readings;

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

    pub(super) fn read(&self, readings: &mut Readings) {
        for (loader, sizes) in Batch::WORDS.iter().zip(&self.0) {
            readings.distribution(&declared::BATCH_KEYS, &[loader], sizes);
        }
    }
}
