//! How many calls there were at one upstream, by what became of them.
//!
//! Plain numbers behind a lock that is held for an addition: whoever serves metrics reads them, and nothing
//! here has to know how.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::error::UpstreamError;
use crate::domain::problems::{ProblemRule, Problems};
use crate::telemetry::metrics::distribution::Distribution;

/// What became of all calls at one upstream since the start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CallCounts {
    /// Calls that were answered as asked.
    pub succeeded: u64,
    /// Calls that failed, by their error code; retries count by themselves.
    pub failed: BTreeMap<&'static str, u64>,
    /// Calls that nobody waited for any more.
    pub cancelled: u64,
    /// Calls that were made again after a failure; each is one of those above too.
    pub retried: u64,
    /// Calls that were not made, by what held them.
    pub held: BTreeMap<HoldReason, u64>,
    /// What of its answers could not be read or was not asked for, by rule.
    pub problems: BTreeMap<ProblemRule, u64>,
    /// The credentials whose breaker holds calls back, now.
    pub breakers_open: u64,
    /// The calls that have a place, now.
    pub in_flight: u64,
}

/// What holds a call back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HoldReason {
    /// The key was refused a moment ago.
    RefusedKey,
    /// The quota.
    Quota,
    /// The breaker.
    Breaker,
    /// No place became free.
    Concurrency,
}

impl HoldReason {
    pub(super) const ALL: [Self; 4] = [Self::RefusedKey, Self::Quota, Self::Breaker, Self::Concurrency];

    /// Its word, for metrics.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::RefusedKey => "refused_key",
            Self::Quota => "quota",
            Self::Breaker => "breaker",
            Self::Concurrency => "concurrency",
        }
    }
}

/// The numbers as they grow.
#[derive(Debug)]
pub(super) struct CallCounters {
    counts: Mutex<CallCounts>,
    succeeded_in: Distribution,
    failed_in: Distribution,
}

impl Default for CallCounters {
    fn default() -> Self {
        let (succeeded_in, failed_in) = (Distribution::of_durations(), Distribution::of_durations());
        Self { counts: Mutex::default(), succeeded_in, failed_in }
    }
}

impl CallCounters {
    pub(super) fn on_ended(&self, outcome: Result<(), &UpstreamError>, took: Duration) {
        if outcome.is_ok() { &self.succeeded_in } else { &self.failed_in }.took(took);
        let mut counts = self.lock();
        match outcome.map_err(|error| error.failure.code()) {
            Ok(()) => counts.succeeded += 1,
            Err(code) => *counts.failed.entry(code).or_default() += 1,
        }
    }

    pub(super) fn on_cancelled(&self) {
        self.lock().cancelled += 1;
    }

    pub(super) fn on_retry(&self) {
        self.lock().retried += 1;
    }

    pub(super) fn on_held(&self, by: HoldReason) {
        *self.lock().held.entry(by).or_default() += 1;
    }

    pub(super) fn add_problems(&self, problems: &Problems) {
        let mut counts = self.lock();
        for (rule, count) in problems.counts() {
            *counts.problems.entry(rule).or_default() += count;
        }
    }

    pub(super) fn read(&self) -> CallCounts {
        self.lock().clone()
    }

    /// How long calls took that were answered as asked, and that failed.
    pub(super) fn durations(&self) -> [&Distribution; 2] {
        [&self.succeeded_in, &self.failed_in]
    }

    fn lock(&self) -> MutexGuard<'_, CallCounts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
