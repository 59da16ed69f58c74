//! What one call to an upstream tells besides its data: for `switchboard check`.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

/// What an answer told besides its data.
#[derive(Debug, Clone)]
pub struct ProbeReport {
    /// The HTTP status, a successful one.
    pub status: u16,
    /// The upstream's own id of the call, where that is `[A-Za-z0-9_-]{1,64}`.
    pub request_id: Option<Arc<str>>,
    /// The upstream's clock, as the header `Date` tells it.
    pub date: Option<Timestamp>,
    /// Its quota, where it told one.
    pub quota: Option<Quota>,
}

/// How many calls are left (UPSTREAMS.md A8 and B1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Calls allowed in the whole window.
    pub limit: u64,
    /// Calls left in it.
    pub remaining: u64,
    /// When the window ends, where the upstream tells that (LeadLex).
    pub resets_at: Option<Timestamp>,
    /// How long a window is, where it tells that instead (Composio).
    pub window: Option<Duration>,
}
