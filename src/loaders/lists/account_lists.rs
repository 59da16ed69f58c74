//! Lists of accounts, read page by page through the cache.
//!
//! [`AccountLists`] is the entry point; `paging`, `multi_parent`, `counts`, `by_id` and the change feeds read through
//! it. It caches pages and totals, and remembers the page before each page. `page_fetcher` fetches the pages that are
//! not cached.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::page_fetcher::PageFetcher;
use super::scan::{Page, PageKey, Scan, ScanKey};
use crate::domain::accounts::SharedAccount;
use crate::domain::bounded_map::BoundedMap;
use crate::domain::credential::Fingerprint;
use crate::domain::filters::AccountFilter;
use crate::domain::global_id::IdKey;
use crate::domain::input::BadInput;
use crate::domain::problems::ProblemReports;
use crate::domain::upstream_name::{Composio, UpstreamName};
use crate::loaders::cache::freshness::{Cached, Freshness, FreshnessState, StalePolicy, ValueSource};
use crate::loaders::cache::key::Weigh;
use crate::loaders::cache::read_through::Cache;
use crate::loaders::cache::upstream_cache::UpstreamCache;
use crate::loaders::settings::ListSettings;
use crate::loaders::stats::PartKey;
use crate::upstream::accounts::AccountsClient;
use crate::upstream::error::UpstreamError;
use crate::upstream::quota::Purpose;

/// Error of a list read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ListError {
    /// The caller's cursor does not belong to this list.
    #[error(transparent)]
    BadInput(#[from] BadInput),
    /// The upstream could not be read.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
}

/// Time for which the cursor of a preceding page is remembered.
const REVERSE_PAGE_TTL: Duration = Duration::from_secs(3_600);

/// The account lists of all credentials.
pub struct AccountLists {
    pub(crate) fetcher: PageFetcher,
    pub(crate) settings: ListSettings,
    /// The configured key of cursors.
    pub(crate) ids: Option<IdKey>,
    pub(crate) upstream_cache: Arc<UpstreamCache<Composio>>,
    pages: Cache<PageKey, Arc<Page>>,
    totals: Cache<Arc<ScanKey>, ListTotal>,
    /// The cursor of the preceding page, by page, with the time at which it is forgotten. Upstream cursors only lead
    /// forward.
    reverse_pages: BoundedMap<PageKey, (Option<Arc<str>>, Instant)>,
}

impl AccountLists {
    /// Creates the lists over a client. `ids` signs the cursors; without it, a key is derived from the credential.
    #[must_use]
    pub fn new(
        client: AccountsClient,
        settings: ListSettings,
        upstream_cache: Arc<UpstreamCache<Composio>>,
        ids: Option<IdKey>,
    ) -> Self {
        let shares = upstream_cache.settings.shares();
        Self {
            fetcher: PageFetcher::new(client, &upstream_cache),
            ids,
            pages: Cache::new(&upstream_cache, shares.pages, "page")
                .with_variant(settings.page_rows.to_string()),
            totals: Cache::new(&upstream_cache, shares.totals, "total"),
            reverse_pages: BoundedMap::with_limit_bytes(shares.reverse_pages, |key: &PageKey, (back, _)| {
                key.weight_bytes() + back.as_deref().map_or(0, str::len)
            }),
            settings,
            upstream_cache,
        }
    }

    /// Returns all cached data as text, for tests that search it for secrets.
    pub(crate) fn dump(&self) -> String {
        let cursors: Vec<_> = self.reverse_pages.iter().collect();
        format!("{}{}{cursors:?}", self.pages.entries.dump(), self.totals.entries.dump())
    }

    /// Weights in bytes: pages, totals, and the cursors of preceding pages.
    pub(crate) fn weights_bytes(&self) -> [u64; 3] {
        [self.pages.entries.weight_bytes(), self.totals.entries.weight_bytes(), self.reverse_pages.weight()]
    }

    /// Whether Composio's last response to a credential named no users.
    pub(crate) fn are_users_hidden(&self, credential: &Fingerprint<Composio>) -> bool {
        self.fetcher.ownership.are_users_hidden(credential)
    }

    /// Whether a page that was read for several users names none of them. If so, this is recorded, and lists of several
    /// users are not joined until a response names users.
    pub(super) fn detect_hidden_users(&self, scan: &Scan, page: &Page) -> bool {
        let hides = scan.several_users().is_some()
            && !page.items.is_empty()
            && page.items.iter().all(|account| account.user_id.is_none());
        if hides {
            self.fetcher.ownership.record_hidden_users(&scan.key.credential);
        }
        hides
    }

    /// Returns the key that signs the cursors of a scan.
    pub(crate) fn id_key(&self, scan: &Scan) -> IdKey {
        scan.id_key(self.ids.as_ref())
    }

