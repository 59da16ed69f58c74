//! Cache of refused requests. A request that an upstream refused with 403, 404, 422 or another 4xx is not sent again
//! for [`REFUSAL_TTL`].
//!
//! It would be refused again, and upstreams lock out clients that repeat refused requests. A 401 is not cached here,
//! because it concerns the key instead of the request ([`super::call_limiter`]). 408 and 429 have their own retry
//! rules. Refusals of writes and of cursors are not cached.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use super::error::UpstreamError;
use crate::domain::bounded_map::BoundedMap;

/// Time for which a refusal is returned without a call.
const REFUSAL_TTL: Duration = Duration::from_secs(5);

/// Maximum number of cached refusals, over all credentials. A client can cause one with each filter that it sends.
const REFUSALS_MAX: u64 = 10_000;

/// Key of a request: a digest, so that long queries need no more memory.
pub(super) type RefusalKey = [u8; 32];

/// Cached refusals of one upstream.
#[derive(Clone)]
pub(super) struct Refusals {
    /// Each with the time until which it is returned.
    entries: BoundedMap<RefusalKey, (Instant, UpstreamError)>,
    /// Time until which the newest is returned. Without a refusal, no key has to be computed.
    newest_until: Arc<Mutex<Option<Instant>>>,
}

impl Default for Refusals {
    fn default() -> Self {
        Self { entries: BoundedMap::with_max_entries(REFUSALS_MAX), newest_until: Arc::default() }
    }
}

impl Refusals {
    /// Returns the key of a GET request. A new `generation` invalidates all refusals of the credential.
    pub(super) fn key(credential: &[u8; 32], generation: u64, path: &str, query: &str) -> RefusalKey {
        let digest = Sha256::new().chain_update(credential).chain_update(generation.to_ne_bytes());
        digest.chain_update(path).chain_update("?").chain_update(query).finalize().into()
    }

    /// Returns the refusal of a request, if there is one.
    pub(super) fn get(&self, key: impl FnOnce() -> RefusalKey) -> Option<UpstreamError> {
        let now = Instant::now();
        (*self.newest_until.lock().unwrap_or_else(PoisonError::into_inner))?.checked_duration_since(now)?;
        let key = key();
        let (until, refusal) = self.entries.get(&key)?;
        if until > now {
            return Some(refusal.repeated());
        }
        self.entries.remove(&key);
        None
    }

    /// Caches a failure if it is a refusal.
    pub(super) fn put(&self, key: impl FnOnce() -> RefusalKey, error: &UpstreamError) {
        if error.is_refusal() && error.status.is_some() {
            let until = Instant::now() + REFUSAL_TTL;
            self.entries.insert(key(), (until, error.clone()));
            *self.newest_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(until);
        }
    }
}
