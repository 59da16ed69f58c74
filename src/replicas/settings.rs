//! What can be set about what replicas share.

use std::time::Duration;

use secrecy::SecretString;
use serde::Deserialize;

/// `[redis]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplicaSettings {
    /// Where the server is: `redis://host:port/database`, or `rediss://` for TLS. Empty: nothing is shared.
    pub url: String,
    /// The user to sign in as (ACL); empty: the server's default user.
    pub username: String,
    /// The password to sign in with; empty: none.
    pub password: SecretString,
    /// A file with the certificates (PEM) that the server's is signed by; empty: those of the machine.
    pub ca_file: String,
    /// What all keys and the channel begin with.
    pub key_prefix: String,
    /// How long a command may take, in milliseconds.
    pub timeout_ms: u64,
    /// How long a claim lasts whose holder has died, in milliseconds.
    pub claim_ms: u64,
    /// How long another replica's result is waited for, in milliseconds.
    pub wait_ms: u64,
}

impl ReplicaSettings {
    /// How long a command may take.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }

    /// How long a claim lasts whose holder has died.
    #[must_use]
    pub fn claim(&self) -> Duration {
        Duration::from_millis(self.claim_ms)
    }

    /// How long another replica's result is waited for.
    #[must_use]
    pub fn wait(&self) -> Duration {
        Duration::from_millis(self.wait_ms)
    }
}
