//! Leases on work: the first replica that misses a value fetches it, and the others wait for its result.
//!
//! A lease has a short lifetime and is extended while the work runs, however long that is. If its holder dies, the
//! lease expires soon. A lease only saves calls: if two replicas hold one (after a failover, for example), the value is
//! fetched twice.

use std::sync::Arc;

use tokio::task::AbortHandle;

use super::stats::CommandKind;
use super::store::Entry;
use super::store_client::StoreClient;

/// Result of an attempt to acquire a lease.
pub enum LeaseAttempt {
    /// This replica holds the lease until it is dropped.
    Acquired(Lease),
    /// Another holder has it.
    Taken,
    /// The store is unavailable or refuses the command, so other holders are unknown.
    Unavailable,
}

/// A lease that this replica holds. Dropping it stops its extension, and it expires; [`release`](Self::release) ends it
/// at once.
pub struct Lease {
    inner: Arc<StoreClient>,
    entry: Entry,
    extension: AbortHandle,
}

impl Lease {
    pub(super) fn hold(inner: Arc<StoreClient>, entry: Entry) -> Self {
        let (holder, held) = (Arc::clone(&inner), entry.clone());
        let extension = tokio::spawn(async move {
            loop {
                tokio::time::sleep(held.ttl / 3).await;
                let extended = holder.run(CommandKind::Lease, |store| store.extend(held.clone())).await;
                // The lease has expired and may have another holder.
                if extended == Some(false) {
                    return;
                }
            }
        });
        Self { inner, entry, extension: extension.abort_handle() }
    }

    /// Returns the value that is stored under the lease's key while it is held; unique to this lease.
    #[must_use]
    pub fn token(&self) -> &[u8] {
        &self.entry.value
    }

    /// Ends the lease, and waits until the other replicas can see that.
    pub async fn release(self) {
        self.extension.abort();
        let (key, value) = (self.entry.key.clone(), self.entry.value.clone());
        self.inner.run(CommandKind::Lease, |store| store.remove(key, value)).await;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.extension.abort();
    }
}
