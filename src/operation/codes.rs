//! Every error code of an answer's `extensions.code`: one list, which clients may rely on.
//!
//! They are an enum and no strings spread over the layers, so that a code cannot be misspelt and the
//! list cannot lag behind. What the upstreams' failures are called is decided next to them
//! (`UpstreamFailure::code`); a test below holds the two together.

/// The machine-readable cause of an error. The message explains it to people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    /// The document is no GraphQL.
    GraphqlParseFailed,
    /// The document does not fit the schema.
    GraphqlValidationFailed,
    /// The document holds no such operation, or several and none was named.
    OperationResolutionFailure,
    /// No document is known by the id that the request names; with the document beside it, it will be.
    PersistedQueryNotFound,
    /// Documents cannot be named here: the request must bring its own.
    PersistedQueryNotSupported,
    /// The request, a variable or an argument is wrong; `extensions.reason` says in which way.
    BadUserInput,
    /// No key came with the request, or none for the upstream that the field needs.
    Unauthenticated,
    /// Whoever asks, or the place that it asks from, is not let in.
    Forbidden,
    /// The request is larger than this layer takes.
    LimitExceeded,
    /// The operation took longer than it may, and was ended; at a field, its time was up before that was asked for.
    DeadlineExceeded,
    /// Actions on accounts are switched off.
    ActionsDisabled,
    /// The caller made too many actions in a minute; `extensions.retryAfterMs` says when the next one is allowed.
    ActionsRateLimited,
    /// Too much is executed already; `extensions.retryAfterMs` says when to come again.
    Overloaded,
    /// A fault of this layer, which its log knows more about.
    Internal,
    /// The upstream did not answer in time.
    UpstreamTimeout,
    /// The upstream is unreachable, returned 5xx, or is not called for now (`retryAfterMs`) because it failed
    /// recently or the key has too many calls in flight. `OVERLOADED`, in contrast, is a limit of Switchboard.
    UpstreamUnavailable,
    /// The upstream's quota is used up for now; `extensions.retryAfterMs` says for how long, where known.
    UpstreamRateLimited,
    /// The upstream did not accept the key.
    UpstreamUnauthorized,
    /// The key lacks a permission that the upstream wants.
    UpstreamForbidden,
    /// The upstream did not accept the request.
    UpstreamRejected,
    /// The upstream returned a response that cannot be read.
    UpstreamBadResponse,
}

impl Code {
    /// The whole list.
    pub const ALL: [Self; 21] = [
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

    /// The code as answers spell it.
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
