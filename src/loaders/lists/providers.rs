//! The workspace's integrations: one list per credential, whole, through the cache.
//!
//! Filters, orders and pages are applied to it in memory: every question costs at most one of the
//! credential's calls a TTL.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::domain::credential::{Credential, Fingerprint};
use crate::domain::global_id::{IdKey, ProviderId};
use crate::domain::problems::ProblemReports;
use crate::domain::providers::Provider;
use crate::domain::settings::ExpectedProviders;
use crate::domain::upstream_name::{Leadlex, UpstreamName};
use crate::loaders::cache::bounded_map::BoundedMap;
use crate::loaders::cache::freshness::{Cached, StalePolicy, ValueSource};
use crate::loaders::cache::key::{CacheKey, Weigh};
use crate::loaders::cache::read_through::Cache;
use crate::loaders::cache::upstream_cache::UpstreamCache;
use crate::loaders::stats::{OperationStats, PartKey};
use crate::upstream::error::UpstreamError;
use crate::upstream::providers::{FetchedProviders, ProvidersClient};

/// A provider with its id, which depends on the key of ids and not on the row alone.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListedProvider {
    /// What its global id is made of.
    pub id: ProviderId,
    /// The row.
    pub provider: Provider,
}

/// Every integration of a workspace, in the upstream's order.
pub type ProviderList = Arc<[Arc<ListedProvider>]>;

/// The list as it is kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CachedProviderList {
    list: ProviderList,
    problems: ProblemReports,
}

/// The workspace's integrations.
pub struct Providers {
    client: ProvidersClient,
    ids: Option<IdKey>,
    upstream_cache: Arc<UpstreamCache<Leadlex>>,
    lists: Cache<Fingerprint<Leadlex>, CachedProviderList>,
    last_known: BoundedMap<Fingerprint<Leadlex>, ProviderList>,
    configured: Option<ProviderList>,
}

impl Providers {
    /// Providers over a client; `ids` is the key of provider ids, derived from the credential where
    /// absent, and `expected` what a workspace is taken to have before it was ever read.
    #[must_use]
    pub fn new(
        client: ProvidersClient,
        upstream_cache: Arc<UpstreamCache<Leadlex>>,
        ids: Option<IdKey>,
        expected: &ExpectedProviders,
    ) -> Self {
        let shares = upstream_cache.settings.shares();
        // Ids depend on their key: replicas with another one cannot share them.
        let variant = ids.as_ref().map_or_else(String::new, |ids| format!("{:?}", ids.sign("replicas", &[])));
        let lists = Cache::new(&upstream_cache, shares.providers, "providers").with_variant(variant);
        let last_known = BoundedMap::new(shares.last_known, |_, list: &ProviderList| list.weight_bytes());
        let rows = expected.0.iter().map(|(category, name)| {
            // Nobody sees these rows: they only say whose accounts to ask for, so they need no id.
            Arc::new(ListedProvider { id: [0; 16], provider: Provider::expected(category, name) })
        });
        let configured = Some(rows.collect::<ProviderList>()).filter(|list| !list.is_empty());
        Self { client, ids, upstream_cache, lists, last_known, configured }
    }

    /// Everything that is kept of them, for a test that looks for what must not be there.
    pub(crate) fn dump(&self) -> String {
        format!("{}{:?}{:?}", self.lists.dump(), self.last_known.all(), self.configured)
    }

    /// What is kept of them weighs, in bytes: the lists, and the last known ones.
    pub(crate) fn weights_bytes(&self) -> [u64; 2] {
        [self.lists.weight_bytes(), self.last_known.weight_bytes()]
    }

    pub(crate) fn upstream_cache(&self) -> &Arc<UpstreamCache<Leadlex>> {
        &self.upstream_cache
    }

    pub(crate) fn client(&self) -> &ProvidersClient {
        &self.client
    }

    /// The key of a workspace's provider ids and cursors.
    #[must_use]
    pub fn id_key(&self, credential: &Credential<Leadlex>) -> IdKey {
        self.ids.clone().unwrap_or_else(|| IdKey::from_fingerprint(&credential.fingerprint()))
    }

    /// What the list will most likely be, where reading it costs a call: the last one that was read,
    /// however old, or the configured one.
    #[must_use]
    pub fn expected(&self, credential: &Credential<Leadlex>) -> Option<ProviderList> {
        let fingerprint = credential.fingerprint();
        if self.lists.is_available(&fingerprint) {
            return None;
        }
        self.last_known.get(&fingerprint).or_else(|| self.configured.clone())
    }

    /// The whole list.
    ///
    /// # Errors
    /// Where the upstream cannot be read.
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
                Ok((listed, client.fresh_for(&credential, ttl)))
            }
        };
        let asked_at = Instant::now();
        let (list, got) = self.lists.get(fingerprint, stale_policy, stats.deadline(), fetch).await;
        stats.enter(UpstreamName::Leadlex, || "the list of providers".to_owned(), asked_at, got, &list);
        let list = list?;
        stats.reports(|| PartKey::new("providers", &()), &list.value.problems);
        if got != ValueSource::Cached {
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
