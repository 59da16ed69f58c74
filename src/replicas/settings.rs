//! Settings of the shared store.

use std::time::Duration;

use crate::domain::settings::Ranges;
use secrecy::SecretString;
use serde::Deserialize;

/// `[redis]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplicaSettings {
    /// URL of the server: `redis://host:port/database`, or `rediss://` for TLS. Empty: no shared state.
    pub url: String,
    /// User name (ACL); empty: the server's default user.
    pub username: String,
    /// Password; empty: no password is sent.
    pub password: SecretString,
    /// File with the CA certificates (PEM) that the server's certificate is verified against; empty: the system's.
    pub ca_file: String,
    /// Prefix of all keys and of the channel.
    pub key_prefix: String,
    /// Timeout of a command, in milliseconds.
    pub timeout_ms: u64,
    /// Lifetime of a lease whose holder does not extend it, in milliseconds.
    pub claim_ms: u64,
    /// Longest wait for the result of another replica, in milliseconds.
    pub wait_ms: u64,
}

impl ReplicaSettings {
    /// Allowed ranges.
    pub(crate) const RANGES: Ranges =
        &[("timeout_ms", 1..=10_000), ("claim_ms", 30..=60_000), ("wait_ms", 0..=60_000)];

    /// Returns the timeout of a command.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }

    /// Returns the lifetime of a lease whose holder does not extend it.
    pub(crate) fn lease_ttl(&self) -> Duration {
        Duration::from_millis(self.claim_ms)
    }
}
