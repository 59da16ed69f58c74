//! Errors of upstream calls, with messages that are safe to show to clients.
//!
//! The `Display` of [`UpstreamError`] is the public message. The upstream's text, URL and headers are only in
//! `source()`, which is never logged or sent to clients.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::text_enum::text_enum;
use crate::domain::upstream_name::UpstreamName;

text_enum! {
    /// Kind of failure; each maps to an error code of the API.
    #[derive(Serialize, Deserialize)]
    pub enum UpstreamFailure {
        /// No API key is available.
        NoCredential = "UNAUTHENTICATED",
        /// No response within the timeout.
        Timeout = "UPSTREAM_TIMEOUT",
        /// Not sent: the operation's deadline had passed.
        DeadlineExceeded = "DEADLINE_EXCEEDED",
        /// No connection, a 5xx response, or not sent: the breaker is open or too many calls of the key are in
        /// flight.
        Unavailable = "UPSTREAM_UNAVAILABLE",
        /// 429, or not sent: a limit of the quota is reached.
        RateLimited = "UPSTREAM_RATE_LIMITED",
        /// 401: the key is wrong or expired.
        Unauthorized = "UPSTREAM_UNAUTHORIZED",
        /// 403: the key lacks a permission.
        Forbidden = "UPSTREAM_FORBIDDEN",
        /// Any other 4xx: the request was not accepted.
        Rejected = "UPSTREAM_REJECTED",
        /// The response could not be decoded.
        BadResponse = "UPSTREAM_BAD_RESPONSE",
        /// The response does not name the users of its accounts, and the filter by user is not reliable.
        UnknownUsers = "UPSTREAM_BAD_RESPONSE",
        /// A bug of Switchboard while reading the response.
        Internal = "INTERNAL",
    }

    /// Returns the error code in responses to clients.
    pub fn code;
}

impl UpstreamFailure {
    /// Whether the failure is one of the upstream, and not of the request, the key or the quota. Only such failures
    /// count for the circuit breaker.
    pub(super) fn is_trouble(self) -> bool {
        matches!(self, Self::Timeout | Self::Unavailable | Self::BadResponse)
    }

    /// Whether the same request can succeed later.
    pub(crate) fn is_retryable(self) -> bool {
        matches!(
            self,
            Self::Timeout
                | Self::DeadlineExceeded
                | Self::Unavailable
                | Self::RateLimited
                | Self::BadResponse
        )
    }
}

/// A failed call to an upstream. Cheap to clone, because one failure can be the result of many fields.
#[derive(Debug, Clone)]
pub struct UpstreamError {
    /// The upstream that failed.
    pub upstream: UpstreamName,
    /// Kind of failure.
    pub failure: UpstreamFailure,
    /// HTTP status of the response, if there was one.
    pub status: Option<u16>,
    /// Delay after which a retry makes sense, as stated by the upstream or derived from the known quota.
    pub retry_after: Option<Duration>,
    /// The upstream's request id, if it matches `[A-Za-z0-9_-]{1,64}`.
    pub request_id: Option<Arc<str>>,
    /// The upstream's error code or slug, if it matches `[A-Za-z0-9_-]{1,64}`.
    pub slug: Option<Arc<str>>,
    held: bool,
    is_repeated: bool,
    /// Whether an immediate retry would fail in the same way.
    pub(super) is_permanent: bool,
    /// Whether the connection was closed before the response began.
    pub(super) is_on_closed_connection: bool,
    /// Whether no connection was established, so that nothing of the request was sent.
    pub(super) is_unsent: bool,
    detail: Option<Arc<dyn Error + Send + Sync>>,
}

impl UpstreamError {
    /// Creates a failure without further details.
    #[must_use]
    pub fn new(upstream: UpstreamName, failure: UpstreamFailure) -> Self {
        Self {
            upstream,
            failure,
            status: None,
            retry_after: None,
            request_id: None,
            slug: None,
            held: false,
            is_repeated: false,
            is_permanent: false,
            is_on_closed_connection: false,
            is_unsent: false,
            detail: None,
        }
    }

    /// Creates the error of a call for a tenant that has no key to the upstream.
    #[must_use]
    pub fn no_credential(upstream: UpstreamName) -> Self {
        Self::new(upstream, UpstreamFailure::NoCredential)
    }

    /// Creates the error of a call that is held: it was not sent, because it could not succeed before `wait`.
    pub(crate) fn held(upstream: UpstreamName, failure: UpstreamFailure, wait: Duration) -> Self {
        Self { retry_after: Some(wait), held: true, ..Self::new(upstream, failure) }
    }

    /// Whether the call was held: Switchboard did not send it. There is then no status, and `retry_after` is the time
    /// after which a call may be sent.
    #[must_use]
    pub fn is_call_held(&self) -> bool {
        self.held
    }

