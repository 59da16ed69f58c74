//! State that several replicas of Switchboard share: a store with expiry, leases on work, and messages.
//!
//! Shared state is optional. It is stored on an existing server (Redis, or another that speaks its protocol) behind a
//! small trait ([`store`]). [`Replicas`] is the entry point for the layers above. It bounds each command by a timeout,
//! skips commands while the server is unavailable ([`availability`]), and delivers the messages of other replicas
//! ([`channel`]). Nothing here returns an error to a request: a failed command acts as a cache miss and is counted
//! ([`stats`]).
//!
//! Rejected: a library of distributed locks. Their guarantees need several servers, and a [`lease`] only saves work.

mod availability;
pub mod channel;
pub mod lease;
pub mod quota;
pub mod redis;
pub mod settings;
pub mod stats;
pub mod store;
mod store_client;

use std::sync::Arc;

use tokio::sync::broadcast;

use self::availability::StoreAvailability;
use self::channel::{Channel, ChannelEvent, ChannelMessage, Topic};
use self::lease::{Lease, LeaseAttempt};
use self::quota::{QuotaExchange, QuotaReply};
use self::settings::ReplicaSettings;
pub use self::stats::CommandFailure;
use self::stats::{CommandKind, StoreCounters, StoreStats};
use self::store::{Entry, Store};
use self::store_client::StoreClient;

/// Access to the shared state. Cheap to clone.
#[derive(Clone)]
pub struct Replicas {
    inner: Arc<StoreClient>,
    channel: Arc<Channel>,
}

impl Replicas {
    /// Connects to a store and subscribes to its channel. Must be called within a Tokio runtime.
    #[must_use]
    pub fn start(store: Arc<dyn Store>, settings: ReplicaSettings) -> Self {
        let inner = Arc::new(StoreClient {
            store,
            settings,
            replica_id: format!("{:016x}", fastrand::u64(..)),
            availability: StoreAvailability::default(),
            counters: StoreCounters::default(),
        });
        let channel = Arc::new(Channel::start(&inner));
        Self { inner, channel }
    }

    /// Returns the `[redis]` settings.
    #[must_use]
    pub fn settings(&self) -> &ReplicaSettings {
        &self.inner.settings
    }

    /// Returns the values of some keys, in their order; `None` if the store is unavailable.
    pub async fn get(&self, keys: Vec<String>) -> Option<Vec<Option<Vec<u8>>>> {
        self.inner.run(CommandKind::Get, |store| store.get(keys)).await
    }

    /// Writes entries, each with its lifetime. Returns whether they were written.
    pub async fn set(&self, entries: Vec<Entry>) -> bool {
        self.inner.run(CommandKind::Set, |store| store.set(entries)).await.is_some()
    }

    /// Writes a value if its key is missing. Returns the value that is then stored; `None` if the store is unavailable.
    pub async fn set_if_absent(&self, entry: Entry) -> Option<Vec<u8>> {
        let (key, value) = (entry.key.clone(), entry.value.clone());
        let is_set = self.inner.run(CommandKind::Set, |store| store.set_if_absent(entry)).await?;
        if is_set {
            return Some(value);
        }
        self.get(vec![key]).await?.pop().flatten()
    }

    /// Resets the lifetime of an entry if its value is unchanged. Returns whether it was.
    pub async fn extend(&self, entry: Entry) -> bool {
        self.inner.run(CommandKind::Set, |store| store.extend(entry)).await == Some(true)
    }

    /// Tries to acquire the lease on a key.
    pub async fn acquire_lease(&self, key: String) -> LeaseAttempt {
        // Unique per lease, so that an expired lease of this replica cannot release a later one.
        let value = format!("{}-{:016x}", self.inner.replica_id, fastrand::u64(..)).into_bytes();
        let entry = Entry { key, value, ttl: self.inner.settings.lease_ttl() };
        let lease_entry = entry.clone();
        match self.inner.run(CommandKind::Lease, |store| store.set_if_absent(lease_entry)).await {
            Some(true) => LeaseAttempt::Acquired(Lease::hold(Arc::clone(&self.inner), entry)),
            Some(false) => LeaseAttempt::Taken,
            None => LeaseAttempt::Unavailable,
        }
    }

    /// Exchanges the state of a quota; `None` if the store is unavailable.
    pub async fn exchange_quota(&self, exchange: QuotaExchange) -> Option<QuotaReply> {
        self.inner.run(CommandKind::Quota, |store| store.exchange_quota(exchange)).await
    }

    /// Publishes a message to the other replicas; returns whether the store accepted it. Replicas that could not
    /// receive messages get [`ChannelEvent::Gap`] afterwards.
    pub async fn publish(&self, message: ChannelMessage) -> bool {
        self.inner.publish(Topic::Invalidations, &message).await
    }

    /// Removes a key if its value is unchanged. Returns whether the store was available.
    pub async fn remove(&self, key: String, value: Vec<u8>) -> bool {
        self.inner.run(CommandKind::Set, |store| store.remove(key, value)).await.is_some()
    }

    /// Subscribes to the messages of other replicas. A receiver that falls behind by thousands gets
    /// `RecvError::Lagged`, which means the same as [`ChannelEvent::Gap`].
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<ChannelEvent> {
        self.channel.subscribe()
    }

    /// Returns the statistics for metrics.
    #[must_use]
    pub fn stats(&self) -> StoreStats {
        self.inner.counters.read(self.inner.availability.is_unavailable())
    }

    /// Counts a value that could not be decoded.
    pub fn count_unreadable(&self) {
        self.inner.counters.unreadable();
    }

    /// Counts the result of a lookup.
    pub fn count_lookup(&self, hits: usize, misses: usize) {
        self.inner.counters.looked_up(hits, misses);
    }
}
