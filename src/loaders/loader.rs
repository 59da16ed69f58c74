//! The batching loader of one operation, which resolvers call.
//!
//! [`loader`] creates it for each operation. async-graphql's `DataLoader` collects the keys, and
//! [`super::batch_scheduler`] starts a batch only when the execution cannot continue. The keys of all fields of one
//! level therefore arrive as one batch. A loader belongs to one operation and its caller, so a batch never mixes
//! callers. The caches below it are shared by all operations.
//!
//! Every value is its own `Result`, so that the failure of one parent does not affect the others.

use std::collections::{BTreeSet, HashMap};
use std::convert::Infallible;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, LazyLock};

use ahash::{AHashMap, RandomState};
use async_graphql::dataloader::{DataLoader, Loader};
use futures_util::future::join_all;

use super::batch_metrics::Batch;
use super::batch_scheduler::{BatchScheduler, NoDelay};
use super::cache::freshness::{Cached, StalePolicy};
use super::data_sources::DataSources;
use super::health::HealthEvaluator;
use super::lists::account_lists::ListError;
use super::lists::counts::{CountQuery, Counts};
use super::lists::multi_parent::AccountQuery;
use super::lists::parent::Parent;
use super::lists::provider_page::{ProviderPage, ProviderQuery};
use super::lists::providers::{ListedProvider, ProviderList};
use super::lists::scan::Reader;
use super::lists::slice::Slice;
use super::stats::OperationStats;
use crate::domain::accounts::SharedAccount;
use crate::domain::caller::{Caller, Tenant};
use crate::domain::page::PageRequest;
use crate::domain::toolkits::{ToolkitDetails, ToolkitSlug};
use crate::domain::upstream_name::UpstreamName;
use crate::domain::view::View;
use crate::telemetry::request_scope;
use crate::telemetry::traces::SpanGuard;
use crate::upstream::error::UpstreamError;

/// Loads the data of one operation.
pub struct OperationLoader {
    pub(crate) sources: Arc<DataSources>,
    pub(crate) tenant: Tenant,
    pub(crate) view: View,
    pub(crate) stats: Arc<OperationStats>,
    /// Evaluates health at the time of the operation.
    pub(crate) evaluator: Arc<HealthEvaluator>,
}

/// Creates the loader of one operation of a caller. Reads are recorded in `stats`, and `batches` runs the batches.
#[must_use]
pub fn loader(
    sources: Arc<DataSources>,
    caller: &Caller,
    stats: Arc<OperationStats>,
    batches: BatchScheduler,
) -> DataLoader<OperationLoader> {
    let evaluator = Arc::new(HealthEvaluator::new(
        sources.health,
        sources.lists.upstream_cache.clock,
        Arc::clone(&stats),
    ));
    let loader =
        OperationLoader { sources, tenant: caller.tenant.clone(), view: caller.view(), stats, evaluator };
    DataLoader::new(loader, batches, NoDelay).max_batch_size(usize::MAX)
}

/// Key of the workspace's list of providers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ProviderListKey;

/// Key of an account by its `ca_…` id.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AccountByIdKey(pub Box<str>);

/// Key of a toolkit's name, logo, categories and description.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ToolkitDetailsKey(pub ToolkitSlug);

/// Key of a page of a parent's accounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountsKey {
    /// Hash of the other fields, computed once: the library's loader looks up each key several times.
    hash: u64,
    /// Parent of the accounts.
    pub parent: Parent,
    /// Arguments of the connection, shared by all parents of one field.
    pub query: Arc<AccountQuery>,
}

impl AccountsKey {
    /// Creates the key of a page.
    #[must_use]
    pub fn new(parent: Parent, query: Arc<AccountQuery>) -> Self {
        static HASHES: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        let hash = HASHES.hash_one((&parent, &query));
        Self { hash, parent, query }
    }
}

impl Hash for AccountsKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

/// Key of the numbers of a parent's accounts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CountKey {
    /// Parent of the accounts.
    pub parent: Parent,
    /// Requested numbers.
    pub query: CountQuery,
}

