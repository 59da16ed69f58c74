//! Accounts by id, fetched in batches of up to 100 ids per list call.
//!
//! The entry point is [`AccountsById::get`]. It returns cached accounts, joins calls in flight, and fetches the rest
//! through `AccountLists`. All fields of an operation share the same cache entries.
//!
//! The list endpoint with `connected_account_ids` is used instead of the endpoint for one account. The latter needs one
//! call for each account, and its response has `params`, which are secrets (docs/upstreams.md#composio-batch-reads).

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::stream::{self, StreamExt};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::account_lists::AccountLists;
use super::scan::{Reader, Scan};
use super::walk::PageWalk;
use crate::domain::accounts::SharedAccount;
use crate::domain::credential::Fingerprint;
use crate::domain::filters::{
    AccountFilter, AccountOrder, AccountTypeFilter, FILTER_VALUES_MAX, FilterValues,
};
use crate::domain::problems::ProblemReports;
use crate::domain::upstream_name::{Composio, UpstreamName};
use crate::domain::view::View;
use crate::loaders::cache::entries::{CacheLookup, FetchStart};
use crate::loaders::cache::freshness::{Cached, ValueSource};
use crate::loaders::cache::key::{CacheKey, Weigh};
use crate::loaders::cache::read_through::Cache;
use crate::loaders::cache::shared::fetch::{BatchResult, FetchedValue, ReadValue};
use crate::loaders::cache::single_flight::SingleFlight;
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

/// Key of one call.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct BatchKey {
    credential: Fingerprint<Composio>,
    /// Cache epoch in which the call starts. A caller after an invalidation does not join an older call.
    epoch: u64,
    view: View,
    ids: Arc<[Box<str>]>,
}

/// Cached account of an id; `None` if the id has no account.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AccountLookup {
    account: Option<SharedAccount>,
    /// Problems of the responses that were searched. An unreadable row may be the missing account.
    problems: ProblemReports,
}

type Lookups = HashMap<Box<str>, Result<Cached<AccountLookup>, UpstreamError>>;

/// Result of one in-flight call.
#[derive(Clone)]
struct FlightResult {
    lookups: Lookups,
    /// Whether other replicas supplied all of the accounts.
    is_shared: bool,
}

/// Accounts by id, cached and fetched in batches.
#[derive(Clone)]
pub struct AccountsById {
    lists: Arc<AccountLists>,
    accounts: Arc<Cache<AccountKey, AccountLookup>>,
    flights: Arc<SingleFlight<BatchKey, Result<FlightResult, UpstreamError>>>,
    /// Credentials for which the upstream rejected the parameter `account_type`, which is experimental
    /// (docs/upstreams.md#composio-list-request).
    without_account_type: moka::sync::Cache<Fingerprint<Composio>, ()>,
}

/// Accounts by requested id; `None` for an id without an account.
pub type Found = HashMap<Box<str>, Result<Cached<Option<SharedAccount>>, UpstreamError>>;

impl AccountsById {
    /// Creates the cache of accounts over the lists.
    #[must_use]
    pub fn new(lists: Arc<AccountLists>) -> Self {
        let bytes = lists.upstream_cache.settings.shares().accounts;
        Self {
            accounts: Arc::new(Cache::new(&lists.upstream_cache, bytes, "account")),
            flights: Arc::new(SingleFlight::of_fetches(UpstreamName::Composio)),
            without_account_type: moka::sync::Cache::builder()
                .max_capacity(REFUSALS_MAX)
                .time_to_live(REFUSALS_TTL)
                .build(),
            lists,
        }
    }

    /// Returns all cached data as text, for tests that search it for secrets.
    pub(crate) fn dump(&self) -> String {
        format!("{}{:?}", self.accounts.entries.dump(), self.without_account_type.iter().collect::<Vec<_>>())
    }

    /// Returns the size of the cached accounts in bytes.
    pub(crate) fn weight_bytes(&self) -> u64 {
        self.accounts.entries.weight_bytes()
    }

