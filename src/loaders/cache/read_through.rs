//! What was fetched, kept for a while (RFC 9111, RFC 5861): fresh it is served; past its time it is served
//! while one refresh runs behind; while its upstream fails, or the quota allows no call, it is served up to
//! a last moment. One fetch a key, a limit in bytes.
//!
//! moka evicts by weight; how good an entry still is, is decided in [`super::entries`], as moka's clock is not
//! Tokio's and cannot be paused. Failures are never kept: they only put off the next attempt.
//!
//! A fetch is nobody's own: its calls have the transport's deadline and not that of the operation which began it. Others
//! may have joined it that have more time, and what comes late is there for whoever asks again. Each asker waits for it
//! only until its own operation's time is up, and then has what is old, or `UPSTREAM_TIMEOUT`. (A fetch that ends with its
//! leader would fail the followers for another's reason; one that is begun anew by them would be a second call.)

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::Instant;

use super::deadline::UpstreamDeadline;
use super::entries::{CacheEntries, CacheLookup, FetchStart};
use super::freshness::{Cached, Freshness, FreshnessState, StalePolicy, ValueSource};
use super::key::{CacheKey, CacheValue};
use super::metrics::ReadFreshness;
use super::shared::fetch::{BatchRequest, BatchResult, FetchedValue, ReadValue};
use super::single_flight::{SingleFlight, guarded};
use super::upstream_cache::UpstreamCache;
use crate::domain::upstream_name::Upstream;
use crate::upstream::error::{UpstreamError, UpstreamFailure};
use crate::upstream::quota::Purpose;

/// A cache of one kind of value.
pub struct Cache<K: CacheKey, V> {
    entries: Arc<CacheEntries<K, V>>,
    /// With the epoch in which each began: what began before a drop is not given to those who ask after it.
    flights: SingleFlight<(K, u64), Result<FlightResult<V>, UpstreamError>>,
    kind: &'static str,
    variant: Arc<str>,
}

/// What a flight has brought.
#[derive(Clone)]
struct FlightResult<V> {
    kept: Cached<V>,
    /// Whether another replica read it.
    is_shared: bool,
}

