//! Whether the store answers.
//!
//! From its first failure on it is away, and nobody else waits for it: one task asks for a sign of life, again and again, within
//! the same time that commands have, so that a server that is slow stays away too. (A breaker that lets requests try would
//! cost each of those its time.)

use std::sync::Weak;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{Shared, TRIED_AGAIN_AFTER};

/// Whether the store is away.
#[derive(Debug, Default)]
pub(super) struct Away(AtomicBool);

impl Away {
    pub(super) fn is_away(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    /// It is; true for the first to see it.
    pub(super) fn begin(&self) -> bool {
        !self.0.swap(true, Ordering::AcqRel)
    }

    fn end(&self) {
        self.0.store(false, Ordering::Release);
    }
}

/// Waits until the store answers again.
pub(super) async fn come_back(shared: Weak<Shared>) {
    loop {
        tokio::time::sleep(TRIED_AGAIN_AFTER).await;
        let Some(shared) = shared.upgrade() else { return };
        let answered = tokio::time::timeout(shared.settings.timeout(), shared.store.ping()).await;
        if matches!(answered, Ok(Ok(()))) {
            shared.away.end();
            tracing::info!("what replicas share is back");
            return;
        }
    }
}
