//! A map that forgets what is asked for least once its entries weigh too much: for what has no age, as nothing that
//! was fetched is in it, or the whole of it may be old.
//!
//! moka weighs insertions late, up to 64 of them. Of small entries that does not matter; of entries that can be
//! as large as a request allows, 64 could be many times the limit. So what is heavy is weighed at once, and what is
//! heavier than everything may be is not taken.

use std::borrow::Borrow;
use std::hash::Hash;
use std::sync::Arc;

/// An entry is heavy from this part of the limit on.
const HEAVY_PART: u64 = 64;

/// A map of a bounded weight.
pub(crate) struct BoundedMap<K, V> {
    limit_bytes: u64,
    weigh: fn(&K, &V) -> usize,
    entries: moka::sync::Cache<K, V>,
}

impl<K, V> BoundedMap<K, V>
where
    K: Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// A map that weighs at most `limit_bytes`, as `weigh` tells in bytes.
    pub(crate) fn new(limit_bytes: u64, weigh: fn(&K, &V) -> usize) -> Self {
        let entries = moka::sync::Cache::builder()
            .max_capacity(limit_bytes)
            .weigher(move |key, value| u32::try_from(weigh(key, value)).unwrap_or(u32::MAX))
            .build();
        Self { limit_bytes, weigh, entries }
    }

    /// What is kept under a key.
    pub(crate) fn get<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.entries.get(key)
    }

    /// What it weighs, about, in bytes. What was put in or let go of since the last look is weighed first: by itself that waits for
    /// the next use, which may be hours away.
    pub(crate) fn weight_bytes(&self) -> u64 {
        self.entries.run_pending_tasks();
        self.entries.weighted_size()
    }

    /// What it may weigh, in bytes.
    pub(crate) fn limit_bytes(&self) -> u64 {
        self.limit_bytes
    }

    /// Everything that is kept.
    pub(crate) fn all(&self) -> Vec<(Arc<K>, V)> {
        self.entries.iter().collect()
    }

    /// Lets go of everything.
    pub(crate) fn clear(&self) {
        self.entries.invalidate_all();
        self.entries.run_pending_tasks();
    }

    /// Keeps a value, unless it alone weighs too much.
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
        // What is there now, weighed or not.
        map.entries.iter().map(|(_, text)| text.len()).sum()
    }

    #[test]
    fn what_was_put_in_weighs_at_once() {
        let map = BoundedMap::new(10_000, |_: &usize, text: &String| text.len());
        map.insert(1, "x".repeat(7));
        assert_eq!(map.weight_bytes(), 7);
    }

    #[test]
    fn what_is_heavy_never_weighs_more_than_the_limit_not_even_for_a_while() {
        assert!(kept(10_000, [1_000; 50]) <= 10_000);
        assert!(kept(10_000, (0..50).map(|number| number * 200)) <= 10_000);
        assert_eq!(kept(10_000, [10_001]), 0);
        assert_eq!(kept(10_000, [10_000]), 10_000);
        assert_eq!(kept(0, [1; 50]), 0);
    }
}
