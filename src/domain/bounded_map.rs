//! A map with a limit: [`BoundedMap`] evicts the entries that are used least.
//!
//! It wraps a cache of the library `quick_cache`. It is for values that do not expire, such as validated documents, or
//! whose time is in the value. Rejected: moka, which the caches of upstream data use. Its entries can expire by its own
//! clock, which tests cannot stop; it weighs insertions late; and every type of map adds 100 KB of code.

use std::convert::Infallible;
use std::hash::Hash;
use std::sync::Arc;

use ahash::RandomState;
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{Equivalent, Options, OptionsBuilder, Weighter};

/// Assumed bytes of an entry, by which the library sizes its record of evicted keys.
const TYPICAL_ENTRY_BYTES: u64 = 4096;

/// Part of a map of single entries for those that were used again; at first, the oldest ones fill it. The rest is a
/// queue of new entries: one that is not used until it reaches the end is evicted.
const REUSED_PART: f64 = 0.5;

/// The same part of a map that is limited by bytes: most of its entries are large, and few of them are used again.
const REUSED_PART_OF_BYTES: f64 = 0.97;

/// A map with a limit. Clones share their entries.
#[derive(Debug)]
pub(crate) struct BoundedMap<K, V> {
    /// Maximum weight: bytes, or the number of entries.
    pub(crate) limit: u64,
    entries: Arc<Entries<K, V>>,
}

type Entries<K, V> = Cache<K, V, EntryWeighter<K, V>, RandomState>;

/// The weight of an entry.
#[derive(Debug)]
struct EntryWeighter<K, V>(fn(&K, &V) -> usize);

impl<K, V> Clone for BoundedMap<K, V> {
    fn clone(&self) -> Self {
        Self { limit: self.limit, entries: Arc::clone(&self.entries) }
    }
}

impl<K, V> Clone for EntryWeighter<K, V> {
    fn clone(&self) -> Self {
        Self(self.0)
    }
}

impl<K, V> Weighter<K, V> for EntryWeighter<K, V> {
    fn weight(&self, key: &K, value: &V) -> u64 {
        // The library never evicts entries without weight.
        u64::try_from((self.0)(key, value)).unwrap_or(u64::MAX).max(1)
    }
}

impl<K: Hash + Eq + Clone, V: Clone> BoundedMap<K, V> {
    /// Creates a map of at most `limit_bytes`. `weigh` returns the bytes of an entry.
    pub(crate) fn with_limit_bytes(limit_bytes: u64, weigh: fn(&K, &V) -> usize) -> Self {
        Self::new(
            options(limit_bytes, limit_bytes / TYPICAL_ENTRY_BYTES, REUSED_PART_OF_BYTES),
            limit_bytes,
            weigh,
        )
    }

    /// Creates a map of at most `max` entries.
    pub(crate) fn with_max_entries(max: u64) -> Self {
        Self::new(options_of_entries(max), max, |_, _| 1)
    }

    /// Creates a map of the last `max` entries: the oldest is evicted, whether it was used or not.
    pub(crate) fn with_last_entries(max: u64) -> Self {
        Self::new(options(max, max, 0.0), max, |_, _| 1)
    }

    fn new(options: Options, limit: u64, weigh: fn(&K, &V) -> usize) -> Self {
        let (weighter, lifecycle) = (EntryWeighter(weigh), DefaultLifecycle::default());
        let entries = Cache::with_options(options, weighter, RandomState::new(), lifecycle);
        Self { limit, entries: Arc::new(entries) }
    }

