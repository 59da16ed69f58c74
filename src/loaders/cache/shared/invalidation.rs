//! Invalidates all data of a credential on all replicas: by a new generation in the store, and by a message.
//!
//! The replica that invalidates writes a new generation and sends a message; the others expire their own caches. A
//! replica that missed the message finds the new generation at its next lookup, or when its connection is restored. A
//! missing generation (the store was emptied, or evicted it) counts as an invalidation, because there may have been
//! one. So does a fetch while the generation was unknown.
//!
//! One task sends the invalidations in order, so that the last one wins, and retries until the store has accepted each.
//! If the store accepts no more values, the task deletes the generation instead. A replica that knows an invalidation
//! which is not in the store yet uses no entries of the store.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{sleep, timeout};

use super::generation::{Comparison, Invalidation};
use super::partition::{SharedCache, SharedPartition, parse};
use super::seal::Generation;
use crate::domain::change::ChangeCause;
use crate::domain::clock::Clock;
use crate::domain::credential::Fingerprint;
use crate::domain::upstream_name::Upstream;
use crate::loaders::cache::upstream_cache::UpstreamCache;
use crate::loaders::settings::CacheSettings;
use crate::replicas::Replicas;
use crate::replicas::channel::{ChannelEvent, ChannelMessage};

/// Delay before an invalidation is sent again, and before missed ones are looked up again.
const RETRY_AFTER: Duration = Duration::from_millis(250);

/// Maximum number of generations that one command reads.
const GENERATIONS_PER_COMMAND: usize = 500;

impl<U: Upstream> UpstreamCache<U> {
    /// Creates a cache that is shared with other replicas, if there are any. It must then be called within a Tokio
    /// runtime. `on_expiry` is called when all entries of a credential expire: by a refresh, a webhook or a mutation.
    #[must_use]
    pub fn sharing(
        settings: CacheSettings,
        clock: Clock,
        replicas: Option<Replicas>,
        on_expiry: impl Fn(&Fingerprint<U>) + Send + Sync + 'static,
    ) -> Arc<Self> {
        let shared = replicas.map(SharedCache::new);
        let upstream_cache = Arc::new(Self::new(settings, clock, shared, Box::new(on_expiry)));
        if let Some(SharedCache { replicas, wake, .. }) = &upstream_cache.shared {
            let (received, wake) = (replicas.subscribe(), Arc::clone(wake));
            let upstream_cache = Arc::downgrade(&upstream_cache);
            tokio::spawn(async move { exchange_invalidations(upstream_cache, received, &wake).await });
        }
        upstream_cache
    }

    /// Waits until all invalidations are sent, but at most for the time that a shutdown has. A replica that misses an
    /// invalidation notices it later by the generation, unless the store was unavailable all the time.
    pub(crate) async fn flush(&self, at_most: Duration) {
        let Some(shared) = &self.shared else { return };
        let flushed = async {
            while !shared.send_all().await {
                sleep(RETRY_AFTER / 10).await;
            }
        };
        let _ = timeout(at_most, flushed).await;
    }

    /// Returns the current generation, given the value that was found in the store. Returns `None` if the store is
    /// unavailable or does not have the newest invalidation. If another replica has invalidated data, this replica's
    /// entries expire.
    pub(super) async fn generation(
        &self,
        credential: &Fingerprint<U>,
        partition: &SharedPartition,
        found: Option<Vec<u8>>,
    ) -> Option<Generation> {
        let stored = partition.current(&self.shared.as_ref()?.replicas, found).await?;
        self.compare(credential, partition, Some(stored)).then_some(stored)
    }

    /// Expires this replica's entries if another replica has invalidated them. Returns whether the store's entries are
    /// usable.
    fn compare(
        &self,
        credential: &Fingerprint<U>,
        partition: &SharedPartition,
        stored: Option<Generation>,
    ) -> bool {
        let compared = partition.lock().compare(stored);
        if compared == Comparison::Invalidated {
            self.expire_here(credential, ChangeCause::Poll);
        }
        compared != Comparison::StoreIsBehind
    }

    fn receive(&self, message: &ChannelMessage) {
        let Ok(invalidation) = serde_json::from_str::<Invalidation>(&message.body) else { return };
        if invalidation.upstream != U::NAME {
            return;
        }
        let mut partitions = self.partitions().into_iter();
        let Some((credential, partition)) = partitions.find(|(_, partition)| partition.tag == message.tag)
        else {
            return;
        };
        let is_new = partition.lock().receive(&invalidation);
        match invalidation.cause {
            _ if !is_new => {}
            Some(cause) => self.expire_here(&credential, cause),
            None => self.withdraw_here(&credential),
        }
    }

    /// Looks up invalidations whose messages were missed. Returns whether the store could be read.
    async fn catch_up(&self) -> bool {
        let Some(shared) = &self.shared else { return true };
        for some in self.partitions().chunks(GENERATIONS_PER_COMMAND) {
            let keys = some.iter().map(|(_, partition)| partition.seal.key_of_generation()).collect();
            let Some(found) = shared.replicas.get(keys).await else { return false };
            for ((credential, partition), found) in some.iter().zip(found) {
                self.compare(credential, partition, parse(found).ok().flatten());
            }
        }
        true
    }
}

/// Sends and receives invalidations as long as the cache exists.
async fn exchange_invalidations<U: Upstream>(
    upstream_cache: Weak<UpstreamCache<U>>,
    mut received: Receiver<ChannelEvent>,
    wake: &tokio::sync::Notify,
) {
    let mut is_behind = false;
    loop {
        let is_settled = {
            let Some(upstream_cache) = upstream_cache.upgrade() else { return };
            let is_sent = match &upstream_cache.shared {
                Some(shared) => shared.send_all().await,
                None => true,
            };
            is_behind = is_behind && !upstream_cache.catch_up().await;
            is_sent && !is_behind
        };
        tokio::select! {
            message = received.recv() => match message {
                Ok(ChannelEvent::Message { message, .. }) => {
                    let Some(upstream_cache) = upstream_cache.upgrade() else { return };
                    upstream_cache.receive(&message);
                }
                Ok(ChannelEvent::Gap) | Err(RecvError::Lagged(_)) => is_behind = true,
                Err(RecvError::Closed) => return,
            },
            () = wake.notified() => {}
            () = sleep(RETRY_AFTER), if !is_settled => {}
        }
    }
}
