//! An issuer's keys as they are now: read when they are first needed, again when they are old or a token names one that is
//! not among them, and never more often than an issuer can bear.
//!
//! While they cannot be read, those that were read last stay in use for a day: an issuer that is away must not lock
//! everybody out. One reading at a time, in a task of its own, so that a client that hangs up stops nobody's.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jsonwebtoken::{Algorithm, DecodingKey};
use tokio::time::Instant;
use url::Url;

use super::keys::{Keys, NoKeys};
use crate::upstream::jwks::{self, JwksUnread};
use crate::upstream::transport::Network;

/// The least time between two readings where the last one failed, if the setting is not shorter.
const AT_LEAST_AFTER_FAILURE: Duration = Duration::from_secs(5);

/// How long keys are used that cannot be read again.
const USABLE_FOR: Duration = Duration::from_secs(86_400);

/// Where keys come from.
pub enum Source {
    /// A file.
    File(PathBuf),
    /// An address, and the way there.
    Url(Network, Url),
}

/// An issuer's keys.
#[derive(Clone)]
pub(super) struct IssuerKeys(Arc<Shared>);

struct Shared {
    source: Source,
    ttl: Duration,
    pause: Duration,
    state: Mutex<State>,
    one_at_a_time: tokio::sync::Mutex<()>,
}

#[derive(Clone, Default)]
struct State {
    /// The last that could be read, and when.
    keys: Option<(Arc<Keys>, Instant)>,
    /// When reading was last tried.
    tried: Option<Instant>,
    has_failed: bool,
}

/// What came of looking for a key.
pub(super) enum Lookup {
    Found(DecodingKey),
    /// The issuer has no such key.
    Unknown,
    /// What keys the issuer has cannot be told now.
    Unreadable,
}

/// Why there are no keys. It repeats nothing of what was read.
#[derive(Debug, thiserror::Error)]
pub enum Unread {
    /// The issuer did not give them.
    #[error("{0}")]
    Network(#[from] JwksUnread),
    /// It gave something else.
    #[error("{0}")]
    Keys(#[from] NoKeys),
    /// The file did not give them.
    #[error("the file cannot be read: {0}")]
    File(std::io::ErrorKind),
}

impl Source {
    /// Reads the keys as they are now.
    ///
    /// # Errors
    /// Where they cannot be had, or none of them can check a signature.
    pub async fn read(&self) -> Result<Keys, Unread> {
        let text = match self {
            Self::Url(network, url) => jwks::fetch(network, url).await?,
            // A file of a few KiB, once in minutes: not worth a thread.
            Self::File(path) => std::fs::read(path).map_err(|error| Unread::File(error.kind()))?.into(),
        };
        Ok(Keys::parse(&text)?)
    }
}

impl IssuerKeys {
    pub(super) fn new(source: Source, ttl: Duration, pause: Duration) -> Self {
        Self(Arc::new(Shared {
            source,
            ttl,
            pause,
            state: Mutex::default(),
            one_at_a_time: tokio::sync::Mutex::default(),
        }))
    }

    /// The key for a token that names it, or none, and its algorithm.
    pub(super) async fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Lookup {
        if let Some((key, is_fresh)) = self.0.state().find(id, algorithm, self.0.ttl) {
            if !is_fresh && self.0.may_read() {
                // Old, and in use while it is read again.
                drop(self.read());
            }
            return Lookup::Found(key);
        }
        if self.0.may_read() {
            // A panic there leaves what was; the next request reads again.
            let _ = self.read().await;
        }
        let state = self.0.state();
        match state.find(id, algorithm, self.0.ttl) {
            Some((key, _)) => Lookup::Found(key),
            None if state.has_failed => Lookup::Unreadable,
            None => Lookup::Unknown,
        }
    }

    fn read(&self) -> tokio::task::JoinHandle<()> {
        let shared = Arc::clone(&self.0);
        tokio::spawn(async move {
            let _one = shared.one_at_a_time.lock().await;
            // Whoever waited for another's reading has its keys now.
            if shared.may_read() {
                shared.read().await;
            }
        })
    }
}

impl State {
    fn find(&self, id: Option<&str>, algorithm: Algorithm, ttl: Duration) -> Option<(DecodingKey, bool)> {
        let (keys, read) = self.keys.as_ref().filter(|(_, read)| read.elapsed() < USABLE_FOR)?;
        Some((keys.find(id, algorithm)?.clone(), read.elapsed() < ttl))
    }
}

impl Shared {
    fn state(&self) -> State {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn may_read(&self) -> bool {
        let State { tried, has_failed, .. } = self.state();
        let between = if has_failed { self.pause.min(AT_LEAST_AFTER_FAILURE) } else { self.pause };
        tried.is_none_or(|tried| tried.elapsed() >= between)
    }

    async fn read(&self) {
        let read = self.source.read().await;
        let now = Instant::now();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.tried = Some(now);
        state.has_failed = read.is_err();
        match read {
            Ok(keys) => state.keys = Some((Arc::new(keys), now)),
            Err(why) => tracing::warn!(%why, "the keys of the tokens' issuer could not be read"),
        }
    }
}
