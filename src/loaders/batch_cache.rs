//! A cache of single objects of which one call fetches many: accounts by id, and toolkits by slug.
//!
//! [`BatchCache::get`] is the entry point. It returns cached objects, joins calls in flight, and fetches the rest from
//! its [`BatchSource`].

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::stream::{self, StreamExt};
use tokio::time::Instant;

use super::cache::entries::{CacheLookup, FetchStart};
use super::cache::freshness::{Cached, ValueSource};
use super::cache::key::{CacheKey, CacheValue};
use super::cache::read_through::{Cache, FlightResult, Flights};
use super::cache::shared::fetch::{BatchResult, FetchResult, ReadValue};
use super::cache::single_flight::SingleFlight;
use super::lists::scan::Reader;
use crate::domain::problems::ProblemReports;
use crate::domain::upstream_name::{Composio, UpstreamName};
use crate::upstream::error::{UpstreamError, UpstreamFailure};
use crate::upstream::quota::Purpose;

/// Maximum number of calls of one read that run at once.
const CALLS_AT_ONCE: usize = 8;

/// Fetches the objects of a [`BatchCache`].
pub(crate) trait BatchSource: Send + Sync + 'static {
    type Key: CacheKey<Upstream = Composio>;
    /// An object, or the fact that the upstream does not have it.
    type Value: CacheValue;

    /// Maximum number of objects of one call.
    const CALL_MAX: usize;

    /// Returns the object's name in its key.
    fn name(key: &Self::Key) -> &str;

    /// Describes a call in the trace of an operation.
    fn description(count: usize) -> String;

    /// Whether the upstream does not have the object.
    fn is_missing(value: &Self::Value) -> bool;

    /// Returns the problems of the responses that were searched for the object.
    fn problems(value: &mut Self::Value) -> &mut ProblemReports;

    /// Fetches at most [`Self::CALL_MAX`] objects.
    fn fetch(
        &self,
        reader: &Reader,
        keys: Vec<Self::Key>,
        purpose: Purpose,
    ) -> impl Future<Output = FetchResult<Self::Key, Self::Value>> + Send;

    /// Returns the error with which a read fails without a call, if one is useless now.
    fn paused(&self, _: &Reader) -> Option<UpstreamError> {
        None
    }

    /// Receives the error of each call, or `None` if it succeeded.
    fn called(&self, _: &Reader, _: Option<&UpstreamError>) {}
}

/// Cached objects and the calls in flight.
pub(crate) struct BatchCache<S: BatchSource> {
    pub(crate) source: S,
    pub(crate) cache: Cache<S::Key, S::Value>,
    flights: Flights<Arc<[S::Key]>, Lookups<S>>,
}

/// Key of one call: its keys in order, and the epoch in which it starts.
type CallKey<K> = (Arc<[K]>, u64);

/// The requested objects, each once.
pub(crate) type Lookups<S> =
    Vec<(<S as BatchSource>::Key, Result<Cached<<S as BatchSource>::Value>, UpstreamError>)>;

impl<S: BatchSource> BatchCache<S> {
    pub(crate) fn new(source: S, cache: Cache<S::Key, S::Value>) -> Arc<Self> {
        Arc::new(Self { source, cache, flights: SingleFlight::of_fetches(UpstreamName::Composio) })
    }

    /// Returns objects by their keys, all of the reader's credential.
    pub(crate) async fn get(self: &Arc<Self>, reader: &Reader, keys: Vec<S::Key>) -> Lookups<S> {
        let (mut found, mut needed, mut stale, mut due) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for key in keys {
            match self.cache.lookup(&key) {
                CacheLookup::Fresh { cached, refresh } | CacheLookup::Stale { cached, refresh, .. } => {
                    due.extend(refresh.then(|| key.clone()));
                    found.push((key, Ok(cached)));
                }
                CacheLookup::StaleIfError => stale.push(key),
                CacheLookup::Missing => needed.push(key),
            }
        }
        for call in self.calls(due) {
            let read = Arc::clone(self).read(reader.clone(), Arc::clone(&call.0), Purpose::Refresh).boxed();
            self.flights.start(call, read);
        }
        reader.stats.record_saved_by_cache(found.len());
        // Stale entries are fetched again together with missing ones, which costs no further call.
        let purpose = if needed.is_empty() { Purpose::Refresh } else { Purpose::Needed };
        needed.append(&mut stale);
        reader.stats.record_saved_by_batching(needed.len() - needed.len().div_ceil(S::CALL_MAX));
        if let Some(error) = self.source.paused(reader) {
            found.extend(needed.into_iter().map(|key| (key, Err(error.clone()))));
            return found;
        }
        let calls = self.calls(needed).into_iter().map(|call| self.join(reader, call, purpose));
        let lookups = stream::iter(calls.collect::<Vec<_>>()).buffered(CALLS_AT_ONCE).collect::<Vec<_>>();
        found.extend(lookups.await.into_iter().flatten());
        found
    }

