//! What can be set about how values are got and kept.

use std::time::Duration;

use serde::Deserialize;

use crate::domain::page::PageSizes;
use crate::domain::settings::{GIB, Ranges};

/// `[cache]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CacheSettings {
    /// How much memory what is kept may take, in bytes, over everything.
    pub limit_bytes: u64,
    /// How long the workspace's list of providers is kept, in milliseconds.
    pub providers_ttl_ms: u64,
    /// How long a page of accounts, or an account by its id, is kept, in milliseconds.
    pub accounts_ttl_ms: u64,
    /// How long past its time a value is served at once, while it is read again behind, in milliseconds
    /// (RFC 5861, 3).
    pub stale_while_revalidate_ms: u64,
    /// How long past its time a value is served where reading it again has failed, or the quota allows no
    /// call, in milliseconds (RFC 5861, 4).
    pub stale_if_error_ms: u64,
    /// Up to which part of its time a value's is cut short by chance, in percent.
    pub jitter_percent: u8,
}

impl CacheSettings {
    /// Allowed ranges.
    pub(crate) const RANGES: Ranges = &[
        ("limit_bytes", 0..=1024 * GIB),
        ("providers_ttl_ms", 0..=86_400_000),
        ("accounts_ttl_ms", 0..=86_400_000),
        ("stale_while_revalidate_ms", 0..=86_400_000),
        ("stale_if_error_ms", 0..=604_800_000),
        ("jitter_percent", 0..=50),
    ];

    /// What each cache may take of [`Self::limit_bytes`].
    #[must_use]
    pub fn shares(&self) -> Shares {
        Shares::of(self.limit_bytes)
    }

    /// How long the list of providers is kept.
    #[must_use]
    pub fn providers_ttl(&self) -> Duration {
        Duration::from_millis(self.providers_ttl_ms)
    }

    /// How long a page of accounts is kept.
    #[must_use]
    pub fn accounts_ttl(&self) -> Duration {
        Duration::from_millis(self.accounts_ttl_ms)
    }

    /// How long past its time a value is served while it is read again.
    #[must_use]
    pub fn stale_while_revalidate(&self) -> Duration {
        Duration::from_millis(self.stale_while_revalidate_ms)
    }

    /// How long past its time a value is served where it cannot be read again.
    #[must_use]
    pub fn stale_if_error(&self) -> Duration {
        Duration::from_millis(self.stale_if_error_ms.max(self.stale_while_revalidate_ms))
    }
}

/// One limit in bytes, divided among all that keeps what was fetched or what was made of it: together they
/// never weigh more. (A cache that is counted in entries and not in bytes holds a few thousand short texts: the
/// credentials that are known, and those that were refused.)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shares {
    /// Pages of accounts.
    pub pages: u64,
    /// Accounts by their ids.
    pub accounts: u64,
    /// How long lists of accounts are.
    pub totals: u64,
    /// Which page leads to which.
    pub reverse_pages: u64,
    /// AccountLists of providers.
    pub providers: u64,
    /// The last list of providers that was read, however old.
    pub last_known: u64,
    /// Finished answers.
    pub answers: u64,
    /// Documents, parsed and judged.
    pub documents: u64,
}

impl Shares {
    /// The shares of a limit in bytes.
    #[must_use]
    pub fn of(limit_bytes: u64) -> Self {
        let sixteenth = limit_bytes / 16;
        Self {
            pages: sixteenth * 6,
            accounts: sixteenth * 2,
            totals: sixteenth,
            reverse_pages: sixteenth,
            providers: sixteenth,
            last_known: sixteenth,
            answers: sixteenth * 2,
            documents: sixteenth * 2,
        }
    }
}

/// `[connections]`: sizes of Relay connections and of by-ids fields.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConnectionSettings {
    /// Providers where neither `first` nor `last` is given.
    pub providers_default: usize,
    /// Accounts where neither `first` nor `last` is given.
    pub accounts_default: usize,
    /// The most that `first` or `last` may ask for.
    pub page_max: usize,
    /// The most ids that one field takes.
    pub ids_max: usize,
    /// The most providers that one toolkit is listed with.
    pub toolkit_providers_max: usize,
}

impl ConnectionSettings {
    /// Allowed ranges.
    pub(crate) const RANGES: Ranges = &[
        ("providers_default", 1..=10_000),
        ("accounts_default", 1..=10_000),
        ("page_max", 1..=10_000),
        // As representations they are some four values of JSON each, of which a request may hold 10,000.
        ("ids_max", 1..=2_000),
        ("toolkit_providers_max", 1..=10_000),
    ];

    /// The sizes of provider connections.
    #[must_use]
    pub fn providers(&self) -> PageSizes {
        PageSizes { default: self.providers_default, max: self.page_max }
    }

    /// The sizes of account connections.
    #[must_use]
    pub fn accounts(&self) -> PageSizes {
        PageSizes { default: self.accounts_default, max: self.page_max }
    }
}

/// `[subscriptions]`: how changes are watched for.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WatchSettings {
    /// How many may subscribe at once, over all callers.
    pub subscribers_max: usize,
    /// How many changes of one credential are remembered, for listeners that are slow or come back.
    pub events_max: usize,
    /// How long it is watched on after the last listener has gone, in milliseconds, so that one that comes back misses
    /// nothing.
    pub linger_ms: u64,
    /// The most upstream pages of accounts that are read to know what there is at the beginning, and to see what went.
    pub walk_pages_max: usize,
}

impl WatchSettings {
    /// Allowed ranges.
    pub(crate) const RANGES: Ranges = &[
        ("subscribers_max", 0..=1_000_000),
        ("events_max", 1..=1_000_000),
        ("linger_ms", 0..=3_600_000),
        ("walk_pages_max", 1..=1_000),
    ];

    /// How long it is watched on after the last listener has gone.
    #[must_use]
    pub fn linger(&self) -> Duration {
        Duration::from_millis(self.linger_ms)
    }
}

/// `[lists]`: how upstream lists are walked.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListSettings {
    /// The `limit` of every list call to Composio; 100 at most (UPSTREAMS.md A2).
    pub page_rows: usize,
    /// The most upstream pages that one walk reads.
    pub pages_max: usize,
    /// The most calls that the counts of one field of one level may cost; dearer ones are null.
    pub count_calls_max: usize,
}

impl ListSettings {
    /// Allowed ranges.
    pub(crate) const RANGES: Ranges = &[
        // The upstream clamps `limit` at 100 (UPSTREAMS.md A2).
        ("page_rows", 1..=100),
        ("pages_max", 1..=10_000),
        ("count_calls_max", 0..=10_000),
    ];
}
