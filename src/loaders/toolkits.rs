//! Names, logos, categories and descriptions of toolkits, by slug: cached for hours, and served stale for days.
//!
//! [`Toolkits::get`] is the entry point; the loader calls it with all slugs of one load. Toolkits are reference data:
//! an expiry of the tenant's accounts does not expire them, and they do not count towards the age of a response. A
//! catalogue that cannot be read must not slow down the accounts of the same response, so no call is made for
//! [`FAILURE_PAUSE`] after a failed one.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::batch_cache::{BatchCache, BatchSource};
use super::cache::entries::EntryRules;
use super::cache::freshness::Cached;
use super::cache::key::{CacheKey, Weigh};
use super::cache::read_through::Cache;
use super::cache::shared::fetch::FetchResult;
use super::cache::upstream_cache::UpstreamCache;
use super::lists::scan::Reader;
use super::stats::PartKey;
use crate::domain::bounded_map::BoundedMap;
use crate::domain::credential::Fingerprint;
use crate::domain::problems::ProblemReports;
use crate::domain::toolkits::{ToolkitDetails, ToolkitSlug};
use crate::domain::upstream_name::Composio;
use crate::upstream::accounts::AccountsClient;
use crate::upstream::error::UpstreamError;
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

/// Toolkits by requested slug; `None` for one that the catalogue does not have.
pub(crate) type FoundToolkits = HashMap<ToolkitSlug, Result<Option<Arc<ToolkitDetails>>, UpstreamError>>;

/// Toolkits by slug, cached; one call fetches many of them.
pub struct Toolkits(Arc<BatchCache<Catalogue>>);

struct Catalogue {
    client: AccountsClient,
    ttl: Duration,
    /// The last failures, with the end of [`FAILURE_PAUSE`].
    failures: BoundedMap<Fingerprint<Composio>, (Instant, UpstreamError)>,
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
        let failures = BoundedMap::with_max_entries(FAILURES_MAX);
        Self(BatchCache::new(Catalogue { client, ttl, failures }, cache))
    }

    /// Returns all cached data as text, for tests that search it for secrets.
    pub(crate) fn dump(&self) -> String {
        self.0.cache.entries.dump()
    }

    /// Returns the size of the cached toolkits in bytes.
    pub(crate) fn weight_bytes(&self) -> u64 {
        self.0.cache.entries.weight_bytes()
    }

    /// Returns toolkits by their slugs.
    pub(crate) async fn get(
        &self,
        reader: &Reader,
        slugs: impl IntoIterator<Item = ToolkitSlug>,
    ) -> FoundToolkits {
        let credential = reader.credential.fingerprint();
        let keys = slugs.into_iter().map(|slug| ToolkitKey { credential, slug }).collect();
        let read = |(key, lookup): (ToolkitKey, Result<Cached<ToolkitLookup>, _>)| {
            let details = lookup.map(|Cached { value, freshness }| {
                reader.stats.record_valid_until(freshness.changes_at);
                reader.record_problems(|| PartKey::new("toolkit", &key.slug), &value.problems);
                value.details
            });
            (key.slug, details)
        };
        self.0.get(reader, keys).await.into_iter().map(read).collect()
    }
}

impl BatchSource for Catalogue {
    type Key = ToolkitKey;
    type Value = ToolkitLookup;

    const CALL_MAX: usize = SLUGS_OF_A_CALL;

    fn name(key: &ToolkitKey) -> &str {
        key.slug.as_str()
    }

    fn description(count: usize) -> String {
        format!("toolkits by {count} slugs")
    }

    fn is_missing(lookup: &ToolkitLookup) -> bool {
        lookup.details.is_none()
    }

    fn problems(lookup: &mut ToolkitLookup) -> &mut ProblemReports {
        &mut lookup.problems
    }

    async fn fetch(
        &self,
        reader: &Reader,
        keys: Vec<ToolkitKey>,
        purpose: Purpose,
    ) -> FetchResult<ToolkitKey, ToolkitLookup> {
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

    /// Returns the failure of a call, if it was within the last [`FAILURE_PAUSE`].
    fn paused(&self, reader: &Reader) -> Option<UpstreamError> {
        let (until, failure) = self.failures.get(&reader.credential.fingerprint())?;
        (Instant::now() < until).then_some(failure)
    }

    fn called(&self, reader: &Reader, error: Option<&UpstreamError>) {
        let credential = reader.credential.fingerprint();
        match error {
            // A call that was held was not sent, so its error is not the catalogue's.
            Some(error) if error.is_call_held() => {}
            Some(error) => {
                self.failures.insert(credential, (Instant::now() + FAILURE_PAUSE, error.clone()));
            }
            None => self.failures.remove(&credential),
        }
    }
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