impl OperationLoader {
    /// Returns the reader of Composio, if the tenant has a key to it.
    pub(crate) fn reader(&self) -> Option<Reader> {
        let credential = self.tenant.composio.clone()?;
        let (view, stats) = (self.view.clone(), Arc::clone(&self.stats));
        Some(Reader { credential, view, stats, is_prefetch: false })
    }

    /// Returns the expected providers if the list of providers is not cached.
    pub(crate) fn expected_providers_unless_cached(&self) -> Option<ProviderList> {
        let expected = self.sources.providers.expected(self.tenant.leadlex.as_ref()?)?;
        Some(visible_to(&self.view, expected))
    }

    /// Reads the accounts of the expected providers into the cache while the list of providers is still being fetched.
    ///
    /// A query for providers with their accounts needs two calls, one after the other, because the accounts are
    /// requested by the providers' toolkits. A workspace's providers rarely change, so the accounts of the last known
    /// ones are requested meanwhile. The resolvers make the same requests later, join the calls in flight, and report
    /// their errors. If the list has changed, unneeded pages remain in the cache, and missing ones are requested as
    /// usual.
    pub fn prefetch_accounts(&self, queries: Vec<AccountQuery>, parents: BTreeSet<Parent>) {
        let Some(reader) = self.reader() else { return };
        let reader = Reader { is_prefetch: true, ..reader };
        for query in queries {
            let (sources, reader, parents) = (Arc::clone(&self.sources), reader.clone(), parents.clone());
            let request = async move { sources.lists.slices(&reader, &query, parents).await };
            request_scope::spawn(request);
        }
    }

    /// Counts a batch and loads it in a span. Without a key to Composio, that is the error of each value.
    async fn load_from_composio<K, V, E, F>(
        &self,
        batch: Batch,
        name: &'static str,
        keys: &[K],
        load: impl FnOnce(Reader) -> F,
    ) -> Result<HashMap<K, Result<V, E>>, Infallible>
    where
        K: Clone + Eq + Hash,
        E: From<UpstreamError>,
        F: Future<Output = HashMap<K, Result<V, E>>>,
    {
        self.sources.batch_sizes.count(batch, keys.len());
        let error = || UpstreamError::no_credential(UpstreamName::Composio);
        let loading = async {
            match self.reader() {
                Some(reader) => load(reader).await,
                None => keys.iter().map(|key| (key.clone(), Err(error().into()))).collect(),
            }
        };
        Ok(SpanGuard::batch(name, keys.len()).instrument(loading).await)
    }

    /// Returns a page of the list of providers.
    ///
    /// # Errors
    /// `BAD_CURSOR` for a cursor of another list, or an error if there is no key to the upstream.
    pub fn provider_page(
        &self,
        list: &ProviderList,
        query: &ProviderQuery,
        page: &PageRequest,
    ) -> Result<ProviderPage, ListError> {
        let credential = self
            .tenant
            .leadlex
            .as_ref()
            .ok_or_else(|| UpstreamError::no_credential(UpstreamName::Leadlex))?;
        let ids = self.sources.providers.id_key(credential);
        Ok(ProviderPage::slice(list, query, page, &self.view, ids, &self.evaluator)?)
    }
}

impl Loader<ProviderListKey> for OperationLoader {
    type Value = Result<Cached<ProviderList>, UpstreamError>;
    type Error = Infallible;

    async fn load(
        &self,
        keys: &[ProviderListKey],
    ) -> Result<HashMap<ProviderListKey, Self::Value>, Infallible> {
        self.sources.batch_sizes.count(Batch::Providers, keys.len());
        let loading = async {
            let list = match &self.tenant.leadlex {
                Some(credential) => {
                    self.sources.providers.list(credential, StalePolicy::AllowStale, &self.stats).await
                }
                None => Err(UpstreamError::no_credential(UpstreamName::Leadlex)),
            };
            Ok(HashMap::from([(
                ProviderListKey,
                list.map(|list| list.map(|list| visible_to(&self.view, list))),
            )]))
        };
        SpanGuard::batch("providers", keys.len()).instrument(loading).await
    }
}

impl Loader<AccountByIdKey> for OperationLoader {
    type Value = Result<Cached<Option<SharedAccount>>, UpstreamError>;
    type Error = Infallible;

