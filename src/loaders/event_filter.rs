//! Filters of subscriptions. They apply to changes that the caller may see ([`super::watch::feeds`]).

use std::sync::Arc;

use super::lists::provider_page::ProviderQuery;
use super::lists::providers::ListedProvider;
use super::lists::scan::{Reader, Scan};
use super::loader::OperationLoader;
use super::watch::change::{AccountChange, ProviderChange};
use crate::domain::filters::{AccountFilter, AccountOrder};

impl OperationLoader {
    /// Whether an integration's change matches. It also matches if only the state before it did.
    pub(crate) fn matches_provider_change(&self, change: &ProviderChange, query: &ProviderQuery) -> bool {
        let matches = |listed: &Arc<ListedProvider>| query.admits(listed, &self.evaluator);
        change.states.before().into_iter().chain(change.states.after()).any(matches)
    }

    /// Whether a filter by users cannot be applied to changes, because Composio does not name the users of accounts.
    /// This does not concern a member, whose feed has only its own accounts.
    pub(crate) fn hides_users_of_changes(&self, filter: &AccountFilter) -> bool {
        let hides = |reader: Reader| self.sources.lists.are_users_hidden(&reader.credential.fingerprint());
        self.view.is_full() && filter.user_ids.is_some() && self.reader().is_some_and(hides)
    }

    /// Whether an account's change matches. It also matches if only the state before it did.
    pub(crate) fn matches_account_change(&self, change: &AccountChange, filter: &AccountFilter) -> bool {
        let Some(reader) = self.reader() else { return false };
        let scan = Scan::new(reader, filter.clone(), AccountOrder::NEWEST_FIRST);
        let mut states = change.states.before().into_iter().chain(change.states.after());
        states.any(|account| scan.admits(account))
    }
}
