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

/// A valid operation.
#[derive(Debug)]
pub struct Operation {
    plain_name: Option<Box<str>>,
    kind: &'static str,
    tally: Arc<Tally>,
}

impl Operation {
    /// Returns its name, if that is a plain word.
    #[must_use]
    pub fn plain_name(&self) -> Option<&str> {
        self.plain_name.as_deref()
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

/// Names with series of their own.
#[derive(Debug)]
pub(super) struct Names {
    names_max: usize,
    named: RwLock<HashMap<Box<str>, Arc<Tally>>>,
    anonymous: Arc<Tally>,
    other: Arc<Tally>,
    unknown: Tally,
}

impl Names {
    pub(super) fn new(names_max: usize) -> Self {
        let (named, anonymous, other) = (RwLock::default(), Arc::default(), Arc::default());
        Self { names_max, named, anonymous, other, unknown: Tally::default() }
    }

    /// Returns the counts of requests whose operation is unknown.
    pub(super) fn unknown(&self) -> &Tally {
        &self.unknown
    }

    pub(super) fn operation(&self, name: Option<&str>, kind: &'static str) -> Operation {
        let plain = name.filter(|name| is_plain(name));
        // An operation with one of these names has no series of its own, because it would be confused with these.
        let distinct = plain.filter(|name| ![OTHER, UNKNOWN].contains(name));
        let tally = match (name, distinct) {
            (None, _) => Arc::clone(&self.anonymous),
            (Some(_), Some(name)) => self.tally_of(name),
            (Some(_), None) => Arc::clone(&self.other),
        };
        Operation { plain_name: plain.map(Into::into), kind, tally }
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

fn is_plain(name: &str) -> bool {
    let is_word_byte = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (1..=NAME_BYTES).contains(&name.len()) && name.bytes().all(is_word_byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Series that an operation is counted in.
    fn counted_as(names: &Names, name: &str) -> &'static str {
        let operation = names.operation(Some(name), "query");
        match operation.tally() {
            tally if std::ptr::eq(tally, &*names.other) => OTHER,
            tally if std::ptr::eq(tally, &*names.anonymous) => "",
            _ => "its own",
        }
    }

    #[test]
    fn the_first_names_have_series_and_all_others_share_one() {
        let names = Names::new(2);
        let long = "x".repeat(65);
        // None of these uses up a name.
        for name in ["other", "unknown", "", &long, "é"] {
            assert_eq!(counted_as(&names, name), OTHER, "{name}");
        }
        for (name, expected) in
            [("A", "its own"), ("B", "its own"), ("C", OTHER), ("A", "its own"), ("B", "its own")]
        {
            assert_eq!(counted_as(&names, name), expected, "{name}");
        }
        assert!(std::ptr::eq(names.operation(None, "query").tally(), &*names.anonymous));
        assert_eq!(counted_as(&Names::new(0), "A"), OTHER);
    }

    #[test]
    fn the_log_contains_only_plain_operation_names() {
        let names = Names::new(0);
        assert_eq!(names.operation(Some("Overview_2"), "query").plain_name(), Some("Overview_2"));
        assert_eq!(names.operation(Some("a\nb"), "query").plain_name(), None);
    }
}
