//! How many calls of one credential, and of all together, are under way at once, and how long the next may stand in line.
//!
//! A call needs a place of its credential's and one of the upstream's, in that order: so no more of one tenant's calls
//! stand in the common line than it has places, and its slow answers fill at most as many of those that all share. The wait
//! is bounded, as a line that only grows answers nobody. The lines are the semaphores': first come, first served, and
//! whoever hangs up has left them. Refreshes stand in them like others: for many of them somebody waits, too, as what is too
//! old to be served is refreshed first.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::settings::Ranges;
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

/// The settings of the calls at once at one upstream.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConcurrencySettings {
    /// The most calls of one key at once.
    pub calls_max: u32,
    /// The most calls of all keys together at once.
    pub all_calls_max: u32,
    /// How long a call waits for its place, in milliseconds.
    pub wait_ms: u64,
}

impl ConcurrencySettings {
    /// Allowed ranges.
    pub(crate) const RANGES: Ranges =
        &[("calls_max", 1..=100_000), ("all_calls_max", 1..=100_000), ("wait_ms", 0..=600_000)];
}

/// The places that all credentials of one upstream share.
#[derive(Debug, Clone)]
pub(super) struct UpstreamConcurrency {
    semaphore: Arc<Semaphore>,
    all: usize,
}

/// The places of one credential.
#[derive(Debug)]
pub(super) struct CredentialConcurrency {
    own: Arc<Semaphore>,
    common: UpstreamConcurrency,
    wait: Duration,
}

/// A place of both kinds; it is free again where this is dropped.
#[must_use]
#[derive(Debug)]
pub(super) struct ConcurrencyPermit {
    _own: OwnedSemaphorePermit,
    _common: OwnedSemaphorePermit,
}

fn semaphore(calls_max: u32) -> Arc<Semaphore> {
    let calls_max = usize::try_from(calls_max).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
    Arc::new(Semaphore::new(calls_max))
}

impl UpstreamConcurrency {
    pub(super) fn new(settings: &ConcurrencySettings) -> Self {
        let semaphore = semaphore(settings.all_calls_max);
        Self { all: semaphore.available_permits(), semaphore }
    }

    /// How many are taken.
    pub(super) fn in_use(&self) -> u64 {
        self.all.saturating_sub(self.semaphore.available_permits()) as u64
    }
}

impl CredentialConcurrency {
    pub(super) fn new(settings: &ConcurrencySettings, common: UpstreamConcurrency) -> Self {
        Self { own: semaphore(settings.calls_max), common, wait: Duration::from_millis(settings.wait_ms) }
    }

    /// Takes a place, and waits for one as long as a call may, or until the deadline; none where none
    /// became free.
    pub(super) async fn acquire(&self, deadline: Instant) -> Option<ConcurrencyPermit> {
        let until = deadline.min(Instant::now() + self.wait);
        let both = async {
            let own = Arc::clone(&self.own).acquire_owned().await.ok()?;
            let common = Arc::clone(&self.common.semaphore).acquire_owned().await.ok()?;
            Some(ConcurrencyPermit { _own: own, _common: common })
        };
        timeout_at(until, both).await.ok()?
    }

    /// How many of its own are free.
    #[cfg(test)]
    fn free(&self) -> usize {
        self.own.available_permits()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_call_waits_its_turn_and_no_longer_than_it_may() {
        let settings = ConcurrencySettings { calls_max: 2, all_calls_max: 9, wait_ms: 300 };
        let places = Arc::new(CredentialConcurrency::new(&settings, UpstreamConcurrency::new(&settings)));
        let far = Instant::now() + Duration::from_secs(60);
        let (first, _second) = (places.acquire(far).await.unwrap(), places.acquire(far).await.unwrap());

        let began = Instant::now();
        assert!(places.acquire(far).await.is_none());
        assert_eq!(began.elapsed().as_millis(), 300);
        assert!(places.acquire(Instant::now() + Duration::from_millis(100)).await.is_none());
        assert_eq!(began.elapsed().as_millis(), 400, "the deadline came first");

        // Those in line are served in order, and one that hangs up is passed over.
        let line = |places: &Arc<CredentialConcurrency>| {
            let places = Arc::clone(places);
            tokio::spawn(async move { places.acquire(far).await.map(|place| (Instant::now(), place)) })
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

    #[tokio::test(start_paused = true)]
    async fn one_credential_fills_its_own_places_and_all_together_those_they_share() {
        let settings = ConcurrencySettings { calls_max: 2, all_calls_max: 3, wait_ms: 300 };
        let common = UpstreamConcurrency::new(&settings);
        let [a, b] = [(); 2].map(|()| CredentialConcurrency::new(&settings, common.clone()));
        let far = Instant::now() + Duration::from_secs(60);
        let mut taken = vec![a.acquire(far).await.unwrap(), a.acquire(far).await.unwrap()];
        assert!(a.acquire(far).await.is_none(), "it has two");
        assert_eq!(common.in_use(), 2);
        taken.push(b.acquire(far).await.unwrap());
        assert!(b.acquire(far).await.is_none(), "it has another, and there is none left");
        assert_eq!((a.free(), b.free(), common.in_use()), (0, 1, 3), "who gave up holds nothing");
        taken.clear();
        assert_eq!((a.free(), b.free(), common.in_use()), (2, 2, 0));
    }
}
