//! Result of the call that `switchboard check` makes to test an upstream.

use http::HeaderMap;
use jiff::Timestamp;

use super::rate_limit;
use super::transport::request_id;

/// Facts from one successful call.
#[derive(Debug, Clone)]
pub struct ProbeReport {
    /// The upstream's time, from the `Date` header.
    pub date: Option<Timestamp>,
    /// Local time of the response.
    pub local_date: Timestamp,
    /// Calls allowed in the counted window.
    pub limit: Option<u64>,
    /// Remaining calls in the window.
    pub remaining: Option<u64>,
    /// End of the window.
    pub resets_at: Option<Timestamp>,
    /// The upstream's request id.
    pub request_id: Option<String>,
    /// Number of unreadable items. More than zero suggests another version of the API.
    pub problems: u64,
}

impl ProbeReport {
    pub(super) fn new(headers: &HeaderMap, local_date: Timestamp, problems: u64) -> Self {
        let date = rate_limit::date(headers);
        Self {
            date,
            local_date,
            limit: rate_limit::limit(headers),
            remaining: rate_limit::remaining(headers),
            resets_at: rate_limit::resets_at(headers, date.unwrap_or(local_date)),
            request_id: request_id(headers),
            problems,
        }
    }
}
