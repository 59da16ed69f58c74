//! Refused user input, with a message that says how to correct it.

use std::fmt;

/// The `reason` of an error with the code `BAD_USER_INPUT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BadInputReason {
    /// A cursor of another list or of an older version, or not a cursor.
    BadCursor,
    /// `first` or `last` is negative or too large, or both are given.
    BadPageSize,
    /// Not an id of any object of this graph.
    BadId,
    /// A value that a filter does not accept.
    BadFilter,
    /// More ids than a field accepts.
    TooManyIds,
    /// Not a valid toolkit slug.
    BadSlug,
    /// A federation representation without a key of its object, or of a type that cannot be resolved here.
    BadRepresentation,
}

impl BadInputReason {
    /// Returns the reason as responses spell it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BadCursor => "BAD_CURSOR",
            Self::BadPageSize => "BAD_PAGE_SIZE",
            Self::BadId => "BAD_ID",
            Self::BadFilter => "BAD_FILTER",
            Self::TooManyIds => "TOO_MANY_IDS",
            Self::BadSlug => "BAD_SLUG",
            Self::BadRepresentation => "BAD_REPRESENTATION",
        }
    }
}

/// A refused input, with a message for the client: what is wrong and what would be right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadInput {
    /// The kind of mistake.
    pub reason: BadInputReason,
    /// A complete sentence.
    pub message: String,
}

impl BadInput {
    /// Refuses an input.
    #[must_use]
    pub fn new(reason: BadInputReason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }
}

impl fmt::Display for BadInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for BadInput {}
