//! Availability of the shared store.
//!
//! The first failed command marks the store as unavailable. Commands are then skipped, and a background task pings the
//! store until it responds within the normal command timeout; a store that is merely slow stays marked. The first ping
//! is sent at once, because a single timeout can be this machine's own fault. If the store keeps failing again, the
//! first ping is delayed more and more. An error response counts as available.
//!
//! Rejected: a circuit breaker that lets requests through as probes, which would cost each of them a timeout.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// Delay between two pings of an unavailable store.
pub(super) const PING_INTERVAL: Duration = Duration::from_millis(250);

/// Time after a recovery within which another failure counts as flapping. The first ping is then delayed by
/// [`FLAPPING_DELAY`], doubled with each repetition up to [`FLAPPING_DELAY_MAX`].
const FLAPPING_WINDOW: Duration = Duration::from_secs(10);
const FLAPPING_DELAY: Duration = Duration::from_millis(250);
const FLAPPING_DELAY_MAX: Duration = Duration::from_secs(4);

/// Minimum time between two warnings about an unavailable store.
const WARNING_INTERVAL: Duration = Duration::from_secs(60);

/// Whether the store is available, and when that last changed.
#[derive(Debug, Default)]
pub(super) struct StoreAvailability {
    is_unavailable: watch::Sender<bool>,
    /// Consecutive failures within [`FLAPPING_WINDOW`] of a recovery.
    flaps: AtomicU32,
    recovered_at: Mutex<Option<Instant>>,
    warned_at: Mutex<Option<Instant>>,
    /// Whether the log has a warning about an outage and not yet its end.
    is_warning_open: AtomicBool,
}

impl StoreAvailability {
    pub(super) fn is_unavailable(&self) -> bool {
        *self.is_unavailable.borrow()
    }

    /// Returns a receiver for tasks that wait for the recovery.
    pub(super) fn subscribe(&self) -> watch::Receiver<bool> {
        self.is_unavailable.subscribe()
    }

    /// Marks the store as unavailable. Returns whether it was available until now.
    pub(super) fn mark_unavailable(&self) -> bool {
        self.is_unavailable.send_if_modified(|is_unavailable| !std::mem::replace(is_unavailable, true))
    }

    /// Returns the delay before the first ping.
    pub(super) fn first_ping_delay(&self) -> Duration {
        let recovered_at = *self.recovered_at.lock().unwrap_or_else(PoisonError::into_inner);
        if recovered_at.is_none_or(|at| at.elapsed() > FLAPPING_WINDOW) {
            self.flaps.store(0, Ordering::Relaxed);
            return Duration::ZERO;
        }
        let flaps = self.flaps.fetch_add(1, Ordering::Relaxed);
        FLAPPING_DELAY.saturating_mul(2_u32.saturating_pow(flaps)).min(FLAPPING_DELAY_MAX)
    }

    /// Whether a warning is due; true at most once per [`WARNING_INTERVAL`].
    pub(super) fn should_warn(&self) -> bool {
        let (now, mut warned_at) =
            (Instant::now(), self.warned_at.lock().unwrap_or_else(PoisonError::into_inner));
        let is_due = warned_at.is_none_or(|at| now >= at + WARNING_INTERVAL);
        if is_due {
            *warned_at = Some(now);
            self.is_warning_open.store(true, Ordering::Relaxed);
        }
        is_due
    }

    /// Marks the store as available. Returns whether the log should say so, because it has a warning.
    pub(super) fn mark_available(&self) -> bool {
        *self.recovered_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        self.is_unavailable.send_replace(false);
        self.is_warning_open.swap(false, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_log_has_one_recovery_for_each_warning() {
        let availability = StoreAvailability::default();
        let outage = || {
            assert!(availability.mark_unavailable());
            (availability.should_warn(), availability.mark_available())
        };
        assert_eq!(outage(), (true, true));
        // Neither a store that fails again and again, nor its recoveries, fill the log.
        assert_eq!(outage(), (false, false));
        tokio::time::advance(WARNING_INTERVAL).await;
        assert_eq!(outage(), (true, true));
    }
}
