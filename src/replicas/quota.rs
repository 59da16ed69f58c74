//! Exchange of one credential's rate limit state: the counters that replicas share.
//!
//! [`QuotaExchange`] and [`QuotaReply`] are the two sides of
//! [`Store::exchange_quota`](super::store::Store::exchange_quota), which `upstream::quota` uses. The store counts and
//! expires calls, and keeps a value that it does not read. Times are milliseconds since 1970 on the callers' clocks.

use std::time::Duration;

/// Maximum number of calls of each kind in a reply, which contains the latest ones. It is above any limit per minute that
/// response headers do not report (docs/upstreams.md#leadlex-rate-limits).
pub const CALLS_MAX: usize = 256;

/// The changes of one replica to the shared state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuotaExchange {
    /// Key of the credential. The keys in the store begin with it.
    pub key: String,
    /// Current time.
    pub now: u64,
    /// Entries that ended before this time are removed.
    pub expired_before: u64,
    /// Lifetime of the state.
    pub ttl: Duration,
    /// This replica.
    pub replica: String,
    /// Time until which this replica is counted.
    pub replica_until: u64,
    /// Calls that are new or have changed.
    pub calls: Vec<SharedCall>,
    /// Value to write; `None` to change calls only.
    pub write: Option<QuotaWrite>,
}

impl QuotaExchange {
    /// An exchange that uses all commands and leaves nothing behind.
    pub(super) fn probe(key: String) -> Self {
        let call = SharedCall { id: "check".to_owned(), minute_until: 1, unconfirmed_until: 0 };
        let (ttl, write) = (Duration::from_secs(1), Some(QuotaWrite { version: 0, value: Vec::new() }));
        Self {
            key,
            now: 1,
            expired_before: 0,
            ttl,
            replica: "check".to_owned(),
            replica_until: 1,
            calls: vec![call],
            write,
        }
    }
}

/// A call of any replica.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedCall {
    /// Unique identifier.
    pub id: String,
    /// Time until which the call occupies the minute; 0: it was not sent after all.
    pub minute_until: u64,
    /// Time until which no response has confirmed the call; 0: confirmed. Then it counts as lost.
    pub unconfirmed_until: u64,
}

/// A write of the value, which is accepted if the version is the current one, or if there is no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuotaWrite {
    /// Version that the value is derived from.
    pub version: u64,
    /// New value.
    pub value: Vec<u8>,
}

/// The shared state after an exchange.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct QuotaReply {
    /// Number of this exchange; it grows with each one, also after the store has lost its data.
    pub tick: u64,
    /// Version of the value; 0 without a value.
    pub version: u64,
    /// Whether the write was accepted.
    pub is_accepted: bool,
    /// Value.
    pub value: Vec<u8>,
    /// Number of calls that were sent.
    pub sent: u64,
    /// Number of calls that were never confirmed.
    pub lost: u64,
    /// Number of known replicas.
    pub replicas: u64,
    /// Calls that occupy the minute, with the time until which they do.
    pub minute: Vec<(String, u64)>,
    /// Unconfirmed calls, with the time until which they are.
    pub unconfirmed: Vec<(String, u64)>,
}
