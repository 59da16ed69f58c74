//! Settings of the limits over time.

use serde::Deserialize;

use crate::domain::settings::Ranges;

/// `[rate_limits]`: limits over time of each caller.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateLimitSettings {
    /// The length of the window, in milliseconds.
    pub window_ms: u64,
    /// The maximum number of callers that are counted at the same time.
    pub callers_max: u64,
    /// `[rate_limits.admin]`
    pub admin: RateLimits,
    /// `[rate_limits.member]`
    pub member: RateLimits,
}

/// The limits of one caller in a window; 0 for no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateLimits {
    /// The maximum number of requests, also those that are answered from the cache.
    pub requests: u64,
    /// The maximum complexity of executed operations.
    pub complexity: u64,
    /// The maximum number of upstream calls.
    pub upstream_calls: u64,
}

impl RateLimitSettings {
    /// Allowed ranges.
    pub(crate) const RANGES: Ranges = &[("window_ms", 1_000..=86_400_000), ("callers_max", 1..=10_000_000)];
}

impl RateLimits {
    /// The largest limit: an integer of a structured field has 15 digits (RFC 9651, 3.3.1).
    pub(crate) const MAX: i64 = 999_999_999_999_999;

    /// Allowed ranges.
    pub(crate) const RANGES: Ranges =
        &[("requests", 0..=Self::MAX), ("complexity", 0..=Self::MAX), ("upstream_calls", 0..=Self::MAX)];

    pub(super) fn has_limit(&self) -> bool {
        *self != Self::default()
    }

    /// Returns these limits, and those of `other` for limits that are not set.
    pub(super) fn or(self, other: Self) -> Self {
        let or = |limit: u64, other: u64| if limit > 0 { limit } else { other };
        Self {
            requests: or(self.requests, other.requests),
            complexity: or(self.complexity, other.complexity),
            upstream_calls: or(self.upstream_calls, other.upstream_calls),
        }
    }
}
