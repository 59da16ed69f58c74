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
use super::entries::{Began, Look, Shelf};
use super::freshness::{Accept, Freshness, FreshnessState, Got, Kept};
use super::key::{Keep, Key};
use super::metrics::Read;
use super::shared::fetch::{Arrived, Brought, Landed as Batch, Wanted};
use super::single_flight::{SingleFlight, guarded};
use super::upstream_cache::Holdings;
use crate::domain::upstream_name::Upstream;
use crate::upstream::error::{UpstreamError, UpstreamFailure};
use crate::upstream::quota::Purpose;

/// A cache of one kind of value.
pub struct Cache<K: Key, V> {
    shelf: Arc<Shelf<K, V>>,
    /// With the epoch in which each began: what began before a drop is not given to those who ask after it.
    flights: SingleFlight<(K, u64), Result<Landed<V>, UpstreamError>>,
    kind: &'static str,
    dialect: Arc<str>,
}

/// What a flight has brought.
#[derive(Clone)]
struct Landed<V> {
    kept: Kept<V>,
    /// Whether another replica read it.
    is_shared: bool,
}

impl<K, V> Cache<K, V>
where
    K: Key,
    V: Keep,
{
    /// A cache of one kind of things that weighs at most `limit_bytes`.
    #[must_use]
    pub fn new(holdings: &Arc<Holdings<K::Upstream>>, limit_bytes: u64, kind: &'static str) -> Self {
        let shelf = Arc::new(Shelf::new(Arc::clone(holdings), limit_bytes));
        Self { shelf, flights: SingleFlight::of_fetches(K::Upstream::NAME), kind, dialect: "".into() }
    }

    /// The same of values that depend on something else than their keys, which replicas may have otherwise.
    #[must_use]
    pub fn speaking(self, dialect: impl Into<Arc<str>>) -> Self {
        Self { dialect: dialect.into(), ..self }
    }

    /// Reads keys, all of one credential: what another replica has read, and the rest by `fetch`. Where they are read
    /// to be newer than what is kept, what others had before that will not do.
    pub(crate) async fn read_through<F>(
        &self,
        keys: Vec<K>,
        purpose: Purpose,
        fetch: impl FnOnce(Vec<K>) -> F,
    ) -> Result<Batch<K, V>, UpstreamError>
    where
        F: Future<Output = Result<Vec<Brought<K, V>>, UpstreamError>>,
    {
        let wanted = self.wanted(keys, purpose);
        // Boxed: as in `get`.
        let read = Box::pin(self.shelf.holdings.read(wanted, fetch));
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
        let wanted =
            Wanted { keys: vec![(key, Some(since))], kind: self.kind, dialect: Arc::clone(&self.dialect) };
        let arrived = read_one(&self.shelf.holdings, wanted, fetch).await?;
        Ok((arrived.value, arrived.fetched))
    }

    fn wanted(&self, keys: Vec<K>, purpose: Purpose) -> Wanted<K> {
        let since = |key: &K| match purpose {
            Purpose::Refresh => self.shelf.newer_than(key),
            Purpose::Needed => self.shelf.holdings.read_from(&key.credential()),
        };
        let keys = keys
            .into_iter()
            .map(|key| {
                let since = since(&key);
                (key, since)
            })
            .collect();
        Wanted { keys, kind: self.kind, dialect: Arc::clone(&self.dialect) }
    }

    /// What is kept under a key and within its time.
    pub fn peek(&self, key: &K) -> Option<Kept<V>> {
        self.shelf.peek(key)
    }

    /// Whether a key can be got without waiting.
    pub fn is_at_hand(&self, key: &K) -> bool {
        self.shelf.is_at_hand(key)
    }

    /// What is kept under a key, for those who fetch in batches; whoever is told that a refresh is wanted
    /// is the only one, and is to make it.
    pub(crate) fn look(&self, key: &K) -> Look<V> {
        let look = self.look_first(key);
        let read = match &look {
            Look::Fresh { kept, .. } | Look::Stale { kept, .. } => Read::served(kept.freshness.state),
            Look::Old | Look::Missing => Read::Miss,
        };
        self.shelf.holdings.reads.count(read);
        look
    }

    /// The same, where it is not yet known what will be served.
    fn look_first(&self, key: &K) -> Look<V> {
        let look = self.shelf.look(key);
        let holding = self.shelf.holdings.of(&key.credential());
        let figure = match &look {
            Look::Fresh { .. } => &holding.hits,
            Look::Stale { .. } => &holding.stale_served,
            Look::Old | Look::Missing => &holding.misses,
        };
        figure.fetch_add(1, Ordering::Relaxed);
        look
    }

    /// What a fetch starts with that ends in [`Self::keep`] or [`Self::hold`].
    pub(crate) fn begin(&self, key: &K) -> Began {
        self.shelf.begin(key)
    }

    /// Keeps what a fetch brought, fresh for so long from its beginning.
    pub(crate) fn keep(&self, key: K, value: V, began: Began, fresh_for: Duration) -> Kept<V> {
        self.shelf.store(key, value, began, fresh_for)
    }

    /// Keeps what a fetch brought where it is not to be believed past its time, whatever fails.
    pub(crate) fn keep_briefly(&self, key: K, value: V, began: Began, fresh_for: Duration) -> Kept<V> {
        self.shelf.store_briefly(key, value, began, fresh_for)
    }

    /// Keeps a value that was made of others, as old as they are.
    pub(crate) fn keep_made_of(&self, key: K, value: V, parts: Freshness) {
        self.shelf.store_made_of(key, value, parts);
    }

    /// Puts off the next attempt after a failed fetch, and gives what is served meanwhile.
    pub(crate) fn hold(&self, key: &K, began: Began, error: &UpstreamError) -> Option<Kept<V>> {
        self.shelf.hold(key, began, error)
    }

    /// What it weighs, about: moka weighs insertions and evictions late.
    pub(crate) fn weight_bytes(&self) -> u64 {
        self.shelf.weight_bytes()
    }

    pub(crate) fn dump(&self) -> String
    where
        V: std::fmt::Debug,
    {
        self.shelf.dump()
    }

    #[cfg(test)]
    fn settled(&self) -> (u64, u64) {
        self.shelf.settled()
    }

    /// What is kept under a key, or else what `fetch` brings, once for all who ask meanwhile: the value,
    /// and for how long from the beginning of the fetch it is fresh. The asker waits as long as its operation may.
    ///
    /// # Errors
    /// Those of `fetch`, and of [`UpstreamDeadline::wait`], where nothing is kept that may still be served.
    pub async fn get<F, R>(
        &self,
        key: K,
        accept: Accept,
        deadline: &UpstreamDeadline,
        fetch: F,
    ) -> (Result<Kept<V>, UpstreamError>, Got)
    where
        F: Fn(Purpose) -> R + Send + Sync + 'static,
        R: Future<Output = Result<(V, Duration), UpstreamError>> + Send + 'static,
    {
        let (result, got) = self.get_uncounted(key, accept, deadline, fetch).await;
        let read = match (&result, got) {
            (Ok(kept), Got::Kept) => Read::served(kept.freshness.state),
            // What was to be read again could not be.
            (Ok(kept), _) if kept.freshness.state != FreshnessState::Fresh => {
                Read::served(kept.freshness.state)
            }
            _ => Read::Miss,
        };
        self.shelf.holdings.reads.count(read);
        (result, got)
    }

    async fn get_uncounted<F, R>(
        &self,
        key: K,
        accept: Accept,
        deadline: &UpstreamDeadline,
        fetch: F,
    ) -> (Result<Kept<V>, UpstreamError>, Got)
    where
        F: Fn(Purpose) -> R + Send + Sync + 'static,
        R: Future<Output = Result<(V, Duration), UpstreamError>> + Send + 'static,
    {
        let purpose = match self.look_first(&key) {
            Look::Fresh { kept, refresh } => return self.kept(key, kept, refresh, fetch),
            // What was just seen to fail is not waited for again.
            Look::Stale { kept, refresh, is_held } if accept == Accept::Stale || is_held => {
                return self.kept(key, kept, refresh, fetch);
            }
            Look::Stale { .. } | Look::Old => Purpose::Refresh,
            Look::Missing => Purpose::Needed,
        };
        let landed = || self.peek(&key).map(|kept| Ok(Landed { kept, is_shared: false }));
        let flight = (key.clone(), self.shelf.holdings.epoch(&key.credential()));
        // Boxed: it is moved through several futures, of which each would be as large as the whole fetch.
        let joined = self.flights.join(flight, landed, self.read(key.clone(), purpose, fetch).boxed());
        match deadline.wait(K::Upstream::NAME, joined).await {
            Ok((Ok(Landed { kept, is_shared: true }), Got::Fetched)) => (Ok(kept), Got::Shared),
            Ok((read, got)) => (read.map(|landed| landed.kept), got),
            Err(late) => (self.last_resort(&key).ok_or(late), Got::Fetched),
        }
    }

    /// What may be served of a key where there is no time to read it again.
    pub(crate) fn last_resort(&self, key: &K) -> Option<Kept<V>> {
        self.shelf.last_resort(key)
    }

    fn kept<F, R>(
        &self,
        key: K,
        kept: Kept<V>,
        refresh: bool,
        fetch: F,
    ) -> (Result<Kept<V>, UpstreamError>, Got)
    where
        F: Fn(Purpose) -> R + Send + Sync + 'static,
        R: Future<Output = Result<(V, Duration), UpstreamError>> + Send + 'static,
    {
        if refresh {
            let flight = (key.clone(), self.shelf.holdings.epoch(&key.credential()));
            self.flights.start(flight, self.read(key, Purpose::Refresh, fetch));
        }
        (Ok(kept), Got::Kept)
    }

    /// Fetches, keeps what comes, and where that fails falls back on what is kept.
    fn read<F, R>(
        &self,
        key: K,
        purpose: Purpose,
        fetch: F,
    ) -> impl Future<Output = Result<Landed<V>, UpstreamError>> + Send + 'static
    where
        F: Fn(Purpose) -> R + Send + Sync + 'static,
        R: Future<Output = Result<(V, Duration), UpstreamError>> + Send + 'static,
    {
        let (shelf, wanted) = (Arc::clone(&self.shelf), self.wanted(vec![key.clone()], purpose));
        async move {
            let began = shelf.begin(&key);
            let (again, store) = (wanted.clone(), |arrived: Arrived<V>| {
                let Arrived { value, fetched, fresh_for, is_shared } = arrived;
                let kept = shelf.store(key.clone(), value, began.at(fetched), fresh_for);
                Landed { kept, is_shared }
            });
            let error = match read_one(&shelf.holdings, wanted, fetch(purpose)).await {
                Ok(arrived) => return Ok(store(arrived)),
                Err(error) => error,
            };
            if let Some(kept) = shelf.hold(&key, began, &error) {
                return Ok(Landed { kept, is_shared: false });
            }
            if purpose == Purpose::Refresh && error.is_held() {
                // What was to be refreshed has gone meanwhile: now it is needed.
                return read_one(&shelf.holdings, again, fetch(Purpose::Needed)).await.map(store);
            }
            Err(error)
        }
    }
}

/// A batch of one.
async fn read_one<K: Key, V: Keep>(
    holdings: &Holdings<K::Upstream>,
    wanted: Wanted<K>,
    fetch: impl Future<Output = Result<(V, Duration), UpstreamError>>,
) -> Result<Arrived<V>, UpstreamError> {
    let fetch = async |keys: Vec<K>| {
        let (value, fresh_for) = fetch.await?;
        Ok(keys.into_iter().map(|key| (key, value.clone(), fresh_for)).collect())
    };
    // Boxed: as in `get`.
    let read = Box::pin(holdings.read(wanted, fetch));
    let Batch { arrived, failed } = guarded(K::Upstream::NAME, read.map(Ok)).await?;
    let missing = || UpstreamError::new(K::Upstream::NAME, UpstreamFailure::Internal);
    arrived.into_values().next().ok_or_else(|| failed.unwrap_or_else(missing))
}

#[cfg(test)]
mod tests;
