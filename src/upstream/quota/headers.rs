//! Rate limit headers of one response, in the terms of the model.
//!
//! Times are relative to the response's own `Date`, so only the upstream's clock decides when its window ends
//! (docs/upstreams.md#rate-limit-reset). Replicas exchange this form, not the headers.

use std::time::Duration;

use http::HeaderMap;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{super::rate_limit, DAY};

/// Later resets are implausible and ignored (docs/upstreams.md#rate-limit-reset).
const RESET_MAX: Duration = Duration::from_secs(31 * 86_400);

/// Parsed rate limit headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::upstream) struct QuotaHeaders {
    pub(super) limit: Option<u64>,
    pub(super) remaining: Option<u64>,
    pub(super) ends: WindowEnd,
    /// Latest time until the window ends, on the upstream's clock; at least 1 s.
    pub(super) resets_in: Duration,
    /// Same as a time on that clock.
    pub(super) resets_at: Timestamp,
    /// Requested delay after a 429.
    pub(super) wait: Option<Duration>,
    /// Whether a `Retry-After` header requested the delay; otherwise it follows from the reset.
    pub(super) asks_to_wait: bool,
    /// Whether the headers were received some time ago, as those from another replica can be.
    #[serde(skip)]
    pub(super) is_late: bool,
}

/// Form in which the headers state the end of the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::upstream) enum WindowEnd {
    /// By a reset time, which also identifies the window.
    #[serde(rename = "told")]
    Reset,
    /// By the window's length only (docs/upstreams.md#composio-rate-limits): it ends at most this long from now.
    Within(Duration),
    /// Not at all: assumed to be a day that ends at midnight UTC (docs/upstreams.md#leadlex-rate-limits).
    #[serde(rename = "untold")]
    Unknown,
}

impl QuotaHeaders {
    /// Parses the headers of a response received at `wall`.
    pub(in crate::upstream) fn read(headers: &HeaderMap, wall: Timestamp) -> Self {
        let now = rate_limit::upstream_now(headers, wall);
        let until = |at: Timestamp| Duration::try_from(at.duration_since(now)).unwrap_or_default();
        let reset = rate_limit::resets_at(headers, now).filter(|at| until(*at) <= RESET_MAX);
        let (ends, resets_at) = match (reset, rate_limit::window(headers)) {
            (Some(at), _) => (WindowEnd::Reset, at),
            (None, Some(length)) => {
                let wait = rate_limit::wait(headers, wall).unwrap_or(length);
                (WindowEnd::Within(length), later(now, wait.min(length)))
            }
            (None, None) => (WindowEnd::Unknown, midnight_after(now)),
        };
        Self {
            limit: rate_limit::limit(headers).map(|limit| limit.max(1)),
            remaining: rate_limit::remaining(headers),
            ends,
            resets_in: until(resets_at).max(Duration::from_secs(1)),
            resets_at,
            wait: rate_limit::wait(headers, wall),
            asks_to_wait: rate_limit::retry_after(headers, wall).is_some(),
            is_late: false,
        }
    }

    /// Returns the result for a response without rate limit headers.
    pub(super) fn nothing(wall: Timestamp) -> Self {
        Self::read(&HeaderMap::new(), wall)
    }

    /// Adjusts the values to a later time. `None` if the window has ended by then, or if no response can have
    /// stated these values.
    pub(super) fn after(self, age: Duration) -> Option<Self> {
        let is_long = |time: Duration| time > RESET_MAX;
        let ends_oddly = match self.ends {
            WindowEnd::Within(length) => length.is_zero() || is_long(length),
            WindowEnd::Reset | WindowEnd::Unknown => false,
        };
        if ends_oddly || is_long(self.resets_in) || self.wait.is_some_and(is_long) {
            return None;
        }
        let resets_in = self.resets_in.checked_sub(age).filter(|left| !left.is_zero())?;
        let wait = self.wait.and_then(|wait| wait.checked_sub(age));
        let limit = self.limit.map(|limit| limit.max(1));
        Some(Self { limit, resets_in, wait, is_late: !age.is_zero(), ..self })
    }

    /// Whether the headers state a limit or remaining calls.
    pub(super) fn counts(&self) -> bool {
        self.limit.is_some() || self.remaining.is_some()
    }
}

/// Adds `wait` to a timestamp.
pub(super) fn later(at: Timestamp, wait: Duration) -> Timestamp {
    SignedDuration::try_from(wait).ok().and_then(|wait| at.checked_add(wait).ok()).unwrap_or(Timestamp::MAX)
}

fn midnight_after(now: Timestamp) -> Timestamp {
    let day = i64::try_from(DAY.as_secs()).unwrap_or(i64::MAX);
    Timestamp::from_second((now.as_second().div_euclid(day) + 1) * day).unwrap_or(Timestamp::MAX)
}
