//! What can be set about the two upstreams.

use std::time::Duration;

use secrecy::SecretString;
use serde::Deserialize;
use url::Url;

use super::breaker::BreakerSettings;
use super::concurrency::ConcurrencySettings;
use super::quota::QuotaSettings;
use super::retry::RetrySettings;
use crate::domain::settings::{GIB, Ranges};

/// The settings of one upstream: `[upstream.leadlex]` and `[upstream.composio]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpstreamSettings {
    /// Where its API begins; `http` or `https`.
    pub base_url: Url,
    /// The key to it for the tenant `default`; empty where callers bring their own.
    pub api_key: SecretString,
    /// How long one call may take, from connecting to the last byte, in milliseconds.
    pub timeout_ms: u64,
    /// How long one question may take, with every wait and every repeated call, in milliseconds.
    pub deadline_ms: u64,
    /// The largest answer that is read, in bytes.
    pub body_limit_bytes: usize,
    /// How the calls of each key are spent.
    pub quota: QuotaSettings,
    /// How many calls of each key may be under way.
    pub concurrency: ConcurrencySettings,
    /// When each key's calls stop, as they only fail.
    pub breaker: BreakerSettings,
    /// How failed calls are made again.
    pub retry: RetrySettings,
}

impl UpstreamSettings {
    /// Allowed ranges.
    pub(crate) const RANGES: Ranges =
        &[("timeout_ms", 1..=600_000), ("deadline_ms", 1..=600_000), ("body_limit_bytes", 1..=GIB)];

    /// How long one call may take.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }

    /// How long one question may take.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        Duration::from_millis(self.deadline_ms)
    }
}
