//! Settings of one upstream's quota.
//!
//! There are few: headers state most limits, and the rest follows from them. The name of a plan would be
//! shorter, but plans change and keys have limits of their own (docs/upstreams.md#leadlex-rate-limits).

use crate::domain::settings::Ranges;
use serde::Deserialize;

/// Quota settings of each key at one upstream.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuotaSettings {
    /// Maximum calls of Switchboard per day; 0: use the limit in the headers. A lower limit in the headers
    /// wins. Ignored if the headers count a window other than a day.
    pub per_day: u32,
    /// Maximum calls in any minute; 0: derived from the limit per day as in LeadLex's plans
    /// (docs/upstreams.md#leadlex-rate-limits: 10 for 100 a day, 50 for 1,000, 200 for 10,000), otherwise unlimited
    /// until a 429.
    pub per_minute: u32,
    /// Percentage of the limit reserved for the customer's other programs. A call that a client waits for may
    /// use half of the reserve, a refresh nothing.
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
