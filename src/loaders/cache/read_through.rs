//! A read-through cache: returns a cached value, or fetches it once for all callers that wait for it.
//!
//! [`Cache::get`] is the entry point. [`super::entries`] decides how fresh an entry is (RFC 9111, RFC 5861),
//! [`super::single_flight`] joins equal fetches, and `super::shared` looks up the value in the replicas' store before
//! it calls an upstream. Failures are not cached: they only defer the next fetch.
//!
//! A fetch has the transport's timeout, not the deadline of the operation that started it, because other operations may
//! have joined it. An operation whose deadline passes receives the old value or `UPSTREAM_TIMEOUT`; the late result is
//! cached. Rejected: a fetch that ends with its first caller. It would fail the other callers, or call the upstream a
//! second time.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::time::Instant;

use super::deadline::UpstreamDeadline;
use super::entries::{CacheEntries, CacheLookup, EntryRules};
use super::freshness::{Cached, FreshnessState, StalePolicy, ValueSource};
use super::key::{CacheKey, CacheValue};
use super::metrics::ReadFreshness;
use super::shared::fetch::{BatchRequest, BatchResult, FetchResult, ReadValue};
use super::single_flight::{SingleFlight, run_guarded};
use super::upstream_cache::UpstreamCache;
use crate::domain::upstream_name::Upstream;
use crate::upstream::error::{UpstreamError, UpstreamFailure};
use crate::upstream::quota::Purpose;

/// A cache of one kind of value.
pub struct Cache<K: CacheKey, V> {
    /// The entries, for callers that fetch and store many keys at once.
    pub(crate) entries: Arc<CacheEntries<K, V>>,
    flights: Flights<K, Cached<V>>,
    kind: &'static str,
    variant: Arc<str>,
}

/// In-flight fetches by what they fetch, and its [`CacheEntries::flight_epoch`].
pub(crate) type Flights<K, T> = SingleFlight<(K, u64), Result<FlightResult<T>, UpstreamError>>;

/// Result of a fetch, for all callers that wait for it.
#[derive(Clone)]
pub(crate) struct FlightResult<T> {
    pub(crate) value: T,
    /// Whether other replicas fetched all of it.
    pub(crate) is_shared: bool,
}

impl<T> FlightResult<T> {
    /// Returns the value of a flight for one caller, and its source.
    pub(crate) fn with_source(
        (result, source): (Result<Self, UpstreamError>, ValueSource),
    ) -> (Result<T, UpstreamError>, ValueSource) {
        match (result, source) {
            (Ok(Self { value, is_shared: true }), ValueSource::Fetched) => (Ok(value), ValueSource::Shared),
            (result, source) => (result.map(|result| result.value), source),
        }
    }
}

