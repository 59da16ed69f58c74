//! Data sources shared by all operations: providers, account lists and single accounts, with their caches.
//!
//! [`DataSources`] is built in `app`; a reload copies it with other health rules, over the same caches. Loaders read
//! through it, the response cache compares the revisions of [`DataSources::state_of`], and the metrics endpoint calls
//! [`DataSources::read_metrics`].

use std::sync::Arc;
use std::time::Duration;

use super::batch_metrics::BatchSizes;
use super::cache::metrics::read_weight;
use super::cache::upstream_cache::DataState;
use super::lists::account_lists::AccountLists;
use super::lists::by_id::AccountsById;
use super::lists::providers::Providers;
use super::toolkits::Toolkits;
use crate::domain::caller::{Tenant, TenantFingerprints};
use crate::domain::change::ChangeCause;
use crate::domain::health::HealthRules;
use crate::domain::upstream_name::UpstreamName;
use crate::telemetry::metrics::readings::Readings;
use crate::upstream::counts::CallCounts;

/// Shared sources that loaders read through.
#[derive(Clone)]
pub struct DataSources {
    /// The workspace's integrations.
    pub providers: Arc<Providers>,
    /// Lists of accounts.
    pub lists: Arc<AccountLists>,
    /// Accounts by id.
    pub accounts_by_id: Arc<AccountsById>,
    /// Toolkits by slug.
    pub toolkits: Arc<Toolkits>,
    /// Ages from which a provider or account counts as unhealthy.
    pub health: HealthRules,
    /// Sizes of the batches.
    pub batch_sizes: Arc<BatchSizes>,
}

impl DataSources {
    /// Returns the state of a tenant's data.
    #[must_use]
    pub fn state_of(&self, tenant: &Tenant) -> DataState {
        let TenantFingerprints { leadlex, composio } = tenant.fingerprints();
        DataState {
            leadlex: leadlex
                .map(|leadlex| Arc::clone(&self.providers.upstream_cache.state_of(&leadlex).data)),
            composio: composio
                .map(|composio| Arc::clone(&self.lists.upstream_cache.state_of(&composio).data)),
        }
    }

    /// Returns all cached data and the status of a tenant's upstreams as text, for tests that search it for secrets.
    pub(crate) fn dump(&self, tenant: &Tenant) -> String {
        let Self { providers, lists, accounts_by_id, toolkits, health: _, batch_sizes: _ } = self;
        let leadlex = tenant.leadlex.as_ref().map(|key| providers.client.transport.status(key));
        let composio = tenant.composio.as_ref().map(|key| lists.fetcher.client.transport.status(key));
        let accounts = format!("{}{}{}", lists.dump(), accounts_by_id.dump(), toolkits.dump());
        format!("{}{accounts}{leadlex:?}{composio:?}", providers.dump())
    }

    /// Returns the number of calls by outcome: to LeadLex, then to Composio.
    #[must_use]
    pub fn calls(&self) -> [CallCounts; 2] {
        [self.providers.client.transport.counts(), self.lists.fetcher.client.transport.counts()]
    }

    /// Waits up to `at_most` until the other replicas have received all invalidations of this one.
    pub async fn flush(&self, at_most: Duration) {
        tokio::join!(self.providers.upstream_cache.flush(at_most), self.lists.upstream_cache.flush(at_most));
    }

    /// Expires all data of a tenant, and with it the tenant's cached responses.
    pub fn expire(&self, tenant: &Tenant) {
        if let Some(leadlex) = &tenant.leadlex {
            self.providers.upstream_cache.expire(&leadlex.fingerprint(), ChangeCause::Refresh);
        }
        if let Some(composio) = &tenant.composio {
            self.lists.upstream_cache.expire(&composio.fingerprint(), ChangeCause::Refresh);
        }
    }

    /// Expires a tenant's cached accounts on all replicas, because some have changed.
    pub fn accounts_changed(&self, tenant: &Tenant, cause: ChangeCause) {
        if let Some(composio) = &tenant.composio {
            self.lists.upstream_cache.expire(&composio.fingerprint(), cause);
        }
    }

    /// Adds the metrics of the caches and of the upstream calls to a reading.
    pub fn read_metrics(&self, readings: &mut Readings) {
        let Self { providers, lists, accounts_by_id, toolkits, health: _, batch_sizes } = self;
        providers.client.transport.read_metrics(readings);
        lists.fetcher.client.transport.read_metrics(readings);
        providers.upstream_cache.reads.read(UpstreamName::Leadlex, readings);
        lists.upstream_cache.reads.read(UpstreamName::Composio, readings);
        batch_sizes.read(readings);
        let shares = lists.upstream_cache.settings.shares();
        let [pages, totals, reverse_pages] = lists.weights_bytes();
        let [listed, last_known] = providers.weights_bytes();
        for (cache, weight, limit) in [
            ("pages", pages, shares.pages),
            ("accounts", accounts_by_id.weight_bytes(), shares.accounts),
            ("totals", totals, shares.totals),
            ("toolkits", toolkits.weight_bytes(), shares.toolkits),
            ("reverse_pages", reverse_pages, shares.reverse_pages),
            ("providers", listed, shares.providers),
            ("last_known", last_known, shares.last_known),
        ] {
            read_weight(cache, weight, limit, readings);
        }
    }
}
