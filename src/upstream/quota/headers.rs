//! Rate limit headers of one response, parsed into the form that the quota model in [`super`] uses.
//!
//! Times are relative to the response's own `Date`, so only the upstream's clock decides when its window ends
//! (docs/upstreams.md#rate-limit-reset).

use std::time::Duration;

use http::HeaderMap;
use jiff::{SignedDuration, Timestamp};

use super::super::rate_limit;
use super::moment::{DAY, FUTURE_MAX};

/// Parsed rate limit headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::upstream) struct QuotaHeaders {
    pub(super) limit: Option<u64>,
    pub(super) remaining: Option<u64>,
    pub(super) ends: WindowEnd,
    /// Upper bound of the time left in the window, by the upstream's clock; at least 1 s.
    pub(super) resets_in: Duration,
    /// The same end, as a timestamp of that clock.
    pub(super) resets_at: Timestamp,
    /// Delay before the next call after a 429.
    pub(super) wait: Option<Duration>,
    /// Whether `Retry-After` stated the delay. Otherwise it is derived from the reset.
    pub(super) is_wait_stated: bool,
}

/// Form in which the headers state the end of the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::upstream) enum WindowEnd {
    /// By a reset time, which also identifies the window.
    Reset,
    /// By the window's length only (docs/upstreams.md#composio-rate-limits): it ends at most this long from now.
    Within(Duration),
    /// Not at all: assumed to be a day that ends at midnight UTC (docs/upstreams.md#leadlex-rate-limits).
    Unknown,
}

impl QuotaHeaders {
    /// Parses the headers of a response. `upstream_now` is the result of [`rate_limit::upstream_now`].
    pub(in crate::upstream) fn read(headers: &HeaderMap, upstream_now: Timestamp) -> Self {
        let until = |at: Timestamp| Duration::try_from(at.duration_since(upstream_now)).unwrap_or_default();
        let reset = rate_limit::resets_at(headers, upstream_now).filter(|at| until(*at) <= FUTURE_MAX);
        let (ends, resets_at) = match (reset, rate_limit::window(headers)) {
            (Some(at), _) => (WindowEnd::Reset, at),
            (None, Some(length)) => {
                let wait = rate_limit::wait(headers, upstream_now).unwrap_or(length);
                (WindowEnd::Within(length), later(upstream_now, wait.min(length)))
            }
            (None, None) => (WindowEnd::Unknown, midnight_after(upstream_now)),
        };
        Self {
            limit: at_least_one(rate_limit::limit(headers)),
            remaining: rate_limit::remaining(headers),
            ends,
            resets_in: until(resets_at).max(Duration::from_secs(1)),
            resets_at,
            wait: rate_limit::wait(headers, upstream_now),
            is_wait_stated: rate_limit::retry_after(headers, upstream_now).is_some(),
        }
    }

    /// Whether the headers state a limit or remaining calls.
    pub(super) fn has_counts(&self) -> bool {
        self.limit.is_some() || self.remaining.is_some()
    }
}

/// With a limit of 0, also the following windows would allow no call, so no response could ever state another limit.
fn at_least_one(limit: Option<u64>) -> Option<u64> {
    limit.map(|limit| limit.max(1))
}

/// Adds `wait` to a timestamp.
pub(super) fn later(at: Timestamp, wait: Duration) -> Timestamp {
    SignedDuration::try_from(wait).ok().and_then(|wait| at.checked_add(wait).ok()).unwrap_or(Timestamp::MAX)
}

fn midnight_after(now: Timestamp) -> Timestamp {
    let day = i64::try_from(DAY.as_secs()).unwrap_or(i64::MAX);
    Timestamp::from_second((now.as_second().div_euclid(day) + 1) * day).unwrap_or(Timestamp::MAX)
}
