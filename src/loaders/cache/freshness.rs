//! How old a value is, and why it is served: what answers say in `freshness`, and what their caching goes by.
//!
//! It names moments, never ages: the text of an answer does not change by the second alone, so that it can
//! be kept. Of a value that was made of several the oldest part counts.

use jiff::Timestamp;
use tokio::time::Instant;

/// Why a value is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FreshnessState {
    /// It is within its time.
    Fresh,
    /// It is past its time and is being read again, or waits until the quota allows that (RFC 5861, 3).
    Stale,
    /// It is past its time, and reading it again has failed (RFC 5861, 4).
    StaleOnError,
}

/// The age of a value, or of the oldest part of several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Freshness {
    /// When the upstream was asked for it: it is at most as old as that (RFC 9111, 4.2.3 counts so too).
    pub fetched_at: Timestamp,
    /// Why it is served.
    pub state: FreshnessState,
    /// When it will be read again if somebody asks.
    pub refresh_due_at: Timestamp,
    /// Until when asking again gives the same, unless something is read, dropped or fails meanwhile.
    pub changes_at: Instant,
    /// Until when it is within its time.
    pub(crate) fresh_until: Instant,
    /// The epoch of its credential in which reading it began; of several, the oldest.
    pub(crate) epoch: u64,
}

impl Freshness {
    /// Of two parts together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            fetched_at: self.fetched_at.min(other.fetched_at),
            state: self.state.max(other.state),
            refresh_due_at: self.refresh_due_at.min(other.refresh_due_at),
            changes_at: self.changes_at.min(other.changes_at),
            fresh_until: self.fresh_until.min(other.fresh_until),
            epoch: self.epoch.min(other.epoch),
        }
    }

    /// Of any number of parts together; none where there are none.
    pub fn of(parts: impl IntoIterator<Item = Self>) -> Option<Self> {
        parts.into_iter().reduce(Self::and)
    }
}

/// A value, and how old it is.
#[derive(Debug, Clone)]
pub struct Cached<V> {
    /// The value.
    pub value: V,
    /// Its age.
    pub freshness: Freshness,
}

impl<V> Cached<V> {
    /// Something that was made of it, and is as old.
    pub fn map<T>(self, make: impl FnOnce(V) -> T) -> Cached<T> {
        Cached { value: make(self.value), freshness: self.freshness }
    }
}

/// Where a value came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueSource {
    /// It was kept.
    Cached,
    /// Another replica had it, or was fetching it.
    Shared,
    /// Somebody else was fetching it.
    Joined,
    /// It was fetched for this caller.
    Fetched,
}

/// How old a value may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StalePolicy {
    /// Past its time too, where it can be had without waiting.
    AllowStale,
    /// Within its time, unless reading it again fails.
    RequireFresh,
}
