//! Cache of an issuer's public keys. They are read when first needed, and again when they are old or a token names an
//! unknown key, but not more often than the settings allow.
//!
//! If they cannot be read, the last keys are used for up to a day, so that an issuer's outage does not lock callers
//! out. Only one read runs at a time. It runs in its own task, so that a client that disconnects does not cancel it for
//! others.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jsonwebtoken::{Algorithm, DecodingKey};
use tokio::time::Instant;
use url::Url;

use super::keys::{InvalidKeySet, KeySet};
use crate::domain::clock::Clock;
use crate::upstream::jwks::{self, JwksFetchError};
use crate::upstream::transport::Network;

/// After a failed read, the next one may start after this time, or after `min_read_interval` if that is shorter.
const RETRY_DELAY: Duration = Duration::from_secs(5);

/// Maximum age of keys that could not be read again.
const MAX_AGE_WITHOUT_REFRESH: Duration = Duration::from_secs(86_400);

/// The source of keys.
pub enum KeySource {
    /// A file.
    File(PathBuf),
    /// A URL and the client to read it.
    Url(Network, Url),
}

/// The keys of an issuer.
#[derive(Clone)]
pub(super) struct IssuerKeys(Arc<SharedKeys>);

struct SharedKeys {
    source: KeySource,
    /// Age from which keys are read again.
    ttl: Duration,
    /// Minimum time between two reads.
    min_read_interval: Duration,
    clock: Clock,
    state: Mutex<CachedKeys>,
    read_lock: tokio::sync::Mutex<()>,
}

#[derive(Clone, Default)]
struct CachedKeys {
    /// The last keys that were read, and the time.
    keys: Option<(Arc<KeySet>, Instant)>,
    /// The time of the last attempt.
    attempted_at: Option<Instant>,
    has_failed: bool,
}

/// The result of looking up a key.
pub(super) enum KeyLookup {
    Found(DecodingKey),
    /// The issuer has no such key.
    Unknown,
    /// The issuer's keys cannot be read.
    Unreadable,
}

/// Reason why there are no keys. It does not repeat the text that was read.
#[derive(Debug, thiserror::Error)]
pub enum KeyReadError {
    /// The issuer could not be reached, or it refused the request.
    #[error("{0}")]
    Network(#[from] JwksFetchError),
    /// The response is not a key set.
    #[error("{0}")]
    Keys(#[from] InvalidKeySet),
    /// The file cannot be read.
    #[error("the file cannot be read: {0}")]
    File(std::io::ErrorKind),
}

impl KeySource {
    /// Reads the keys.
    ///
    /// # Errors
    /// If they cannot be read, or none of them can verify a signature.
    pub async fn read(&self) -> Result<KeySet, KeyReadError> {
        let text = match self {
            Self::Url(network, url) => jwks::fetch(network, url).await?,
            // Blocking is fine: a file of a few KiB, once in several minutes.
            Self::File(path) => std::fs::read(path).map_err(|error| KeyReadError::File(error.kind()))?.into(),
        };
        Ok(KeySet::parse(&text)?)
    }
}

impl IssuerKeys {
    pub(super) fn new(source: KeySource, ttl: Duration, min_read_interval: Duration, clock: Clock) -> Self {
        Self(Arc::new(SharedKeys {
            source,
            ttl,
            min_read_interval,
            clock,
            state: Mutex::default(),
            read_lock: tokio::sync::Mutex::default(),
        }))
    }

    /// Returns the key for a token's `kid` and algorithm.
    pub(super) async fn find(&self, id: Option<&str>, algorithm: Algorithm) -> KeyLookup {
        if let Some((key, is_fresh)) =
            self.0.snapshot().find(id, algorithm, self.0.ttl, self.0.clock.instant_now())
        {
            if !is_fresh && self.0.may_read() {
                // Old keys are used while they are read again in a detached task.
                drop(self.spawn_read());
            }
            return KeyLookup::Found(key);
        }
        if self.0.may_read() {
            // If the task panics, the old keys stay; the next request reads again.
            let _ = self.spawn_read().await;
        }
        let state = self.0.snapshot();
        match state.find(id, algorithm, self.0.ttl, self.0.clock.instant_now()) {
            Some((key, _)) => KeyLookup::Found(key),
            None if state.has_failed => KeyLookup::Unreadable,
            None => KeyLookup::Unknown,
        }
    }

    /// Starts a task that reads the keys. It continues if its handle is dropped.
    fn spawn_read(&self) -> tokio::task::JoinHandle<()> {
        let shared = Arc::clone(&self.0);
        tokio::spawn(async move {
            let _guard = shared.read_lock.lock().await;
            // Another request's read may have finished meanwhile.
            if shared.may_read() {
                shared.read().await;
            }
        })
    }
}

impl CachedKeys {
    fn find(
        &self,
        id: Option<&str>,
        algorithm: Algorithm,
        ttl: Duration,
        now: Instant,
    ) -> Option<(DecodingKey, bool)> {
        let (keys, read_at) =
            self.keys.as_ref().filter(|(_, read_at)| *read_at + MAX_AGE_WITHOUT_REFRESH > now)?;
        Some((keys.find(id, algorithm)?.clone(), *read_at + ttl > now))
    }
}

impl SharedKeys {
    /// Returns a copy of the state, so that no caller has the lock during an `.await`.
    fn snapshot(&self) -> CachedKeys {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn may_read(&self) -> bool {
        let CachedKeys { attempted_at, has_failed, .. } = self.snapshot();
        let min_interval =
            if has_failed { self.min_read_interval.min(RETRY_DELAY) } else { self.min_read_interval };
        attempted_at.is_none_or(|attempted_at| self.clock.instant_now() >= attempted_at + min_interval)
    }

    async fn read(&self) {
        let result = self.source.read().await;
        let now = self.clock.instant_now();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.attempted_at = Some(now);
        state.has_failed = result.is_err();
        match result {
            Ok(keys) => state.keys = Some((Arc::new(keys), now)),
            Err(why) => tracing::warn!(%why, "cannot read the keys of the token issuer"),
        }
    }
}
