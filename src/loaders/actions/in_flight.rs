//! One write at a time for each account: within this replica by a set, between replicas by a lease in the shared store.
//!
//! A second write is refused; it does not wait. The lease is extended while the write runs. If the store is
//! unreachable, only writes of this replica exclude each other. Concurrent writes of other replicas then both reach
//! Composio, as writes of other programs do.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use crate::domain::credential::{Credential, Fingerprint};
use crate::domain::upstream_name::Composio;
use crate::loaders::cache::shared::seal::Seal;
use crate::replicas::Replicas;
use crate::replicas::lease::{Lease, LeaseAttempt};

/// The target of a write: the fingerprint of the credential, which stands for the project, and the account's id. A new
/// account has none yet, so its auth config and user stand for it.
type Target = (Fingerprint<Composio>, Box<str>);

/// The targets of writes in flight.
pub(super) struct InFlight {
    targets: Arc<Mutex<HashSet<Target>>>,
    replicas: Option<Replicas>,
}

/// Exclusive right to write to one target.
pub(super) struct WritePermit {
    targets: Arc<Mutex<HashSet<Target>>>,
    target: Target,
    lease: Option<Lease>,
}

impl InFlight {
    pub(super) fn new(replicas: Option<Replicas>) -> Self {
        Self { targets: Arc::default(), replicas }
    }

    /// Acquires the right to write to a target; `None` if a write to it is in flight, here or on another replica.
    pub(super) async fn acquire(
        &self,
        credential: &Credential<Composio>,
        target: &str,
    ) -> Option<WritePermit> {
        let fingerprint = credential.fingerprint();
        let key: Target = (fingerprint, Box::from(target));
        if !lock(&self.targets).insert(key.clone()) {
            return None;
        }
        let mut permit = WritePermit { targets: Arc::clone(&self.targets), target: key, lease: None };
        if let Some(replicas) = &self.replicas {
            // The lease's key in the store is a keyed hash, so that it does not reveal the user.
            let lease_key = Seal::of(&replicas.settings().key_prefix, &fingerprint).key("action", target);
            match replicas.acquire_lease(lease_key).await {
                LeaseAttempt::Acquired(lease) => permit.lease = Some(lease),
                LeaseAttempt::Taken => return None,
                LeaseAttempt::Unavailable => {}
            }
        }
        Some(permit)
    }
}

impl WritePermit {
    /// Ends the right, and waits until other replicas can acquire it. If the permit is dropped instead, the lease
    /// expires.
    pub(super) async fn release(mut self) {
        if let Some(lease) = self.lease.take() {
            lease.release().await;
        }
    }
}

impl Drop for WritePermit {
    fn drop(&mut self) {
        lock(&self.targets).remove(&self.target);
    }
}

fn lock(targets: &Mutex<HashSet<Target>>) -> std::sync::MutexGuard<'_, HashSet<Target>> {
    targets.lock().unwrap_or_else(PoisonError::into_inner)
}