    /// Returns accounts by their `ca_…` ids.
    pub async fn get(&self, reader: &Reader, ids: impl IntoIterator<Item = Box<str>>) -> Found {
        let (mut found, mut needed, mut stale, mut refresh_ids) =
            (Lookups::new(), BTreeSet::new(), BTreeSet::new(), Vec::new());
        for id in ids {
            match self.accounts.lookup(&key(reader, &id)) {
                CacheLookup::Fresh { cached, refresh } | CacheLookup::Stale { cached, refresh, .. } => {
                    refresh_ids.extend(refresh.then(|| id.clone()));
                    reader.stats.record_freshness(cached.freshness);
                    found.insert(id, Ok(cached));
                }
                CacheLookup::StaleIfError => drop(stale.insert(id)),
                CacheLookup::Missing => drop(needed.insert(id)),
            }
        }
        for batch in self.batches(reader, refresh_ids) {
            self.flights.start(batch.clone(), self.clone().read(reader.clone(), batch, Purpose::Refresh));
        }
        reader.stats.record_saved_by_cache(found.len());
        let unread = needed.len() + stale.len();
        reader.stats.record_saved_by_batching(unread.saturating_sub(unread.div_ceil(FILTER_VALUES_MAX)));
        // Stale entries are fetched again together with missing ones, which costs no further call.
        let purpose = if needed.is_empty() { Purpose::Refresh } else { Purpose::Needed };
        needed.append(&mut stale);
        let calls = self.batches(reader, needed).into_iter().map(|batch| self.join(reader, batch, purpose));
        let lookups = stream::iter(calls.collect::<Vec<_>>()).buffered(8).collect::<Vec<_>>().await;
        found.extend(lookups.into_iter().flatten());
        let report_problems = |(id, lookup): (Box<str>, Result<Cached<AccountLookup>, _>)| {
            if let Ok(lookup) = &lookup {
                reader.record_problems(|| PartKey::new("account", &id), &lookup.value.problems);
            }
            (id, lookup.map(|cached| cached.map(|lookup| lookup.account)))
        };
        found.into_iter().map(report_problems).collect()
    }

    /// Splits ids into calls. Sorted, so that equal sets of ids make equal calls, which can be joined.
    fn batches(&self, reader: &Reader, ids: impl IntoIterator<Item = Box<str>>) -> Vec<BatchKey> {
        let mut ids: Vec<_> = ids.into_iter().collect();
        ids.sort_unstable();
        let (credential, view) = (reader.credential.fingerprint(), reader.view.clone());
        let epoch = self.lists.upstream_cache.epoch(&credential);
        let batch = |ids: &[_]| BatchKey { credential, epoch, view: view.clone(), ids: Arc::from(ids) };
        ids.chunks(FILTER_VALUES_MAX).map(batch).collect()
    }

    async fn join(&self, reader: &Reader, batch: BatchKey, purpose: Purpose) -> Lookups {
        let cached_result = || {
            let cached = |id: &str| Some((id.into(), Ok(self.accounts.entries.peek(&key(reader, id))?)));
            let cached = batch.ids.iter().map(|id| cached(id)).collect::<Option<Lookups>>();
            cached.map(|lookups| Ok(FlightResult { lookups, is_shared: false }))
        };
        let started_at = Instant::now();
        let reading = self.clone().read(reader.clone(), batch.clone(), purpose).boxed();
        let joined = self.flights.join(batch.clone(), cached_result, reading);
        let (found, source) = match reader.stats.deadline.wait(UpstreamName::Composio, joined).await {
            Ok((Ok(FlightResult { lookups, is_shared: true }), ValueSource::Fetched)) => {
                (lookups, ValueSource::Shared)
            }
            Ok((Ok(FlightResult { lookups, .. }), source)) => (lookups, source),
            Ok((Err(error), source)) => (all_failed(&batch, &error), source),
            Err(late) => {
                let cached = |id: &str| self.accounts.entries.stale_fallback(&key(reader, id));
                let fallback = |id: &str| cached(id).ok_or_else(|| late.clone());
                (batch.ids.iter().map(|id| (id.clone(), fallback(id))).collect(), ValueSource::Fetched)
            }
        };
        let description = || format!("accounts by {} ids", batch.ids.len());
        let error = found.values().find_map(|lookup| lookup.as_ref().err());
        reader.stats.record_call(UpstreamName::Composio, description, started_at, source, error);
        for account in found.values().flatten() {
            reader.stats.record_freshness(account.freshness);
        }
        found
    }

