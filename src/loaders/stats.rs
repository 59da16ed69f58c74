//! Statistics of one operation: how old its parts are, what could not be read of them, and which upstream calls they cost.
//!
//! The age of the oldest part limits how long the response is valid. The problems are `extensions.switchboard.problems`.
//! The calls are reported to a client that sends `"extensions": {"switchboard": {"trace": true}}`. Upstream URLs, headers and
//! bodies are never recorded.

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

/// The account of one operation.
#[derive(Debug)]
pub struct OperationStats {
    started: Instant,
    deadline: UpstreamDeadline,
    is_traced: bool,
    calls_made: [AtomicU64; 2],
    entries: Mutex<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    freshness: Option<Freshness>,
    changes_at: Option<Instant>,
    calls: Vec<Call>,
    saved: Saved,
    /// Of the parts that have any.
    problems: HashMap<PartKey, ProblemReports>,
}

/// Identifies a part of the response: the list of providers, a page or the size of a list, an account by its id. The problems
/// of a part that is read twice, first stale and then again, replace those of the first read.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct PartKey(String);

impl PartKey {
    /// The key of a part, by its kind and its key in the cache. A derived `Debug` is one text per value.
    pub(super) fn new(kind: &'static str, key: &impl Debug) -> Self {
        Self(format!("{kind} {key:?}"))
    }
}

/// One upstream call that the operation made or waited for.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Call {
    /// Which upstream.
    pub upstream: String,
    /// What was asked for.
    pub asked: String,
    /// When it was sent, in milliseconds from the operation's start.
    pub started_at_ms: f64,
    /// How long it took, in milliseconds.
    pub took_ms: f64,
    /// `OK`, or an error code.
    pub outcome: &'static str,
}

/// The calls that were not made.
#[derive(Debug, Clone, Copy, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Saved {
    /// What was kept already.
    pub by_cache: usize,
    /// What was answered by one call for several fields.
    pub by_batching: usize,
    /// What somebody else was fetching at the same moment.
    pub by_joining: usize,
}

/// The statistics as a response shows them.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Trace {
    /// How long the operation took, in milliseconds.
    pub took_ms: f64,
    /// Its upstream calls, in the order in which they were sent.
    pub calls: Vec<Call>,
    /// The calls that were not made.
    pub saved: Saved,
}

impl OperationStats {
    /// Statistics of an operation that begins now and waits for upstreams `until` then. Single calls are recorded only if it
    /// `is_traced`.
    #[must_use]
    pub fn begin(is_traced: bool, until: Instant) -> Self {
        let (deadline, calls_made) = (UpstreamDeadline::new(until), Default::default());
        Self { started: Instant::now(), deadline, is_traced, calls_made, entries: Mutex::default() }
    }

    /// Statistics of a background task, which has no deadline and no client.
    pub(super) fn background() -> Self {
        Self { deadline: UpstreamDeadline::never(), ..Self::begin(false, Instant::now()) }
    }

    /// Whether its account is asked for.
    #[must_use]
    pub fn is_traced(&self) -> bool {
        self.is_traced
    }

    /// Whether something was not waited for, as the operation's time was up.
    #[must_use]
    pub fn is_late(&self) -> bool {
        self.deadline.is_exceeded()
    }

    /// Until when the operation waits for upstreams.
    pub(super) fn deadline(&self) -> &UpstreamDeadline {
        &self.deadline
    }

    /// The age of the oldest part so far; none where nothing was read.
    #[must_use]
    pub fn freshness(&self) -> Option<Freshness> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let changes_at =
            |parts: Freshness| entries.changes_at.map_or(parts.changes_at, |at| at.min(parts.changes_at));
        entries.freshness.map(|parts| Freshness { changes_at: changes_at(parts), ..parts })
    }

    /// Enters that time alone changes the answer then.
    pub(super) fn changes_at(&self, instant: Instant) {
        self.change(|entries| {
            entries.changes_at = Some(entries.changes_at.map_or(instant, |known| known.min(instant)));
        });
    }

    /// Enters how something was got.
    pub(super) fn enter<T>(
        &self,
        upstream: UpstreamName,
        asked: impl FnOnce() -> String,
        asked_at: Instant,
        got: ValueSource,
        result: &Result<Cached<T>, UpstreamError>,
    ) {
        if let Ok(kept) = result {
            self.uses(kept.freshness);
        }
        if got == ValueSource::Fetched && !result.as_ref().is_err_and(UpstreamError::is_held) {
            let [leadlex, composio] = &self.calls_made;
            let made = match upstream {
                UpstreamName::Leadlex => leadlex,
                UpstreamName::Composio => composio,
            };
            made.fetch_add(1, Ordering::Relaxed);
        }
        if !self.is_traced {
            return;
        }
        self.change(|entries| match got {
            ValueSource::Cached | ValueSource::Shared => entries.saved.by_cache += 1,
            ValueSource::Joined => entries.saved.by_joining += 1,
            ValueSource::Fetched => entries.calls.push(Call {
                upstream: upstream.to_string(),
                asked: asked(),
                started_at_ms: milliseconds(asked_at - self.started),
                took_ms: milliseconds(asked_at.elapsed()),
                outcome: result.as_ref().map_or_else(|error| error.failure.code(), |_| "OK"),
            }),
        });
    }

    /// Enters that the answer is made of a part of that age.
    pub(super) fn uses(&self, part: Freshness) {
        self.change(|entries| entries.freshness = Freshness::of(entries.freshness.into_iter().chain([part])));
    }

    /// Enters what is to be told of a part, in place of what was told of it before.
    pub(super) fn reports(&self, part: impl FnOnce() -> PartKey, problems: &ProblemReports) {
        self.change(|entries| match problems.is_empty() {
            true if entries.problems.is_empty() => {}
            true => drop(entries.problems.remove(&part())),
            false => drop(entries.problems.insert(part(), problems.clone())),
        });
    }

    /// What a view is told of the problems in all the parts so far.
    #[must_use]
    pub fn problems(&self, view: &View) -> ProblemSummary {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        problems::summarize(view, entries.problems.values().flatten())
    }

    /// Enters that so many values were kept already.
    pub(super) fn save_by_cache(&self, values: usize) {
        self.change(|entries| entries.saved.by_cache += values);
    }

    /// Enters that one call stood for so many more.
    pub(super) fn save_by_batching(&self, calls: usize) {
        self.change(|entries| entries.saved.by_batching += calls);
    }

    /// How many questions it had asked of each upstream; a call that repeats another is the same question.
    #[must_use]
    pub fn cost(&self) -> Cost {
        let [leadlex, composio] = &self.calls_made;
        Cost { leadlex: leadlex.load(Ordering::Relaxed), composio: composio.load(Ordering::Relaxed) }
    }

    /// The account so far.
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

/// To a hundredth.
fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 100_000.0).round() / 100.0
}
