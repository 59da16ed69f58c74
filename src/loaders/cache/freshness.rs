//! Freshness of cached values: their age, and the reason why they are served.
//!
//! [`Freshness`] is the main type. `entries` creates it. Responses report it as `freshness`, and the response cache
//! derives from it how long a response is valid.
//!
//! It contains timestamps instead of ages, so that a cached response stays correct. If a value is derived from several
//! parts, the oldest part counts.

use jiff::Timestamp;
use tokio::time::Instant;

/// Reason why a value is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FreshnessState {
    /// The value is within its lifetime.
    Fresh,
    /// The value has expired. A refresh is in flight, or waits for the rate limit (RFC 5861, 3).
    Stale,
    /// The value has expired, and the refresh failed (RFC 5861, 4).
    StaleOnError,
}

/// The age of a value, or of the oldest part of several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Freshness {
    /// Start of the fetch. The upstream produced the value at this time or later (RFC 9111, 4.2.3 uses the same rule).
    pub fetched_at: Timestamp,
    /// Reason why the value is served.
    pub state: FreshnessState,
    /// Time from which a read starts a new fetch.
    pub refresh_due_at: Timestamp,
    /// End of the time in which a repeated read returns the same value and state. A fetch or an invalidation can change
    /// both earlier.
    pub changes_at: Instant,
    /// End of the lifetime.
    pub(crate) fresh_until: Instant,
    /// Epoch of the credential at the start of the fetch; of several parts, the oldest.
    pub(crate) epoch: u64,
}

impl Freshness {
    /// Combines the freshness of two parts.
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

    /// Combines the freshness of any number of parts. Returns `None` if there are no parts.
    pub fn of(parts: impl IntoIterator<Item = Self>) -> Option<Self> {
        parts.into_iter().reduce(Self::and)
    }
}

/// A value and its freshness.
#[derive(Debug, Clone)]
pub struct Cached<V> {
    /// The value.
    pub value: V,
    /// The freshness of the value.
    pub freshness: Freshness,
}

impl<V> Cached<V> {
    /// Converts the value and keeps its freshness.
    pub fn map<T>(self, make: impl FnOnce(V) -> T) -> Cached<T> {
        Cached { value: make(self.value), freshness: self.freshness }
    }
}

/// The place from which a read received its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueSource {
    /// This replica's cache.
    Cached,
    /// Another replica, which had cached it or was fetching it.
    Shared,
    /// An in-flight fetch of another caller.
    Joined,
    /// A fetch for this caller.
    Fetched,
}

/// Whether a caller accepts stale values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StalePolicy {
    /// Accepts a stale value if it is available without waiting.
    AllowStale,
    /// Accepts only a fresh value, unless the fetch fails.
    RequireFresh,
}
