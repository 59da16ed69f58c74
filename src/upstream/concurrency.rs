//! How many calls of one credential are under way at once, and how long the next may stand in line.
//!
//! The limit is each credential's own: one tenant's slow upstream takes no place from another. The wait is
//! bounded, as a line that only grows answers nobody. The line is the semaphore's: first come, first served,
//! and whoever hangs up has left it.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

/// The settings of the calls at once of each key at one upstream.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConcurrencySettings {
    /// The most calls at once.
    pub calls_max: u32,
    /// How long a call waits for its place, in milliseconds.
    pub wait_ms: u64,
}

/// The places of one credential.
#[derive(Debug)]
pub(super) struct Places {
    semaphore: Arc<Semaphore>,
    wait: Duration,
}

/// A place; it is free again where this is dropped.
pub(super) type Place = OwnedSemaphorePermit;

impl Places {
    pub(super) fn new(settings: &ConcurrencySettings) -> Self {
        let calls_max = usize::try_from(settings.calls_max).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        Self { semaphore: Arc::new(Semaphore::new(calls_max)), wait: Duration::from_millis(settings.wait_ms) }
    }

    /// Takes a place, and waits for one as long as a call may, or until the deadline; none where none
    /// became free.
    pub(super) async fn take(&self, deadline: Instant) -> Option<Place> {
        let until = deadline.min(Instant::now() + self.wait);
        timeout_at(until, Arc::clone(&self.semaphore).acquire_owned()).await.ok()?.ok()
    }

    /// How many calls are under way or in line, at most `calls_max`: how many places are taken.
    #[cfg(test)]
    fn free(&self) -> usize {
        self.semaphore.available_permits()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_call_waits_its_turn_and_no_longer_than_it_may() {
        let places = Arc::new(Places::new(&ConcurrencySettings { calls_max: 2, wait_ms: 300 }));
        let far = Instant::now() + Duration::from_secs(60);
        let (first, _second) = (places.take(far).await.unwrap(), places.take(far).await.unwrap());

        let began = Instant::now();
        assert!(places.take(far).await.is_none());
        assert_eq!(began.elapsed().as_millis(), 300);
        assert!(places.take(Instant::now() + Duration::from_millis(100)).await.is_none());
        assert_eq!(began.elapsed().as_millis(), 400, "the deadline came first");

        // Those in line are served in order, and one that hangs up is passed over.
        let line = |places: &Arc<Places>| {
            let places = Arc::clone(places);
            tokio::spawn(async move { places.take(far).await.map(|place| (Instant::now(), place)) })
        };
        let gone = line(&places);
        tokio::task::yield_now().await;
        let next = line(&places);
        tokio::task::yield_now().await;
        gone.abort();
        assert!(gone.await.unwrap_err().is_cancelled());
        tokio::time::advance(Duration::from_millis(50)).await;
        drop(first);
        let (served, place) = next.await.unwrap().unwrap();
        assert_eq!((served - began).as_millis(), 450);
        drop(place);
        assert_eq!(places.free(), 1);
    }
}
