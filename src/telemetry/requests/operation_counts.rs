//! Counts of operations by name, for a bounded number of names.
//!
//! Clients choose the names, so there can be any number of them. The first names since the start get their own series;
//! later ones are counted as `other`. Rejected: series for the most frequent names, because an operation would change
//! its series over time.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use super::labels::{Outcome, Transport};
use crate::telemetry::metrics::declared;
use crate::telemetry::metrics::distribution::Distribution;
use crate::telemetry::metrics::readings::Readings;

/// Series of operations whose name has no series.
const OTHER: &str = "other";
const UNKNOWN: &str = "unknown";

/// Maximum length of a name with a series of its own.
const NAME_BYTES: usize = 64;

/// A valid operation, with the counts of its name.
#[derive(Debug)]
pub struct CountedOperation {
    safe_name: Option<Box<str>>,
    kind: &'static str,
    tally: Arc<Tally>,
}

impl CountedOperation {
    /// Returns its name, if that is safe as a metric label and in the log.
    #[must_use]
    pub fn safe_name(&self) -> Option<&str> {
        self.safe_name.as_deref()
    }

    /// Returns `query`, `mutation` or `subscription`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    pub(super) fn tally(&self) -> &Tally {
        &self.tally
    }
}

/// Counts of the operations of one name.
#[derive(Debug, Default)]
pub(super) struct Tally {
    ended: [[AtomicU64; Outcome::ALL.len()]; Transport::ALL.len()],
    durations: [OnceLock<Distribution>; Outcome::ALL.len()],
}

impl Tally {
    pub(super) fn record_end(&self, transport: Transport, outcome: Outcome, took: Duration) {
        let count = self.ended.get(transport as usize).and_then(|outcomes| outcomes.get(outcome as usize));
        if let Some(count) = count {
            count.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(durations) = self.durations.get(outcome as usize) {
            durations.get_or_init(Distribution::of_durations).record_duration(took);
        }
    }

    fn read(&self, name: &str, readings: &mut Readings) {
        for (transport, outcomes) in Transport::ALL.iter().zip(&self.ended) {
            let is_used = outcomes.iter().any(|count| count.load(Ordering::Relaxed) > 0);
            for (outcome, count) in Outcome::ALL.iter().zip(outcomes) {
                let count = count.load(Ordering::Relaxed);
                // `crashed` is present from the first operation on, so that the first crash is seen as an increase.
                if count > 0 || (is_used && *outcome == Outcome::Crashed) {
                    readings.count(&declared::REQUESTS, &[transport.word(), name, outcome.word()], count);
                }
            }
        }
        for (outcome, durations) in Outcome::ALL.iter().zip(&self.durations) {
            if let Some(durations) = durations.get() {
                readings.distribution(&declared::REQUEST_DURATION, &[name, outcome.word()], durations);
            }
        }
    }
}

/// Counts of all operations, by name.
#[derive(Debug)]
pub(super) struct OperationCounts {
    names_max: usize,
    named: RwLock<HashMap<Box<str>, Arc<Tally>>>,
    anonymous: Arc<Tally>,
    other: Arc<Tally>,
    unknown: Tally,
}

impl OperationCounts {
    pub(super) fn new(names_max: usize) -> Self {
        let (named, anonymous, other) = (RwLock::default(), Arc::default(), Arc::default());
        Self { names_max, named, anonymous, other, unknown: Tally::default() }
    }

    /// Returns the counts of requests whose operation is unknown.
    pub(super) fn unknown(&self) -> &Tally {
        &self.unknown
    }

    pub(super) fn operation(&self, name: Option<&str>, kind: &'static str) -> CountedOperation {
        let safe_name = name.filter(|name| is_safe(name));
        // A client's operation named `other` or `unknown` is counted as `other`, because a series of its own would have
        // the name of a reserved one.
        let distinct = safe_name.filter(|name| ![OTHER, UNKNOWN].contains(name));
        let tally = match (name, distinct) {
            (None, _) => Arc::clone(&self.anonymous),
            (Some(_), Some(name)) => self.tally_of(name),
            (Some(_), None) => Arc::clone(&self.other),
        };
        CountedOperation { safe_name: safe_name.map(Into::into), kind, tally }
    }

    fn tally_of(&self, name: &str) -> Arc<Tally> {
        if let Some(known) = self.named.read().unwrap_or_else(PoisonError::into_inner).get(name) {
            return Arc::clone(known);
        }
        let mut named = self.named.write().unwrap_or_else(PoisonError::into_inner);
        if named.len() >= self.names_max && !named.contains_key(name) {
            return Arc::clone(&self.other);
        }
        Arc::clone(named.entry(name.into()).or_default())
    }

    pub(super) fn read(&self, readings: &mut Readings) {
        self.anonymous.read("", readings);
        self.unknown.read(UNKNOWN, readings);
        self.other.read(OTHER, readings);
        for (name, tally) in self.named.read().unwrap_or_else(PoisonError::into_inner).iter() {
            tally.read(name, readings);
        }
    }
}

/// Whether a name is safe as a metric label and in the log: at most [`NAME_BYTES`] ASCII letters, digits and `_`.
fn is_safe(name: &str) -> bool {
    let is_word_byte = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (1..=NAME_BYTES).contains(&name.len()) && name.bytes().all(is_word_byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Series that an operation is counted in.
    fn counted_as(counts: &OperationCounts, name: &str) -> &'static str {
        let operation = counts.operation(Some(name), "query");
        match operation.tally() {
            tally if std::ptr::eq(tally, &*counts.other) => OTHER,
            tally if std::ptr::eq(tally, &*counts.anonymous) => "",
            _ => "its own",
        }
    }

    #[test]
    fn the_first_names_have_series_and_all_others_share_one() {
        let counts = OperationCounts::new(2);
        let long = "x".repeat(65);
        // None of these uses up a name.
        for name in ["other", "unknown", "", &long, "é"] {
            assert_eq!(counted_as(&counts, name), OTHER, "{name}");
        }
        for (name, expected) in
            [("A", "its own"), ("B", "its own"), ("C", OTHER), ("A", "its own"), ("B", "its own")]
        {
            assert_eq!(counted_as(&counts, name), expected, "{name}");
        }
        assert!(std::ptr::eq(counts.operation(None, "query").tally(), &*counts.anonymous));
        assert_eq!(counted_as(&OperationCounts::new(0), "A"), OTHER);
    }

    #[test]
    fn the_log_contains_only_safe_operation_names() {
        let counts = OperationCounts::new(0);
        assert_eq!(counts.operation(Some("Overview_2"), "query").safe_name(), Some("Overview_2"));
        assert_eq!(counts.operation(Some("a\nb"), "query").safe_name(), None);
    }
}
