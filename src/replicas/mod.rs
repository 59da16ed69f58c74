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
pub mod redis;
pub mod settings;
pub mod stats;
pub mod store;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast;

use self::availability::StoreAvailability;
use self::channel::{Channel, ChannelEvent, ChannelMessage, Topic};
use self::lease::{Lease, LeaseAttempt};
use self::settings::ReplicaSettings;
use self::stats::{CommandKind, StoreCounters, StoreStats};
use self::store::{Entry, Store, StoreError};

/// Access to the shared state. Cheap to clone.
#[derive(Clone)]
pub struct Replicas {
    inner: Arc<Inner>,
    channel: Arc<Channel>,
}

/// The part that background tasks use too.
struct Inner {
    store: Arc<dyn Store>,
    settings: ReplicaSettings,
    /// Random identifier of this replica.
    replica_id: String,
    availability: StoreAvailability,
    counters: StoreCounters,
}

impl Replicas {
    /// Connects to a store and subscribes to its channel. Must be called within a Tokio runtime.
    #[must_use]
    pub fn start(store: Arc<dyn Store>, settings: ReplicaSettings) -> Self {
        let inner = Arc::new(Inner {
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

    /// Publishes a message in the background. While the store is unavailable, [`Topic::Invalidations`] wait for it and
    /// messages of other topics are lost. Replicas that could not receive messages get [`ChannelEvent::Gap`]
    /// afterwards.
    pub fn publish(&self, message: ChannelMessage) {
        self.channel.publish(message);
    }

    /// Publishes a message and waits for the result. Returns whether the store accepted it.
    pub async fn publish_now(&self, message: ChannelMessage) -> bool {
        self.inner.publish(&message).await
    }

    /// Removes a key if its value is unchanged. Returns whether the store was available.
    pub async fn remove(&self, key: String, value: Vec<u8>) -> bool {
        self.inner.run(CommandKind::Set, |store| store.remove(key, value)).await.is_some()
    }

    /// Subscribes to the messages of other replicas on a topic. A receiver that falls behind by thousands gets
    /// `RecvError::Lagged`, which means the same as [`ChannelEvent::Gap`].
    #[must_use]
    pub fn subscribe(&self, topic: Topic) -> broadcast::Receiver<ChannelEvent> {
        self.channel.subscribe(topic)
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

impl Inner {
    /// Runs a command within the timeout; `None` if it fails or the store is unavailable.
    async fn run<'s, T, F>(
        self: &'s Arc<Self>,
        kind: CommandKind,
        command: impl FnOnce(&'s dyn Store) -> F,
    ) -> Option<T>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        if self.availability.is_unavailable() {
            self.counters.failed(kind, CommandFailure::Unavailable);
            return None;
        }
        let result = self.run_counted(kind, self.settings.timeout(), command(self.store.as_ref())).await;
        result.map_err(|failure| self.on_failure(failure)).ok()
    }

    /// Runs a command within a given timeout, and counts its result.
    async fn run_counted<T>(
        &self,
        kind: CommandKind,
        timeout: Duration,
        command: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, CommandFailure> {
        let result = match tokio::time::timeout(timeout, command).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(StoreError::Refused)) => Err(CommandFailure::Refused),
            Ok(Err(StoreError::Unreachable)) => Err(CommandFailure::Unreachable),
            Ok(Err(StoreError::Unauthenticated)) => Err(CommandFailure::Unauthenticated),
            Err(_elapsed) => Err(CommandFailure::Timeout),
        };
        match &result {
            Ok(_) => self.counters.succeeded(kind),
            Err(failure) => self.counters.failed(kind, *failure),
        }
        result
    }

    /// Marks the store as unavailable, unless it responded with an error.
    fn on_failure(self: &Arc<Self>, failure: CommandFailure) {
        if failure != CommandFailure::Refused && self.availability.mark_unavailable() {
            if self.availability.should_warn() {
                let failure = failure.label();
                tracing::warn!(failure, "Redis is unreachable; continuing without shared state");
            }
            tokio::spawn(availability::wait_for_recovery(Arc::downgrade(self)));
        }
    }
}

/// Reason why a command had no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CommandFailure {
    /// It was not sent, because the store was already marked as unavailable.
    Unavailable,
    /// The response did not arrive in time.
    Timeout,
    /// There is no connection.
    Unreachable,
    /// The server rejects the user name or password.
    Unauthenticated,
    /// The server returned an error: it is full, or permits too little.
    Refused,
}

impl CommandFailure {
    /// Returns the value of the metric label `outcome` and of the log field `failure`.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Unavailable => "away",
            Self::Timeout => "timeout",
            Self::Unreachable => "unreachable",
            Self::Unauthenticated => "locked_out",
            Self::Refused => "refused",
        }
    }
}