    /// Splits keys into calls. Sorted, so that equal sets of keys make equal calls, which can be joined.
    fn calls(&self, mut keys: Vec<S::Key>) -> Vec<CallKey<S::Key>> {
        keys.sort_unstable_by(|a, b| S::name(a).cmp(S::name(b)));
        keys.dedup();
        let epoch = keys.first().map_or(0, |key| self.cache.entries.flight_epoch(key));
        keys.chunks(S::CALL_MAX).map(|keys| (Arc::from(keys), epoch)).collect()
    }

    async fn join(self: &Arc<Self>, reader: &Reader, call: CallKey<S::Key>, purpose: Purpose) -> Lookups<S> {
        let (keys, entries) = (Arc::clone(&call.0), &self.cache.entries);
        let already_cached = || {
            let cached = |key: &S::Key| Some((key.clone(), Ok(entries.peek(key)?)));
            let value = keys.iter().map(cached).collect::<Option<_>>()?;
            Some(Ok(FlightResult { value, is_shared: false }))
        };
        let started_at = Instant::now();
        let reading = Arc::clone(self).read(reader.clone(), Arc::clone(&keys), purpose).boxed();
        let joined = self.flights.join(call, already_cached, reading);
        let each = |lookup: &dyn Fn(&S::Key) -> Result<_, _>| {
            keys.iter().map(|key| (key.clone(), lookup(key))).collect()
        };
        let (found, source): (Lookups<S>, _) =
            match reader.stats.deadline.wait(UpstreamName::Composio, joined).await {
                Ok(flight) => match FlightResult::with_source(flight) {
                    (Ok(lookups), source) => (lookups, source),
                    (Err(error), source) => (each(&|_| Err(error.clone())), source),
                },
                Err(late) => {
                    let fallback = |key: &_| entries.stale_fallback(key).ok_or_else(|| late.clone());
                    (each(&fallback), ValueSource::Fetched)
                }
            };
        let error = found.iter().find_map(|(_, lookup)| lookup.as_ref().err());
        let description = || S::description(keys.len());
        reader.stats.record_call(UpstreamName::Composio, description, started_at, source, error);
        found
    }

    /// Fetches the objects of one call and caches them. If the fetch of a key fails, its cached entry is returned.
    async fn read(
        self: Arc<Self>,
        reader: Reader,
        keys: Arc<[S::Key]>,
        purpose: Purpose,
    ) -> Result<FlightResult<Lookups<S>>, UpstreamError> {
        let entries = &self.cache.entries;
        let began: Vec<_> = keys.iter().map(|key| entries.begin(key)).collect();
        let fetch = |keys| self.source.fetch(&reader, keys, purpose).boxed();
        let read = self.cache.read_through(keys.to_vec(), purpose, fetch).await;
        let BatchResult { mut values, error: failed } =
            read.unwrap_or_else(|error| BatchResult { values: HashMap::new(), error: Some(error) });
        self.source.called(&reader, failed.as_ref());
        share_equal_reports(values.values_mut().map(|read| S::problems(&mut read.value)));
        let is_shared = failed.is_none() && values.values().all(|value| value.is_shared);
        let no_result = || UpstreamError::new(UpstreamName::Composio, UpstreamFailure::Internal);
        let error = failed.unwrap_or_else(no_result);
        let lookup = |(key, began): (&S::Key, FetchStart)| {
            let lookup = match values.remove(key) {
                Some(read) => Ok(self.store(key.clone(), read, began)),
                None => entries.fall_back(key, began, &error).ok_or_else(|| error.clone()),
            };
            (key.clone(), lookup)
        };
        Ok(FlightResult { value: keys.iter().zip(began).map(lookup).collect(), is_shared })
    }

    fn store(&self, key: S::Key, read: ReadValue<S::Value>, began: FetchStart) -> Cached<S::Value> {
        let ReadValue { value, fetched_at, fresh_for, is_shared: _ } = read;
        let (entries, began) = (&self.cache.entries, began.with_fetch_time(fetched_at));
        match S::is_missing(&value) {
            false => entries.store(key, value, began, fresh_for),
            true => entries.store_fresh_only(key, value, began, fresh_for),
        }
    }
}

/// Makes objects from the same response share one problem report again, so that it is reported once. Objects from the
/// shared store have copies of it.
fn share_equal_reports<'a>(reports: impl Iterator<Item = &'a mut ProblemReports>) {
    let mut unique_reports = ProblemReports::new();
    for problems in reports.flatten() {
        match unique_reports.iter().find(|known| known == &problems) {
            Some(known) => *problems = Arc::clone(known),
            None => unique_reports.push(Arc::clone(problems)),
        }
    }
}
