//! Names, logos, categories and descriptions of toolkits, by slug: cached for hours, and served stale for days.
//!
//! [`Toolkits::get`] is the entry point; the loader calls it with all slugs of one load. Toolkits are reference data:
//! an expiry of the tenant's accounts does not expire them, and they do not count towards the age of a response. A
//! catalogue that cannot be read must not slow down the accounts of the same response, so no call is made for
//! [`FAILURE_PAUSE`] after a failed one.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::cache::entries::{CacheLookup, EntryRules, FetchStart};
use super::cache::freshness::{Cached, ValueSource};
use super::cache::key::{CacheKey, Weigh};
use super::cache::read_through::Cache;
use super::cache::shared::fetch::{BatchResult, FetchedValue, ReadValue};
use super::cache::single_flight::SingleFlight;
use super::cache::upstream_cache::UpstreamCache;
use super::lists::scan::Reader;
use super::stats::PartKey;
use crate::domain::credential::Fingerprint;
use crate::domain::problems::ProblemReports;
use crate::domain::toolkits::{ToolkitDetails, ToolkitSlug};
use crate::domain::upstream_name::{Composio, UpstreamName};
use crate::upstream::accounts::AccountsClient;
use crate::upstream::error::{UpstreamError, UpstreamFailure};
use crate::upstream::quota::Purpose;
use crate::upstream::toolkits::{FetchedToolkits, SLUGS_OF_A_CALL};

/// Time for which a slug that the catalogue does not have is cached as missing: a project may add a toolkit of its own.
const MISSING_TTL: Duration = Duration::from_secs(600);

/// Time after a failed call during which its error is returned without another call.
const FAILURE_PAUSE: Duration = Duration::from_secs(30);

/// Maximum number of credentials whose failure is remembered.
const FAILURES_MAX: u64 = 10_000;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct ToolkitKey {
    credential: Fingerprint<Composio>,
    slug: ToolkitSlug,
}

/// A toolkit, or the fact that the catalogue does not have it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ToolkitLookup {
    details: Option<Arc<ToolkitDetails>>,
    /// Problems of the response. An unreadable row may be the missing toolkit.
    problems: ProblemReports,
}

type Lookups = HashMap<ToolkitSlug, Result<Cached<ToolkitLookup>, UpstreamError>>;

/// Result of one in-flight call.
#[derive(Clone)]
struct FlightResult {
    lookups: Lookups,
    /// Whether other replicas supplied all of the toolkits.
    is_shared: bool,
}

/// Key of one call: a credential, and the slugs in order.
type CallKey = (Fingerprint<Composio>, Arc<[ToolkitSlug]>);

/// Toolkits by requested slug; `None` for one that the catalogue does not have.
pub(crate) type FoundToolkits = HashMap<ToolkitSlug, Result<Option<Arc<ToolkitDetails>>, UpstreamError>>;

/// Toolkits by slug, cached; one call fetches many of them.
#[derive(Clone)]
pub struct Toolkits {
    client: AccountsClient,
    ttl: Duration,
    cache: Arc<Cache<ToolkitKey, ToolkitLookup>>,
    flights: Arc<SingleFlight<CallKey, Result<FlightResult, UpstreamError>>>,
    /// The last failures, with the end of [`FAILURE_PAUSE`]. moka only limits their number; their age is checked in
    /// `failure`, because tests cannot stop moka's clock.
    failures: moka::sync::Cache<Fingerprint<Composio>, (Instant, UpstreamError)>,
}

impl Toolkits {
    /// Creates the cache of toolkits over a client.
    #[must_use]
    pub fn new(client: AccountsClient, upstream_cache: &Arc<UpstreamCache<Composio>>) -> Self {
        let settings = &upstream_cache.settings;
        let [ttl, stale] = [settings.toolkits_ttl_ms, settings.toolkits_stale_ms].map(Duration::from_millis);
        let rules =
            EntryRules { stale_while_revalidate: stale, stale_if_error: stale, is_reference_data: true };
        let cache = Cache::with_rules(upstream_cache, settings.shares().toolkits, "toolkit", rules);
        // Replicas with another lifetime do not share these values, which are stored with it.
        let cache = cache.with_variant(format!("{ttl:?}"));
        Self {
            client,
            ttl,
            cache: Arc::new(cache),
            flights: Arc::new(SingleFlight::of_fetches(UpstreamName::Composio)),
            failures: moka::sync::Cache::new(FAILURES_MAX),
        }
    }

