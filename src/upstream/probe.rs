//! One call that asks an upstream how it is: what `switchboard check` makes.

use http::HeaderMap;
use jiff::Timestamp;

use super::rate_limit;
use super::transport::request_id;

/// What one successful call told of an upstream.
#[derive(Debug, Clone)]
pub struct ProbeReport {
    /// Its own time, by the `Date` header.
    pub date: Option<Timestamp>,
    /// The time here when it answered.
    pub local_date: Timestamp,
    /// The calls of the counted window, in all.
    pub limit: Option<u64>,
    /// The calls left in it.
    pub remaining: Option<u64>,
    /// When the window ends.
    pub resets_at: Option<Timestamp>,
    /// Its request id.
    pub request_id: Option<String>,
    /// How many items could not be read: more than none hints at another version of the API.
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
