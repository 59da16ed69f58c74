//! The state that all caches of one upstream share for each credential: its epoch, its revision and its statistics.
//!
//! Everything of a credential is expired by one number, without a search. Each entry carries the epoch in which its fetch
//! began, and an entry of another epoch is read again before it is served. A fetch that is under way at that moment carries
//! the old epoch too. A finished response is valid while the revision is the one in which it was made.
//!
//! When the upstream rejects a key, everything that was read with it is withdrawn by the same number. Withdrawn entries are
//! never served again, not even if reading them fails.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::metrics::ReadCounts;
use super::shared::partition::{SharedCache, SharedPartition};
use crate::domain::change::ChangeCause;
use crate::domain::clock::Clock;
use crate::domain::credential::Fingerprint;
use crate::domain::upstream_name::{Upstream, UpstreamName};
use crate::loaders::settings::CacheSettings;

/// For how many credentials this is remembered; what was kept for one that is forgotten is gone.
const CREDENTIALS_MAX: u64 = 10_000;

/// What all caches of one upstream share.
pub struct UpstreamCache<U> {
    pub(crate) settings: CacheSettings,
    pub(crate) clock: Clock,
    /// Of all credentials together.
    pub(crate) reads: ReadCounts,
    by_credential: moka::sync::Cache<Fingerprint<U>, Arc<CredentialState>>,
    /// What other replicas have read; none where nothing is shared.
    pub(crate) shared: Option<SharedCache<U>>,
    /// Each number is given once, over all credentials: one that was forgotten cannot meet its own again.
    next: AtomicU64,
}

/// What is held for one credential.
pub(crate) struct CredentialState {
    epoch: AtomicU64,
    revision: AtomicU64,
    /// What bears an epoch before this one is not to be shown.
    shown_from: AtomicU64,
    /// Before that moment nothing was read that will do: everything was dropped here then.
    read_from: Mutex<Option<Instant>>,
    /// Whether nothing was read since the others were told that the key is refused.
    is_told_refused: AtomicBool,
    pub(crate) shared: Option<Arc<SharedPartition>>,
    pub(crate) entries: AtomicI64,
    pub(crate) hits: AtomicU64,
    pub(crate) misses: AtomicU64,
    pub(crate) stale_served: AtomicU64,
    dropped: watch::Sender<ExpiryNotice>,
}

/// Everything of a credential is to be read again.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ExpiryNotice {
    /// Why.
    pub(crate) cause: ChangeCause,
}

/// How the caches of one upstream have served a credential.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CacheStatistics {
    /// What is kept now.
    pub entries: u64,
    /// Answered with fresh values.
    pub hits: u64,
    /// What had to be read.
    pub misses: u64,
    /// Answered with values past their time.
    pub stale_served: u64,
}

/// The state of everything that a tenant's answers are made of: the same while nothing of either of its
/// credentials is read, dropped or fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Revision {
    pub(crate) leadlex: u64,
    pub(crate) composio: u64,
    pub(crate) epochs: (u64, u64),
}

impl Revision {
    /// What stays the same while nothing is dropped: executions that began before a drop are not joined after it.
    #[must_use]
    pub fn epochs(&self) -> (u64, u64) {
        self.epochs
    }
}

impl<U: Upstream> UpstreamCache<U> {
    /// An empty cache that is not shared.
    #[must_use]
    pub fn new(settings: CacheSettings, clock: Clock) -> Self {
        Self::with_shared(settings, clock, None)
    }

    pub(super) fn with_shared(settings: CacheSettings, clock: Clock, shared: Option<SharedCache<U>>) -> Self {
        let by_credential = moka::sync::Cache::new(CREDENTIALS_MAX);
        Self { settings, clock, reads: ReadCounts::default(), by_credential, shared, next: AtomicU64::new(1) }
    }

    /// A number that stays the same while nothing of the credential is read, dropped or fails.
    pub fn revision(&self, credential: &Fingerprint<U>) -> u64 {
        self.of(credential).revision.load(Ordering::Acquire)
    }

    /// Has everything of a credential read again before it is served, by the other replicas too. It stays for the case that
    /// this fails.
    pub fn expire(&self, credential: &Fingerprint<U>, cause: ChangeCause) {
        let credential_state = self.of(credential);
        // Whatever the others have heard by then.
        *credential_state.read_from.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        self.invalidate_shared(&credential_state, Some(cause));
        self.expire_here(credential, cause);
    }

    /// The same on this replica alone.
    pub(crate) fn expire_here(&self, credential: &Fingerprint<U>, cause: ChangeCause) {
        let credential_state = self.of(credential);
        credential_state.epoch.store(self.next(), Ordering::Release);
        credential_state.revision.store(self.next(), Ordering::Release);
        credential_state.dropped.send_replace(ExpiryNotice { cause });
    }

