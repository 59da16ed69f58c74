//! The workspace's providers: one complete list for each credential, read through the cache.
//!
//! [`Providers::list`] is the entry point. Filters, orders and pages are applied in memory, so all queries together
//! cost one call for each lifetime of the list.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::domain::bounded_map::BoundedMap;
use crate::domain::credential::{Credential, Fingerprint};
use crate::domain::global_id::{IdKey, ProviderId};
use crate::domain::problems::ProblemReports;
use crate::domain::providers::Provider;
use crate::domain::settings::ExpectedProviders;
use crate::domain::upstream_name::{Leadlex, UpstreamName};
use crate::loaders::cache::freshness::{Cached, StalePolicy, ValueSource};
use crate::loaders::cache::key::{CacheKey, Weigh};
use crate::loaders::cache::read_through::Cache;
use crate::loaders::cache::upstream_cache::UpstreamCache;
use crate::loaders::stats::{OperationStats, PartKey};
use crate::upstream::error::UpstreamError;
use crate::upstream::providers::{FetchedProviders, ProvidersClient};

/// A provider and its id. The id depends on the id key, so it is not part of the row.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListedProvider {
    /// Content of its global id.
    pub id: ProviderId,
    /// The provider.
    pub provider: Provider,
}

/// All providers of a workspace, in the upstream's order.
pub type ProviderList = Arc<[Arc<ListedProvider>]>;

/// Cached form of the list.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CachedProviderList {
    list: ProviderList,
    problems: ProblemReports,
}

/// The lists of providers of all workspaces.
pub struct Providers {
    pub(crate) client: ProvidersClient,
    ids: Option<IdKey>,
    pub(crate) upstream_cache: Arc<UpstreamCache<Leadlex>>,
    lists: Cache<Fingerprint<Leadlex>, CachedProviderList>,
    last_known: BoundedMap<Fingerprint<Leadlex>, ProviderList>,
    configured: Option<ProviderList>,
}

impl Providers {
    /// Creates the lists over a client. `ids` is the key that provider ids are derived from; without it, a key is
    /// derived from the credential. `expected` are the providers that a workspace is assumed to have before its first
    /// read.
    #[must_use]
    pub fn new(
        client: ProvidersClient,
        upstream_cache: Arc<UpstreamCache<Leadlex>>,
        ids: Option<IdKey>,
        expected: &ExpectedProviders,
    ) -> Self {
        let shares = upstream_cache.settings.shares();
        // Ids depend on their key, so replicas with another key cannot share them.
        let variant =
            ids.as_ref().map_or_else(String::new, |ids| format!("{:?}", ids.sign::<32>("replicas", &[])));
        let lists = Cache::new(&upstream_cache, shares.providers, "providers").with_variant(variant);
        let last_known =
            BoundedMap::with_limit_bytes(shares.last_known, |_, list: &ProviderList| list.weight_bytes());
        let rows = expected.0.iter().map(|(category, name)| {
            // These rows are only read for the toolkits whose accounts are prefetched. They are never returned, so they
            // need no id.
            Arc::new(ListedProvider { id: [0; 16], provider: Provider::expected(category, name) })
        });
        let configured = Some(rows.collect::<ProviderList>()).filter(|list| !list.is_empty());
        Self { client, ids, upstream_cache, lists, last_known, configured }
    }

    /// Returns all cached data as text, for tests that search it for secrets.
    pub(crate) fn dump(&self) -> String {
        format!(
            "{}{:?}{:?}",
            self.lists.entries.dump(),
            self.last_known.iter().collect::<Vec<_>>(),
            self.configured
        )
    }

    /// Weights in bytes: the cached lists, and the last known lists.
    pub(crate) fn weights_bytes(&self) -> [u64; 2] {
        [self.lists.entries.weight_bytes(), self.last_known.weight()]
    }

    /// Returns the key of a workspace's provider ids and cursors.
    pub(crate) fn id_key(&self, credential: &Credential<Leadlex>) -> IdKey {
        self.ids.clone().unwrap_or_else(|| IdKey::from_fingerprint(&credential.fingerprint()))
    }

    /// Returns the list that is expected while the current one is not cached: the last one that was read, of any age,
    /// or the configured one. Returns `None` if the current list is cached.
    #[must_use]
    pub fn expected(&self, credential: &Credential<Leadlex>) -> Option<ProviderList> {
        let fingerprint = credential.fingerprint();
        if self.lists.entries.is_available(&fingerprint) {
            return None;
        }
        self.last_known.get(&fingerprint).or_else(|| self.configured.clone())
    }

    /// Returns the whole list.
    ///
    /// # Errors
    /// The error of the upstream read.
    pub async fn list(
        &self,
        credential: &Credential<Leadlex>,
        stale_policy: StalePolicy,
        stats: &OperationStats,
    ) -> Result<Cached<ProviderList>, UpstreamError> {
        let (fingerprint, ids) = (credential.fingerprint(), self.id_key(credential));
        let (client, credential, ttl) =
            (self.client.clone(), credential.clone(), self.upstream_cache.settings.providers_ttl());
        let fetch = move |purpose| {
            let (client, credential, ids) = (client.clone(), credential.clone(), ids.clone());
            async move {
                let FetchedProviders { rows, problems } = client.fetch_list(&credential, purpose).await?;
                let listed = |provider| Arc::new(ListedProvider { id: ids.provider_id(&provider), provider });
                let listed = CachedProviderList {
                    list: rows.into_iter().map(listed).collect(),
                    problems: problems.reports(),
                };
                Ok((listed, client.transport.fresh_for(&credential, ttl)))
            }
        };
        let started_at = Instant::now();
        let (list, source) = self.lists.get(fingerprint, stale_policy, &stats.deadline, fetch).await;
        stats.record_read(
            UpstreamName::Leadlex,
            || "the list of providers".to_owned(),
            started_at,
            source,
            &list,
        );
        let list = list?;
        stats.record_problems(|| PartKey::new("providers", &()), &list.value.problems);
        if source != ValueSource::Cached {
            self.last_known.insert(fingerprint, Arc::clone(&list.value.list));
        }
        Ok(list.map(|listed| listed.list))
    }
}

impl CacheKey for Fingerprint<Leadlex> {
    type Upstream = Leadlex;

    fn credential(&self) -> Self {
        *self
    }
}

impl Weigh for Fingerprint<Leadlex> {
    fn weight_bytes(&self) -> usize {
        size_of::<Self>()
    }
}

impl Weigh for CachedProviderList {
    fn weight_bytes(&self) -> usize {
        self.list.weight_bytes() + self.problems.weight_bytes()
    }
}

impl Weigh for ProviderList {
    fn weight_bytes(&self) -> usize {
        self.iter().map(|listed| listed.provider.weight_bytes() + size_of::<ProviderId>()).sum()
    }
}
