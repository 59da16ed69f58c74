//! Accounts by id, fetched in batches of up to 100 ids per list call.
//!
//! The entry point is [`AccountsById::get`]. Its `BatchCache` fetches through `AccountLists`. All fields of an operation
//! share the same cache entries.
//!
//! The list endpoint with `connected_account_ids` is used instead of the endpoint for one account. The latter needs one
//! call for each account, and its response has `params`, which are secrets (docs/upstreams.md#composio-batch-reads).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::account_lists::AccountLists;
use super::scan::{Reader, Scan};
use super::walk::PageWalk;
use crate::domain::accounts::SharedAccount;
use crate::domain::bounded_map::BoundedMap;
use crate::domain::credential::Fingerprint;
use crate::domain::filters::{
    AccountFilter, AccountOrder, AccountTypeFilter, FILTER_VALUES_MAX, FilterValues,
};
use crate::domain::problems::ProblemReports;
use crate::domain::upstream_name::{Composio, UpstreamName};
use crate::domain::view::View;
use crate::loaders::batch_cache::{BatchCache, BatchSource};
use crate::loaders::cache::freshness::Cached;
use crate::loaders::cache::key::{CacheKey, Weigh};
use crate::loaders::cache::read_through::Cache;
use crate::loaders::cache::shared::fetch::FetchResult;
use crate::loaders::stats::PartKey;
use crate::upstream::error::{UpstreamError, UpstreamFailure};
use crate::upstream::quota::Purpose;

/// Time for which an id that was not found is cached as missing. It is short: an account may be connected at
/// any time.
const MISSING_TTL: Duration = Duration::from_secs(5);

/// Maximum number of remembered credentials that may not use `account_type`, and the time for which they are
/// remembered.
const REFUSALS_MAX: u64 = 10_000;
const REFUSALS_TTL: Duration = Duration::from_secs(3_600);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct AccountKey {
    credential: Fingerprint<Composio>,
    /// Part of the key because a member does not find the accounts of other users. Such a miss is cached like any
    /// other, so that response times do not reveal whether the account exists.
    view: View,
    id: Box<str>,
}

/// Cached account of an id; `None` if the id has no account.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AccountLookup {
    account: Option<SharedAccount>,
    /// Problems of the responses that were searched. An unreadable row may be the missing account.
    problems: ProblemReports,
}

/// Accounts by id, cached and fetched in batches.
pub struct AccountsById(Arc<BatchCache<AccountBatches>>);

struct AccountBatches {
    lists: Arc<AccountLists>,
    /// Credentials for which the upstream rejected the parameter `account_type`, which is experimental
    /// (docs/upstreams.md#composio-list-request), with the time at which it is sent again.
    without_account_type: BoundedMap<Fingerprint<Composio>, Instant>,
}

/// Accounts by requested id; `None` for an id without an account.
pub type Found = HashMap<Box<str>, Result<Cached<Option<SharedAccount>>, UpstreamError>>;

impl AccountsById {
    /// Creates the cache of accounts over the lists.
    #[must_use]
    pub fn new(lists: Arc<AccountLists>) -> Self {
        let bytes = lists.upstream_cache.settings.shares().accounts;
        let cache = Cache::new(&lists.upstream_cache, bytes, "account");
        let without_account_type = BoundedMap::with_max_entries(REFUSALS_MAX);
        Self(BatchCache::new(AccountBatches { lists, without_account_type }, cache))
    }

    /// Returns all cached data as text, for tests that search it for secrets.
    pub(crate) fn dump(&self) -> String {
        let BatchCache { source, cache, .. } = &*self.0;
        format!("{}{:?}", cache.entries.dump(), source.without_account_type.iter().collect::<Vec<_>>())
    }

    /// Returns the size of the cached accounts in bytes.
    pub(crate) fn weight_bytes(&self) -> u64 {
        self.0.cache.entries.weight_bytes()
    }

    /// Returns accounts by their `ca_…` ids.
    pub async fn get(&self, reader: &Reader, ids: impl IntoIterator<Item = Box<str>>) -> Found {
        let credential = reader.credential.fingerprint();
        let keys =
            ids.into_iter().map(|id| AccountKey { credential, view: reader.view.clone(), id }).collect();
        let read = |(key, lookup): (AccountKey, Result<Cached<AccountLookup>, _>)| {
            if let Ok(lookup) = &lookup {
                reader.stats.record_freshness(lookup.freshness);
                reader.record_problems(|| PartKey::new("account", &key.id), &lookup.value.problems);
            }
            (key.id, lookup.map(|cached| cached.map(|lookup| lookup.account)))
        };
        self.0.get(reader, keys).await.into_iter().map(read).collect()
    }
}

