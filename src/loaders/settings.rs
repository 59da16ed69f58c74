//! Settings of caches, connections, subscriptions and upstream lists.
//!
//! Each struct is a section of the configuration file and has the allowed range of each number. `config` reads and
//! validates them. [`Shares`] divides the memory limit among the caches.

use std::time::Duration;

use serde::Deserialize;

use crate::domain::settings::{GIB, Ranges};

/// `[cache]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CacheSettings {
    /// Memory limit of all caches together, in bytes.
    pub limit_bytes: u64,
    /// Lifetime of a workspace's list of providers, in milliseconds.
    pub providers_ttl_ms: u64,
    /// Lifetime of a page of accounts, and of an account read by its id, in milliseconds.
    pub accounts_ttl_ms: u64,
    /// Time after expiry during which a stale value is served at once while it is refreshed, in milliseconds
    /// (RFC 5861, 3).
    pub stale_while_revalidate_ms: u64,
    /// Time after expiry during which a stale value is served if the refresh failed or the rate limit allows
    /// no call, in milliseconds (RFC 5861, 4).
    pub stale_if_error_ms: u64,
    /// Lifetime of a toolkit's name, logo, categories and description, in milliseconds.
    pub toolkits_ttl_ms: u64,
    /// Time after expiry during which a stale toolkit is served, in milliseconds.
    pub toolkits_stale_ms: u64,
    /// Largest random reduction of a value's lifetime, in percent.
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
        ("toolkits_ttl_ms", 0..=604_800_000),
        ("toolkits_stale_ms", 0..=2_592_000_000),
        ("jitter_percent", 0..=50),
    ];

    /// Divides [`Self::limit_bytes`] among the caches.
    #[must_use]
    pub fn shares(&self) -> Shares {
        Shares::of(self.limit_bytes)
    }

    /// Returns the lifetime of a list of providers.
    pub(crate) fn providers_ttl(&self) -> Duration {
        Duration::from_millis(self.providers_ttl_ms)
    }

    /// Returns the lifetime of a page of accounts.
    pub(crate) fn accounts_ttl(&self) -> Duration {
        Duration::from_millis(self.accounts_ttl_ms)
    }
}

/// Shares of one memory limit, in bytes, for all caches of fetched or derived data.
///
/// Together they never exceed the limit. Not included are caches that are bounded by a number of entries: those of
/// known and of rejected credentials, a few thousand short texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shares {
    /// Pages of accounts.
    pub pages: u64,
    /// Accounts by their ids.
    pub accounts: u64,
    /// Total numbers of accounts of lists.
    pub totals: u64,
    /// Names and logos of toolkits.
    pub toolkits: u64,
    /// Cursors of preceding pages.
    pub reverse_pages: u64,
    /// Lists of providers.
    pub providers: u64,
    /// The last list of providers that was read, regardless of its age.
    pub last_known: u64,
    /// Cached responses.
    pub responses: u64,
    /// Parsed and validated documents.
    pub documents: u64,
}

impl Shares {
    /// Divides a limit in bytes.
    #[must_use]
    pub fn of(limit_bytes: u64) -> Self {
        let sixteenth = limit_bytes / 16;
        Self {
            pages: sixteenth * 6,
            accounts: sixteenth * 2,
            totals: sixteenth / 2,
            toolkits: sixteenth / 2,
            reverse_pages: sixteenth,
            providers: sixteenth,
            last_known: sixteenth,
            responses: sixteenth * 2,
            documents: sixteenth * 2,
        }
    }
}

/// `[connections]`: sizes of Relay connections and of by-ids fields.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConnectionSettings {
    /// Page size of provider connections if neither `first` nor `last` is given.
    pub providers_default: usize,
    /// Page size of account connections if neither `first` nor `last` is given.
    pub accounts_default: usize,
    /// Largest allowed `first` or `last`.
    pub page_max: usize,
    /// Largest number of ids in one field.
    pub ids_max: usize,
    /// Largest number of providers listed for one toolkit.
    pub toolkit_providers_max: usize,
}

impl ConnectionSettings {
    /// Allowed ranges.
    pub(crate) const RANGES: Ranges = &[
        ("providers_default", 1..=10_000),
        ("accounts_default", 1..=10_000),
        ("page_max", 1..=10_000),
        // An id in a federation representation is about four JSON values, and a request may contain 10,000 values.
        ("ids_max", 1..=2_000),
        ("toolkit_providers_max", 1..=10_000),
    ];
}

/// `[subscriptions]`: limits of subscriptions and of polling for changes.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WatchSettings {
    /// Largest number of concurrent subscribers, over all callers.
    pub subscribers_max: usize,
    /// Number of changes stored per credential, for subscribers that are slow or reconnect.
    pub events_max: usize,
    /// Time for which polling continues after the last subscriber has left, in milliseconds. A subscriber
    /// that reconnects within this time misses no change.
    pub linger_ms: u64,
    /// Largest number of upstream pages read for the initial state, and to find removed accounts.
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
}

/// `[lists]`: limits of reads of upstream lists.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListSettings {
    /// The `limit` of every list call to Composio; at most 100 (docs/upstreams.md#composio-list-request).
    pub page_rows: usize,
    /// Largest number of upstream pages read in one page walk.
    pub pages_max: usize,
    /// Largest number of calls for the counts of one field on one level. Counts that need more are null.
    pub count_calls_max: usize,
}

impl ListSettings {
    /// Allowed ranges.
    pub(crate) const RANGES: Ranges = &[
        // The upstream clamps `limit` at 100 (docs/upstreams.md#composio-list-request).
        ("page_rows", 1..=100),
        ("pages_max", 1..=10_000),
        ("count_calls_max", 0..=10_000),
    ];
}