    /// Returns one page of a scan, from the cache or the upstream.
    pub(crate) async fn page(
        &self,
        scan: &Scan,
        cursor: Option<Arc<str>>,
        stale_policy: StalePolicy,
    ) -> Result<Cached<Arc<Page>>, UpstreamError> {
        let key = PageKey { scan: Arc::clone(&scan.key), cursor: cursor.clone() };
        let (fetcher, limit) = (self.fetcher.clone(), self.settings.page_rows);
        let (fetched, at) = (scan.clone(), cursor.clone());
        let fetch = move |purpose| {
            let (fetcher, scan, at) = (fetcher.clone(), fetched.clone(), at.clone());
            async move {
                let page = fetcher.fetch(&scan, at.as_deref(), limit, purpose).await?;
                Ok((Arc::new(page), fetcher.fresh_for(&scan.reader.credential)))
            }
        };
        let started_at = Instant::now();
        let (page, source) =
            self.pages.get(key.clone(), stale_policy, &scan.reader.stats.deadline, fetch).await;
        let description =
            || describe(&scan.key, if cursor.is_some() { "a further page" } else { "the first page" });
        scan.reader.stats.record_read(UpstreamName::Composio, description, started_at, source, &page);
        if let Ok(page) = &page {
            scan.reader.record_problems(|| PartKey::new("page", &key), &page.value.problems);
        }
        if let Ok(Some(next)) = page.as_ref().map(|page| &page.value.next_cursor) {
            let key = PageKey { scan: Arc::clone(&scan.key), cursor: Some(Arc::clone(next)) };
            self.reverse_pages.insert(key, (cursor.clone(), Instant::now() + REVERSE_PAGE_TTL));
        }
        if scan.needs_users && page.as_ref().is_ok_and(|page| page.value.lacks_users) {
            let now = self.upstream_cache.clock.instant_now();
            return self.page_since(scan, cursor, now).await;
        }
        page
    }

    /// Returns a page of a scan that was fetched after `since`, and caches it. A walk calls this if the cursors of its
    /// cached pages have expired.
    pub(crate) async fn page_since(
        &self,
        scan: &Scan,
        cursor: Option<Arc<str>>,
        since: Instant,
    ) -> Result<Cached<Arc<Page>>, UpstreamError> {
        let limit = self.settings.page_rows;
        let key = PageKey { scan: Arc::clone(&scan.key), cursor: cursor.clone() };
        let fetch = async {
            let page = self.fetcher.fetch(scan, cursor.as_deref(), limit, Purpose::Needed).await?;
            Ok((Arc::new(page), self.fetcher.fresh_for(&scan.reader.credential)))
        };
        let (started_at, began) = (Instant::now(), self.pages.entries.begin(&key));
        let (upstream, stats) = (UpstreamName::Composio, &scan.reader.stats);
        let read = self.pages.read_since(key.clone(), since, fetch.boxed());
        let page = stats.deadline.wait(upstream, read).await.flatten().map(|(page, fetched_at)| {
            scan.reader.record_problems(|| PartKey::new("page", &key), &page.problems);
            let fresh_for = self.fetcher.fresh_for(&scan.reader.credential);
            self.pages.entries.store(key, page, began.with_fetch_time(fetched_at), fresh_for)
        });
        stats.record_read(
            upstream,
            || describe(&scan.key, "a page again"),
            started_at,
            ValueSource::Fetched,
            &page,
        );
        page
    }

    /// Fetches one page without this replica's cache. With `since`, a page that another replica fetched after that time
    /// is accepted too.
    pub(crate) async fn page_uncached(
        &self,
        scan: &Scan,
        cursor: Option<Arc<str>>,
        purpose: Purpose,
        since: Option<Instant>,
    ) -> Result<Cached<Arc<Page>>, UpstreamError> {
        let (epoch, limit, clock) = (
            self.upstream_cache.epoch(&scan.key.credential),
            self.settings.page_rows,
            self.upstream_cache.clock,
        );
        let fetch = self.fetcher.fetch(scan, cursor.as_deref(), limit, purpose).boxed();
        let (page, started_at) = match since {
            None => {
                let started_at = clock.instant_now();
                (Arc::new(fetch.await?), started_at)
            }
            Some(since) => {
                let key = PageKey { scan: Arc::clone(&scan.key), cursor: cursor.clone() };
                let fetch =
                    async { Ok((Arc::new(fetch.await?), self.fetcher.fresh_for(&scan.reader.credential))) };
                self.pages.read_since(key, since, fetch.boxed()).await?
            }
        };
        let (fetched_at, state) = (clock.at(started_at), FreshnessState::Fresh);
        let (refresh_due_at, changes_at, fresh_until) = (fetched_at, started_at, started_at);
        let freshness = Freshness { fetched_at, state, refresh_due_at, changes_at, fresh_until, epoch };
        Ok(Cached { value: page, freshness })
    }

