//! One write at a time for each account: within this replica by a set, between replicas by a lease in the shared store.
//!
//! The lease is extended while the write runs. If the store is unreachable, only writes of this replica are serialized.
//! Composio then decides between concurrent writes, as it does for writes of other programs.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use crate::domain::credential::{Credential, Fingerprint};
use crate::domain::upstream_name::Composio;
use crate::loaders::cache::shared::seal::Seal;
use crate::replicas::Replicas;
use crate::replicas::lease::{Lease, LeaseAttempt};

/// The object of a write: an account of a project, or the user and auth config of a new account.
type Subject = (Fingerprint<Composio>, Box<str>);

/// The subjects of writes in flight.
pub(super) struct InFlight {
    subjects: Arc<Mutex<HashSet<Subject>>>,
    replicas: Option<Replicas>,
}

/// Exclusive right to write to one subject.
pub(super) struct WritePermit {
    subjects: Arc<Mutex<HashSet<Subject>>>,
    subject: Subject,
    lease: Option<Lease>,
}

impl InFlight {
    pub(super) fn new(replicas: Option<Replicas>) -> Self {
        Self { subjects: Arc::default(), replicas }
    }

    /// Acquires the right to write; `None` if a write is in flight, here or on another replica.
    pub(super) async fn acquire(&self, credential: &Credential<Composio>, name: &str) -> Option<WritePermit> {
        let subject = (credential.fingerprint(), Box::from(name));
        if !lock(&self.subjects).insert(subject.clone()) {
            return None;
        }
        let mut permit = WritePermit { subjects: Arc::clone(&self.subjects), subject, lease: None };
        if let Some(replicas) = &self.replicas {
            let seal = Seal::of(&replicas.settings().key_prefix, &credential.fingerprint());
            match replicas.acquire_lease(seal.key("action", name)).await {
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
        lock(&self.subjects).remove(&self.subject);
    }
}

fn lock(subjects: &Mutex<HashSet<Subject>>) -> std::sync::MutexGuard<'_, HashSet<Subject>> {
    subjects.lock().unwrap_or_else(PoisonError::into_inner)
}
