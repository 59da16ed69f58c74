//! Error codes of `extensions.code`: one list, which clients may rely on.
//!
//! [`Code`] is an enum instead of strings in several layers, so that no code is misspelt or missing in the list.
//! `UpstreamFailure::code` chooses the codes of upstream failures; a test compares both lists.

/// The machine-readable cause of an error. The message explains it to people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    /// The document is not valid GraphQL syntax.
    GraphqlParseFailed,
    /// The document does not match the schema.
    GraphqlValidationFailed,
    /// The document has no such operation, or has several and the request does not name one.
    OperationResolutionFailure,
    /// The document id is unknown. The client registers it by sending the id together with the document.
    PersistedQueryNotFound,
    /// Document ids are not supported here. The request must contain the document.
    PersistedQueryNotSupported,
    /// The request, a variable or an argument is invalid; `extensions.reason` names the mistake.
    BadUserInput,
    /// The request has no credentials, or none for the upstream that the field needs.
    Unauthenticated,
    /// The caller, or the origin of its page, is not allowed.
    Forbidden,
    /// The request exceeds a size limit.
    LimitExceeded,
    /// The operation exceeded its time limit. At a field: the limit was reached before the field was fetched.
    DeadlineExceeded,
    /// Actions on accounts are disabled.
    ActionsDisabled,
    /// The caller exceeded the limit of actions per minute; retry after `extensions.retryAfterMs`.
    ActionsRateLimited,
    /// The caller exceeded one of its limits over time; retry after `extensions.retryAfterMs`.
    RateLimited,
    /// Too many operations are executing; retry after `extensions.retryAfterMs`.
    Overloaded,
    /// An error inside Switchboard. The log has the details.
    Internal,
    /// The upstream did not respond in time.
    UpstreamTimeout,
    /// The upstream is unreachable, returned 5xx, or is not called for now (`retryAfterMs`) because it failed
    /// recently or the key has too many calls in flight. `OVERLOADED`, in contrast, is a limit of Switchboard.
    UpstreamUnavailable,
    /// The upstream's rate limit is exhausted; retry after `extensions.retryAfterMs`, if it is known.
    UpstreamRateLimited,
    /// The upstream rejected the key.
    UpstreamUnauthorized,
    /// The key lacks a permission that the upstream requires.
    UpstreamForbidden,
    /// The upstream rejected the request.
    UpstreamRejected,
    /// The upstream returned a response that cannot be read.
    UpstreamBadResponse,
}

impl Code {
    /// All codes.
    pub const ALL: [Self; 22] = [
        Self::GraphqlParseFailed,
        Self::GraphqlValidationFailed,
        Self::OperationResolutionFailure,
        Self::PersistedQueryNotFound,
        Self::PersistedQueryNotSupported,
        Self::BadUserInput,
        Self::Unauthenticated,
        Self::Forbidden,
        Self::LimitExceeded,
        Self::DeadlineExceeded,
        Self::ActionsDisabled,
        Self::ActionsRateLimited,
        Self::RateLimited,
        Self::Overloaded,
        Self::Internal,
        Self::UpstreamTimeout,
        Self::UpstreamUnavailable,
        Self::UpstreamRateLimited,
        Self::UpstreamUnauthorized,
        Self::UpstreamForbidden,
        Self::UpstreamRejected,
        Self::UpstreamBadResponse,
    ];

    /// Returns the code as responses contain it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::GraphqlParseFailed => "GRAPHQL_PARSE_FAILED",
            Self::GraphqlValidationFailed => "GRAPHQL_VALIDATION_FAILED",
            Self::OperationResolutionFailure => "OPERATION_RESOLUTION_FAILURE",
            Self::PersistedQueryNotFound => "PERSISTED_QUERY_NOT_FOUND",
            Self::PersistedQueryNotSupported => "PERSISTED_QUERY_NOT_SUPPORTED",
            Self::BadUserInput => "BAD_USER_INPUT",
            Self::Unauthenticated => "UNAUTHENTICATED",
            Self::Forbidden => "FORBIDDEN",
            Self::LimitExceeded => "LIMIT_EXCEEDED",
            Self::DeadlineExceeded => "DEADLINE_EXCEEDED",
            Self::ActionsDisabled => "ACTIONS_DISABLED",
            Self::ActionsRateLimited => "ACTIONS_RATE_LIMITED",
            Self::RateLimited => "RATE_LIMITED",
            Self::Overloaded => "OVERLOADED",
            Self::Internal => "INTERNAL",
            Self::UpstreamTimeout => "UPSTREAM_TIMEOUT",
            Self::UpstreamUnavailable => "UPSTREAM_UNAVAILABLE",
            Self::UpstreamRateLimited => "UPSTREAM_RATE_LIMITED",
            Self::UpstreamUnauthorized => "UPSTREAM_UNAUTHORIZED",
            Self::UpstreamForbidden => "UPSTREAM_FORBIDDEN",
            Self::UpstreamRejected => "UPSTREAM_REJECTED",
            Self::UpstreamBadResponse => "UPSTREAM_BAD_RESPONSE",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::error::UpstreamFailure;

    #[test]
    fn every_failure_of_an_upstream_has_its_code_in_the_list() {
        for failure in [
            UpstreamFailure::NoCredential,
            UpstreamFailure::Timeout,
            UpstreamFailure::DeadlineExceeded,
            UpstreamFailure::Unavailable,
            UpstreamFailure::RateLimited,
            UpstreamFailure::Unauthorized,
            UpstreamFailure::Forbidden,
            UpstreamFailure::Rejected,
            UpstreamFailure::BadResponse,
            UpstreamFailure::Internal,
        ] {
            assert!(Code::ALL.iter().any(|code| code.as_str() == failure.code()), "{}", failure.code());
        }
    }
}