    async fn load(
        &self,
        keys: &[AccountByIdKey],
    ) -> Result<HashMap<AccountByIdKey, Self::Value>, Infallible> {
        let load = |reader: Reader| async move {
            let ids = keys.iter().map(|AccountByIdKey(id)| id.clone());
            let found = self.sources.accounts_by_id.get(&reader, ids).await;
            found.into_iter().map(|(id, account)| (AccountByIdKey(id), account)).collect()
        };
        self.load_from_composio(Batch::Account, "accounts by id", keys, load).await
    }
}

impl Loader<AccountsKey> for OperationLoader {
    type Value = Result<Arc<Slice>, ListError>;
    type Error = Infallible;

    async fn load(&self, keys: &[AccountsKey]) -> Result<HashMap<AccountsKey, Self::Value>, Infallible> {
        let load = |reader: Reader| async move {
            // One read per query and kind of parent; they run concurrently.
            let mut reads: AHashMap<_, BTreeSet<Parent>> = AHashMap::new();
            for AccountsKey { parent, query, .. } in keys {
                let kind = std::mem::discriminant(parent);
                reads.entry((Arc::clone(query), kind)).or_default().insert(parent.clone());
            }
            let reads = reads.into_iter().map(|((query, _kind), parents)| async {
                let slices = self.sources.lists.slices(&reader, &query, parents).await;
                (query, slices)
            });
            let mut loaded = HashMap::new();
            for (query, slices) in join_all(reads).await {
                for (parent, slice) in slices {
                    loaded.insert(AccountsKey::new(parent, Arc::clone(&query)), slice);
                }
            }
            loaded
        };
        self.load_from_composio(Batch::Accounts, "accounts", keys, load).await
    }
}

impl Loader<CountKey> for OperationLoader {
    type Value = Result<Counts, UpstreamError>;
    type Error = Infallible;

    async fn load(&self, keys: &[CountKey]) -> Result<HashMap<CountKey, Self::Value>, Infallible> {
        let load = |reader: Reader| async move {
            let mut reads: HashMap<_, Vec<Parent>> = HashMap::new();
            for CountKey { parent, query } in keys {
                let kind = std::mem::discriminant(parent);
                reads.entry((query.clone(), kind)).or_default().push(parent.clone());
            }
            let reads = reads.into_iter().map(|((query, _kind), parents)| async {
                let counted = self.sources.lists.counts(&reader, &query, parents).await;
                (query, counted)
            });
            let mut loaded = HashMap::new();
            for (query, counted) in join_all(reads).await {
                for (parent, counts) in counted {
                    loaded.insert(CountKey { parent, query: query.clone() }, counts);
                }
            }
            loaded
        };
        self.load_from_composio(Batch::Counts, "counts", keys, load).await
    }
}

impl Loader<ToolkitDetailsKey> for OperationLoader {
    type Value = Result<Option<Arc<ToolkitDetails>>, UpstreamError>;
    type Error = Infallible;

    async fn load(
        &self,
        keys: &[ToolkitDetailsKey],
    ) -> Result<HashMap<ToolkitDetailsKey, Self::Value>, Infallible> {
        let load = |reader: Reader| async move {
            let slugs = keys.iter().map(|ToolkitDetailsKey(slug)| slug.clone());
            let found = self.sources.toolkits.get(&reader, slugs).await;
            found.into_iter().map(|(slug, details)| (ToolkitDetailsKey(slug), details)).collect()
        };
        self.load_from_composio(Batch::Toolkits, "toolkits", keys, load).await
    }
}

/// Returns a list of providers as a caller sees it. Data that is hidden from a member is removed before resolvers
/// receive the list, so that no field and no filter reveals it. The ids do not change, although they are derived from
/// whole rows.
fn visible_to(view: &View, list: ProviderList) -> ProviderList {
    if view.is_full() {
        return list;
    }
    let visible = |listed: &Arc<ListedProvider>| {
        Arc::new(ListedProvider { id: listed.id, provider: view.provider(&listed.provider) })
    };
    list.iter().map(visible).collect()
}
