//! State per credential that all caches of one upstream share: epoch, revision and statistics.
//!
//! [`UpstreamCache::expire`] expires all entries of a credential at once: it gives the credential a new *epoch*.
//! Entries and in-flight fetches carry the epoch in which their fetch began. An entry of an earlier epoch is fetched
//! again before it is served. *Revisions* are for cached responses: a response is valid while the revision of the data
//! that it depends on is unchanged.
//!
//! If the upstream rejects an API key, `withdraw` starts a new epoch too. Withdrawn entries are never served again, not
//! even if a fetch fails. `shared` sends expiries and withdrawals to the other replicas; `entries` checks the epochs.

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ahash::RandomState;
use quick_cache::{Lifecycle, UnitWeighter};
use tokio::sync::watch;
use tokio::time::Instant;

use super::dependencies::{Dependencies, GROUPS, group};
use super::key::CacheKey;
use super::metrics::ReadCounts;
use super::shared::partition::{SharedCache, SharedPartition};
use crate::domain::bounded_map::options_of_entries;
use crate::domain::change::ChangeCause;
use crate::domain::clock::Clock;
use crate::domain::credential::Fingerprint;
use crate::domain::upstream_name::{Upstream, UpstreamName};
use crate::loaders::settings::CacheSettings;

/// Maximum number of credentials with state. If a state is evicted, the entries of its credential become unusable.
const CREDENTIALS_MAX: u64 = 10_000;

type States<U> =
    quick_cache::sync::Cache<Fingerprint<U>, Arc<CredentialState>, UnitWeighter, RandomState, RetireEvicted>;

/// Retires each state that is evicted.
#[derive(Debug, Clone)]
struct RetireEvicted;

impl<U> Lifecycle<Fingerprint<U>, Arc<CredentialState>> for RetireEvicted {
    type RequestState = ();

    fn on_evict(&self, (): &mut (), _: Fingerprint<U>, state: Arc<CredentialState>) {
        state.data.retire();
    }
}

/// State that all caches of one upstream share.
pub struct UpstreamCache<U> {
    pub(crate) settings: CacheSettings,
    pub(crate) clock: Clock,
    /// Read counts over all credentials.
    pub(crate) reads: ReadCounts,
    by_credential: States<U>,
    /// Cache shared with other replicas; `None` if sharing is off.
    pub(crate) shared: Option<SharedCache<U>>,
    /// Called when all entries of a credential expire.
    on_expiry: ExpiryHook<U>,
    /// Next epoch or revision. Numbers are unique over all credentials, so that a credential whose state was evicted
    /// never gets an earlier number again.
    next_number: AtomicU64,
}

/// Function that is called with a credential whose entries expire.
pub(crate) type ExpiryHook<U> = Box<dyn Fn(&Fingerprint<U>) + Send + Sync>;

/// Cache state of one credential.
pub(crate) struct CredentialState {
    pub(crate) data: Arc<CredentialRevisions>,
    /// First epoch whose entries may be served. Entries of earlier epochs are withdrawn.
    first_served_epoch: AtomicU64,
    /// Time of the last expiry by this replica. A value that was fetched earlier, on any replica, is outdated.
    min_fetch_time: Mutex<Option<Instant>>,
    /// Whether the other replicas were notified that the key is rejected. Reset by a successful read.
    is_rejection_sent: AtomicBool,
    pub(crate) shared: Option<Arc<SharedPartition>>,
    pub(crate) entries: AtomicI64,
    pub(crate) hits: AtomicU64,
    pub(crate) misses: AtomicU64,
    pub(crate) stale_served: AtomicU64,
    /// The cause of the last expiry of all entries.
    expiries: watch::Sender<ChangeCause>,
}

/// Statistics of one credential over all caches of one upstream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CacheStatistics {
    /// Current number of entries.
    pub entries: u64,
    /// Reads served with fresh values.
    pub hits: u64,
    /// Reads that required a fetch.
    pub misses: u64,
    /// Reads served with stale values.
    pub stale_served: u64,
}

/// The numbers that change with the data of a credential. Cached responses hold them.
pub(crate) struct CredentialRevisions {
    epoch: AtomicU64,
    /// Revision of all data of the credential, changed by expiry and withdrawal; [`RETIRED`] after an eviction.
    all: AtomicU64,
    /// Revisions of the groups of keys.
    groups: [AtomicU64; GROUPS],
}

/// The revision of a credential whose state was evicted. Its numbers do not change any more, so no response is valid.
const RETIRED: u64 = u64::MAX;

