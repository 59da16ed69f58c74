//! What has happened to an object of an upstream, as listeners are told.

use serde::{Deserialize, Serialize};

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// It was not there before.
    Added,
    /// It is not what it was.
    Updated,
    /// It is there no more.
    Removed,
}

/// What made this layer look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChangeCause {
    /// It looks again and again while somebody listens.
    Poll,
    /// The upstream said so.
    Webhook,
    /// Somebody asked for a refresh.
    Refresh,
}

/// An object before and after a change.
#[derive(Debug, Clone)]
pub enum States<T> {
    /// It came.
    Added(T),
    /// It changed; what it was is known where it was seen.
    Updated {
        /// Before.
        was: Option<T>,
        /// Now.
        is: T,
    },
    /// It went.
    Removed(T),
}

impl<T> States<T> {
    /// What happened.
    #[must_use]
    pub fn kind(&self) -> ChangeKind {
        match self {
            Self::Added(_) => ChangeKind::Added,
            Self::Updated { .. } => ChangeKind::Updated,
            Self::Removed(_) => ChangeKind::Removed,
        }
    }

    /// The object before; none where it was not there, or was not seen.
    #[must_use]
    pub fn before(&self) -> Option<&T> {
        match self {
            Self::Added(_) => None,
            Self::Updated { was, .. } => was.as_ref(),
            Self::Removed(was) => Some(was),
        }
    }

    /// The object now; none where it went.
    #[must_use]
    pub fn now(&self) -> Option<&T> {
        match self {
            Self::Added(is) | Self::Updated { is, .. } => Some(is),
            Self::Removed(_) => None,
        }
    }

    /// The object as it was last seen.
    #[must_use]
    pub fn last(&self) -> &T {
        match self {
            Self::Added(last) | Self::Updated { is: last, .. } | Self::Removed(last) => last,
        }
    }

    /// The same of something else.
    pub fn map<U>(&self, make: impl Fn(&T) -> U) -> States<U> {
        match self {
            Self::Added(is) => States::Added(make(is)),
            Self::Updated { was, is } => States::Updated { was: was.as_ref().map(&make), is: make(is) },
            Self::Removed(was) => States::Removed(make(was)),
        }
    }
}