impl<K, V> Cache<K, V>
where
    K: CacheKey,
    V: CacheValue,
{
    /// A cache of one kind of things that weighs at most `limit_bytes`.
    #[must_use]
    pub fn new(
        upstream_cache: &Arc<UpstreamCache<K::Upstream>>,
        limit_bytes: u64,
        kind: &'static str,
    ) -> Self {
        let entries = Arc::new(CacheEntries::new(Arc::clone(upstream_cache), limit_bytes));
        Self { entries, flights: SingleFlight::of_fetches(K::Upstream::NAME), kind, variant: "".into() }
    }

    /// The same of values that depend on something else than their keys, which replicas may have otherwise.
    #[must_use]
    pub fn with_variant(self, variant: impl Into<Arc<str>>) -> Self {
        Self { variant: variant.into(), ..self }
    }

    /// Reads keys, all of one credential: what another replica has read, and the rest by `fetch`. Where they are read
    /// to be newer than what is kept, what others had before that will not do.
    pub(crate) async fn read_through<F>(
        &self,
        keys: Vec<K>,
        purpose: Purpose,
        fetch: impl FnOnce(Vec<K>) -> F,
    ) -> Result<BatchResult<K, V>, UpstreamError>
    where
        F: Future<Output = Result<Vec<FetchedValue<K, V>>, UpstreamError>>,
    {
        let request = self.request(keys, purpose);
        // Boxed: as in `get`.
        let read = Box::pin(self.entries.upstream_cache.read(request, fetch));
        guarded(K::Upstream::NAME, read.map(Ok)).await
    }

    /// Reads a key past what is kept here: what another replica has read since a moment, or what `fetch` brings. Gives the
    /// moment at which reading it began.
    pub(crate) async fn read_since(
        &self,
        key: K,
        since: Instant,
        fetch: impl Future<Output = Result<(V, Duration), UpstreamError>>,
    ) -> Result<(V, Instant), UpstreamError> {
        let request = BatchRequest {
            keys: vec![(key, Some(since))],
            kind: self.kind,
            variant: Arc::clone(&self.variant),
        };
        let arrived = read_one(&self.entries.upstream_cache, request, fetch).await?;
        Ok((arrived.value, arrived.fetched))
    }

    fn request(&self, keys: Vec<K>, purpose: Purpose) -> BatchRequest<K> {
        let since = |key: &K| match purpose {
            Purpose::Refresh => self.entries.newer_than(key),
            Purpose::Needed => self.entries.upstream_cache.read_from(&key.credential()),
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

    /// What is kept under a key and within its time.
    pub fn peek(&self, key: &K) -> Option<Cached<V>> {
        self.entries.peek(key)
    }

    /// Whether a key can be got without waiting.
    pub fn is_available(&self, key: &K) -> bool {
        self.entries.is_available(key)
    }

    /// The cached value of a key, for callers that fetch in batches. A result that asks for a refresh is returned to one caller
    /// only, which must refresh the key.
    pub(crate) fn lookup(&self, key: &K) -> CacheLookup<V> {
        let lookup = self.lookup_uncounted(key);
        let read = match &lookup {
            CacheLookup::Fresh { kept, .. } | CacheLookup::Stale { kept, .. } => {
                ReadFreshness::served(kept.freshness.state)
            }
            CacheLookup::Old | CacheLookup::Missing => ReadFreshness::Miss,
        };
        self.entries.upstream_cache.reads.count(read);
        lookup
    }

    /// The same, where it is not yet known what will be served.
    fn lookup_uncounted(&self, key: &K) -> CacheLookup<V> {
        let lookup = self.entries.lookup(key);
        let credential_state = self.entries.upstream_cache.of(&key.credential());
        let figure = match &lookup {
            CacheLookup::Fresh { .. } => &credential_state.hits,
            CacheLookup::Stale { .. } => &credential_state.stale_served,
            CacheLookup::Old | CacheLookup::Missing => &credential_state.misses,
        };
        figure.fetch_add(1, Ordering::Relaxed);
        lookup
    }

    /// What a fetch starts with that ends in [`Self::store`] or [`Self::defer_retry`].
    pub(crate) fn begin(&self, key: &K) -> FetchStart {
        self.entries.begin(key)
    }

    /// Keeps what a fetch brought, fresh for so long from its beginning.
    pub(crate) fn store(&self, key: K, value: V, began: FetchStart, fresh_for: Duration) -> Cached<V> {
        self.entries.store(key, value, began, fresh_for)
    }

    /// Keeps what a fetch brought where it is not to be believed past its time, whatever fails.
    pub(crate) fn store_fresh_only(
        &self,
        key: K,
        value: V,
        began: FetchStart,
        fresh_for: Duration,
    ) -> Cached<V> {
        self.entries.store_fresh_only(key, value, began, fresh_for)
    }

    /// Keeps a value that was made of others, as old as they are.
    pub(crate) fn store_derived(&self, key: K, value: V, parts: Freshness) {
        self.entries.store_derived(key, value, parts);
    }

    /// Puts off the next attempt after a failed fetch, and gives what is served meanwhile.
    pub(crate) fn defer_retry(&self, key: &K, began: FetchStart, error: &UpstreamError) -> Option<Cached<V>> {
        self.entries.defer_retry(key, began, error)
    }

    /// What it weighs, about: moka weighs insertions and evictions late.
    pub(crate) fn weight_bytes(&self) -> u64 {
        self.entries.weight_bytes()
    }

    pub(crate) fn dump(&self) -> String
    where
        V: std::fmt::Debug,
    {
        self.entries.dump()
    }

    #[cfg(test)]
    fn settled(&self) -> (u64, u64) {
        self.entries.settled()
    }

    /// What is kept under a key, or else what `fetch` brings, once for all who ask meanwhile: the value,
    /// and for how long from the beginning of the fetch it is fresh. The asker waits as long as its operation may.
    ///
    /// # Errors
    /// Those of `fetch`, and of [`UpstreamDeadline::wait`], where nothing is kept that may still be served.
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
        let (result, got) = self.get_uncounted(key, stale_policy, deadline, fetch).await;
        let read = match (&result, got) {
            (Ok(kept), ValueSource::Cached) => ReadFreshness::served(kept.freshness.state),
            // What was to be read again could not be.
            (Ok(kept), _) if kept.freshness.state != FreshnessState::Fresh => {
                ReadFreshness::served(kept.freshness.state)
            }
            _ => ReadFreshness::Miss,
        };
        self.entries.upstream_cache.reads.count(read);
        (result, got)
    }

    async fn get_uncounted<F, R>(
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
        let purpose = match self.lookup_uncounted(&key) {
            CacheLookup::Fresh { kept, refresh } => return self.kept(key, kept, refresh, fetch),
            // What was just seen to fail is not waited for again.
            CacheLookup::Stale { kept, refresh, is_held }
                if stale_policy == StalePolicy::AllowStale || is_held =>
            {
                return self.kept(key, kept, refresh, fetch);
            }
            CacheLookup::Stale { .. } | CacheLookup::Old => Purpose::Refresh,
            CacheLookup::Missing => Purpose::Needed,
        };
        let result = || self.peek(&key).map(|kept| Ok(FlightResult { kept, is_shared: false }));
        let flight = (key.clone(), self.entries.upstream_cache.epoch(&key.credential()));
        // Boxed: it is moved through several futures, of which each would be as large as the whole fetch.
        let joined = self.flights.join(flight, result, self.read(key.clone(), purpose, fetch).boxed());
        match deadline.wait(K::Upstream::NAME, joined).await {
            Ok((Ok(FlightResult { kept, is_shared: true }), ValueSource::Fetched)) => {
                (Ok(kept), ValueSource::Shared)
            }
            Ok((read, got)) => (read.map(|result| result.kept), got),
            Err(late) => (self.stale_fallback(&key).ok_or(late), ValueSource::Fetched),
        }
    }

    /// What may be served of a key where there is no time to read it again.
    pub(crate) fn stale_fallback(&self, key: &K) -> Option<Cached<V>> {
        self.entries.stale_fallback(key)
    }

    fn kept<F, R>(
        &self,
        key: K,
        kept: Cached<V>,
        refresh: bool,
        fetch: F,
    ) -> (Result<Cached<V>, UpstreamError>, ValueSource)
    where
        F: Fn(Purpose) -> R + Send + Sync + 'static,
        R: Future<Output = Result<(V, Duration), UpstreamError>> + Send + 'static,
    {
        if refresh {
            let flight = (key.clone(), self.entries.upstream_cache.epoch(&key.credential()));
            self.flights.start(flight, self.read(key, Purpose::Refresh, fetch));
        }
        (Ok(kept), ValueSource::Cached)
    }

    /// Fetches, keeps what comes, and where that fails falls back on what is kept.
    fn read<F, R>(
        &self,
        key: K,
        purpose: Purpose,
        fetch: F,
    ) -> impl Future<Output = Result<FlightResult<V>, UpstreamError>> + Send + 'static
    where
        F: Fn(Purpose) -> R + Send + Sync + 'static,
        R: Future<Output = Result<(V, Duration), UpstreamError>> + Send + 'static,
    {
        let (entries, request) = (Arc::clone(&self.entries), self.request(vec![key.clone()], purpose));
        async move {
            let began = entries.begin(&key);
            let (again, store) = (request.clone(), |arrived: ReadValue<V>| {
                let ReadValue { value, fetched, fresh_for, is_shared } = arrived;
                let kept = entries.store(key.clone(), value, began.at(fetched), fresh_for);
                FlightResult { kept, is_shared }
            });
            let error = match read_one(&entries.upstream_cache, request, fetch(purpose)).await {
                Ok(arrived) => return Ok(store(arrived)),
                Err(error) => error,
            };
            if let Some(kept) = entries.defer_retry(&key, began, &error) {
                return Ok(FlightResult { kept, is_shared: false });
            }
            if purpose == Purpose::Refresh && error.is_held() {
                // What was to be refreshed has gone meanwhile: now it is needed.
                return read_one(&entries.upstream_cache, again, fetch(Purpose::Needed)).await.map(store);
            }
            Err(error)
        }
    }
}

/// A batch of one.
async fn read_one<K: CacheKey, V: CacheValue>(
    upstream_cache: &UpstreamCache<K::Upstream>,
    request: BatchRequest<K>,
    fetch: impl Future<Output = Result<(V, Duration), UpstreamError>>,
) -> Result<ReadValue<V>, UpstreamError> {
    let fetch = async |keys: Vec<K>| {
        let (value, fresh_for) = fetch.await?;
        Ok(keys.into_iter().map(|key| (key, value.clone(), fresh_for)).collect())
    };
    // Boxed: as in `get`.
    let read = Box::pin(upstream_cache.read(request, fetch));
    let BatchResult { arrived, failed } = guarded(K::Upstream::NAME, read.map(Ok)).await?;
    let missing = || UpstreamError::new(K::Upstream::NAME, UpstreamFailure::Internal);
    arrived.into_values().next().ok_or_else(|| failed.unwrap_or_else(missing))
}

#[cfg(test)]
mod tests;
