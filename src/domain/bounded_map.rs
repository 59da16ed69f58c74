//! A map bounded by bytes that evicts its least used entries.
//!
//! [`BoundedMap`] wraps a moka cache. It is for values that do not expire, such as validated documents.
//!
//! moka weighs insertions late, up to 64 of them at once. Meanwhile the map may exceed its limit. That is harmless for
//! small entries, but a document can be as large as a request. Heavy entries are therefore weighed at once, and an
//! entry above the limit is not stored.

use std::borrow::Borrow;
use std::hash::Hash;
use std::sync::Arc;

use ahash::RandomState;

/// Divisor of the limit. An entry of more than this part of the limit is heavy.
const HEAVY_PART: u64 = 64;

/// A map with a bounded weight.
pub(crate) struct BoundedMap<K, V> {
    pub(crate) limit_bytes: u64,
    weigh: fn(&K, &V) -> usize,
    entries: moka::sync::Cache<K, V, RandomState>,
}

impl<K, V> BoundedMap<K, V>
where
    K: Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// Creates a map of at most `limit_bytes`. `weigh` returns the bytes of an entry.
    pub(crate) fn new(limit_bytes: u64, weigh: fn(&K, &V) -> usize) -> Self {
        let entries = moka::sync::Cache::builder()
            .max_capacity(limit_bytes)
            .weigher(move |key, value| u32::try_from(weigh(key, value)).unwrap_or(u32::MAX))
            .build_with_hasher(RandomState::new());
        Self { limit_bytes, weigh, entries }
    }

    /// Returns the value of a key.
    pub(crate) fn get<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.entries.get(key)
    }

    /// Returns the approximate weight in bytes. Pending insertions and removals are weighed first: moka would defer
    /// them until the next use, which may be hours away.
    pub(crate) fn weight_bytes(&self) -> u64 {
        self.entries.run_pending_tasks();
        self.entries.weighted_size()
    }

    /// Returns all entries.
    pub(crate) fn all(&self) -> Vec<(Arc<K>, V)> {
        self.entries.iter().collect()
    }

    /// Removes all entries.
    pub(crate) fn clear(&self) {
        self.entries.invalidate_all();
        self.entries.run_pending_tasks();
    }

    /// Stores a value, unless it alone exceeds the limit.
    pub(crate) fn insert(&self, key: K, value: V) {
        let weight = u64::try_from((self.weigh)(&key, &value)).unwrap_or(u64::MAX);
        if weight > self.limit_bytes {
            return;
        }
        self.entries.insert(key, value);
        if weight > self.limit_bytes / HEAVY_PART {
            self.entries.run_pending_tasks();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(limit_bytes: u64, sizes: impl IntoIterator<Item = usize>) -> usize {
        let map = BoundedMap::new(limit_bytes, |_: &usize, text: &String| text.len());
        for (number, size) in sizes.into_iter().enumerate() {
            map.insert(number, "x".repeat(size));
        }
        // All present entries, including those that moka has not weighed yet.
        map.entries.iter().map(|(_, text)| text.len()).sum()
    }

    #[test]
    fn inserted_entries_are_weighed_at_once() {
        let map = BoundedMap::new(10_000, |_: &usize, text: &String| text.len());
        map.insert(1, "x".repeat(7));
        assert_eq!(map.weight_bytes(), 7);
    }

    #[test]
    fn the_limit_holds_even_with_heavy_entries() {
        assert!(kept(10_000, [1_000; 50]) <= 10_000);
        assert!(kept(10_000, (0..50).map(|number| number * 200)) <= 10_000);
        assert_eq!(kept(10_000, [10_001]), 0);
        assert_eq!(kept(10_000, [10_000]), 10_000);
        assert_eq!(kept(0, [1; 50]), 0);
    }
}
