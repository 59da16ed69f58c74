//! Finds what changed in a workspace's list of providers between two polls.
//!
//! Each poll reads the complete list, so a provider that is missing was removed.

use std::collections::HashMap;
use std::sync::Arc;

use super::change::{Change, ProviderChange};
use super::poller::{PollResult, Poller};
use crate::domain::change::{ChangeCause, Transition};
use crate::domain::credential::Credential;
use crate::domain::global_id::ProviderId;
use crate::domain::upstream_name::Leadlex;
use crate::loaders::cache::freshness::{Cached, StalePolicy};
use crate::loaders::data_sources::DataSources;
use crate::loaders::lists::providers::{ListedProvider, ProviderList};
use crate::loaders::stats::OperationStats;
use crate::upstream::error::UpstreamError;

pub(super) struct ProviderPoller {
    sources: Arc<DataSources>,
    credential: Credential<Leadlex>,
    last: Option<ProviderList>,
}

impl ProviderPoller {
    pub(super) fn new(sources: Arc<DataSources>, credential: Credential<Leadlex>) -> Self {
        Self { sources, credential, last: None }
    }
}

impl Poller for ProviderPoller {
    type Upstream = Leadlex;
    type Change = ProviderChange;

    async fn poll(&mut self, cause: ChangeCause) -> Result<PollResult<ProviderChange>, UpstreamError> {
        let providers = &self.sources.providers;
        let clock = providers.upstream_cache.clock;
        let Cached { value: list, freshness } = providers
            .list(&self.credential, StalePolicy::RequireFresh, &OperationStats::background())
            .await?;
        let at = clock.now();
        let states = self.last.as_ref().map_or_else(Vec::new, |last| differences(last, &list));
        self.last = Some(list);
        let changes = states.into_iter().map(|states| Change { cause, at, freshness, states }).collect();
        Ok(PollResult { changes, next_at: clock.instant(freshness.refresh_due_at) })
    }
}

/// Returns the differences of two lists, in the order of the new list. Removed providers come last.
fn differences(before: &ProviderList, now: &ProviderList) -> Vec<Transition<Arc<ListedProvider>>> {
    if Arc::ptr_eq(before, now) {
        return Vec::new();
    }
    let mut removed: HashMap<ProviderId, &Arc<ListedProvider>> =
        before.iter().map(|listed| (listed.id, listed)).collect();
    let mut differences = Vec::new();
    for listed in now.iter() {
        match removed.remove(&listed.id) {
            None => differences.push(Transition::Added(Arc::clone(listed))),
            Some(was) if was.provider == listed.provider => {}
            Some(was) => {
                differences
                    .push(Transition::Updated { before: Some(Arc::clone(was)), after: Arc::clone(listed) });
            }
        }
    }
    let removed_listings = before.iter().filter(|listed| removed.contains_key(&listed.id));
    differences.extend(removed_listings.map(|listed| Transition::Removed(Arc::clone(listed))));
    differences
}
