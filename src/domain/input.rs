//! What a caller got wrong, said so that the caller can mend it.

use std::fmt;

/// Why an input was refused: the `reason` beside the code `BAD_USER_INPUT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BadInputReason {
    /// A cursor of another list, of an older version, or no cursor at all.
    BadCursor,
    /// `first` or `last` negative, too large, or both.
    BadPageSize,
    /// An id that no object of this graph can have.
    BadId,
    /// A value that no filter can hold.
    BadFilter,
    /// More ids than one field takes.
    TooManyIds,
    /// A slug that no toolkit can have.
    BadSlug,
    /// What a router sent for an object has no key of it, or is of no type that it could be asked for here.
    BadRepresentation,
}

impl BadInputReason {
    /// The reason as answers spell it.
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

/// A refused input: what is wrong with it and what would be right, for the caller's eyes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadInput {
    /// The kind of mistake.
    pub reason: BadInputReason,
    /// A whole sentence.
    pub message: String,
}

impl BadInput {
    /// Refuses an input with a sentence.
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
