//! `RateLimit` and `RateLimit-Policy`: the caller's limits over time (draft-ietf-httpapi-ratelimit-headers-10),
//! structured fields (RFC 9651).
//!
//! [`describe`] is the entry point. Requests are the only unit of the draft's registry that occurs here; the others
//! have units of their own, which clients that do not know them must ignore.

use std::fmt::Write as _;
use std::time::Duration;

use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderMap, HeaderName, HeaderValue};

use crate::operation::rate_limits::RateLimitStatus;

/// The policies of the caller's limits.
pub(crate) const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// The units that are left of each limit.
pub(crate) const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// Adds the headers, with `Retry-After` if the operation was refused.
pub(crate) fn describe(headers: &mut HeaderMap, status: &RateLimitStatus) {
    let (mut policies, mut remaining) = (String::new(), String::new());
    let window = whole_seconds(status.window);
    for limit in &status.limits {
        let separator = if policies.is_empty() { "" } else { ", " };
        let _ = write!(policies, "{separator}\"{}\";q={}", limit.policy, limit.quota);
        if limit.policy != "requests" {
            let _ = write!(policies, ";qu=\"{}\"", limit.policy);
        }
        let _ = write!(policies, ";w={window}");
        let _ = write!(remaining, "{separator}\"{}\";r={}", limit.policy, limit.remaining);
        if let Some(more_after) = limit.more_after {
            let _ = write!(remaining, ";t={}", whole_seconds(more_after));
        }
    }
    let values = [(RATE_LIMIT_POLICY, policies), (RATE_LIMIT, remaining)];
    headers.extend(
        values.into_iter().filter_map(|(name, value)| Some((name, HeaderValue::try_from(value).ok()?))),
    );
    headers.extend(status.retry_after.map(|wait| (RETRY_AFTER, whole_seconds(wait).into())));
}

/// Returns seconds without a fraction, rounded up.
fn whole_seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operation::rate_limits::LimitStatus;

    #[test]
    fn headers_are_structured_fields_with_whole_seconds() {
        let limit =
            |policy, quota, remaining, more_after| LimitStatus { policy, quota, remaining, more_after };
        let status = RateLimitStatus {
            window: Duration::from_secs(60),
            limits: vec![
                limit("requests", 100, 0, Some(Duration::from_millis(1_001))),
                limit("upstream-calls", 7, 7, None),
            ],
            retry_after: Some(Duration::from_millis(1_001)),
        };
        let mut headers = HeaderMap::new();
        describe(&mut headers, &status);
        assert_eq!(
            headers[RATE_LIMIT_POLICY],
            r#""requests";q=100;w=60, "upstream-calls";q=7;qu="upstream-calls";w=60"#
        );
        assert_eq!(headers[RATE_LIMIT], r#""requests";r=0;t=2, "upstream-calls";r=7"#);
        assert_eq!(headers[RETRY_AFTER], "2");
    }
}
