//! One credential's part of the shared store: its entries, its generation, and its unsent invalidations.
//!
//! [`SharedPartition`] belongs to the credential's state in `upstream_cache`. `fetch` reads and stores entries through
//! it, and `invalidation` sends its invalidations.

use std::marker::PhantomData;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;

use super::generation::GenerationState;
use super::seal::{Generation, Seal};
use crate::domain::change::ChangeCause;
use crate::domain::credential::Fingerprint;
use crate::domain::upstream_name::Upstream;
use crate::replicas::Replicas;
use crate::replicas::channel::ChannelMessage;
use crate::replicas::store::Entry;

/// Lifetime of a generation that entries depend on. It is longer than any entry's, because an entry without its
/// generation is invalid.
const LONG_TTL: Duration = Duration::from_secs(31 * 86_400);

/// Lifetime of a generation without entries: as long as a fetch may take. A client with an invalid key thus leaves
/// nothing behind in the store.
const SHORT_TTL: Duration = Duration::from_secs(120);

/// One upstream's part of the shared store.
pub(crate) struct SharedCache<U> {
    pub(super) replicas: Replicas,
    /// Partitions with an invalidation that is not sent yet.
    unsent: Mutex<Vec<Arc<SharedPartition>>>,
    /// Notified when a partition is added to `unsent`.
    pub(super) wake: Arc<Notify>,
    upstream: PhantomData<fn() -> U>,
}

/// One credential's part of the shared store.
pub(crate) struct SharedPartition {
    pub(super) tag: [u8; 16],
    pub(super) seal: Seal,
    state: Mutex<GenerationState>,
    /// Notified when an invalidation by this replica was sent.
    sent: Notify,
}

impl<U: Upstream> SharedCache<U> {
    pub(crate) fn new(replicas: Replicas) -> Self {
        Self { replicas, unsent: Mutex::default(), wake: Arc::default(), upstream: PhantomData }
    }

    /// Creates the partition of a credential.
    pub(crate) fn partition(&self, credential: &Fingerprint<U>) -> SharedPartition {
        let seal = Seal::of(&self.replicas.settings().key_prefix, credential);
        SharedPartition { tag: credential.tag(), seal, state: Mutex::default(), sent: Notify::new() }
    }

    /// Invalidates a credential's data for all replicas. From now on, this replica uses none of its stored entries.
    pub(crate) fn invalidate(&self, partition: &Arc<SharedPartition>, cause: Option<ChangeCause>) {
        partition.lock().invalidate(U::NAME, new_generation(), cause);
        let mut unsent = self.unsent.lock().unwrap_or_else(PoisonError::into_inner);
        if !unsent.iter().any(|known| Arc::ptr_eq(known, partition)) {
            unsent.push(Arc::clone(partition));
        }
        drop(unsent);
        self.wake.notify_one();
    }

    /// Sends all invalidations that are not sent yet. Returns whether none is left.
    pub(super) async fn send_all(&self) -> bool {
        let unsent = self.unsent.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for partition in &unsent {
            if partition.send(&self.replicas).await {
                let mut left = self.unsent.lock().unwrap_or_else(PoisonError::into_inner);
                // A later invalidation may have added the partition again.
                left.retain(|known| !Arc::ptr_eq(known, partition) || partition.has_unsent());
                partition.sent.notify_waiters();
            }
        }
        self.unsent.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }
}

impl SharedPartition {
    /// Locks the state. It is consistent after every step, so a poisoned lock is ignored.
    pub(super) fn lock(&self) -> MutexGuard<'_, GenerationState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn has_unsent(&self) -> bool {
        self.lock().unsent.is_some()
    }

    /// Records that data is fetched while the generation is unknown.
    pub(super) fn record_blind_read(&self) {
        self.lock().was_read_blindly = true;
    }

    /// Waits until this replica's invalidation is sent. Returns whether it is.
    pub(super) async fn wait_until_sent(&self, at_most: Duration) -> bool {
        let sent = async {
            loop {
                let sent = self.sent.notified();
                if !self.has_unsent() {
                    return;
                }
                sent.await;
            }
        };
        timeout(at_most, sent).await.is_ok()
    }

    /// Sends an unsent invalidation. Returns whether the store has accepted it.
    async fn send(&self, replicas: &Replicas) -> bool {
        let (invalidation, ttl, before) = {
            let state = self.lock();
            let Some(invalidation) = state.unsent else { return true };
            // A key that was rejected and never accepted before: the store need not remember that for long.
            let is_short = invalidation.cause.is_none() && state.stored_long_term.is_none();
            (invalidation, if is_short { SHORT_TTL } else { LONG_TTL }, state.previous())
        };
        let mut is_stored = replicas.set(vec![self.entry(invalidation.generation, ttl)]).await;
        if !is_stored && let Some(before) = before {
            // A full store can still delete. Without a generation, all entries are invalid.
            is_stored = replicas.remove(self.seal.key_of_generation(), before.to_vec()).await;
        }
        if let Ok(body) = serde_json::to_string(&invalidation) {
            // The message works even if the store has not accepted the generation.
            replicas.publish(ChannelMessage { tag: self.tag, body }).await;
        }
        let mut state = self.lock();
        if is_stored && state.unsent == Some(invalidation) {
            state.unsent = None;
            state.stored_long_term = (ttl == LONG_TTL).then_some(invalidation.generation);
        }
        state.unsent.is_none()
    }

    /// Stores entries of a generation.
    pub(super) async fn put(&self, replicas: &Replicas, entries: Vec<Entry>, generation: Generation) {
        if entries.is_empty() {
            return;
        }
        let is_stored_long_term = self.lock().stored_long_term == Some(generation);
        if !is_stored_long_term && replicas.extend(self.entry(generation, LONG_TTL)).await {
            self.lock().stored_long_term = Some(generation);
        }
        replicas.set(entries).await;
    }

    /// Returns the generation in the store, given the value that was found there. If there was no value, it writes one.
    /// Returns `None` if the store is unavailable.
    pub(super) async fn current(&self, replicas: &Replicas, found: Option<Vec<u8>>) -> Option<Generation> {
        match parse(found) {
            Ok(Some(stored)) => Some(stored),
            Ok(None) => match parse(replicas.set_if_absent(self.entry(new_generation(), SHORT_TTL)).await) {
                Ok(Some(stored)) => Some(stored),
                // The value is not a generation, or the store is unavailable and this write fails too.
                Ok(None) | Err(Unreadable) => self.replace(replicas).await,
            },
            Err(Unreadable) => {
                replicas.count_unreadable();
                self.replace(replicas).await
            }
        }
    }

    /// Overwrites a value that is not a generation.
    async fn replace(&self, replicas: &Replicas) -> Option<Generation> {
        let generation = new_generation();
        replicas.set(vec![self.entry(generation, SHORT_TTL)]).await.then_some(generation)
    }

    fn entry(&self, generation: Generation, ttl: Duration) -> Entry {
        Entry { key: self.seal.key_of_generation(), value: generation.to_vec(), ttl }
    }
}

/// Error: the stored value is not a generation.
pub(super) struct Unreadable;

pub(super) fn parse(found: Option<Vec<u8>>) -> Result<Option<Generation>, Unreadable> {
    found.map(Generation::try_from).transpose().map_err(|_| Unreadable)
}

fn new_generation() -> Generation {
    fastrand::u64(..).to_be_bytes()
}
