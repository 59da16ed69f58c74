//! Settings of the two upstreams.

use std::time::Duration;

use secrecy::SecretString;
use serde::Deserialize;
use url::Url;

use super::breaker::BreakerSettings;
use super::concurrency::ConcurrencySettings;
use super::quota::QuotaSettings;
use super::retry::RetrySettings;
use crate::domain::settings::{GIB, Ranges};

/// Settings of one upstream: `[upstream.leadlex]` and `[upstream.composio]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpstreamSettings {
    /// Base URL of the API; `http` or `https`.
    pub base_url: Url,
    /// API key of the tenant `default`; empty if callers bring their own.
    pub api_key: SecretString,
    /// Timeout of one call, from connecting to the last byte, in milliseconds.
    pub timeout_ms: u64,
    /// Deadline of one request with all waits and retries, in milliseconds.
    pub deadline_ms: u64,
    /// Maximum size of a response, in bytes.
    pub body_limit_bytes: usize,
    /// Rate limit of each key.
    pub quota: QuotaSettings,
    /// Limits of calls in flight.
    pub concurrency: ConcurrencySettings,
    /// Circuit breaker of each key.
    pub breaker: BreakerSettings,
    /// Retries of failed calls.
    pub retry: RetrySettings,
}

impl UpstreamSettings {
    /// Allowed ranges.
    pub(crate) const RANGES: Ranges =
        &[("timeout_ms", 1..=600_000), ("deadline_ms", 1..=600_000), ("body_limit_bytes", 1..=GIB)];

    /// Returns the timeout of one call.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }

    /// Returns the time for one request with its retries.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        Duration::from_millis(self.deadline_ms)
    }
}
