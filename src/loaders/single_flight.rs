//! One fetch for everybody who wants the same thing at the same moment.
//!
//! The fetch runs on a task of its own: the client that asked first may hang up, and those who
//! joined it still get their answer. (A cache that polls the fetch inside its first caller leaves
//! the followers hanging there.)

use std::collections::HashMap;
use std::hash::Hash;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};

use super::cache::Got;
use crate::domain::upstream_name::UpstreamName;
use crate::upstream::error::{UpstreamError, UpstreamFailure};

type Flight<V> = Shared<BoxFuture<'static, Result<V, UpstreamError>>>;
type Flights<K, V> = Mutex<HashMap<K, Flight<V>>>;

/// The fetches that are under way, by key.
pub(super) struct SingleFlight<K, V> {
    upstream: UpstreamName,
    flights: Arc<Flights<K, V>>,
}

impl<K, V> SingleFlight<K, V>
where
    K: Hash + Eq + Clone + Send + 'static,
    V: Clone + Send + Sync + 'static,
{
    pub(super) fn new(upstream: UpstreamName) -> Self {
        Self { upstream, flights: Arc::default() }
    }

    /// Joins the fetch of this key that is under way, or starts it, and says which. `landed` is asked
    /// once more under the lock, for a flight that ended between the caller's look and this one.
    pub(super) async fn join(
        &self,
        key: K,
        landed: impl FnOnce() -> Option<V>,
        fetch: impl Future<Output = Result<V, UpstreamError>> + Send + 'static,
    ) -> (Result<V, UpstreamError>, Got) {
        let (flight, got) = {
            let mut flights = lock(&self.flights);
            if let Some(flight) = flights.get(&key) {
                (flight.clone(), Got::Joined)
            } else if let Some(value) = landed() {
                return (Ok(value), Got::Kept);
            } else {
                let flight = self.take_off(key.clone(), fetch);
                flights.insert(key, flight.clone());
                (flight, Got::Fetched)
            }
        };
        (flight.await, got)
    }

    /// Starts the fetch of this key behind everybody's back, unless it is under way.
    pub(super) fn start(
        &self,
        key: K,
        fetch: impl Future<Output = Result<V, UpstreamError>> + Send + 'static,
    ) {
        let mut flights = lock(&self.flights);
        if !flights.contains_key(&key) {
            let flight = self.take_off(key.clone(), fetch);
            flights.insert(key, flight);
        }
    }

    fn take_off(
        &self,
        key: K,
        fetch: impl Future<Output = Result<V, UpstreamError>> + Send + 'static,
    ) -> Flight<V> {
        let ended = Ended { flights: Arc::clone(&self.flights), key };
        let task = tokio::spawn(async move {
            let _ended = ended;
            fetch.await
        });
        let upstream = self.upstream;
        async move {
            task.await.unwrap_or_else(|error| {
                Err(UpstreamError::new(upstream, UpstreamFailure::Internal).caused_by(error))
            })
        }
        .boxed()
        .shared()
    }
}

/// How long one fetch may take in all, whatever it is made of.
const DEADLINE: Duration = Duration::from_secs(60);

/// A fetch that always ends, and whose panic is an error of its own.
pub(super) async fn guarded<T>(
    upstream: UpstreamName,
    fetch: impl Future<Output = Result<T, UpstreamError>>,
) -> Result<T, UpstreamError> {
    let guarded = AssertUnwindSafe(fetch).catch_unwind();
    match tokio::time::timeout(DEADLINE, guarded).await {
        Ok(Ok(fetched)) => fetched,
        Ok(Err(_panic)) => Err(UpstreamError::new(upstream, UpstreamFailure::Internal)),
        Err(_elapsed) => Err(UpstreamError::new(upstream, UpstreamFailure::Timeout)),
    }
}

/// Leaves the key usable when its flight ends, by a panic too.
struct Ended<K: Hash + Eq, V> {
    flights: Arc<Flights<K, V>>,
    key: K,
}

impl<K: Hash + Eq, V> Drop for Ended<K, V> {
    fn drop(&mut self) {
        lock(&self.flights).remove(&self.key);
    }
}

/// The map is whole at every step, so a panic elsewhere while it was locked does not matter.
fn lock<K, V>(flights: &Flights<K, V>) -> MutexGuard<'_, HashMap<K, Flight<V>>> {
    flights.lock().unwrap_or_else(PoisonError::into_inner)
}
