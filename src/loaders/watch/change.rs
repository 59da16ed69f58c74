//! Changes of an object, found by comparing two polls.

use std::sync::Arc;

use jiff::Timestamp;

use crate::domain::accounts::SharedAccount;
use crate::domain::change::{ChangeCause, Transition};
use crate::domain::view::View;
use crate::loaders::cache::freshness::Freshness;
use crate::loaders::lists::providers::ListedProvider;

/// A change of an integration.
pub type ProviderChange = Change<Arc<ListedProvider>>;

/// A change of a connected account.
pub type AccountChange = Change<SharedAccount>;

/// A change that a poll has found.
#[derive(Debug, Clone)]
pub struct Change<T> {
    /// Cause of the poll.
    pub cause: ChangeCause,
    /// Time of the poll.
    pub at: Timestamp,
    /// Freshness of the data that the poll read.
    pub freshness: Freshness,
    /// The object before and after the change.
    pub states: Transition<T>,
}

impl<T> Change<T> {
    fn with(&self, states: Transition<T>) -> Arc<Self> {
        Arc::new(Self { cause: self.cause, at: self.at, freshness: self.freshness, states })
    }
}

/// A change whose visible part depends on the view.
pub(super) trait ViewedChange: Sized {
    /// Returns the change as a view shows it; `None` if the view shows no difference.
    fn seen_by(self: &Arc<Self>, view: &View) -> Option<Arc<Self>>;
}

impl ViewedChange for ProviderChange {
    fn seen_by(self: &Arc<Self>, view: &View) -> Option<Arc<Self>> {
        if view.is_full() {
            return Some(Arc::clone(self));
        }
        let states = self.states.map(|listed| {
            Arc::new(ListedProvider { id: listed.id, provider: view.provider(&listed.provider) })
        });
        let is_same = match &states {
            Transition::Updated { before: Some(before), after } => before.provider == after.provider,
            _ => false,
        };
        (!is_same).then(|| self.with(states))
    }
}

impl ViewedChange for AccountChange {
    /// Returns the change as a view sees it. An account that moves from one user to another is removed for the first
    /// and added for the second.
    fn seen_by(self: &Arc<Self>, view: &View) -> Option<Arc<Self>> {
        let shows = |account: &&SharedAccount| view.shows_account(account);
        let (was, is) = (self.states.before(), self.states.after());
        match (was.filter(shows), is.filter(shows)) {
            (None, None) => None,
            (Some(before), None) if is.is_some() => Some(self.with(Transition::Removed(Arc::clone(before)))),
            (None, Some(after)) if was.is_some() => Some(self.with(Transition::Added(Arc::clone(after)))),
            _ => Some(Arc::clone(self)),
        }
    }
}
