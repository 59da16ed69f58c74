//! Errors of resolvers, each with a code that clients can handle.
//!
//! A resolver returns a [`FieldError`]. The `?` operator converts it to async-graphql's error, which stores it as its
//! source, and `operation::errors` reads the code from there. An error without such a source is masked as INTERNAL, so
//! that no other message reaches a client.

use crate::domain::input::BadInput;
use crate::loaders::actions::outcome::ActionRefusal;
use crate::loaders::lists::account_lists::ListError;
use crate::upstream::error::UpstreamError;

/// Reason why a field is null or an operation is rejected.
#[derive(Debug, Clone, thiserror::Error)]
pub enum FieldError {
    /// The request is invalid.
    #[error(transparent)]
    BadInput(#[from] BadInput),
    /// One representation in a federation router's request is invalid.
    #[error("{input}")]
    BadRepresentation {
        /// Index in the list.
        index: usize,
        /// Problem of the representation.
        input: BadInput,
    },
    /// An upstream read failed.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// The field requires the `ADMIN` role.
    #[error("This requires the ADMIN role. Query `viewer {{ role }}` to see your role.")]
    ForAdmins,
    /// An action on an account is not allowed.
    #[error(transparent)]
    Action(ActionRefusal),
    /// The response is larger than its limit.
    #[error("The response is larger than {allowed} bytes. Select fewer fields, or lower `first`.")]
    ResponseTooLarge {
        /// `limits.response_bytes`.
        allowed: u64,
    },
    /// A toolkit has more providers in the workspace than the cost of the query assumes.
    #[error(
        "The toolkit has {found} integrations of the workspace, but at most {allowed} are listed here. Query the \
         root field `providers`, which has pages."
    )]
    TooManyProviders {
        /// Number of providers.
        found: usize,
        /// `connections.toolkit_providers_max`.
        allowed: usize,
    },
}

impl FieldError {
    /// Returns the error code for responses.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::BadInput(_) | Self::BadRepresentation { .. } => "BAD_USER_INPUT",
            Self::Upstream(error) => error.failure.code(),
            Self::ForAdmins => "FORBIDDEN",
            Self::Action(refusal) => refusal.code(),
            Self::TooManyProviders { .. } | Self::ResponseTooLarge { .. } => "LIMIT_EXCEEDED",
        }
    }
}

impl From<ListError> for FieldError {
    fn from(error: ListError) -> Self {
        match error {
            ListError::BadInput(error) => Self::BadInput(error),
            ListError::Upstream(error) => Self::Upstream(error),
        }
    }
}
