//! How the store has served this replica. Plain numbers: whoever serves metrics reads them.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Failure;
use crate::telemetry::metrics::declared;
use crate::telemetry::metrics::readings::Readings;

/// What the store is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Task {
    /// To give values.
    Get,
    /// To take values.
    Set,
    /// To keep claims.
    Claim,
    /// To tell other replicas.
    Publish,
    /// To give word of other replicas.
    Subscribe,
}

impl Task {
    const ALL: [Self; 5] = [Self::Get, Self::Set, Self::Claim, Self::Publish, Self::Subscribe];

    /// Its word, for metrics.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Set => "set",
            Self::Claim => "claim",
            Self::Publish => "publish",
            Self::Subscribe => "subscribe",
        }
    }
}

/// How the store has served since the start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReplicaCounts {
    /// Commands that were answered.
    pub succeeded: BTreeMap<Task, u64>,
    /// Commands that brought nothing, by why.
    pub failed: BTreeMap<(Task, Failure), u64>,
    /// Values that were looked for and there.
    pub hits: u64,
    /// Values that were looked for and not there.
    pub misses: u64,
    /// Values that were there and could not be read: another version's, or not ours.
    pub unreadable: u64,
    /// Whether it is away, now.
    pub is_away: bool,
}

impl ReplicaCounts {
    /// Puts them into a reading of metrics.
    pub fn read(&self, readings: &mut Readings) {
        for task in Task::ALL {
            let succeeded = self.succeeded.get(&task).copied().unwrap_or_default();
            readings.count(&declared::REPLICA_COMMANDS, &[task.word(), "ok"], succeeded);
        }
        for ((task, failure), count) in &self.failed {
            readings.count(&declared::REPLICA_COMMANDS, &[task.word(), failure.word()], *count);
        }
        for (outcome, count) in [("hit", self.hits), ("miss", self.misses), ("unreadable", self.unreadable)] {
            readings.count(&declared::REPLICA_READS, &[outcome], count);
        }
        readings.level(&declared::REPLICA_STORE_UP, &[], u64::from(!self.is_away));
    }
}

/// The numbers as they grow.
#[derive(Debug, Default)]
pub(super) struct Counters(Mutex<ReplicaCounts>);

impl Counters {
    pub(super) fn succeeded(&self, task: Task) {
        *self.lock().succeeded.entry(task).or_default() += 1;
    }

    pub(super) fn failed(&self, task: Task, failure: Failure) {
        *self.lock().failed.entry((task, failure)).or_default() += 1;
    }

    pub(super) fn looked(&self, hits: usize, misses: usize) {
        let mut counts = self.lock();
        counts.hits += hits as u64;
        counts.misses += misses as u64;
    }

    pub(super) fn unreadable(&self) {
        self.lock().unreadable += 1;
    }

    pub(super) fn read(&self, is_away: bool) -> ReplicaCounts {
        ReplicaCounts { is_away, ..self.lock().clone() }
    }

    fn lock(&self) -> MutexGuard<'_, ReplicaCounts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
