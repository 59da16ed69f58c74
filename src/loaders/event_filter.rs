//! Visibility of changes: a subscriber receives only changes that it could also see with a query.
//!
//! Extends [`OperationLoader`] with the two checks that subscriptions apply to each change. They use the
//! caller's view and the filter of the subscription.

use std::sync::Arc;

use super::lists::provider_page::ProviderQuery;
use super::lists::providers::ListedProvider;
use super::lists::scan::Scan;
use super::loader::OperationLoader;
use super::watch::change::{AccountChange, ProviderChange};
use crate::domain::change::Transition;
use crate::domain::filters::AccountFilter;
use crate::domain::filters::AccountOrder;

impl OperationLoader {
    /// Returns an integration's change as the caller sees it; `None` if it is not visible or does not match.
    ///
    /// A change also matches if only the state before it matched the filter.
    #[must_use]
    pub fn visible_provider_change(
        &self,
        change: &ProviderChange,
        question: &ProviderQuery,
    ) -> Option<ProviderChange> {
        let seen = |listed: &Arc<ListedProvider>| match self.view.is_full() {
            true => Arc::clone(listed),
            false => {
                Arc::new(ListedProvider { id: listed.id, provider: self.view.provider(&listed.provider) })
            }
        };
        let states = change.states.map(seen);
        let is_the_same = match &states {
            Transition::Updated { before: Some(before), after } => before.provider == after.provider,
            _ => false,
        };
        let is_meant = |listed: &Arc<ListedProvider>| question.admits(listed, self.health_evaluator());
        let is_heard = !is_the_same && states.before().into_iter().chain(states.after()).any(is_meant);
        is_heard.then_some(ProviderChange { states, ..change.clone() })
    }

    /// Whether the caller receives an account's change. It also matches if only the earlier state matched.
    #[must_use]
    pub fn is_account_change_visible(&self, change: &AccountChange, filter: &AccountFilter) -> bool {
        let Some(reader) = self.reader() else { return false };
        let scan = Scan::new(reader, filter.clone(), AccountOrder::NEWEST_FIRST);
        let states = &change.states;
        // If an account moved from one user to another, neither receives it: each would learn of the other.
        let is_seen =
            states.before().into_iter().chain(states.after()).all(|account| self.view.shows_account(account));
        is_seen && states.before().into_iter().chain(states.after()).any(|account| scan.admits(account))
    }
}
