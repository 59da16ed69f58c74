//! What was fetched, kept for a while: a TTL on Tokio's clock, a limit in bytes, one fetch a key.
//!
//! moka evicts by weight; whether an entry is still fresh is decided here, as moka's clock is not
//! Tokio's and cannot be paused. Failures are never kept.

use std::hash::Hash;
use std::time::Duration;

use tokio::time::Instant;

use super::single_flight::SingleFlight;
use crate::domain::upstream_name::UpstreamName;
use crate::upstream::error::UpstreamError;

/// What an entry adds to a cache's weight, about, in bytes.
pub trait Weigh {
    /// Its bytes.
    fn weight_bytes(&self) -> usize;
}

/// Where a value came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Got {
    /// It was kept.
    Kept,
    /// Somebody else was fetching it.
    Joined,
    /// It was fetched for this caller.
    Fetched,
}

/// A cache of one kind of value.
pub struct Cache<K, V> {
    entries: moka::sync::Cache<K, Entry<V>>,
    flights: SingleFlight<K, V>,
    ttl: Duration,
}

#[derive(Clone)]
struct Entry<V> {
    value: V,
    fresh_until: Instant,
}

impl<K, V> Cache<K, V>
where
    K: Weigh + Hash + Eq + Clone + Send + Sync + 'static,
    V: Weigh + Clone + Send + Sync + 'static,
{
    /// A cache of one upstream's values, each fresh for `ttl`, that weighs at most `limit_bytes`.
    #[must_use]
    pub fn new(upstream: UpstreamName, ttl: Duration, limit_bytes: u64) -> Self {
        let entries = moka::sync::Cache::builder()
            .max_capacity(limit_bytes)
            .weigher(|key: &K, entry: &Entry<V>| {
                let bytes = key.weight_bytes() + entry.value.weight_bytes() + ENTRY_BYTES;
                u32::try_from(bytes).unwrap_or(u32::MAX)
            })
            // Hygiene only: nothing that is not fresh by Tokio's clock is served.
            .time_to_live(ttl)
            .build();
        Self { entries, flights: SingleFlight::new(upstream), ttl }
    }

    /// What is kept under a key and still fresh.
    pub fn peek(&self, key: &K) -> Option<V> {
        let entry = self.entries.get(key)?;
        (Instant::now() < entry.fresh_until).then_some(entry.value)
    }

    /// Keeps a value that was got on another road.
    pub fn keep(&self, key: K, value: V) {
        self.keep_for(key, value, self.ttl);
    }

    /// Keeps a value for less than the others.
    pub fn keep_for(&self, key: K, value: V, ttl: Duration) {
        store(&self.entries, key, value, ttl);
    }

    /// Drops what is kept under a key.
    pub fn forget(&self, key: &K) {
        self.entries.invalidate(key);
    }

    /// What is kept under a key, or else what `fetch` brings, once for all who ask meanwhile.
    ///
    /// A failure is not kept.
    pub async fn get(
        &self,
        key: K,
        fetch: impl Future<Output = Result<V, UpstreamError>> + Send + 'static,
    ) -> (Result<V, UpstreamError>, Got) {
        if let Some(value) = self.peek(&key) {
            return (Ok(value), Got::Kept);
        }
        let (entries, ttl) = (self.entries.clone(), self.ttl);
        let fetch_and_keep = {
            let key = key.clone();
            async move {
                let value = fetch.await?;
                store(&entries, key, value.clone(), ttl);
                Ok(value)
            }
        };
        self.flights.join(key.clone(), || self.peek(&key), fetch_and_keep).await
    }
}

/// What moka itself keeps of an entry, about.
const ENTRY_BYTES: usize = 128;

fn store<K, V>(entries: &moka::sync::Cache<K, Entry<V>>, key: K, value: V, ttl: Duration)
where
    K: Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    entries.insert(key, Entry { value, fresh_until: Instant::now() + ttl });
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::upstream::error::UpstreamFailure;

    impl Weigh for u32 {
        fn weight_bytes(&self) -> usize {
            4
        }
    }

    impl Weigh for Arc<str> {
        fn weight_bytes(&self) -> usize {
            self.len()
        }
    }

    type Texts = Cache<u32, Arc<str>>;

    fn cache() -> Arc<Texts> {
        Arc::new(Cache::new(UpstreamName::Composio, Duration::from_secs(30), 1 << 20))
    }

    fn failure() -> UpstreamError {
        UpstreamError::new(UpstreamName::Composio, UpstreamFailure::Unavailable)
    }

    /// A fetch that takes a second and counts how often it is made.
    fn counted(
        calls: &Arc<AtomicUsize>,
    ) -> impl Future<Output = Result<Arc<str>, UpstreamError>> + Send + 'static {
        let calls = Arc::clone(calls);
        async move {
            calls.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_secs(1)).await;
            Ok(Arc::from("value"))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_value_is_fetched_once_until_its_time_is_over() {
        let (cache, calls) = (cache(), Arc::new(AtomicUsize::new(0)));
        for _ in 0..3 {
            assert_eq!(&*cache.get(1, counted(&calls)).await.0.unwrap(), "value");
        }
        assert_eq!(calls.load(Ordering::SeqCst), 1);
        tokio::time::advance(Duration::from_secs(30)).await;
        assert!(cache.peek(&1).is_none());
        cache.get(1, counted(&calls)).await.0.unwrap();
        assert_eq!(calls.load(Ordering::SeqCst), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_thousand_who_ask_at_once_make_one_fetch_and_the_first_may_hang_up() {
        let (cache, calls) = (cache(), Arc::new(AtomicUsize::new(0)));
        let first = {
            let (cache, fetch) = (Arc::clone(&cache), counted(&calls));
            tokio::spawn(async move { cache.get(1, fetch).await })
        };
        tokio::task::yield_now().await;
        let followers: Vec<_> = (0..1_000)
            .map(|_| {
                let (cache, fetch) = (Arc::clone(&cache), counted(&calls));
                tokio::spawn(async move { cache.get(1, fetch).await })
            })
            .collect();
        tokio::task::yield_now().await;
        first.abort();
        for follower in followers {
            assert_eq!(&*follower.await.unwrap().0.unwrap(), "value");
        }
        assert_eq!(calls.load(Ordering::SeqCst), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_not_kept_and_a_panic_leaves_the_key_usable() {
        let cache = cache();
        assert!(cache.get(1, async { Err(failure()) }).await.0.is_err());
        let panicked = cache.get(1, async { panic!("in a fetch") }).await.0.unwrap_err();
        assert_eq!(panicked.failure, UpstreamFailure::Internal);
        assert!(!panicked.to_string().contains("in a fetch"));
        assert_eq!(&*cache.get(1, async { Ok(Arc::from("later")) }).await.0.unwrap(), "later");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_kept_stays_under_its_limit() {
        let cache: Texts = Cache::new(UpstreamName::Composio, Duration::from_secs(30), 64 * 1024);
        for key in 0..1_000 {
            cache.keep(key, Arc::from("x".repeat(1_024)));
        }
        cache.entries.run_pending_tasks();
        assert!(cache.entries.weighted_size() <= 64 * 1024);
        assert!(cache.entries.entry_count() > 10);
    }
}
