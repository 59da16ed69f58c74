//! One flight for everybody who wants the same thing at the same moment: a fetch, or an operation's execution.
//!
//! It runs on a task of its own: the client that asked first may hang up, and those who joined it still get
//! their answer. (A cache that polls the fetch inside its first caller leaves the followers hanging there.)

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use tokio::task::JoinError;
use tracing::Instrument as _;

use super::freshness::ValueSource;
use crate::domain::upstream_name::UpstreamName;
use crate::telemetry::traces::{self, Origin};
use crate::upstream::error::{UpstreamError, UpstreamFailure};

/// What ends with its value, and whose trace it is of.
type Flight<T> = (Shared<BoxFuture<'static, T>>, Origin);
type Flights<K, T> = Mutex<HashMap<K, Flight<T>>>;

/// The flights that are under way, by key.
pub(crate) struct SingleFlight<K, T> {
    crashed: Arc<dyn Fn(JoinError) -> T + Send + Sync>,
    flights: Arc<Flights<K, T>>,
}

impl<K, V> SingleFlight<K, Result<V, UpstreamError>>
where
    K: Hash + Eq + Clone + Send + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// Fetches of an upstream; one that panics is an error of its own.
    pub(crate) fn of_fetches(upstream: UpstreamName) -> Self {
        Self::new(move |error| Err(UpstreamError::new(upstream, UpstreamFailure::Internal).caused_by(error)))
    }
}

impl<K, T> SingleFlight<K, T>
where
    K: Hash + Eq + Clone + Send + 'static,
    T: Clone + Send + Sync + 'static,
{
    /// Flights of any kind; `crashed` is what everybody aboard gets where one panics.
    pub(crate) fn new(crashed: impl Fn(JoinError) -> T + Send + Sync + 'static) -> Self {
        Self { crashed: Arc::new(crashed), flights: Arc::default() }
    }

    /// Joins the flight of this key that is under way, or starts it, and says which. `landed` is asked
    /// once more under the lock, for a flight that ended between the caller's look and this one.
    pub(crate) async fn join(
        &self,
        key: K,
        landed: impl FnOnce() -> Option<T>,
        flight: impl Future<Output = T> + Send + 'static,
    ) -> (T, ValueSource) {
        let ((flight, origin), got) = {
            let mut flights = lock(&self.flights);
            if let Some(flight) = flights.get(&key) {
                (flight.clone(), ValueSource::Joined)
            } else if let Some(value) = landed() {
                return (value, ValueSource::Cached);
            } else {
                let flight = self.take_off(key.clone(), flight);
                flights.insert(key, flight.clone());
                (flight, ValueSource::Fetched)
            }
        };
        if got == ValueSource::Joined {
            traces::joined(&origin);
        }
        (flight.await, got)
    }

    /// Starts the flight of this key behind everybody's back, unless it is under way.
    pub(crate) fn start(&self, key: K, flight: impl Future<Output = T> + Send + 'static) {
        if let Entry::Vacant(vacant) = lock(&self.flights).entry(key.clone()) {
            vacant.insert(self.take_off(key, flight));
        }
    }

    fn take_off(&self, key: K, flight: impl Future<Output = T> + Send + 'static) -> Flight<T> {
        let flights = Arc::clone(&self.flights);
        let flight = async move {
            // Made inside the task: a runtime that shuts down drops a new task at once, while the map is locked.
            let _ended = Ended { flights, key };
            flight.await
        };
        // What it logs is told under the name of the request that began it.
        let task = tokio::spawn(traces::carried(flight).in_current_span());
        let crashed = Arc::clone(&self.crashed);
        let flight = async move { task.await.unwrap_or_else(|error| crashed(error)) }.boxed().shared();
        (flight, Origin::here())
    }
}

/// How long one fetch may take in all, whatever it is made of.
const DEADLINE: Duration = Duration::from_secs(60);

/// A fetch that always ends, and whose panic is an error of its own.
pub(crate) async fn guarded<T>(
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
struct Ended<K: Hash + Eq, T> {
    flights: Arc<Flights<K, T>>,
    key: K,
}

impl<K: Hash + Eq, T> Drop for Ended<K, T> {
    fn drop(&mut self) {
        lock(&self.flights).remove(&self.key);
    }
}

/// The map is whole at every step, so a panic elsewhere while it was locked does not matter.
fn lock<K, T>(flights: &Flights<K, T>) -> MutexGuard<'_, HashMap<K, Flight<T>>> {
    flights.lock().unwrap_or_else(PoisonError::into_inner)
}
