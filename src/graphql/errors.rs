//! Errors of resolvers, each with a code that clients can handle.
//!
//! A resolver returns a [`FieldError`]. The `?` operator converts it to async-graphql's error, which stores it as its
//! source, and `operation::errors` reads the code from there. An error without such a source is masked as INTERNAL, so
//! that no other message reaches a client.

use std::fmt;

use crate::domain::input::BadInput;
use crate::loaders::actions::outcome::ActionRefusal;
use crate::loaders::lists::account_lists::ListError;
use crate::upstream::error::UpstreamError;

/// Reason why a field is null or an operation is rejected.
#[derive(Debug, Clone)]
pub enum FieldError {
    /// The request is invalid.
    BadInput(BadInput),
    /// One representation in a federation router's request is invalid.
    BadRepresentation {
        /// Index in the list.
        index: usize,
        /// Problem of the representation.
        input: BadInput,
    },
    /// An upstream read failed.
    Upstream(UpstreamError),
    /// The field requires the `ADMIN` role.
    ForAdmins,
    /// An action on an account is not allowed.
    Action(ActionRefusal),
    /// The response is larger than its limit.
    ResponseTooLarge {
        /// `limits.response_bytes`.
        allowed: u64,
    },
    /// A toolkit has more providers in the workspace than the cost of the query assumes.
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

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadInput(error) | Self::BadRepresentation { input: error, .. } => error.fmt(f),
            Self::Upstream(error) => error.fmt(f),
            Self::Action(refusal) => refusal.fmt(f),
            Self::ForAdmins => {
                f.write_str("This requires the ADMIN role. Query `viewer { role }` to see your role.")
            }
            Self::ResponseTooLarge { allowed } => write!(
                f,
                "The response is larger than {allowed} bytes. Select fewer fields, or lower `first`."
            ),
            Self::TooManyProviders { found, allowed } => write!(
                f,
                "The toolkit has {found} integrations of the workspace, but at most {allowed} are listed here. Query the \
                 root field `providers`, which has pages."
            ),
        }
    }
}

impl From<BadInput> for FieldError {
    fn from(error: BadInput) -> Self {
        Self::BadInput(error)
    }
}

impl From<UpstreamError> for FieldError {
    fn from(error: UpstreamError) -> Self {
        Self::Upstream(error)
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