    /// Returns the value of a key.
    pub(crate) fn get<Q>(&self, key: &Q) -> Option<V>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.entries.get(key)
    }

    /// Returns the value of a key; creates it if the key is new. Concurrent calls with the same key share the value of
    /// one of them.
    pub(crate) fn get_or_insert_with(&self, key: &K, create: impl FnOnce() -> V) -> V {
        let value = self.entries.get_or_insert_with(key, || Ok::<_, Infallible>(create()));
        value.unwrap_or_else(|never| match never {})
    }

    /// Stores a value, unless it alone exceeds 97 % of the limit. Others are evicted as necessary before this returns.
    pub(crate) fn insert(&self, key: K, value: V) {
        self.entries.insert(key, value);
    }

    /// Removes an entry.
    pub(crate) fn remove<Q>(&self, key: &Q)
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.entries.remove(key);
    }

    /// Returns the weight of all entries.
    pub(crate) fn weight(&self) -> u64 {
        self.entries.weight()
    }

    /// Returns all entries.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (K, V)> {
        self.entries.iter()
    }

    /// Removes all entries.
    pub(crate) fn clear(&self) {
        self.entries.clear();
    }
}

/// Returns the options of a map of at most `max` entries.
pub(crate) fn options_of_entries(max: u64) -> Options {
    // With room for one entry only, each further entry would be evicted at once.
    let max = if max == 0 { 0 } else { max.max(2) };
    options(max, max, REUSED_PART)
}

#[expect(clippy::expect_used, reason = "only the capacities, which are set, are required")]
fn options(limit: u64, typical_entries: u64, reused_part: f64) -> Options {
    OptionsBuilder::new()
        // One shard: each of several would have a part of the limit, and reject entries that are heavier than its part.
        .shards(1)
        .weight_capacity(limit)
        .estimated_items_capacity(usize::try_from(typical_entries).unwrap_or(usize::MAX))
        .hot_allocation(reused_part)
        .build()
        .expect("complete options")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(limit_bytes: u64, sizes: impl IntoIterator<Item = usize>) -> usize {
        let map = BoundedMap::with_limit_bytes(limit_bytes, |_: &usize, text: &String| text.len());
        for (number, size) in sizes.into_iter().enumerate() {
            map.insert(number, "x".repeat(size));
        }
        map.iter().map(|(_, text)| text.len()).sum()
    }

    #[test]
    fn the_limit_holds_after_every_insertion() {
        assert_eq!(kept(10_000, [7]), 7);
        assert!(kept(10_000, [1_000; 50]) <= 10_000);
        assert!(kept(10_000, (0..50).map(|number| number * 200)) <= 10_000);
        assert_eq!(kept(10_000, [9_700]), 9_700);
        assert_eq!(kept(10_000, [9_701]), 0);
        assert_eq!(kept(0, [1; 50]), 0);
    }

    #[test]
    fn a_full_map_stores_new_entries_and_keeps_those_that_are_used() {
        for max in [2, 3, 100] {
            let map = BoundedMap::with_max_entries(max);
            for number in 0..1_000 {
                assert_eq!(map.get_or_insert_with(&number, || number), number);
                assert_eq!(map.get(&number), Some(number), "{number} of {max}");
                if max > 2 {
                    assert_eq!(map.get(&0), Some(0), "{number} of {max}");
                }
            }
            assert_eq!(map.weight(), max);
        }
    }

    #[test]
    fn an_entry_that_was_used_once_stays_for_half_of_the_limit() {
        let map = BoundedMap::with_max_entries(100);
        for number in 0..1_000 {
            map.get_or_insert_with(&number, || ());
            assert_eq!(map.get_or_insert_with(&(number.max(49) - 49), || ()), (), "{number}");
            assert!(map.weight() <= 100);
        }
        for number in 951..1_000 {
            assert!(map.get(&number).is_some(), "{number}");
        }
    }

    #[test]
    fn the_last_entries_stay_even_if_others_were_used() {
        let map = BoundedMap::with_last_entries(100);
        for number in 0..1_000 {
            map.get_or_insert_with(&number, || ());
            map.get(&0);
            for recent in number.max(97) - 97..=number {
                assert!(map.entries.peek(&recent).is_some(), "{recent} after {number}");
            }
        }
    }

    #[test]
    fn a_value_is_created_once() {
        let map = BoundedMap::with_max_entries(10);
        assert_eq!(
            (map.get_or_insert_with(&1, || "first"), map.get_or_insert_with(&1, || "second")),
            ("first", "first")
        );
        map.remove(&1);
        assert_eq!(map.get_or_insert_with(&1, || "third"), "third");
    }
}
