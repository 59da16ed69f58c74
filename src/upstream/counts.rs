//! Counters of the calls to one upstream, by outcome.
//!
//! They are plain numbers behind a lock. `metrics` reads them.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::error::UpstreamError;
use crate::domain::problems::{ProblemRule, Problems};
use crate::domain::text_enum::text_enum;
use crate::telemetry::metrics::distribution::Distribution;

/// Outcomes of all calls to one upstream since the start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CallCounts {
    /// Successful calls.
    pub succeeded: u64,
    /// Failed calls by error code; each retry counts separately.
    pub failed: BTreeMap<&'static str, u64>,
    /// Cancelled calls.
    pub cancelled: u64,
    /// Calls that repeated a failed call; also included in the counts above.
    pub retried: u64,
    /// Calls that were not sent, by reason.
    pub held: BTreeMap<HoldReason, u64>,
    /// Parts of responses that could not be read or were not requested, by rule.
    pub problems: BTreeMap<ProblemRule, u64>,
    /// Rate limit and date headers that were not understood, by name.
    pub unreadable_headers: BTreeMap<&'static str, u64>,
    /// Credentials whose breaker is open now.
    pub breakers_open: u64,
    /// Calls in flight now.
    pub in_flight: u64,
}

text_enum! {
    /// Reason for not sending a call.
    pub enum HoldReason {
        /// The key was rejected moments ago.
        RefusedKey = "refused_key",
        /// The same request was refused moments ago.
        RefusedRequest = "refused_request",
        /// The quota has no call left.
        Quota = "quota",
        /// The breaker is open.
        Breaker = "breaker",
        /// No concurrency permit became free in time.
        Concurrency = "concurrency",
    }

    /// Returns the label value in metrics.
    pub fn label;
}

/// Counters of one upstream.
#[derive(Debug)]
pub(super) struct CallCounters {
    counts: Mutex<CallCounts>,
    success_durations: Distribution,
    failure_durations: Distribution,
}

impl Default for CallCounters {
    fn default() -> Self {
        let (success_durations, failure_durations) =
            (Distribution::of_durations(), Distribution::of_durations());
        Self { counts: Mutex::default(), success_durations, failure_durations }
    }
}

impl CallCounters {
    pub(super) fn on_ended(&self, outcome: Result<(), &UpstreamError>, took: Duration) {
        if outcome.is_ok() { &self.success_durations } else { &self.failure_durations }.record_duration(took);
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

    pub(super) fn on_held(&self, reason: HoldReason) {
        *self.lock().held.entry(reason).or_default() += 1;
    }

    pub(super) fn add_problems(&self, problems: &Problems) {
        let mut counts = self.lock();
        for (rule, count) in problems.counts() {
            *counts.problems.entry(rule).or_default() += count;
        }
    }

    pub(super) fn add_unreadable_headers(&self, names: impl Iterator<Item = &'static str>) {
        let mut names = names.peekable();
        if names.peek().is_some() {
            let mut counts = self.lock();
            names.for_each(|name| *counts.unreadable_headers.entry(name).or_default() += 1);
        }
    }

    pub(super) fn read(&self) -> CallCounts {
        self.lock().clone()
    }

    /// Returns the durations of successful and of failed calls.
    pub(super) fn durations(&self) -> [&Distribution; 2] {
        [&self.success_durations, &self.failure_durations]
    }

    fn lock(&self) -> MutexGuard<'_, CallCounts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
