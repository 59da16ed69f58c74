//! Commands to the shared store: each within a timeout, counted, and skipped while the store is unavailable.

use std::sync::{Arc, Weak};
use std::time::Duration;

use super::availability::{PING_INTERVAL, StoreAvailability};
use super::settings::ReplicaSettings;
use super::stats::{CommandFailure, CommandKind, StoreCounters};
use super::store::{Store, StoreError};

/// Access to the store, which background tasks share.
pub(super) struct StoreClient {
    pub(super) store: Arc<dyn Store>,
    pub(super) settings: ReplicaSettings,
    /// Random identifier of this replica.
    pub(super) replica_id: String,
    pub(super) availability: StoreAvailability,
    pub(super) counters: StoreCounters,
}

impl StoreClient {
    /// Runs a command within the timeout; `None` if it fails or the store is unavailable.
    pub(super) async fn run<'s, T, F>(
        self: &'s Arc<Self>,
        kind: CommandKind,
        command: impl FnOnce(&'s dyn Store) -> F,
    ) -> Option<T>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        if self.availability.is_unavailable() {
            self.counters.failed(kind, CommandFailure::Unavailable);
            return None;
        }
        let result = self.run_counted(kind, self.settings.timeout(), command(self.store.as_ref())).await;
        result.map_err(|failure| self.on_failure(failure)).ok()
    }

    /// Runs a command within a given timeout, and counts its result.
    pub(super) async fn run_counted<T>(
        &self,
        kind: CommandKind,
        timeout: Duration,
        command: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, CommandFailure> {
        let result = match tokio::time::timeout(timeout, command).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(StoreError::Refused)) => Err(CommandFailure::Refused),
            Ok(Err(StoreError::Unreachable)) => Err(CommandFailure::Unreachable),
            Ok(Err(StoreError::Unauthenticated)) => Err(CommandFailure::Unauthenticated),
            Err(_elapsed) => Err(CommandFailure::Timeout),
        };
        match &result {
            Ok(_) => self.counters.succeeded(kind),
            Err(failure) => self.counters.failed(kind, *failure),
        }
        result
    }

    /// Marks the store as unavailable, unless it responded with an error.
    fn on_failure(self: &Arc<Self>, failure: CommandFailure) {
        if failure != CommandFailure::Refused && self.availability.mark_unavailable() {
            if self.availability.should_warn() {
                let failure = failure.label();
                tracing::warn!(failure, "Redis is unreachable; continuing without shared state");
            }
            tokio::spawn(wait_for_recovery(Arc::downgrade(self)));
        }
    }
}

/// Pings the store until it responds in time, then marks it as available.
async fn wait_for_recovery(client: Weak<StoreClient>) {
    let Some(mut delay) = client.upgrade().map(|client| client.availability.first_ping_delay()) else {
        return;
    };
    loop {
        tokio::time::sleep(delay).await;
        delay = PING_INTERVAL;
        let Some(client) = client.upgrade() else { return };
        let response = tokio::time::timeout(client.settings.timeout(), client.store.ping()).await;
        if matches!(response, Ok(Ok(()) | Err(StoreError::Refused))) {
            if client.availability.mark_available() {
                tracing::info!("Redis is reachable again; shared state is in use");
            }
            return;
        }
    }
}
