//! Changes to upstream objects, as subscriptions report them.

use serde::{Deserialize, Serialize};

/// The kind of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// The object appeared.
    Added,
    /// The object changed.
    Updated,
    /// The object disappeared.
    Removed,
}

/// The reason why the upstream was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChangeCause {
    /// A periodic poll while there are subscribers.
    Poll,
    /// A webhook from the upstream.
    Webhook,
    /// A refresh that a client requested.
    Refresh,
    /// A mutation of a client, which changed an account.
    Mutation,
}

/// An object before and after a change.
#[derive(Debug, Clone)]
pub enum Transition<T> {
    /// The object appeared.
    Added(T),
    /// The object changed. Its earlier state is known only if it was read before.
    Updated {
        /// The earlier state.
        before: Option<T>,
        /// The state now.
        after: T,
    },
    /// The object disappeared.
    Removed(T),
}

impl<T> Transition<T> {
    /// Returns the kind of change.
    #[must_use]
    pub fn kind(&self) -> ChangeKind {
        match self {
            Self::Added(_) => ChangeKind::Added,
            Self::Updated { .. } => ChangeKind::Updated,
            Self::Removed(_) => ChangeKind::Removed,
        }
    }

    /// Returns the object before the change; `None` if it did not exist or was not read before.
    #[must_use]
    pub fn before(&self) -> Option<&T> {
        match self {
            Self::Added(_) => None,
            Self::Updated { before, .. } => before.as_ref(),
            Self::Removed(before) => Some(before),
        }
    }

    /// Returns the object after the change; `None` if it was removed.
    #[must_use]
    pub fn after(&self) -> Option<&T> {
        match self {
            Self::Added(after) | Self::Updated { after, .. } => Some(after),
            Self::Removed(_) => None,
        }
    }

    /// Returns the latest known state of the object.
    #[must_use]
    pub fn last(&self) -> &T {
        match self {
            Self::Added(last) | Self::Updated { after: last, .. } | Self::Removed(last) => last,
        }
    }

    /// Converts both states.
    pub fn map<U>(&self, convert: impl Fn(&T) -> U) -> Transition<U> {
        match self {
            Self::Added(after) => Transition::Added(convert(after)),
            Self::Updated { before, after } => {
                Transition::Updated { before: before.as_ref().map(&convert), after: convert(after) }
            }
            Self::Removed(before) => Transition::Removed(convert(before)),
        }
    }
}
