//! Error codes of `extensions.code`: one list, which clients may rely on.
//!
//! [`Code`] is an enum instead of strings in several layers, so that no code is misspelt or missing in the list.
//! `UpstreamFailure::code` chooses the codes of upstream failures; a test compares both lists.

use crate::domain::text_enum::text_enum;

text_enum! {
    /// The machine-readable cause of an error. The message explains it to people.
    pub enum Code {
        /// The document is not valid GraphQL syntax.
        GraphqlParseFailed = "GRAPHQL_PARSE_FAILED",
        /// The document does not match the schema.
        GraphqlValidationFailed = "GRAPHQL_VALIDATION_FAILED",
        /// The document has no such operation, or has several and the request does not name one.
        OperationResolutionFailure = "OPERATION_RESOLUTION_FAILURE",
        /// The document id is unknown. The client registers it by sending the id together with the document.
        PersistedQueryNotFound = "PERSISTED_QUERY_NOT_FOUND",
        /// Document ids are not supported here. The request must contain the document.
        PersistedQueryNotSupported = "PERSISTED_QUERY_NOT_SUPPORTED",
        /// The request, a variable or an argument is invalid; `extensions.reason` names the mistake.
        BadUserInput = "BAD_USER_INPUT",
        /// The request has no credentials, or none for the upstream that the field needs.
        Unauthenticated = "UNAUTHENTICATED",
        /// The caller, or the origin of its page, is not allowed.
        Forbidden = "FORBIDDEN",
        /// The request exceeds a size limit.
        LimitExceeded = "LIMIT_EXCEEDED",
        /// The operation exceeded its time limit. At a field: the limit was reached before the field was fetched.
        DeadlineExceeded = "DEADLINE_EXCEEDED",
        /// Actions on accounts are disabled.
        ActionsDisabled = "ACTIONS_DISABLED",
        /// The caller exceeded the limit of actions per minute; retry after `extensions.retryAfterMs`.
        ActionsRateLimited = "ACTIONS_RATE_LIMITED",
        /// The caller exceeded one of its limits over time; retry after `extensions.retryAfterMs`.
        RateLimited = "RATE_LIMITED",
        /// Too many operations are executing; retry after `extensions.retryAfterMs`.
        Overloaded = "OVERLOADED",
        /// An error inside Switchboard. The log has the details.
        Internal = "INTERNAL",
        /// The upstream did not respond in time.
        UpstreamTimeout = "UPSTREAM_TIMEOUT",
        /// The upstream is unreachable, returned 5xx, or is not called for now (`retryAfterMs`) because it failed
        /// recently or the key has too many calls in flight. `OVERLOADED`, in contrast, is a limit of Switchboard.
        UpstreamUnavailable = "UPSTREAM_UNAVAILABLE",
        /// The upstream's rate limit is exhausted; retry after `extensions.retryAfterMs`, if it is known.
        UpstreamRateLimited = "UPSTREAM_RATE_LIMITED",
        /// The upstream rejected the key.
        UpstreamUnauthorized = "UPSTREAM_UNAUTHORIZED",
        /// The key lacks a permission that the upstream requires.
        UpstreamForbidden = "UPSTREAM_FORBIDDEN",
        /// The upstream rejected the request.
        UpstreamRejected = "UPSTREAM_REJECTED",
        /// The upstream returned a response that cannot be read.
        UpstreamBadResponse = "UPSTREAM_BAD_RESPONSE",
    }

    /// Returns the code as responses contain it.
    pub fn as_str;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::error::UpstreamFailure;

    #[test]
    fn every_failure_of_an_upstream_has_its_code_in_the_list() {
        for failure in UpstreamFailure::ALL {
            assert!(Code::ALL.iter().any(|code| code.as_str() == failure.code()), "{}", failure.code());
        }
    }
}