impl<K, V> Cache<K, V>
where
    K: CacheKey,
    V: CacheValue,
{
    /// Creates a cache of one kind of value that is bounded by `limit_bytes`.
    #[must_use]
    pub fn new(
        upstream_cache: &Arc<UpstreamCache<K::Upstream>>,
        limit_bytes: u64,
        kind: &'static str,
    ) -> Self {
        Self::with_rules(upstream_cache, limit_bytes, kind, EntryRules::of(&upstream_cache.settings))
    }

    /// Creates a cache whose entries have rules of their own.
    pub(crate) fn with_rules(
        upstream_cache: &Arc<UpstreamCache<K::Upstream>>,
        limit_bytes: u64,
        kind: &'static str,
        rules: EntryRules,
    ) -> Self {
        let entries = Arc::new(CacheEntries::new(Arc::clone(upstream_cache), limit_bytes, rules));
        Self { entries, flights: SingleFlight::of_fetches(K::Upstream::NAME), kind, variant: "".into() }
    }

    /// Sets a variant: settings that the values depend on and that may differ between replicas.
    #[must_use]
    pub fn with_variant(self, variant: impl Into<Arc<str>>) -> Self {
        Self { variant: variant.into(), ..self }
    }

    /// Reads keys of one credential: from the shared store if another replica has fetched them, the rest with `fetch`.
    /// For a refresh, the store's value must be newer than the cached one.
    pub(crate) async fn read_through<'f>(
        &self,
        keys: Vec<K>,
        purpose: Purpose,
        fetch: impl FnOnce(Vec<K>) -> BoxFuture<'f, FetchResult<K, V>>,
    ) -> Result<BatchResult<K, V>, UpstreamError> {
        let request = self.request(keys, purpose);
        // Boxed: as in `get`.
        let read = Box::pin(self.entries.upstream_cache.read(request, fetch));
        run_guarded(K::Upstream::NAME, read.map(Ok)).await
    }

    /// Reads a key without this replica's cache. Returns a value that another replica fetched after `since`, or the
    /// result of `fetch`, each with the start of its fetch.
    pub(crate) async fn read_since(
        &self,
        key: K,
        since: Instant,
        fetch: BoxFuture<'_, Result<(V, Duration), UpstreamError>>,
    ) -> Result<(V, Instant), UpstreamError> {
        let request = BatchRequest {
            keys: vec![(key, Some(since))],
            kind: self.kind,
            variant: Arc::clone(&self.variant),
        };
        let read = read_one(&self.entries.upstream_cache, request, fetch).await?;
        Ok((read.value, read.fetched_at))
    }

    fn request(&self, keys: Vec<K>, purpose: Purpose) -> BatchRequest<K> {
        let since = |key: &K| match purpose {
            Purpose::Refresh => self.entries.newer_than(key),
            Purpose::Needed => self.entries.min_fetch_time(key),
        };
        let keys = keys
            .into_iter()
            .map(|key| {
                let since = since(&key);
                (key, since)
            })
            .collect();
        BatchRequest { keys, kind: self.kind, variant: Arc::clone(&self.variant) }
    }

    /// Looks up a key for a caller that fetches in batches. If `refresh` is set, that caller must refresh the key; no
    /// other caller does.
    pub(crate) fn lookup(&self, key: &K) -> CacheLookup<V> {
        let lookup = self.lookup_uncounted(key);
        let read = match &lookup {
            CacheLookup::Fresh { cached, .. } | CacheLookup::Stale { cached, .. } => {
                ReadFreshness::served(cached.freshness.state)
            }
            CacheLookup::StaleIfError | CacheLookup::Missing => ReadFreshness::Miss,
        };
        self.entries.upstream_cache.reads.count(read);
        lookup
    }

    /// Looks up a key without counting the read in the metrics, because its result is not final: [`Self::get`] may
    /// fetch.
    fn lookup_uncounted(&self, key: &K) -> CacheLookup<V> {
        let lookup = self.entries.lookup(key);
        let credential_state = self.entries.upstream_cache.state_of(&key.credential());
        let counter = match &lookup {
            CacheLookup::Fresh { .. } => &credential_state.hits,
            CacheLookup::Stale { .. } => &credential_state.stale_served,
            CacheLookup::StaleIfError | CacheLookup::Missing => &credential_state.misses,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        lookup
    }

    /// Returns the cached value of a key, or fetches it once for all concurrent callers. `fetch` returns the value and
    /// its lifetime, counted from the start of the fetch.
    ///
    /// # Errors
    /// The error of `fetch` or of [`UpstreamDeadline::wait`], if no cached value may be served.
    pub async fn get<F, R>(
        &self,
        key: K,
        stale_policy: StalePolicy,
        deadline: &UpstreamDeadline,
        fetch: F,
    ) -> (Result<Cached<V>, UpstreamError>, ValueSource)
    where
        F: Fn(Purpose) -> R + Send + Sync + 'static,
        R: Future<Output = Result<(V, Duration), UpstreamError>> + Send + 'static,
    {
        let next = match self.lookup_uncounted(&key) {
            CacheLookup::Fresh { cached, refresh } => Ok((cached, refresh)),
            // A fetch now would fail again or is not allowed, so waiting for one is useless.
            CacheLookup::Stale { cached, refresh, is_deferred }
                if stale_policy == StalePolicy::AllowStale || is_deferred =>
            {
                Ok((cached, refresh))
            }
            CacheLookup::Stale { .. } | CacheLookup::StaleIfError => Err(Purpose::Refresh),
            CacheLookup::Missing => Err(Purpose::Needed),
        };
        let flight = |key: &K| (key.clone(), self.entries.flight_epoch(key));
        let (result, source) = match next {
            Ok((cached, refresh)) => {
                if refresh {
                    self.flights.start(flight(&key), self.read(key, Purpose::Refresh, fetch).boxed());
                }
                (Ok(cached), ValueSource::Cached)
            }
            Err(purpose) => {
                let finished =
                    || self.entries.peek(&key).map(|value| Ok(FlightResult { value, is_shared: false }));
                // Boxed, because several other futures contain this one and would all grow by its size.
                let reading = self.read(key.clone(), purpose, fetch).boxed();
                let joined = self.flights.join(flight(&key), finished, reading);
                match deadline.wait(K::Upstream::NAME, joined).await {
                    Ok(flight) => FlightResult::with_source(flight),
                    Err(late) => (self.entries.stale_fallback(&key).ok_or(late), ValueSource::Fetched),
                }
            }
        };
        let read = match (&result, source) {
            (Ok(cached), ValueSource::Cached) => ReadFreshness::served(cached.freshness.state),
            // A cached value was served because the fetch failed.
            (Ok(cached), _) if cached.freshness.state != FreshnessState::Fresh => {
                ReadFreshness::served(cached.freshness.state)
            }
            _ => ReadFreshness::Miss,
        };
        self.entries.upstream_cache.reads.count(read);
        (result, source)
    }

    /// Fetches a value and stores it. If the fetch fails, returns the cached value.
    fn read<F, R>(
        &self,
        key: K,
        purpose: Purpose,
        fetch: F,
    ) -> impl Future<Output = Result<FlightResult<Cached<V>>, UpstreamError>> + Send + 'static
    where
        F: Fn(Purpose) -> R + Send + Sync + 'static,
        R: Future<Output = Result<(V, Duration), UpstreamError>> + Send + 'static,
    {
        let (entries, request) = (Arc::clone(&self.entries), self.request(vec![key.clone()], purpose));
        async move {
            let began = entries.begin(&key);
            let (retry_request, store) = (request.clone(), |read: ReadValue<V>| {
                let ReadValue { value, fetched_at, fresh_for, is_shared } = read;
                let value = entries.store(key.clone(), value, began.with_fetch_time(fetched_at), fresh_for);
                FlightResult { value, is_shared }
            });
            let error = match read_one(&entries.upstream_cache, request, fetch(purpose).boxed()).await {
                Ok(read) => return Ok(store(read)),
                Err(error) => error,
            };
            if let Some(value) = entries.fall_back(&key, began, &error) {
                return Ok(FlightResult { value, is_shared: false });
            }
            if purpose == Purpose::Refresh && error.is_call_held() {
                // The cached value was evicted meanwhile, so this is no longer a refresh: the value is needed.
                return read_one(&entries.upstream_cache, retry_request, fetch(Purpose::Needed).boxed())
                    .await
                    .map(store);
            }
            Err(error)
        }
    }
}

/// Reads a batch of one key. The fetch is boxed, because the futures of a read contain it several times.
async fn read_one<K: CacheKey, V: CacheValue>(
    upstream_cache: &UpstreamCache<K::Upstream>,
    request: BatchRequest<K>,
    fetch: BoxFuture<'_, Result<(V, Duration), UpstreamError>>,
) -> Result<ReadValue<V>, UpstreamError> {
    let fetch = |keys: Vec<K>| {
        let fetch = async {
            let (value, fresh_for) = fetch.await?;
            Ok(keys.into_iter().map(|key| (key, value.clone(), fresh_for)).collect())
        };
        fetch.boxed()
    };
    // Boxed: as in `get`.
    let read = Box::pin(upstream_cache.read(request, fetch));
    let BatchResult { values, error } = run_guarded(K::Upstream::NAME, read.map(Ok)).await?;
    let missing = || UpstreamError::new(K::Upstream::NAME, UpstreamFailure::Internal);
    values.into_values().next().ok_or_else(|| error.unwrap_or_else(missing))
}

#[cfg(test)]
mod tests;