    /// Whether the response can mean that the request's cursor has expired. Composio documents 400, 404, 422 and 500
    /// for lists, but not which of them it uses for that (docs/upstreams.md#composio-errors, #composio-paging).
    pub(crate) fn can_be_an_expired_cursor(&self) -> bool {
        self.failure == UpstreamFailure::Rejected || self.status == Some(500)
    }

    /// Whether the response can mean that Composio rejects the parameter `account_type`, which is experimental
    /// (docs/upstreams.md#composio-list-request). It is the reason only if the same request succeeds without it.
    pub(crate) fn can_be_a_rejected_account_type(&self) -> bool {
        self.failure == UpstreamFailure::Rejected && matches!(self.status, Some(400 | 422))
    }

    /// Marks an earlier error that is returned again without another call.
    pub(super) fn repeated(self) -> Self {
        Self { is_repeated: true, ..self }
    }

    /// Whether the upstream may have received and processed the request, although no usable response arrived. Only
    /// such a failure leaves the outcome of a write unknown.
    #[must_use]
    pub fn is_outcome_unknown(&self) -> bool {
        let is_trouble = self.failure.is_trouble() || self.failure == UpstreamFailure::Internal;
        is_trouble && !self.held && !self.is_unsent
    }

    /// Whether the upstream refused this request, and not the key or the rate of requests.
    pub(super) fn is_refusal(&self) -> bool {
        matches!(self.failure, UpstreamFailure::Forbidden | UpstreamFailure::Rejected)
    }

    /// Attaches the cause, for debugging only; never shown.
    #[must_use]
    pub fn caused_by(mut self, detail: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.detail = Some(Arc::from(detail.into()));
        self
    }

    /// Logs a failed call: its code and status, but not the source, which can quote the request. A held call is logged
    /// at `debug`, because a page that polls would flood the log.
    pub(super) fn log(&self) {
        if self.held || self.is_repeated {
            tracing::debug!(upstream = %self.upstream, code = self.failure.code(), "upstream call not sent");
            return;
        }
        tracing::warn!(
            upstream = %self.upstream,
            code = self.failure.code(),
            status = self.status,
            slug = self.slug.as_deref(),
            request_id = self.request_id.as_deref(),
            "upstream call failed"
        );
    }
}

impl fmt::Display for UpstreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.upstream {
            UpstreamName::Leadlex => "The workspace API (LeadLex)",
            UpstreamName::Composio => "The connected-accounts API (Composio)",
        };
        match self.failure {
            UpstreamFailure::NoCredential => {
                let header = match self.upstream {
                    UpstreamName::Leadlex => "`Authorization: Bearer wbk_…`",
                    UpstreamName::Composio => "`x-api-key`",
                };
                write!(f, "{name} needs an API key: send it as {header}.")
            }
            UpstreamFailure::Timeout => write!(f, "{name} did not answer in time."),
            UpstreamFailure::DeadlineExceeded => {
                let name = name.strip_prefix("The ").unwrap_or(name);
                write!(f, "The operation's deadline passed before the {name} was called.")
            }
            UpstreamFailure::Unavailable => write!(f, "{name} is unavailable."),
            UpstreamFailure::RateLimited => write!(f, "{name} has reached its rate limit."),
            UpstreamFailure::Unauthorized => write!(f, "{name} did not accept the key."),
            UpstreamFailure::Forbidden => write!(f, "{name} does not permit this with the key in use."),
            UpstreamFailure::Rejected => write!(f, "{name} did not accept the request."),
            UpstreamFailure::BadResponse => write!(f, "{name} returned a response that cannot be read."),
            UpstreamFailure::UnknownUsers => {
                write!(
                    f,
                    "{name} returned accounts without their users, and its filter by user is not reliable."
                )
            }
            UpstreamFailure::Internal => {
                write!(f, "{name} responded, but an internal error of Switchboard prevented reading it.")
            }
        }
    }
}

impl Error for UpstreamError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.detail.as_deref().map(|detail| detail as &(dyn Error + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::tests::logged;

    #[test]
    fn a_repeated_error_without_a_call_is_not_logged() {
        let refused = UpstreamError::new(UpstreamName::Composio, UpstreamFailure::Unauthorized);
        assert!(logged(|| refused.log()).contains("WARN"));
        assert_eq!(logged(|| refused.clone().repeated().log()), "");
    }

    #[test]
    fn a_failed_call_is_logged_without_its_source() {
        let mut error = UpstreamError::new(UpstreamName::Composio, UpstreamFailure::Unavailable)
            .caused_by("x-api-key: ak_canary");
        error.status = Some(503);
        error.request_id = Some("req_7".into());
        let line = logged(|| error.log());
        for word in ["WARN", "upstream=COMPOSIO", "code=\"UPSTREAM_UNAVAILABLE\"", "status=503", "req_7"] {
            assert!(line.contains(word), "{word}: {line}");
        }
        assert!(!line.contains("slug") && !line.contains("canary"), "{line}");
    }
}