    /// Returns all cached data as text, for tests that search it for secrets.
    pub(crate) fn dump(&self) -> String {
        self.cache.entries.dump()
    }

    /// Returns the size of the cached toolkits in bytes.
    pub(crate) fn weight_bytes(&self) -> u64 {
        self.cache.entries.weight_bytes()
    }

    /// Returns toolkits by their slugs.
    pub(crate) async fn get(
        &self,
        reader: &Reader,
        slugs: impl IntoIterator<Item = ToolkitSlug>,
    ) -> FoundToolkits {
        let credential = reader.credential.fingerprint();
        let (mut found, mut needed, mut due) = (Lookups::new(), BTreeSet::new(), BTreeSet::new());
        for slug in slugs {
            match self.cache.lookup(&ToolkitKey { credential, slug: slug.clone() }) {
                CacheLookup::Fresh { cached, refresh } | CacheLookup::Stale { cached, refresh, .. } => {
                    due.extend(refresh.then(|| slug.clone()));
                    found.insert(slug, Ok(cached));
                }
                CacheLookup::StaleIfError | CacheLookup::Missing => drop(needed.insert(slug)),
            }
        }
        for call in calls(credential, due) {
            let read = self.clone().read(reader.clone(), call.clone(), Purpose::Refresh);
            self.flights.start(call, read);
        }
        reader.stats.record_saved_by_cache(found.len());
        reader.stats.record_saved_by_batching(needed.len() - needed.len().div_ceil(SLUGS_OF_A_CALL));
        match self.failure(&credential) {
            Some(failure) => found.extend(needed.into_iter().map(|slug| (slug, Err(failure.clone())))),
            None => {
                let joined = calls(credential, needed).map(|call| self.join(reader, call));
                found.extend(join_all(joined).await.into_iter().flatten());
            }
        }
        let read = |(slug, lookup): (ToolkitSlug, Result<Cached<ToolkitLookup>, _>)| {
            let details = lookup.map(|Cached { value, freshness }| {
                reader.stats.record_valid_until(freshness.changes_at);
                reader.record_problems(|| PartKey::new("toolkit", &slug), &value.problems);
                value.details
            });
            (slug, details)
        };
        found.into_iter().map(read).collect()
    }

    /// Returns the failure of a call, if it was within the last [`FAILURE_PAUSE`].
    fn failure(&self, credential: &Fingerprint<Composio>) -> Option<UpstreamError> {
        let (until, failure) = self.failures.get(credential)?;
        (Instant::now() < until).then_some(failure)
    }

    async fn join(&self, reader: &Reader, call: CallKey) -> Lookups {
        let (credential, slugs) = &call;
        let key = |slug: &ToolkitSlug| ToolkitKey { credential: *credential, slug: slug.clone() };
        let already_cached = || {
            let cached = |slug: &ToolkitSlug| Some((slug.clone(), Ok(self.cache.entries.peek(&key(slug))?)));
            let cached = slugs.iter().map(cached).collect::<Option<Lookups>>();
            cached.map(|lookups| Ok(FlightResult { lookups, is_shared: false }))
        };
        let started_at = Instant::now();
        let reading = self.clone().read(reader.clone(), call.clone(), Purpose::Needed).boxed();
        let joined = self.flights.join(call.clone(), already_cached, reading);
        let failed =
            |error: UpstreamError| slugs.iter().map(|slug| (slug.clone(), Err(error.clone()))).collect();
        let (found, source): (Lookups, _) =
            match reader.stats.deadline.wait(UpstreamName::Composio, joined).await {
                Ok((Ok(FlightResult { lookups, is_shared: true }), ValueSource::Fetched)) => {
                    (lookups, ValueSource::Shared)
                }
                Ok((Ok(FlightResult { lookups, .. }), source)) => (lookups, source),
                Ok((Err(error), source)) => (failed(error), source),
                Err(late) => (failed(late), ValueSource::Fetched),
            };
        let description = || format!("toolkits by {} slugs", slugs.len());
        let error = found.values().find_map(|lookup| lookup.as_ref().err());
        reader.stats.record_call(UpstreamName::Composio, description, started_at, source, error);
        found
    }

