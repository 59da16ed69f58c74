//! Limits the calls in flight, per credential and per upstream, and the time that a call waits for a permit.
//!
//! A call first acquires a permit of its credential, then one of the upstream. One tenant's waiting calls therefore
//! never fill the upstream's queue beyond the tenant's own limit. The wait is bounded, because an ever longer queue
//! serves no client. The semaphores serve waiters in order, and cancelled ones leave the queue. Refreshes wait like
//! other calls, because clients wait for many of them too: data that is too old to be served is refreshed first.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::settings::Ranges;
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

/// Limits of concurrent calls at one upstream.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConcurrencySettings {
    /// Maximum calls in flight per key.
    pub calls_max: u32,
    /// Maximum calls in flight of all keys together.
    pub all_calls_max: u32,
    /// Maximum time a call waits for a permit, in milliseconds.
    pub wait_ms: u64,
}

impl ConcurrencySettings {
    /// Allowed ranges.
    pub(crate) const RANGES: Ranges =
        &[("calls_max", 1..=100_000), ("all_calls_max", 1..=100_000), ("wait_ms", 0..=600_000)];
}

/// Permits that all credentials of one upstream share.
#[derive(Debug, Clone)]
pub(super) struct UpstreamConcurrency {
    semaphore: Arc<Semaphore>,
    all: usize,
}

/// Permits of one credential.
#[derive(Debug)]
pub(super) struct CredentialConcurrency {
    per_credential: Arc<Semaphore>,
    common: UpstreamConcurrency,
    wait: Duration,
}

/// One permit of each kind; dropping it frees both.
#[must_use]
#[derive(Debug)]
pub(super) struct ConcurrencyPermit {
    _credential: OwnedSemaphorePermit,
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

    /// Returns the number of permits in use.
    pub(super) fn in_use(&self) -> u64 {
        self.all.saturating_sub(self.semaphore.available_permits()) as u64
    }
}

impl CredentialConcurrency {
    pub(super) fn new(settings: &ConcurrencySettings, common: UpstreamConcurrency) -> Self {
        Self {
            per_credential: semaphore(settings.calls_max),
            common,
            wait: Duration::from_millis(settings.wait_ms),
        }
    }

    /// Acquires a permit. Waits for the configured time, but not beyond the deadline. Returns `None` if none became
    /// free.
    pub(super) async fn acquire(&self, deadline: Instant) -> Option<ConcurrencyPermit> {
        let until = deadline.min(Instant::now() + self.wait);
        let permits = async {
            let credential_permit = Arc::clone(&self.per_credential).acquire_owned().await.ok()?;
            let common = Arc::clone(&self.common.semaphore).acquire_owned().await.ok()?;
            Some(ConcurrencyPermit { _credential: credential_permit, _common: common })
        };
        timeout_at(until, permits).await.ok()?
    }

    /// Returns the number of free permits of the credential.
    #[cfg(test)]
    fn free(&self) -> usize {
        self.per_credential.available_permits()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn waiting_calls_are_served_in_order_and_time_out() {
        let settings = ConcurrencySettings { calls_max: 2, all_calls_max: 9, wait_ms: 300 };
        let permits = Arc::new(CredentialConcurrency::new(&settings, UpstreamConcurrency::new(&settings)));
        let far = Instant::now() + Duration::from_secs(60);
        let (first, _second) = (permits.acquire(far).await.unwrap(), permits.acquire(far).await.unwrap());

        let began = Instant::now();
        assert!(permits.acquire(far).await.is_none());
        assert_eq!(began.elapsed().as_millis(), 300);
        assert!(permits.acquire(Instant::now() + Duration::from_millis(100)).await.is_none());
        assert_eq!(began.elapsed().as_millis(), 400, "the deadline came first");

        // Waiters are served in order, and a cancelled one is skipped.
        let line = |permits: &Arc<CredentialConcurrency>| {
            let permits = Arc::clone(permits);
            tokio::spawn(async move { permits.acquire(far).await.map(|permit| (Instant::now(), permit)) })
        };
        let gone = line(&permits);
        tokio::task::yield_now().await;
        let next = line(&permits);
        tokio::task::yield_now().await;
        gone.abort();
        assert!(gone.await.unwrap_err().is_cancelled());
        tokio::time::advance(Duration::from_millis(50)).await;
        drop(first);
        let (served, permit) = next.await.unwrap().unwrap();
        assert_eq!((served - began).as_millis(), 450);
        drop(permit);
        assert_eq!(permits.free(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn limits_apply_per_credential_and_in_total() {
        let settings = ConcurrencySettings { calls_max: 2, all_calls_max: 3, wait_ms: 300 };
        let common = UpstreamConcurrency::new(&settings);
        let [a, b] = [(); 2].map(|()| CredentialConcurrency::new(&settings, common.clone()));
        let far = Instant::now() + Duration::from_secs(60);
        let mut taken = vec![a.acquire(far).await.unwrap(), a.acquire(far).await.unwrap()];
        assert!(a.acquire(far).await.is_none(), "the credential has two permits");
        assert_eq!(common.in_use(), 2);
        taken.push(b.acquire(far).await.unwrap());
        assert!(b.acquire(far).await.is_none(), "the shared permits are used up");
        assert_eq!((a.free(), b.free(), common.in_use()), (0, 1, 3), "a cancelled wait holds no permit");
        taken.clear();
        assert_eq!((a.free(), b.free(), common.in_use()), (2, 2, 0));
    }
}
