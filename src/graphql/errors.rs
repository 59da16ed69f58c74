//! The errors that resolvers raise, each with a code that clients can act on.
//!
//! A resolver never turns a foreign error into a GraphQL one with `?`: that would put its text on
//! the wire. It raises a [`FieldError`], which travels as the source of async-graphql's error; what
//! arrives at the edge without one is masked as INTERNAL. (The library's blanket conversion from anything
//! that displays keeps the value as the source, which is what `?` on a `FieldError` relies on.)

use std::fmt;

use crate::domain::input::BadInput;
use crate::loaders::actions::outcome::ActionRefusal;
use crate::loaders::lists::account_lists::ListError;
use crate::upstream::error::UpstreamError;

/// Why a field is null, or an operation refused.
#[derive(Debug, Clone)]
pub enum FieldError {
    /// The caller asked for something that cannot be.
    BadInput(BadInput),
    /// One of the representations that a router sent asks for something that cannot be.
    BadRepresentation {
        /// Its index in the list.
        place: usize,
        /// Its error.
        input: BadInput,
    },
    /// An upstream could not be read.
    Upstream(UpstreamError),
    /// The field requires the `ADMIN` role.
    ForAdmins,
    /// An action on an account is not allowed.
    Action(ActionRefusal),
    /// A toolkit stands for more integrations of the workspace than its price knows of.
    TooManyProviders {
        /// For how many.
        there: usize,
        /// `connections.toolkit_providers_max`.
        allowed: usize,
    },
}

impl FieldError {
    /// The error code of answers.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::BadInput(_) | Self::BadRepresentation { .. } => "BAD_USER_INPUT",
            Self::Upstream(error) => error.failure.code(),
            Self::ForAdmins => "FORBIDDEN",
            Self::Action(refusal) => refusal.code(),
            Self::TooManyProviders { .. } => "LIMIT_EXCEEDED",
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
            Self::TooManyProviders { there, allowed } => write!(
                f,
                "The toolkit stands for {there} integrations of the workspace; {allowed} are listed here at most: \
                 ask for `providers`, which has pages."
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
