//! Keys that an upstream refused with 401 a moment ago.
//!
//! Callers may bring keys of their own; one that repeats a wrong key would otherwise make a call for
//! each of its requests, and upstreams lock out whoever does that. What is remembered is bounded in
//! number and in time, so that a key that is put right is taken soon.

use std::time::Duration;

use tokio::time::Instant;

use super::error::UpstreamError;

/// How long a refusal is believed.
const REMEMBERED_FOR: Duration = Duration::from_secs(5);

/// How many keys are remembered.
const KEYS_MAX: u64 = 10_000;

/// By a key's fingerprint, until when it need not be tried, and what the upstream said.
#[derive(Clone)]
pub(super) struct RefusedKeys(moka::sync::Cache<[u8; 32], (Instant, UpstreamError)>);

impl RefusedKeys {
    pub(super) fn new() -> Self {
        // moka's clock is not Tokio's: its own limit only clears up.
        Self(moka::sync::Cache::builder().max_capacity(KEYS_MAX).time_to_live(REMEMBERED_FOR * 2).build())
    }

    /// The refusal of a key, while it is remembered.
    pub(super) fn get(&self, fingerprint: &[u8; 32]) -> Option<UpstreamError> {
        let (until, refusal) = self.0.get(fingerprint)?;
        (Instant::now() < until).then_some(refusal)
    }

    pub(super) fn remember(&self, fingerprint: [u8; 32], refusal: UpstreamError) {
        self.0.insert(fingerprint, (Instant::now() + REMEMBERED_FOR, refusal));
    }
}
