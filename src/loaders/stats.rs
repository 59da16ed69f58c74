//! Statistics of one operation: the age of its data, problems in it, and its upstream calls.
//!
//! [`OperationStats`] is the entry point. Loaders and caches record into it, and the response reads from it:
//!
//! - The age of the oldest part limits how long the response is valid.
//! - The problems are returned as `extensions.switchboard.problems`.
//! - The calls are returned if the client sends `"extensions": {"switchboard": {"trace": true}}`.
//!
//! Upstream URLs, headers and bodies are never recorded.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use super::cache::deadline::UpstreamDeadline;
use super::cache::freshness::{Cached, Freshness, ValueSource};
use crate::domain::problems::{self, ProblemReports, ProblemSummary};
use crate::domain::upstream_name::UpstreamName;
use crate::domain::view::View;
use crate::telemetry::requests::Cost;
use crate::upstream::error::UpstreamError;

/// Maximum number of questions for the accounts of one user alone, in one operation: enough for one page of a list that
/// is filtered by as many users as a filter can have.
pub const USER_QUESTIONS_MAX: u64 = 100;

/// Statistics and upstream deadline of one operation.
#[derive(Debug)]
pub struct OperationStats {
    started: Instant,
    /// Time limit of the operation's upstream reads.
    pub(super) deadline: UpstreamDeadline,
    /// Whether the client requested the list of upstream calls, the `trace` of the response.
    pub(crate) traces_calls: bool,
    calls_made: [AtomicU64; 2],
    user_questions: AtomicU64,
    /// Maximum number of bytes of the response, and those that are left.
    response_bytes: (u64, AtomicU64),
    entries: Mutex<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    freshness: Option<Freshness>,
    changes_at: Option<Instant>,
    calls: Vec<Call>,
    saved: AvoidedCalls,
    /// Problems by part; only parts that have problems.
    problems: HashMap<PartKey, ProblemReports>,
}

/// Identifier of a part of the response: the list of providers, a page or total of a list, or an account by id.
///
/// If a part is read twice, for example first stale and then fresh, the problems of the second read replace the first.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct PartKey(String);

impl PartKey {
    /// Creates the key of a part from its kind and its cache key.
    pub(super) fn new(kind: &'static str, key: &impl Debug) -> Self {
        Self(format!("{kind} {key:?}"))
    }
}

/// One upstream call that the operation made or waited for.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Call {
    /// The upstream.
    pub upstream: String,
    /// The requested data, in words.
    pub description: String,
    /// Start of the call, in milliseconds since the start of the operation.
    pub started_at_ms: f64,
    /// Duration of the call, in milliseconds.
    pub took_ms: f64,
    /// `OK`, or an error code.
    pub outcome: &'static str,
}

/// Numbers of upstream calls that were avoided.
#[derive(Debug, Clone, Copy, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AvoidedCalls {
    /// Values that were already cached.
    pub by_cache: usize,
    /// Calls avoided because one call served several fields.
    pub by_batching: usize,
    /// Values received from an in-flight fetch of another caller.
    pub by_joining: usize,
}

/// The statistics in the form in which a response returns them.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Trace {
    /// Duration of the operation, in milliseconds.
    pub took_ms: f64,
    /// Upstream calls, ordered by start time.
    pub calls: Vec<Call>,
    /// Numbers of upstream calls that were avoided.
    pub saved: AvoidedCalls,
}

impl OperationStats {
    /// Creates the statistics of an operation that starts now and waits for upstreams until `until`. Single
    /// calls are recorded only if `traces_calls` is true.
    #[must_use]
    pub fn new(traces_calls: bool, until: Instant) -> Self {
        let (deadline, calls_made) = (UpstreamDeadline::new(until), Default::default());
        Self {
            started: Instant::now(),
            deadline,
            traces_calls,
            calls_made,
            user_questions: AtomicU64::new(0),
            response_bytes: (u64::MAX, AtomicU64::new(u64::MAX)),
            entries: Mutex::default(),
        }
    }

    /// Returns the statistics with a maximum number of bytes of the response.
    #[must_use]
    pub fn with_response_bytes(self, bytes: u64) -> Self {
        Self { response_bytes: (bytes, AtomicU64::new(bytes)), ..self }
    }

    /// Returns the maximum number of bytes of the response.
    pub(crate) fn response_bytes_max(&self) -> u64 {
        self.response_bytes.0
    }

    /// Returns the number of bytes that the response may still have.
    pub(crate) fn response_bytes_left(&self) -> u64 {
        self.response_bytes.1.load(Ordering::Relaxed)
    }

