//! How a call to an upstream fails, in words that may be shown to a client.
//!
//! The `Display` of [`UpstreamError`] is the public sentence. What the upstream said, its URL and
//! its headers stay behind `source()`, which nothing that answers or logs a request prints.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::upstream_name::UpstreamName;

/// What went wrong, in the terms of DESIGN's error codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum UpstreamFailure {
    /// There is no key to call it with.
    NoCredential,
    /// No answer within the time allowed.
    Timeout,
    /// Not asked: the operation that would have asked had no time left.
    DeadlineExceeded,
    /// No connection, an answer of 5xx, or none asked for: its breaker is open, or too many calls of the
    /// key are under way.
    Unavailable,
    /// 429: a limit of its quota is met.
    RateLimited,
    /// 401: the key is wrong or expired.
    Unauthorized,
    /// 403: the key lacks a permission.
    Forbidden,
    /// Any other 4xx: it did not accept the request.
    Rejected,
    /// An answer that cannot be read.
    BadResponse,
    /// A fault of this layer while it read the answer.
    Internal,
}

impl UpstreamFailure {
    /// The error code of answers.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::NoCredential => "UNAUTHENTICATED",
            Self::Timeout => "UPSTREAM_TIMEOUT",
            Self::DeadlineExceeded => "DEADLINE_EXCEEDED",
            Self::Unavailable => "UPSTREAM_UNAVAILABLE",
            Self::RateLimited => "UPSTREAM_RATE_LIMITED",
            Self::Unauthorized => "UPSTREAM_UNAUTHORIZED",
            Self::Forbidden => "UPSTREAM_FORBIDDEN",
            Self::Rejected => "UPSTREAM_REJECTED",
            Self::BadResponse => "UPSTREAM_BAD_RESPONSE",
            Self::Internal => "INTERNAL",
        }
    }

    /// Whether it is the upstream that is in trouble, and not the question or the key: what counts for
    /// the breaker. A 429 is no trouble but the quota's.
    pub(super) fn is_trouble(self) -> bool {
        matches!(self, Self::Timeout | Self::Unavailable | Self::BadResponse)
    }

    /// Whether asking again later, unchanged, can succeed.
    #[must_use]
    pub fn is_retryable(self) -> bool {
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

/// A failed call to an upstream; cheap to clone, as one failure answers many fields.
#[derive(Debug, Clone)]
pub struct UpstreamError {
    /// Which one failed.
    pub upstream: UpstreamName,
    /// How.
    pub failure: UpstreamFailure,
    /// The HTTP status that it answered, where it answered one.
    pub status: Option<u16>,
    /// After how long it is worth asking again: by the upstream's own words, or by what this layer
    /// knows of its quota.
    pub retry_after: Option<Duration>,
    /// Its request id, where that is `[A-Za-z0-9_-]{1,64}`.
    pub request_id: Option<Arc<str>>,
    /// Its error code or slug, where that is `[A-Za-z0-9_-]{1,64}`.
    pub slug: Option<Arc<str>>,
    held: bool,
    is_repeated: bool,
    is_permanent: bool,
    is_on_closed_connection: bool,
    detail: Option<Arc<dyn Error + Send + Sync>>,
}

impl UpstreamError {
    /// A failure of which nothing else is known.
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
            detail: None,
        }
    }

    /// A call that this layer did not make, as nothing would come of it before `wait` is over.
    pub(crate) fn held(upstream: UpstreamName, failure: UpstreamFailure, wait: Duration) -> Self {
        Self { retry_after: Some(wait), held: true, ..Self::new(upstream, failure) }
    }

    /// Whether this layer held the call back: the upstream was not asked, and has refused nothing. Then
    /// there is no status, and `retry_after` is when a call may go.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.held
    }

    /// The same, told once more in the place of a call that was not made.
    pub(super) fn repeated(self) -> Self {
        Self { is_repeated: true, ..self }
    }

    /// The same, where asking again at once would give the same.
    pub(super) fn permanent(self) -> Self {
        Self { is_permanent: true, ..self }
    }

    /// Marks a call whose connection was closed before the response began.
    pub(super) fn on_closed_connection(self) -> Self {
        Self { is_on_closed_connection: true, ..self }
    }

    /// Whether the connection was closed before the response began.
    pub(super) fn is_on_closed_connection(&self) -> bool {
        self.is_on_closed_connection
    }

    /// Whether asking again at once would give the same.
    pub(super) fn is_permanent(&self) -> bool {
        self.is_permanent
    }

    /// With what caused it, for whoever debugs with the source at hand; never shown.
    #[must_use]
    pub fn caused_by(mut self, detail: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.detail = Some(Arc::from(detail.into()));
        self
    }

    /// Tells whoever operates this that a call failed: what clients are told of it, and the status. Not the
    /// source, which can quote the request. A call that was held back is no event: a page that polls
    /// would fill the log with it.
    pub(super) fn log(&self) {
        if self.held || self.is_repeated {
            tracing::debug!(upstream = %self.upstream, code = self.failure.code(), "a call was held back");
            return;
        }
        tracing::warn!(
            upstream = %self.upstream,
            code = self.failure.code(),
            status = self.status,
            slug = self.slug.as_deref(),
            request_id = self.request_id.as_deref(),
            "a call failed"
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
                write!(f, "{name} needs a key of yours: send it as {header}.")
            }
            UpstreamFailure::Timeout => write!(f, "{name} did not answer in time."),
            UpstreamFailure::DeadlineExceeded => {
                let name = name.strip_prefix("The ").unwrap_or(name);
                write!(f, "The operation's time was up before the {name} could be asked.")
            }
            UpstreamFailure::Unavailable => write!(f, "{name} is unavailable."),
            UpstreamFailure::RateLimited => write!(f, "{name} has no calls left for now."),
            UpstreamFailure::Unauthorized => write!(f, "{name} did not accept the key."),
            UpstreamFailure::Forbidden => write!(f, "{name} does not permit this with the key in use."),
            UpstreamFailure::Rejected => write!(f, "{name} did not accept the request."),
            UpstreamFailure::BadResponse => write!(f, "{name} answered something that cannot be read."),
            UpstreamFailure::Internal => write!(f, "{name} could not be read, for a fault of Switchboard."),
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
    fn a_refusal_that_is_told_again_without_a_call_is_no_event() {
        let refused = UpstreamError::new(UpstreamName::Composio, UpstreamFailure::Unauthorized);
        assert!(logged(|| refused.log()).contains("WARN"));
        assert_eq!(logged(|| refused.clone().repeated().log()), "");
    }

    #[test]
    fn the_log_tells_of_a_failed_call_in_public_words() {
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
