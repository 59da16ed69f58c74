//! Filters of subscriptions, applied to changes that the caller's view shows ([`super::watch::feeds`]).

use std::sync::Arc;

use super::lists::provider_page::ProviderQuery;
use super::lists::providers::ListedProvider;
use super::lists::scan::Scan;
use super::loader::OperationLoader;
use super::watch::change::{AccountChange, ProviderChange};
use crate::domain::filters::AccountFilter;
use crate::domain::filters::AccountOrder;

impl OperationLoader {
    /// Whether an integration's change matches. It also matches if only the state before it did.
    #[must_use]
    pub fn matches_provider_change(&self, change: &ProviderChange, query: &ProviderQuery) -> bool {
        let matches = |listed: &Arc<ListedProvider>| query.admits(listed, self.health_evaluator());
        change.states.before().into_iter().chain(change.states.after()).any(matches)
    }

    /// Whether an account's change matches. It also matches if only the state before it did.
    #[must_use]
    pub fn matches_account_change(&self, change: &AccountChange, filter: &AccountFilter) -> bool {
        let Some(reader) = self.reader() else { return false };
        let scan = Scan::new(reader, filter.clone(), AccountOrder::NEWEST_FIRST);
        let mut states = change.states.before().into_iter().chain(change.states.after());
        states.any(|account| scan.admits(account))
    }
}
