//! Whether the store answers.
//!
//! From its first failure on it is away, and nobody else waits for it: one task asks for a sign of life, again and again, within
//! the same time that commands have, so that a server that is slow stays away too. (A breaker that lets requests try would
//! cost each of those its time.) An error is a sign of life as well: it came in time.

use std::sync::Weak;

use tokio::sync::watch;

use super::store::StoreError;
use super::{Shared, TRIED_AGAIN_AFTER};

/// Whether the store is away.
#[derive(Debug, Default)]
pub(super) struct Away(watch::Sender<bool>);

impl Away {
    pub(super) fn is_away(&self) -> bool {
        *self.0.borrow()
    }

    /// For whoever waits until it is back.
    pub(super) fn watch(&self) -> watch::Receiver<bool> {
        self.0.subscribe()
    }

    /// It is; true for the first to see it.
    pub(super) fn begin(&self) -> bool {
        self.0.send_if_modified(|is_away| !std::mem::replace(is_away, true))
    }

    fn end(&self) {
        self.0.send_replace(false);
    }
}

/// Waits until the store answers again.
pub(super) async fn come_back(shared: Weak<Shared>) {
    loop {
        tokio::time::sleep(TRIED_AGAIN_AFTER).await;
        let Some(shared) = shared.upgrade() else { return };
        let answered = tokio::time::timeout(shared.settings.timeout(), shared.store.ping()).await;
        if matches!(answered, Ok(Ok(()) | Err(StoreError::Refused))) {
            shared.away.end();
            tracing::info!("what replicas share is back");
            return;
        }
    }
}