    /// From when on what was read of a credential will do, whoever read it.
    pub(crate) fn read_from(&self, credential: &Fingerprint<U>) -> Option<Instant> {
        *self.of(credential).read_from.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn invalidate_shared(&self, credential_state: &CredentialState, cause: Option<ChangeCause>) {
        if let (Some(shared), Some(partition)) = (&self.shared, &credential_state.shared) {
            shared.invalidate(partition, cause);
        }
    }

    /// The partitions of the shared cache, by credential.
    pub(crate) fn partitions(&self) -> Vec<(Fingerprint<U>, Arc<SharedPartition>)> {
        let partition = |(credential, credential_state): (Arc<Fingerprint<U>>, Arc<CredentialState>)| {
            Some((*credential, Arc::clone(credential_state.shared.as_ref()?)))
        };
        self.by_credential.iter().filter_map(partition).collect()
    }

    /// Tells whenever everything of a credential is to be read again.
    pub(crate) fn expiries(&self, credential: &Fingerprint<U>) -> watch::Receiver<ExpiryNotice> {
        self.of(credential).dropped.subscribe()
    }

    /// Has nothing of a credential shown any more that was read before now: its upstream takes the key no longer, as a call
    /// has told that began in this epoch. One that began before the last withdrawal tells nothing of what came after it.
    pub(crate) fn withdraw(&self, credential: &Fingerprint<U>, began: u64) {
        let credential_state = self.of(credential);
        if began < credential_state.shown_from.load(Ordering::Acquire) {
            return;
        }
        // A caller who repeats a wrong key would have all replicas told of it again and again.
        if !credential_state.is_told_refused.swap(true, Ordering::AcqRel) {
            self.invalidate_shared(&credential_state, None);
        }
        self.withdraw_here(credential);
    }

    /// The same on this replica alone.
    pub(crate) fn withdraw_here(&self, credential: &Fingerprint<U>) {
        let credential_state = self.of(credential);
        let epoch = self.next();
        credential_state.shown_from.store(epoch, Ordering::Release);
        credential_state.epoch.store(epoch, Ordering::Release);
        credential_state.revision.store(self.next(), Ordering::Release);
    }

    /// Something of the credential was read: its key opens it.
    pub(crate) fn opened(&self, credential: &Fingerprint<U>) {
        self.of(credential).is_told_refused.store(false, Ordering::Release);
    }

    /// How long a value of this upstream is kept.
    pub(crate) fn ttl(&self) -> Duration {
        match U::NAME {
            UpstreamName::Leadlex => self.settings.providers_ttl(),
            UpstreamName::Composio => self.settings.accounts_ttl(),
        }
    }

    /// Whether what was read in an epoch may be shown.
    pub(crate) fn shows(&self, credential: &Fingerprint<U>, epoch: u64) -> bool {
        epoch >= self.of(credential).shown_from.load(Ordering::Acquire)
    }

    /// How the caches have served a credential.
    pub fn statistics(&self, credential: &Fingerprint<U>) -> CacheStatistics {
        let credential_state = self.of(credential);
        CacheStatistics {
            entries: u64::try_from(credential_state.entries.load(Ordering::Relaxed)).unwrap_or_default(),
            hits: credential_state.hits.load(Ordering::Relaxed),
            misses: credential_state.misses.load(Ordering::Relaxed),
            stale_served: credential_state.stale_served.load(Ordering::Relaxed),
        }
    }

    pub(crate) fn epoch(&self, credential: &Fingerprint<U>) -> u64 {
        self.of(credential).epoch.load(Ordering::Acquire)
    }

    /// Something of the credential is not what it was.
    pub(crate) fn changed(&self, credential: &Fingerprint<U>) {
        self.of(credential).revision.store(self.next(), Ordering::Release);
    }

    pub(crate) fn of(&self, credential: &Fingerprint<U>) -> Arc<CredentialState> {
        self.by_credential.get_with(*credential, || {
            let epoch = self.next();
            Arc::new(CredentialState {
                epoch: epoch.into(),
                shown_from: epoch.into(),
                revision: self.next().into(),
                read_from: Mutex::default(),
                is_told_refused: AtomicBool::new(false),
                shared: self.shared.as_ref().map(|shared| Arc::new(shared.partition(credential))),
                entries: AtomicI64::new(0),
                hits: AtomicU64::new(0),
                misses: AtomicU64::new(0),
                stale_served: AtomicU64::new(0),
                dropped: watch::Sender::new(ExpiryNotice { cause: ChangeCause::Refresh }),
            })
        })
    }

    fn next(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }
}
