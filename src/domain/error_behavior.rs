//! The effect of a field error on the response, which a client chooses (graphql-spec #1236, "`onError` request
//! parameter").

/// The value of the request parameter `onError`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum ErrorBehavior {
    /// The field is null, even if its type is non-null.
    Null,
    /// The nearest nullable field around the error is null.
    #[default]
    Propagate,
    /// `data` is null, and nothing is executed that has not begun.
    Halt,
}

impl ErrorBehavior {
    /// All behaviors, by their names in requests.
    pub const BY_NAME: [(&str, Self); 3] =
        [("NULL", Self::Null), ("PROPAGATE", Self::Propagate), ("HALT", Self::Halt)];

    /// Returns the behavior of that name.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::BY_NAME.into_iter().find_map(|(known, behavior)| (known == name).then_some(behavior))
    }
}
