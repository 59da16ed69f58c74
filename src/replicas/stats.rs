//! Statistics of the shared store's commands, read by metrics.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::domain::text_enum::text_enum;
use crate::telemetry::metrics::declared;
use crate::telemetry::metrics::readings::Readings;

text_enum! {
    /// Purpose of a command.
    pub enum CommandKind {
        /// Reads values.
        Get = "get",
        /// Writes values.
        Set = "set",
        /// Acquires, extends or releases a lease.
        Lease = "claim",
        /// Exchanges the state of a quota.
        Quota = "quota",
        /// Publishes a message to other replicas.
        Publish = "publish",
        /// Subscribes to the messages of other replicas.
        Subscribe = "subscribe",
    }

    /// Returns the value of the metric label `task`.
    pub fn label;
}

text_enum! {
    /// Reason why a command had no result.
    pub enum CommandFailure {
        /// It was not sent, because the store was already marked as unavailable.
        Unavailable = "away",
        /// The response did not arrive in time.
        Timeout = "timeout",
        /// There is no connection.
        Unreachable = "unreachable",
        /// The server rejects the user name or password.
        Unauthenticated = "locked_out",
        /// The server returned an error: it is full, or permits too little.
        Refused = "refused",
    }

    /// Returns the value of the metric label `outcome` and of the log field `failure`.
    pub fn label;
}

/// Statistics since the start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoreStats {
    /// Commands that succeeded.
    pub succeeded: BTreeMap<CommandKind, u64>,
    /// Commands that failed, by reason.
    pub failed: BTreeMap<(CommandKind, CommandFailure), u64>,
    /// Values that were found.
    pub hits: u64,
    /// Values that were not found.
    pub misses: u64,
    /// Values that could not be decoded: from another version, or not written by Switchboard.
    pub unreadable: u64,
    /// Whether the store is unavailable now.
    pub is_unavailable: bool,
}

impl StoreStats {
    /// Adds these values to a reading of metrics.
    pub fn read(&self, readings: &mut Readings) {
        for kind in CommandKind::ALL {
            let succeeded = self.succeeded.get(kind).copied().unwrap_or_default();
            readings.count(&declared::REPLICA_COMMANDS, &[kind.label(), "ok"], succeeded);
        }
        for ((kind, failure), count) in &self.failed {
            readings.count(&declared::REPLICA_COMMANDS, &[kind.label(), failure.label()], *count);
        }
        for (outcome, count) in [("hit", self.hits), ("miss", self.misses), ("unreadable", self.unreadable)] {
            readings.count(&declared::REPLICA_READS, &[outcome], count);
        }
        readings.level(&declared::REPLICA_STORE_UP, &[], u64::from(!self.is_unavailable));
    }
}

/// Counters behind [`StoreStats`].
#[derive(Debug, Default)]
pub(super) struct StoreCounters(Mutex<StoreStats>);

impl StoreCounters {
    pub(super) fn succeeded(&self, kind: CommandKind) {
        *self.lock().succeeded.entry(kind).or_default() += 1;
    }

    pub(super) fn failed(&self, kind: CommandKind, failure: CommandFailure) {
        *self.lock().failed.entry((kind, failure)).or_default() += 1;
    }

    pub(super) fn looked_up(&self, hits: usize, misses: usize) {
        let mut stats = self.lock();
        stats.hits += hits as u64;
        stats.misses += misses as u64;
    }

    pub(super) fn unreadable(&self) {
        self.lock().unreadable += 1;
    }

    pub(super) fn read(&self, is_unavailable: bool) -> StoreStats {
        StoreStats { is_unavailable, ..self.lock().clone() }
    }

    fn lock(&self) -> MutexGuard<'_, StoreStats> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
