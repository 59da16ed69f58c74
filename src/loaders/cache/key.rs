//! Traits of the keys and values of a cache.
//!
//! A cache requires [`CacheKey`] of its keys and [`CacheValue`] of its values. [`Weigh`] gives their sizes, by which
//! the caches are bounded.

use std::fmt::Debug;
use std::hash::Hash;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::domain::credential::Fingerprint;
use crate::domain::upstream_name::Upstream;

/// Approximate memory of a key or value in a cache.
pub trait Weigh {
    /// Returns the approximate size in bytes.
    fn weight_bytes(&self) -> usize;
}

/// Key of a cache entry. It includes the credential that the value was read with, so that no tenant can read the
/// entries of another.
pub trait CacheKey: Weigh + Debug + Hash + Eq + Clone + Send + Sync + 'static {
    /// Upstream of the values.
    type Upstream: Upstream;

    /// Returns the fingerprint of the credential that the value was read with.
    fn credential(&self) -> Fingerprint<Self::Upstream>;
}

/// Value of a cache entry. It is serializable, because other replicas read it from the shared store.
pub trait CacheValue: Weigh + Serialize + DeserializeOwned + Clone + Send + Sync + 'static {}

impl<V: Weigh + Serialize + DeserializeOwned + Clone + Send + Sync + 'static> CacheValue for V {}