    /// Returns the cursor of the preceding page if it is remembered, otherwise `None`, which is the first page.
    pub(crate) fn previous_page(&self, scan: &Scan, cursor: &Arc<str>) -> Option<Arc<str>> {
        let key = PageKey { scan: Arc::clone(&scan.key), cursor: Some(Arc::clone(cursor)) };
        let (cursor, until) = self.reverse_pages.get(&key)?;
        cursor.filter(|_| Instant::now() < until)
    }

    /// Whether the first page of a scan is cached.
    pub(crate) fn is_first_page_available(&self, scan: &Scan) -> bool {
        self.pages.entries.is_available(&PageKey { scan: Arc::clone(&scan.key), cursor: None })
    }

    /// Returns the first page of a scan if it is cached.
    pub(crate) async fn cached_first_page(&self, scan: &Scan) -> Option<Cached<Arc<Page>>> {
        if !self.is_first_page_available(scan) {
            return None;
        }
        // Not `peek`: reading a stale page this way starts its refresh.
        self.page(scan, None, StalePolicy::AllowStale).await.ok()
    }

    /// Caches the complete list of a scan that was read as part of a joined list, with the problems of that read.
    pub(crate) fn cache_whole_list(
        &self,
        scan: &Scan,
        items: Vec<SharedAccount>,
        parts: Freshness,
        problems: ProblemReports,
    ) {
        let (rows_received, total_items) = (items.len(), u64::try_from(items.len()).ok());
        let page = Page { items, rows_received, total_items, problems, ..Page::default() };
        let key = PageKey { scan: Arc::clone(&scan.key), cursor: None };
        self.pages.entries.store_derived(key, Arc::new(page), parts);
    }

    /// Returns the number of accounts of a scan if it is cached.
    pub(crate) async fn cached_total(&self, scan: &Scan) -> Option<Cached<Option<u64>>> {
        for either in [scan.clone(), scan.opposite()] {
            if let Some(page) = self.cached_first_page(&either).await {
                return Some(page.map(|page| page.total(&scan.reader.view, true)));
            }
        }
        if scan.reader.view.is_full() && self.totals.entries.is_available(&scan.key) {
            return self.read_total(scan).await.ok();
        }
        None
    }

    /// Returns the number of accounts of a scan, at the cost of one row; `None` if the upstream does not report it.
    pub(crate) async fn total(&self, scan: &Scan) -> Result<Cached<Option<u64>>, UpstreamError> {
        match self.cached_total(scan).await {
            Some(total) => Ok(total),
            None => self.read_total(scan).await,
        }
    }

    async fn read_total(&self, scan: &Scan) -> Result<Cached<Option<u64>>, UpstreamError> {
        if !scan.reader.view.is_full() {
            // One row does not prove a total (see [`Page::total`]). A whole page costs one call too.
            let page = self.page(scan, None, StalePolicy::AllowStale).await?;
            return Ok(page.map(|page| page.total(&scan.reader.view, true)));
        }
        let (fetcher, counted) = (self.fetcher.clone(), scan.clone().without_users());
        let fetch = move |purpose| {
            let (fetcher, scan) = (fetcher.clone(), counted.clone());
            async move {
                let page = fetcher.fetch(&scan, None, 1, purpose).await?;
                let total = ListTotal { items: page.total_items, problems: page.problems };
                Ok((total, fetcher.fresh_for(&scan.reader.credential)))
            }
        };
        let started_at = Instant::now();
        let (key, stats) = (Arc::clone(&scan.key), &scan.reader.stats);
        let (total, source) = self.totals.get(key, StalePolicy::AllowStale, &stats.deadline, fetch).await;
        let description = || describe(&scan.key, "the total");
        scan.reader.stats.record_read(UpstreamName::Composio, description, started_at, source, &total);
        if let Ok(total) = &total {
            scan.reader.record_problems(|| PartKey::new("total", &scan.key), &total.value.problems);
        }
        total.map(|total| total.map(|total| total.items))
    }
}

/// Describes a call in a trace: the kinds of its filters and the number of their values, but no value.
fn describe(scan: &ScanKey, part: &str) -> String {
    let AccountFilter {
        ids,
        toolkits,
        statuses,
        user_ids,
        auth_config_ids,
        account_type,
        pending_longer_than: _,
    } = &scan.filter;
    let mut text = format!("{part} of accounts");
    let lists = [
        (ids, "ids"),
        (toolkits, "toolkits"),
        (statuses, "status values"),
        (user_ids, "users"),
        (auth_config_ids, "auth configs"),
    ];
    for (values, names) in lists {
        if let Some(values) = values {
            let count = values.iter().count();
            let name = if count == 1 { names.trim_end_matches('s') } else { names };
            text = format!("{text}, {count} {name}");
        }
    }
    if account_type.is_some() {
        text.push_str(", by account type");
    }
    text
}

/// Number of accounts of a scan, as reported by its upstream.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ListTotal {
    items: Option<u64>,
    problems: ProblemReports,
}

impl Weigh for ListTotal {
    fn weight_bytes(&self) -> usize {
        size_of::<Self>() + self.problems.weight_bytes()
    }
}