    /// Fetches the toolkits of one call and caches them. Those whose fetch fails fall back to their cached entries.
    async fn read(
        self,
        reader: Reader,
        (credential, slugs): CallKey,
        purpose: Purpose,
    ) -> Result<FlightResult, UpstreamError> {
        let keys: Vec<_> = slugs.iter().map(|slug| ToolkitKey { credential, slug: slug.clone() }).collect();
        let began: Vec<_> = keys.iter().map(|key| self.cache.entries.begin(key)).collect();
        let fetch = |keys| self.fetch(&reader, keys, purpose);
        let read = self.cache.read_through(keys.clone(), purpose, fetch).await;
        let BatchResult { values: mut arrived, error: failed } =
            read.unwrap_or_else(|error| BatchResult { values: HashMap::new(), error: Some(error) });
        match &failed {
            // A call that was held was not sent, so its error is not the catalogue's.
            Some(error) if !error.is_call_held() => {
                self.failures.insert(credential, (Instant::now() + FAILURE_PAUSE, error.clone()));
            }
            Some(_) => {}
            None => self.failures.invalidate(&credential),
        }
        let is_shared = failed.is_none() && arrived.values().all(|arrived| arrived.is_shared);
        let no_result = || UpstreamError::new(UpstreamName::Composio, UpstreamFailure::Internal);
        let error = failed.unwrap_or_else(no_result);
        let toolkit = |(key, began): (ToolkitKey, FetchStart)| {
            let slug = key.slug.clone();
            let lookup = match arrived.remove(&key) {
                Some(arrived) => Ok(self.store(key, arrived, began)),
                None => self.cache.entries.fall_back(&key, began, &error).ok_or_else(|| error.clone()),
            };
            (slug, lookup)
        };
        Ok(FlightResult { lookups: keys.into_iter().zip(began).map(toolkit).collect(), is_shared })
    }

    fn store(
        &self,
        key: ToolkitKey,
        arrived: ReadValue<ToolkitLookup>,
        began: FetchStart,
    ) -> Cached<ToolkitLookup> {
        let ReadValue { value, fetched_at, fresh_for, is_shared: _ } = arrived;
        let (entries, began) = (&self.cache.entries, began.with_fetch_time(fetched_at));
        match value.details {
            Some(_) => entries.store(key, value, began, fresh_for),
            None => entries.store_fresh_only(key, value, began, fresh_for),
        }
    }

    async fn fetch(
        &self,
        reader: &Reader,
        keys: Vec<ToolkitKey>,
        purpose: Purpose,
    ) -> Result<Vec<FetchedValue<ToolkitKey, ToolkitLookup>>, UpstreamError> {
        let slugs: Vec<_> = keys.iter().map(|key| key.slug.clone()).collect();
        let FetchedToolkits { toolkits, problems } =
            self.client.fetch_toolkits(&reader.credential, &slugs, purpose).await?;
        let toolkits: HashMap<_, _> =
            toolkits.into_iter().map(|(slug, details)| (slug, Arc::new(details))).collect();
        let lookup = |key: ToolkitKey| {
            let details = toolkits.get(&key.slug).cloned();
            let fresh_for = if details.is_some() { self.ttl } else { MISSING_TTL.min(self.ttl) };
            (key, ToolkitLookup { details, problems: problems.clone() }, fresh_for)
        };
        Ok(keys.into_iter().map(lookup).collect())
    }
}

/// Splits slugs into calls. They are in order, so that equal sets make equal calls.
fn calls(credential: Fingerprint<Composio>, slugs: BTreeSet<ToolkitSlug>) -> impl Iterator<Item = CallKey> {
    let slugs: Vec<_> = slugs.into_iter().collect();
    let calls: Vec<CallKey> =
        slugs.chunks(SLUGS_OF_A_CALL).map(|call| (credential, Arc::from(call))).collect();
    calls.into_iter()
}

impl CacheKey for ToolkitKey {
    type Upstream = Composio;

    fn credential(&self) -> Fingerprint<Composio> {
        self.credential
    }
}

impl Weigh for ToolkitKey {
    fn weight_bytes(&self) -> usize {
        size_of::<Self>() + self.slug.as_str().len()
    }
}

impl Weigh for ToolkitLookup {
    fn weight_bytes(&self) -> usize {
        let details = self.details.as_ref().map_or(0, |details| details.weight_bytes());
        size_of::<Self>() + details + self.problems.weight_bytes()
    }
}
