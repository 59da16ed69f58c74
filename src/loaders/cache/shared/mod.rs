//! What replicas have read, shared (L2): a page that one of them has fetched, none of the others fetches while it is fresh.
//!
//! It stands below the cache of each replica and above the upstream's clients, and keeps their contract: a batch of keys goes
//! in, and for each comes a value with its age, or one error for all; whether another replica read it, nothing above knows.
//! [`seal`] is what stands in the store, [`generation`] how all replicas drop what one does, [`fetch`] how the first of
//! them reads and the others wait.
//!
//! A value is there for its fresh time only: what is past it lives on in the caches of the replicas that had it. Where the
//! store is away, everything goes on as if there were none.
//!
//! Moments go between replicas by their own clocks, which are taken to be set (NTP): where they differ by a second, an age can be
//! wrong by that second.

pub(crate) mod fetch;
pub(crate) mod generation;
pub(crate) mod seal;

use std::marker::PhantomData;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use self::generation::State;
use self::seal::Seal;
use crate::domain::credential::Fingerprint;
use crate::domain::upstream_name::Upstream;
use crate::loaders::cache::upstream_cache::Holding;
use crate::replicas::Replicas;

/// What one replica shares of one upstream.
pub(crate) struct Shared<U> {
    replicas: Replicas,
    /// Those with a drop that is not known yet.
    unsent: Mutex<Vec<Arc<Holding>>>,
    /// There is one more of them.
    wake: Arc<Notify>,
    upstream: PhantomData<fn() -> U>,
}

/// What is shared of one credential.
pub(crate) struct SharedPart {
    tag: [u8; 16],
    seal: Seal,
    state: Mutex<State>,
    /// A drop of this replica's is known now.
    sent: Notify,
}

impl<U: Upstream> Shared<U> {
    /// Shares by way of some replicas.
    pub(crate) fn new(replicas: Replicas) -> Self {
        Self { replicas, unsent: Mutex::default(), wake: Arc::default(), upstream: PhantomData }
    }

    /// What is shared of a credential.
    pub(crate) fn part(&self, credential: &Fingerprint<U>) -> SharedPart {
        let seal = Seal::of(&self.replicas.settings().key_prefix, credential);
        SharedPart { tag: credential.tag(), seal, state: Mutex::default(), sent: Notify::new() }
    }
}

impl SharedPart {
    /// Every step leaves the state whole, so a panic elsewhere while it was locked does not matter.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
