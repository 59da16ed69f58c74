//! Deduplication of concurrent work: callers with the same key share one fetch or one execution.
//!
//! The entry point is [`SingleFlight::join`]. The loaders' caches and the response cache use it. The work runs in its
//! own task, so that the other callers get the result even if the first one disconnects. Rejected: polling the work
//! inside its first caller, whose disconnect would leave the others waiting.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ahash::RandomState;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use tokio::task::JoinError;

use super::freshness::ValueSource;
use crate::domain::upstream_name::UpstreamName;
use crate::telemetry::request_scope;
use crate::telemetry::traces::{self, SpanOrigin};
use crate::upstream::error::{UpstreamError, UpstreamFailure};

/// The shared future of in-flight work, and the span that started it.
type Flight<T> = (Shared<BoxFuture<'static, T>>, SpanOrigin);
type FlightMap<K, T> = HashMap<K, Flight<T>, RandomState>;

/// In-flight work by key.
pub(crate) struct SingleFlight<K, T> {
    on_panic: Arc<dyn Fn(JoinError) -> T + Send + Sync>,
    flights: Arc<Mutex<FlightMap<K, T>>>,
}

impl<K, V> SingleFlight<K, Result<V, UpstreamError>>
where
    K: Hash + Eq + Clone + Send + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// Creates the map for fetches of an upstream. A fetch that panics results in an internal error.
    pub(crate) fn of_fetches(upstream: UpstreamName) -> Self {
        Self::new(move |error| Err(UpstreamError::new(upstream, UpstreamFailure::Internal).caused_by(error)))
    }
}

impl<K, T> SingleFlight<K, T>
where
    K: Hash + Eq + Clone + Send + 'static,
    T: Clone + Send + Sync + 'static,
{
    /// Creates the map for any kind of work. All callers receive the value of `on_panic` if the work panics.
    pub(crate) fn new(on_panic: impl Fn(JoinError) -> T + Send + Sync + 'static) -> Self {
        Self { on_panic: Arc::new(on_panic), flights: Arc::default() }
    }

    /// Joins the in-flight work of this key or starts it. Returns the value and its source.
    ///
    /// `finished` is called while the map is locked. It returns the value if the work ended after the caller's own
    /// lookup.
    pub(crate) async fn join(
        &self,
        key: K,
        finished: impl FnOnce() -> Option<T>,
        work: BoxFuture<'static, T>,
    ) -> (T, ValueSource) {
        let ((flight, origin), source) = {
            let mut flights = lock(&self.flights);
            if let Some(flight) = flights.get(&key) {
                (flight.clone(), ValueSource::Joined)
            } else if let Some(value) = finished() {
                return (value, ValueSource::Cached);
            } else {
                let flight = self.spawn(key.clone(), work);
                flights.insert(key, flight.clone());
                (flight, ValueSource::Fetched)
            }
        };
        if source == ValueSource::Joined {
            traces::note_join(&origin);
        }
        (flight.await, source)
    }

    /// Starts the work of this key in the background, unless it is in flight.
    pub(crate) fn start(&self, key: K, work: BoxFuture<'static, T>) {
        if let Entry::Vacant(vacant) = lock(&self.flights).entry(key.clone()) {
            vacant.insert(self.spawn(key, work));
        }
    }

    fn spawn(&self, key: K, work: BoxFuture<'static, T>) -> Flight<T> {
        let flights = Arc::clone(&self.flights);
        let work = async move {
            // Created inside the task: a runtime that shuts down drops a new task immediately. The map is
            // locked at that time, so dropping `FlightGuard` there would deadlock.
            let _ended = FlightGuard { flights, key };
            work.await
        };
        let task = request_scope::spawn(work);
        let on_panic = Arc::clone(&self.on_panic);
        let flight = async move { task.await.unwrap_or_else(|error| on_panic(error)) }.boxed().shared();
        (flight, SpanOrigin::current())
    }
}

/// Timeout of a whole fetch, including all its calls.
const FETCH_TIMEOUT: Duration = Duration::from_secs(60);

/// Runs a fetch with a timeout. A panic of the fetch results in an internal error.
pub(crate) async fn run_guarded<T>(
    upstream: UpstreamName,
    fetch: impl Future<Output = Result<T, UpstreamError>>,
) -> Result<T, UpstreamError> {
    let guarded = AssertUnwindSafe(fetch).catch_unwind();
    match tokio::time::timeout(FETCH_TIMEOUT, guarded).await {
        Ok(Ok(fetched)) => fetched,
        Ok(Err(_panic)) => Err(UpstreamError::new(upstream, UpstreamFailure::Internal)),
        Err(_elapsed) => Err(UpstreamError::new(upstream, UpstreamFailure::Timeout)),
    }
}

/// Guard that removes the key from the map when its work ends, even by a panic.
struct FlightGuard<K: Hash + Eq, T> {
    flights: Arc<Mutex<FlightMap<K, T>>>,
    key: K,
}

impl<K: Hash + Eq, T> Drop for FlightGuard<K, T> {
    fn drop(&mut self) {
        lock(&self.flights).remove(&self.key);
    }
}

/// Locks the map. It is consistent at every step, so a poisoned lock is ignored.
fn lock<K, T>(flights: &Mutex<FlightMap<K, T>>) -> MutexGuard<'_, FlightMap<K, T>> {
    flights.lock().unwrap_or_else(PoisonError::into_inner)
}