    /// Whether the response may have so many bytes more; counts them. If not, no further ones are allowed.
    pub(crate) fn add_response_bytes(&self, bytes: u64) -> bool {
        let rest = |left: u64| Some(left.saturating_sub(bytes));
        self.response_bytes
            .1
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, rest)
            .is_ok_and(|left| left >= bytes)
    }

    /// Creates the statistics of a background task, which has no deadline and no client.
    pub(super) fn background() -> Self {
        Self { deadline: UpstreamDeadline::never(), ..Self::new(false, Instant::now()) }
    }

    /// Whether the operation's deadline ended the wait for an upstream.
    #[must_use]
    pub fn is_late(&self) -> bool {
        self.deadline.is_exceeded()
    }

    /// Returns the age of the oldest part so far; `None` if nothing was read.
    #[must_use]
    pub fn freshness(&self) -> Option<Freshness> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).freshness
    }

    /// Returns the time at which the response changes without new data; `None` if it does not.
    pub(crate) fn valid_until(&self) -> Option<Instant> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.freshness.map(|parts| parts.changes_at).into_iter().chain(entries.changes_at).min()
    }

    /// Records that the response is valid until `instant` at most: a part of it changes then by the passage of time.
    pub(super) fn record_valid_until(&self, instant: Instant) {
        self.change(|entries| {
            entries.changes_at = Some(entries.changes_at.map_or(instant, |known| known.min(instant)));
        });
    }

    /// Records a read: its source, its duration and its result.
    pub(super) fn record_read<T>(
        &self,
        upstream: UpstreamName,
        description: impl FnOnce() -> String,
        started_at: Instant,
        source: ValueSource,
        result: &Result<Cached<T>, UpstreamError>,
    ) {
        if let Ok(cached) = result {
            self.record_freshness(cached.freshness);
        }
        self.record_call(upstream, description, started_at, source, result.as_ref().err());
    }

    /// Records a write, whose result has no age.
    pub(super) fn record_write<T>(
        &self,
        action: &'static str,
        started_at: Instant,
        result: &Result<T, UpstreamError>,
    ) {
        let description = || action.to_owned();
        self.record_call(
            UpstreamName::Composio,
            description,
            started_at,
            ValueSource::Fetched,
            result.as_ref().err(),
        );
    }

    /// Whether one more question for the accounts of one user alone is allowed; counts it.
    pub(super) fn begin_user_question(&self) -> bool {
        self.user_questions.fetch_add(1, Ordering::Relaxed) < USER_QUESTIONS_MAX
    }

    /// Records a question for the accounts of one user alone.
    pub(super) fn record_user_question(&self, started_at: Instant, error: Option<&UpstreamError>) {
        let description = || "the rows of a list that are of one user".to_owned();
        self.record_call(UpstreamName::Composio, description, started_at, ValueSource::Fetched, error);
    }

    /// Records a call without the age of its data.
    pub(super) fn record_call(
        &self,
        upstream: UpstreamName,
        description: impl FnOnce() -> String,
        started_at: Instant,
        source: ValueSource,
        error: Option<&UpstreamError>,
    ) {
        if source == ValueSource::Fetched && !error.is_some_and(UpstreamError::is_call_held) {
            let [leadlex, composio] = &self.calls_made;
            let counter = match upstream {
                UpstreamName::Leadlex => leadlex,
                UpstreamName::Composio => composio,
            };
            counter.fetch_add(1, Ordering::Relaxed);
        }
        if !self.traces_calls {
            return;
        }
        self.change(|entries| match source {
            ValueSource::Cached | ValueSource::Shared => entries.saved.by_cache += 1,
            ValueSource::Joined => entries.saved.by_joining += 1,
            ValueSource::Fetched => entries.calls.push(Call {
                upstream: upstream.to_string(),
                description: description(),
                started_at_ms: milliseconds(started_at - self.started),
                took_ms: milliseconds(started_at.elapsed()),
                outcome: error.map_or("OK", |error| error.failure.code()),
            }),
        });
    }

    /// Records that the response contains a part with this freshness.
    pub(super) fn record_freshness(&self, part: Freshness) {
        self.change(|entries| entries.freshness = Freshness::of(entries.freshness.into_iter().chain([part])));
    }

    /// Records the problems of a part. They replace those of an earlier read of the same part.
    pub(super) fn record_problems(&self, part: impl FnOnce() -> PartKey, problems: &ProblemReports) {
        self.change(|entries| match problems.is_empty() {
            true if entries.problems.is_empty() => {}
            true => drop(entries.problems.remove(&part())),
            false => drop(entries.problems.insert(part(), problems.clone())),
        });
    }

    /// Returns the problems in all parts so far that are visible to a view.
    #[must_use]
    pub fn problems(&self, view: &View) -> ProblemSummary {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        problems::summarize(view, entries.problems.values().flatten())
    }

    /// Records values that were already cached.
    pub(super) fn record_saved_by_cache(&self, values: usize) {
        self.change(|entries| entries.saved.by_cache += values);
    }

    /// Records calls that were avoided by batching.
    pub(super) fn record_saved_by_batching(&self, calls: usize) {
        self.change(|entries| entries.saved.by_batching += calls);
    }

    /// Returns the number of calls to each upstream. A retry is not counted as another call.
    #[must_use]
    pub fn cost(&self) -> Cost {
        let [leadlex, composio] = &self.calls_made;
        Cost { leadlex: leadlex.load(Ordering::Relaxed), composio: composio.load(Ordering::Relaxed) }
    }

    /// Returns the statistics so far.
    #[must_use]
    pub fn trace(&self) -> Trace {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let mut calls = entries.calls.clone();
        calls.sort_by(|a, b| a.started_at_ms.total_cmp(&b.started_at_ms));
        Trace { took_ms: milliseconds(self.started.elapsed()), calls, saved: entries.saved }
    }

    fn change(&self, change: impl FnOnce(&mut Entries)) {
        change(&mut self.entries.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Converts to milliseconds, rounded to two decimals.
fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 100_000.0).round() / 100.0
}
