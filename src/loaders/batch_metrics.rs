//! Metrics of batches: the number of keys of each load.

use crate::telemetry::metrics::declared;
use crate::telemetry::metrics::distribution::Distribution;
use crate::telemetry::metrics::readings::Readings;

/// Kind of the keys of a batch.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Batch {
    Providers,
    Account,
    Accounts,
    Counts,
    Toolkits,
}

impl Batch {
    const LABELS: [&str; 5] = ["providers", "account", "accounts", "counts", "toolkits"];
}

/// Distributions of batch sizes, one for each kind.
#[derive(Debug)]
pub struct BatchSizes([Distribution; Batch::LABELS.len()]);

impl Default for BatchSizes {
    fn default() -> Self {
        Self(Batch::LABELS.map(|_| Distribution::of_sizes()))
    }
}

impl BatchSizes {
    pub(crate) fn count(&self, batch: Batch, keys: usize) {
        if let Some(sizes) = self.0.get(batch as usize) {
            sizes.record_size(keys);
        }
    }

    pub(super) fn read(&self, readings: &mut Readings) {
        for (loader, sizes) in Batch::LABELS.iter().zip(&self.0) {
            readings.distribution(&declared::BATCH_KEYS, &[loader], sizes);
        }
    }
}