/// The numbers that change with a caller's data. They are found once; each [`DataState::revision`] then reads them.
#[derive(Clone, Default)]
pub struct DataState {
    pub(crate) leadlex: Option<Arc<CredentialRevisions>>,
    pub(crate) composio: Option<Arc<CredentialRevisions>>,
}

impl DataState {
    /// Returns the current revision of the data in some groups of keys.
    pub(crate) fn revision(&self, dependencies: Dependencies) -> Revision {
        let current = |numbers: &Option<Arc<CredentialRevisions>>, groups| {
            numbers.as_ref().map_or((0, 0), |numbers| numbers.newest(groups))
        };
        let (leadlex, leadlex_epoch) = current(&self.leadlex, dependencies.leadlex);
        let (composio, composio_epoch) = current(&self.composio, dependencies.composio);
        Revision { leadlex, composio, epochs: (leadlex_epoch, composio_epoch) }
    }
}

impl CredentialRevisions {
    /// Returns the newest revision of some groups of keys, and the epoch.
    pub(crate) fn newest(&self, groups: u64) -> (u64, u64) {
        let mut newest = self.all.load(Ordering::Acquire);
        let mut remaining = groups;
        while let Some(revision) = self.groups.get(remaining.trailing_zeros() as usize) {
            newest = newest.max(revision.load(Ordering::Acquire));
            remaining &= remaining - 1;
        }
        (newest, self.epoch.load(Ordering::Acquire))
    }

    /// Invalidates all responses that hold these numbers.
    fn retire(&self) {
        self.all.store(RETIRED, Ordering::Release);
    }
}

/// Revision of the data that a response depends on. It grows when that data is fetched, expired or evicted, or when a
/// fetch fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Revision {
    pub(crate) leadlex: u64,
    pub(crate) composio: u64,
    /// Epochs of both credentials. An execution that began before an expiry is not joined after it.
    pub(crate) epochs: (u64, u64),
}

impl Revision {
    /// Whether the data of this revision has not changed since `earlier`, which is a revision of all data.
    pub(crate) fn is_unchanged_since(&self, earlier: &Self) -> bool {
        let is_retired = self.leadlex == RETIRED || self.composio == RETIRED;
        let is_newer = self.leadlex > earlier.leadlex || self.composio > earlier.composio;
        !is_retired && !is_newer && self.epochs == earlier.epochs
    }
}

impl<U: Upstream> UpstreamCache<U> {
    pub(super) fn new(
        settings: CacheSettings,
        clock: Clock,
        shared: Option<SharedCache<U>>,
        on_expiry: ExpiryHook<U>,
    ) -> Self {
        let options = options_of_entries(CREDENTIALS_MAX);
        let by_credential = States::with_options(options, UnitWeighter, RandomState::new(), RetireEvicted);
        let (reads, next_number) = (ReadCounts::default(), AtomicU64::new(1));
        Self { settings, clock, reads, by_credential, shared, on_expiry, next_number }
    }

    /// Expires all entries of a credential, on all replicas. They are fetched again before they are served, and are the
    /// fallback if that fails.
    pub fn expire(&self, credential: &Fingerprint<U>, cause: ChangeCause) {
        let credential_state = self.state_of(credential);
        // Values that were fetched earlier are rejected even if other replicas have not received the invalidation yet.
        *credential_state.min_fetch_time.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(self.clock.instant_now());
        self.invalidate_shared(&credential_state, Some(cause));
        self.expire_here(credential, cause);
    }

    /// Expires all entries of a credential on this replica only.
    pub(crate) fn expire_here(&self, credential: &Fingerprint<U>, cause: ChangeCause) {
        (self.on_expiry)(credential);
        let credential_state = self.state_of(credential);
        credential_state.data.epoch.store(self.next_number(), Ordering::Release);
        credential_state.data.all.fetch_max(self.next_number(), Ordering::AcqRel);
        credential_state.expiries.send_replace(cause);
    }