impl BatchSource for AccountBatches {
    type Key = AccountKey;
    type Value = AccountLookup;

    const CALL_MAX: usize = FILTER_VALUES_MAX;

    fn name(key: &AccountKey) -> &str {
        &key.id
    }

    fn description(count: usize) -> String {
        format!("accounts by {count} ids")
    }

    fn is_missing(lookup: &AccountLookup) -> bool {
        lookup.account.is_none()
    }

    fn problems(lookup: &mut AccountLookup) -> &mut ProblemReports {
        &mut lookup.problems
    }

    /// Fetches the accounts of some keys from the upstream, and determines which do not exist.
    async fn fetch(
        &self,
        reader: &Reader,
        keys: Vec<AccountKey>,
        purpose: Purpose,
    ) -> FetchResult<AccountKey, AccountLookup> {
        let ids: Vec<_> = keys.iter().map(|key| key.id.clone()).collect();
        let (accounts, problems) = self.read(reader, &ids, purpose).await?;
        let fresh_for = self.lists.fetcher.fresh_for(&reader.credential);
        let to_lookup = |key: AccountKey| {
            let account = accounts.iter().find(|account| account.id == key.id).cloned();
            let fresh_for = if account.is_some() { fresh_for } else { MISSING_TTL.min(fresh_for) };
            (key, AccountLookup { account, problems: problems.clone() }, fresh_for)
        };
        Ok(keys.into_iter().map(to_lookup).collect())
    }
}

impl AccountBatches {
    /// Reads at most 100 accounts. Includes shared accounts unless the upstream rejects `account_type`.
    async fn read(
        &self,
        reader: &Reader,
        ids: &[Box<str>],
        purpose: Purpose,
    ) -> Result<(Vec<SharedAccount>, ProblemReports), UpstreamError> {
        let fingerprint = reader.credential.fingerprint();
        if self.without_account_type.get(&fingerprint).is_some_and(|until| Instant::now() < until) {
            return self.walk(reader, ids, None, purpose).await;
        }
        match self.walk(reader, ids, Some(AccountTypeFilter::All), purpose).await {
            Err(error) if error.can_be_a_rejected_account_type() => {
                let accounts = self.walk(reader, ids, None, purpose).await?;
                self.without_account_type.insert(fingerprint, Instant::now() + REFUSALS_TTL);
                Ok(accounts)
            }
            fetched => fetched,
        }
    }

    async fn walk(
        &self,
        reader: &Reader,
        ids: &[Box<str>],
        account_type: Option<AccountTypeFilter>,
        purpose: Purpose,
    ) -> Result<(Vec<SharedAccount>, ProblemReports), UpstreamError> {
        let refused =
            |error| UpstreamError::new(UpstreamName::Composio, UpstreamFailure::Internal).caused_by(error);
        let values = FilterValues::new("ids", ids.iter().cloned()).map_err(refused)?;
        let filter = AccountFilter { ids: Some(values), account_type, ..Default::default() };
        let scan = Scan::new(reader.clone(), filter, AccountOrder::NEWEST_FIRST);
        let mut walk = PageWalk::uncached(&self.lists, &scan, purpose);
        let (mut accounts, mut problems) = (Vec::new(), ProblemReports::new());
        while accounts.len() < ids.len() {
            let Some(step) = walk.step().await? else { break };
            if step.is_restart {
                (accounts, problems) = Default::default();
            }
            accounts.extend(step.page.items.iter().filter(|account| walk.is_new(account)).cloned());
            problems.extend_from_slice(&step.page.problems);
            if step.page.has_unreadable_cursor && accounts.len() < ids.len() {
                // The others may be on the pages after this one.
                return Err(UpstreamError::new(UpstreamName::Composio, UpstreamFailure::BadResponse));
            }
        }
        Ok((accounts, problems))
    }
}

impl CacheKey for AccountKey {
    type Upstream = Composio;

    fn credential(&self) -> Fingerprint<Composio> {
        self.credential
    }
}

impl Weigh for AccountKey {
    fn weight_bytes(&self) -> usize {
        size_of::<Self>() + self.id.len() + self.view.member().map_or(0, |id| id.as_str().len())
    }
}

impl Weigh for AccountLookup {
    fn weight_bytes(&self) -> usize {
        let account = self.account.as_ref().map_or(0, |account| account.weight_bytes());
        size_of::<Self>() + account + self.problems.weight_bytes()
    }
}
