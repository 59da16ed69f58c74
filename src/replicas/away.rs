//! Whether the store answers.
//!
//! From its first failure on it is away, and nobody else waits for it: one task asks for a sign of life, again and again, within
//! the same time that commands have, so that a server that is slow stays away too. (A breaker that lets requests try would
//! cost each of those its time.) It asks at once, as a single late answer may be this machine's own fault, and then in growing
//! steps where the store comes and goes. An error is a sign of life as well: it came in time.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::Shared;
use super::store::StoreError;

/// How long after a sign of life that did not come the store is asked again.
const ASKED_AGAIN_AFTER: Duration = Duration::from_millis(250);

/// How long it is left alone where it has gone again and again within that time; doubled each time, up to the last.
const COMES_AND_GOES_WITHIN: Duration = Duration::from_secs(10);
const LEFT_ALONE: Duration = Duration::from_millis(250);
const LEFT_ALONE_MAX: Duration = Duration::from_secs(4);

/// How often the log is told that the store has gone.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// Whether the store is away.
#[derive(Debug, Default)]
pub(super) struct Away {
    is_away: watch::Sender<bool>,
    /// How often it has come back only to go again.
    returns: AtomicU32,
    back_at: Mutex<Option<Instant>>,
    told_at: Mutex<Option<Instant>>,
}

impl Away {
    pub(super) fn is_away(&self) -> bool {
        *self.is_away.borrow()
    }

    /// For whoever waits until it is back.
    pub(super) fn watch(&self) -> watch::Receiver<bool> {
        self.is_away.subscribe()
    }

    /// It is; true for the first to see it.
    pub(super) fn begin(&self) -> bool {
        self.is_away.send_if_modified(|is_away| !std::mem::replace(is_away, true))
    }

    /// How long it is left alone before it is asked for a sign of life.
    fn pause(&self) -> Duration {
        let back_at = *self.back_at.lock().unwrap_or_else(PoisonError::into_inner);
        if back_at.is_none_or(|at| at.elapsed() > COMES_AND_GOES_WITHIN) {
            self.returns.store(0, Ordering::Relaxed);
            return Duration::ZERO;
        }
        let returns = self.returns.fetch_add(1, Ordering::Relaxed);
        LEFT_ALONE.saturating_mul(2_u32.saturating_pow(returns)).min(LEFT_ALONE_MAX)
    }

    /// Whether the log was not told for a while that it has gone.
    pub(super) fn is_worth_a_line(&self) -> bool {
        let (now, mut told_at) =
            (Instant::now(), self.told_at.lock().unwrap_or_else(PoisonError::into_inner));
        let is_worth_it = told_at.is_none_or(|at| now >= at + TOLD_EVERY);
        if is_worth_it {
            *told_at = Some(now);
        }
        is_worth_it
    }

    fn end(&self) {
        *self.back_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        self.is_away.send_replace(false);
    }
}

/// Waits until the store answers again.
pub(super) async fn come_back(shared: Weak<Shared>) {
    let Some(mut pause) = shared.upgrade().map(|shared| shared.away.pause()) else { return };
    loop {
        tokio::time::sleep(pause).await;
        pause = ASKED_AGAIN_AFTER;
        let Some(shared) = shared.upgrade() else { return };
        let answered = tokio::time::timeout(shared.settings.timeout(), shared.store.ping()).await;
        if matches!(answered, Ok(Ok(()) | Err(StoreError::Refused))) {
            shared.away.end();
            tracing::debug!("what replicas share is back");
            return;
        }
    }
}
