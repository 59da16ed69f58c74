//! What can be set about one upstream's quota.
//!
//! Little: the headers know better, and what has none follows from what has. A plan's name would be
//! shorter to write, but plans change and keys have limits of their own (UPSTREAMS.md B1.6).

use crate::domain::settings::Ranges;
use serde::Deserialize;

/// The settings of the quota of each key at one upstream.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuotaSettings {
    /// The most calls that this layer makes in a day; 0: what the upstream's headers say. Where they
    /// allow less, they win. Of no effect where the headers count by another window than the day.
    pub per_day: u32,
    /// The most calls in any minute; 0: follows from the day's as LeadLex's plans have it (UPSTREAMS.md
    /// B1.6: 100 a day are 10 a minute, 1,000 are 50, 10,000 are 200), else none until a 429.
    pub per_minute: u32,
    /// How many of a hundred calls are kept for the customer's other programs. A call that somebody
    /// waits for may take half of them, a refresh none.
    pub reserve_percent: u8,
}

impl QuotaSettings {
    /// Allowed ranges.
    pub(crate) const RANGES: Ranges =
        &[("per_day", 0..=1_000_000_000), ("per_minute", 0..=1_000_000_000), ("reserve_percent", 0..=99)];
}

impl Default for QuotaSettings {
    fn default() -> Self {
        Self { per_day: 0, per_minute: 0, reserve_percent: 10 }
    }
}
