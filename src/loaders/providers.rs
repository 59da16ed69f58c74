//! The workspace's integrations: one list per credential, whole, through the cache.
//!
//! Filters, orders and pages are applied to it in memory: every question costs at most one of the
//! credential's calls a TTL.

use std::sync::Arc;

use super::cache::{Cache, Weigh};
use super::settings::CacheSettings;
use crate::domain::credential::{Credential, Fingerprint};
use crate::domain::global_id::{IdKey, ProviderId};
use crate::domain::providers::Provider;
use crate::domain::upstream_name::{Leadlex, UpstreamName};
use crate::upstream::error::UpstreamError;
use crate::upstream::providers::ProvidersClient;

/// A provider with its id, which depends on the key of ids and not on the row alone.
#[derive(Debug)]
pub struct ListedProvider {
    /// What its global id is made of.
    pub id: ProviderId,
    /// The row.
    pub provider: Provider,
}

/// Every integration of a workspace, in the upstream's order.
pub type ProviderList = Arc<[Arc<ListedProvider>]>;

/// The workspace's integrations.
pub struct Providers {
    client: ProvidersClient,
    ids: Option<IdKey>,
    lists: Cache<Fingerprint<Leadlex>, ProviderList>,
}

impl Providers {
    /// Providers over a client; `ids` is the key of provider ids, derived from the credential where
    /// absent.
    #[must_use]
    pub fn new(client: ProvidersClient, cache: &CacheSettings, ids: Option<IdKey>) -> Self {
        let lists = Cache::new(UpstreamName::Leadlex, cache.providers_ttl(), cache.limit_bytes / 8);
        Self { client, ids, lists }
    }

    /// The key of a workspace's provider ids and cursors.
    #[must_use]
    pub fn id_key(&self, credential: &Credential<Leadlex>) -> IdKey {
        self.ids.clone().unwrap_or_else(|| IdKey::from_fingerprint(&credential.fingerprint()))
    }

    /// The whole list.
    ///
    /// # Errors
    /// Where the upstream cannot be read.
    pub async fn list(&self, credential: &Credential<Leadlex>) -> Result<ProviderList, UpstreamError> {
        let (fingerprint, ids) = (credential.fingerprint(), self.id_key(credential));
        let (client, credential) = (self.client.clone(), credential.clone());
        let fetch = async move {
            let providers = client.fetch_list(&credential).await?;
            let listed = |provider| Arc::new(ListedProvider { id: ids.provider_id(&provider), provider });
            Ok(providers.into_iter().map(listed).collect())
        };
        self.lists.get(fingerprint, fetch).await
    }
}

impl Weigh for Fingerprint<Leadlex> {
    fn weight_bytes(&self) -> usize {
        size_of::<Self>()
    }
}

impl Weigh for ProviderList {
    fn weight_bytes(&self) -> usize {
        self.iter().map(|listed| listed.provider.weight_bytes() + size_of::<ProviderId>()).sum()
    }
}
