//! What a cache takes as a key and as a value.

use std::fmt::Debug;
use std::hash::Hash;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::domain::credential::Fingerprint;
use crate::domain::upstream_name::Upstream;

/// What an entry adds to a cache's weight, about, in bytes.
pub trait Weigh {
    /// Its bytes.
    fn weight_bytes(&self) -> usize;
}

/// What values are kept under: nothing is kept without the credential that it was read with, so that a read
/// across tenants cannot be written.
pub trait CacheKey: Weigh + Debug + Hash + Eq + Clone + Send + Sync + 'static {
    /// Which upstream's values they are.
    type Upstream: Upstream;

    /// Whose they are.
    fn credential(&self) -> Fingerprint<Self::Upstream>;
}

/// What can be kept: other replicas read what this one has written down of it.
pub trait CacheValue: Weigh + Serialize + DeserializeOwned + Clone + Send + Sync + 'static {}

impl<V: Weigh + Serialize + DeserializeOwned + Clone + Send + Sync + 'static> CacheValue for V {}