    /// Returns the earliest acceptable fetch time for a credential's values, on any replica.
    pub(crate) fn min_fetch_time(&self, credential: &Fingerprint<U>) -> Option<Instant> {
        *self.state_of(credential).min_fetch_time.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn invalidate_shared(&self, credential_state: &CredentialState, cause: Option<ChangeCause>) {
        if let (Some(shared), Some(partition)) = (&self.shared, &credential_state.shared) {
            shared.invalidate(partition, cause);
        }
    }

    /// Returns the partitions of the shared cache, by credential.
    pub(crate) fn partitions(&self) -> Vec<(Fingerprint<U>, Arc<SharedPartition>)> {
        let partition = |(credential, credential_state): (Fingerprint<U>, Arc<CredentialState>)| {
            Some((credential, Arc::clone(credential_state.shared.as_ref()?)))
        };
        self.by_credential.iter().filter_map(partition).collect()
    }

    /// Subscribes to expiries of all entries of a credential: to their causes.
    pub(crate) fn expiries(&self, credential: &Fingerprint<U>) -> watch::Receiver<ChangeCause> {
        self.state_of(credential).expiries.subscribe()
    }

    /// Withdraws all earlier entries of a credential, because the upstream rejects its key. `began` is the epoch in
    /// which the rejected call began. If the entries were withdrawn after that, the call proves nothing about later
    /// reads and is ignored.
    pub(crate) fn withdraw(&self, credential: &Fingerprint<U>, began: u64) {
        let credential_state = self.state_of(credential);
        if began < credential_state.first_served_epoch.load(Ordering::Acquire) {
            return;
        }
        // Only the first rejection notifies the other replicas: a caller may repeat a wrong key many times.
        if !credential_state.is_rejection_sent.swap(true, Ordering::AcqRel) {
            self.invalidate_shared(&credential_state, None);
        }
        self.withdraw_here(credential);
    }

    /// Withdraws all earlier entries of a credential on this replica only.
    pub(crate) fn withdraw_here(&self, credential: &Fingerprint<U>) {
        let credential_state = self.state_of(credential);
        let epoch = self.next_number();
        credential_state.first_served_epoch.store(epoch, Ordering::Release);
        credential_state.data.epoch.store(epoch, Ordering::Release);
        credential_state.data.all.fetch_max(self.next_number(), Ordering::AcqRel);
    }

    /// Records a successful read: the upstream accepts the key of the credential.
    pub(crate) fn record_accepted_key(&self, credential: &Fingerprint<U>) {
        self.state_of(credential).is_rejection_sent.store(false, Ordering::Release);
    }

    /// Returns the lifetime of this upstream's values.
    pub(crate) fn ttl(&self) -> Duration {
        match U::NAME {
            UpstreamName::Leadlex => self.settings.providers_ttl(),
            UpstreamName::Composio => self.settings.accounts_ttl(),
        }
    }

    /// Whether entries of an epoch may be served.
    pub(crate) fn may_serve(&self, credential: &Fingerprint<U>, epoch: u64) -> bool {
        epoch >= self.state_of(credential).first_served_epoch.load(Ordering::Acquire)
    }

    /// Returns the cache statistics of a credential.
    pub fn statistics(&self, credential: &Fingerprint<U>) -> CacheStatistics {
        let credential_state = self.state_of(credential);
        CacheStatistics {
            entries: u64::try_from(credential_state.entries.load(Ordering::Relaxed)).unwrap_or_default(),
            hits: credential_state.hits.load(Ordering::Relaxed),
            misses: credential_state.misses.load(Ordering::Relaxed),
            stale_served: credential_state.stale_served.load(Ordering::Relaxed),
        }
    }

    pub(crate) fn epoch(&self, credential: &Fingerprint<U>) -> u64 {
        self.state_of(credential).data.epoch.load(Ordering::Acquire)
    }

    /// Advances the revision of a key's group, because its entry has changed.
    pub(crate) fn advance_revision<K: CacheKey<Upstream = U>>(&self, key: &K) {
        let state = self.state_of(&key.credential());
        if let Some(revision) = state.data.groups.get(group(key)) {
            revision.fetch_max(self.next_number(), Ordering::AcqRel);
        }
    }

    pub(crate) fn state_of(&self, credential: &Fingerprint<U>) -> Arc<CredentialState> {
        let created = self.by_credential.get_or_insert_with(credential, || {
            let epoch = self.next_number();
            Ok::<_, Infallible>(Arc::new(CredentialState {
                data: Arc::new(CredentialRevisions {
                    epoch: epoch.into(),
                    all: self.next_number().into(),
                    groups: [const { AtomicU64::new(0) }; GROUPS],
                }),
                first_served_epoch: epoch.into(),
                min_fetch_time: Mutex::default(),
                is_rejection_sent: AtomicBool::new(false),
                shared: self.shared.as_ref().map(|shared| Arc::new(shared.partition(credential))),
                entries: AtomicI64::new(0),
                hits: AtomicU64::new(0),
                misses: AtomicU64::new(0),
                stale_served: AtomicU64::new(0),
                expiries: watch::Sender::new(ChangeCause::Refresh),
            }))
        });
        created.unwrap_or_else(|never| match never {})
    }

    fn next_number(&self) -> u64 {
        self.next_number.fetch_add(1, Ordering::AcqRel)
    }
}