    /// Fetches at most 100 accounts and caches them. If the fetch of an id fails, its stale cache entry is returned.
    async fn read(
        self,
        reader: Reader,
        batch: BatchKey,
        purpose: Purpose,
    ) -> Result<FlightResult, UpstreamError> {
        let keys: Vec<_> = batch.ids.iter().map(|id| key(&reader, id)).collect();
        let began: Vec<_> = keys.iter().map(|key| self.accounts.entries.begin(key)).collect();
        let fetch = |keys| self.fetch_known(&reader, keys, purpose);
        let read = self.accounts.read_through(keys.clone(), purpose, fetch).await;
        let (mut values, failed) = match read {
            Ok(BatchResult { values, error: failed }) => (values, failed),
            Err(error) => (HashMap::new(), Some(error)),
        };
        share_equal_reports(values.values_mut());
        let is_shared = failed.is_none() && values.values().all(|value| value.is_shared);
        let no_result = || UpstreamError::new(UpstreamName::Composio, UpstreamFailure::Internal);
        let error = failed.unwrap_or_else(no_result);
        let account = |(key, began): (AccountKey, FetchStart)| {
            let id = key.id.clone();
            let lookup = match values.remove(&key) {
                Some(value) => Ok(self.store(key, value, began)),
                None => self.accounts.entries.fall_back(&key, began, &error).ok_or_else(|| error.clone()),
            };
            (id, lookup)
        };
        Ok(FlightResult { lookups: keys.into_iter().zip(began).map(account).collect(), is_shared })
    }

    fn store(
        &self,
        key: AccountKey,
        read_value: ReadValue<AccountLookup>,
        began: FetchStart,
    ) -> Cached<AccountLookup> {
        let ReadValue { value: lookup, fetched_at, fresh_for, is_shared: _ } = read_value;
        let (entries, began) = (&self.accounts.entries, began.with_fetch_time(fetched_at));
        match lookup.account {
            Some(_) => entries.store(key, lookup, began, fresh_for),
            None => entries.store_fresh_only(key, lookup, began, fresh_for),
        }
    }

    /// Fetches the accounts of some keys from the upstream, and determines which do not exist.
    async fn fetch_known(
        &self,
        reader: &Reader,
        keys: Vec<AccountKey>,
        purpose: Purpose,
    ) -> Result<Vec<FetchedValue<AccountKey, AccountLookup>>, UpstreamError> {
        let ids: Vec<_> = keys.iter().map(|key| key.id.clone()).collect();
        let (accounts, problems) = self.fetch(reader, &ids, purpose).await?;
        let fresh_for = self.lists.fetcher.fresh_for(&reader.credential);
        let to_lookup = |key: AccountKey| {
            let account = accounts.iter().find(|account| account.id == key.id).cloned();
            let fresh_for = if account.is_some() { fresh_for } else { MISSING_TTL.min(fresh_for) };
            (key, AccountLookup { account, problems: problems.clone() }, fresh_for)
        };
        Ok(keys.into_iter().map(to_lookup).collect())
    }

    /// Fetches at most 100 accounts. Includes shared accounts unless the upstream rejects `account_type`.
    async fn fetch(
        &self,
        reader: &Reader,
        ids: &[Box<str>],
        purpose: Purpose,
    ) -> Result<(Vec<SharedAccount>, ProblemReports), UpstreamError> {
        let fingerprint = reader.credential.fingerprint();
        if self.without_account_type.contains_key(&fingerprint) {
            return self.walk(reader, ids, None, purpose).await;
        }
        match self.walk(reader, ids, Some(AccountTypeFilter::All), purpose).await {
            Err(error)
                if error.failure == UpstreamFailure::Rejected && matches!(error.status, Some(400 | 422)) =>
            {
                // `account_type` was the reason only if the same request succeeds without it.
                let accounts = self.walk(reader, ids, None, purpose).await?;
                self.without_account_type.insert(fingerprint, ());
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

/// Makes accounts from the same response share one problem report again, so that it is reported once. Accounts from the
/// shared store have copies of it.
fn share_equal_reports<'a>(values: impl Iterator<Item = &'a mut ReadValue<AccountLookup>>) {
    let mut unique_reports = ProblemReports::new();
    for problems in values.flat_map(|value| &mut value.value.problems) {
        match unique_reports.iter().find(|known| known == &problems) {
            Some(known) => *problems = Arc::clone(known),
            None => unique_reports.push(Arc::clone(problems)),
        }
    }
}

fn key(reader: &Reader, id: &str) -> AccountKey {
    AccountKey { credential: reader.credential.fingerprint(), view: reader.view.clone(), id: id.into() }
}

fn all_failed(batch: &BatchKey, error: &UpstreamError) -> Lookups {
    batch.ids.iter().map(|id| (id.clone(), Err(error.clone()))).collect()
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
