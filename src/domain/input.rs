//! Refused user input, with a message that says how to correct it.

use super::text_enum::text_enum;

text_enum! {
    /// The `reason` of an error with the code `BAD_USER_INPUT`.
    pub enum BadInputReason {
        /// A cursor of another list or of an older version, or not a cursor.
        BadCursor = "BAD_CURSOR",
        /// `first` or `last` is negative or too large, or both are given.
        BadPageSize = "BAD_PAGE_SIZE",
        /// Not an id of any object of this graph.
        BadId = "BAD_ID",
        /// A value that a filter does not accept.
        BadFilter = "BAD_FILTER",
        /// More ids than a field accepts.
        TooManyIds = "TOO_MANY_IDS",
        /// Not a valid toolkit slug.
        BadSlug = "BAD_SLUG",
        /// A federation representation without a key of its object, or of a type that cannot be resolved here.
        BadRepresentation = "BAD_REPRESENTATION",
    }

    /// Returns the reason as responses spell it.
    pub fn as_str;
}

/// A refused input, with a message for the client: what is wrong and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
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
