//! The upstream's lists of accounts, page by page, through the cache.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::cache::{Cache, Weigh};
use super::scan::{Page, PageKey, Scan, ScanKey};
use super::settings::{CacheSettings, ListSettings};
use crate::domain::accounts::SharedAccount;
use crate::domain::filters::AccountFilter;
use crate::domain::global_id::IdKey;
use crate::domain::input::BadInput;
use crate::domain::upstream_name::UpstreamName;
use crate::upstream::accounts::{AccountPage, AccountsClient};
use crate::upstream::error::UpstreamError;

/// Why a list could not be got.
#[derive(Debug, Clone)]
pub enum ListError {
    /// The caller's cursor is no cursor of this list.
    BadInput(BadInput),
    /// The upstream could not be read.
    Upstream(UpstreamError),
}

impl From<BadInput> for ListError {
    fn from(error: BadInput) -> Self {
        Self::BadInput(error)
    }
}

impl From<UpstreamError> for ListError {
    fn from(error: UpstreamError) -> Self {
        Self::Upstream(error)
    }
}

/// How long a way back is remembered.
const WAY_BACK_TTL: Duration = Duration::from_secs(3_600);

/// The upstream's lists.
pub struct Lists {
    client: AccountsClient,
    settings: ListSettings,
    ids: Option<IdKey>,
    pages: Cache<PageKey, Arc<Page>>,
    totals: Cache<Arc<ScanKey>, Total>,
    /// By a page, the cursor of the page that led to it: upstream cursors only lead forward.
    ways_back: moka::sync::Cache<PageKey, Option<Arc<str>>>,
}

impl Lists {
    /// Lists over a client; `ids` is the key of cursors, derived from the credential where absent.
    #[must_use]
    pub fn new(
        client: AccountsClient,
        settings: ListSettings,
        cache: &CacheSettings,
        ids: Option<IdKey>,
    ) -> Self {
        let (ttl, bytes) = (cache.accounts_ttl(), cache.limit_bytes);
        Self {
            client,
            settings,
            ids,
            pages: Cache::new(UpstreamName::Composio, ttl, bytes / 8 * 5),
            totals: Cache::new(UpstreamName::Composio, ttl, bytes / 16),
            ways_back: moka::sync::Cache::builder()
                .max_capacity(bytes / 16)
                .weigher(|key: &PageKey, back: &Option<Arc<str>>| {
                    let bytes = key.weight_bytes() + back.as_deref().map_or(0, str::len);
                    u32::try_from(bytes).unwrap_or(u32::MAX)
                })
                .time_to_live(WAY_BACK_TTL)
                .build(),
        }
    }

    pub(super) fn settings(&self) -> &ListSettings {
        &self.settings
    }

    /// The key of a scan's cursors.
    pub(super) fn id_key(&self, scan: &Scan) -> IdKey {
        self.ids.clone().unwrap_or_else(|| IdKey::from_fingerprint(&scan.key.credential))
    }

    /// One page of a scan.
    pub(super) async fn page(
        &self,
        scan: &Scan,
        cursor: Option<Arc<str>>,
    ) -> Result<Arc<Page>, UpstreamError> {
        let key = PageKey { scan: Arc::clone(&scan.key), cursor: cursor.clone() };
        let (client, fetched, limit) = (self.client.clone(), scan.clone(), self.settings.page_rows);
        let at = cursor.clone();
        let fetch = async move {
            let ScanKey { filter, order, .. } = &*fetched.key;
            let credential = &fetched.reader.credential;
            let page = client.fetch_page(credential, filter, *order, at.as_deref(), limit).await?;
            Ok(Arc::new(admit(&fetched, page)))
        };
        let asked_at = Instant::now();
        let (page, got) = self.pages.get(key, fetch).await;
        if let Some(ledger) = &scan.reader.ledger {
            let asked =
                || describe(&scan.key, if cursor.is_some() { "a further page" } else { "the first page" });
            ledger.enter(UpstreamName::Composio, asked, asked_at, got, &page);
        }
        if let Ok(Some(next)) = page.as_ref().map(|page| &page.next_cursor) {
            let key = PageKey { scan: Arc::clone(&scan.key), cursor: Some(Arc::clone(next)) };
            self.ways_back.insert(key, cursor);
        }
        page
    }

    /// The cursor of the page before another, as far as it is remembered; else the first page's.
    pub(super) fn way_back(&self, scan: &Scan, cursor: &Arc<str>) -> Option<Arc<str>> {
        let key = PageKey { scan: Arc::clone(&scan.key), cursor: Some(Arc::clone(cursor)) };
        self.ways_back.get(&key).flatten()
    }

    /// The first page of a scan, where it need not be asked for.
    pub(super) fn first_page_kept(&self, scan: &Scan) -> Option<Arc<Page>> {
        self.pages.peek(&PageKey { scan: Arc::clone(&scan.key), cursor: None })
    }

    /// Lets the first page of a scan be asked for again.
    pub(super) fn forget_first_page(&self, scan: &Scan) {
        self.pages.forget(&PageKey { scan: Arc::clone(&scan.key), cursor: None });
    }

    /// Keeps a whole scan that was read as part of another.
    pub(super) fn keep_whole(&self, scan: &Scan, items: Vec<SharedAccount>) {
        let (rows_sent, total_items) = (items.len(), u64::try_from(items.len()).ok());
        let page = Page { items, rows_sent, next_cursor: None, total_items };
        self.pages.keep(PageKey { scan: Arc::clone(&scan.key), cursor: None }, Arc::new(page));
    }

    /// How many accounts a scan holds, where it need not be asked for.
    pub(super) fn total_kept(&self, scan: &Scan) -> Option<Option<u64>> {
        if scan.key.filter.matches_nothing() {
            return Some(Some(0));
        }
        let page = self.first_page_kept(scan).or_else(|| self.first_page_kept(&scan.opposite()));
        match page {
            Some(page) => Some(page.total_items),
            None => self.totals.peek(&scan.key).map(|Total(total)| total),
        }
    }

    /// How many accounts a scan holds, for the price of one row; `None` where the upstream does not say.
    pub(super) async fn total(&self, scan: &Scan) -> Result<Option<u64>, UpstreamError> {
        if let Some(total) = self.total_kept(scan) {
            return Ok(total);
        }
        let (client, counted) = (self.client.clone(), scan.clone());
        let fetch = async move {
            let ScanKey { filter, order, .. } = &*counted.key;
            let page = client.fetch_page(&counted.reader.credential, filter, *order, None, 1).await?;
            Ok(Total(admit(&counted, page).total_items))
        };
        let asked_at = Instant::now();
        let (total, got) = self.totals.get(Arc::clone(&scan.key), fetch).await;
        if let Some(ledger) = &scan.reader.ledger {
            ledger.enter(UpstreamName::Composio, || describe(&scan.key, "the total"), asked_at, got, &total);
        }
        total.map(|Total(total)| total)
    }
}

/// A call in this layer's own words: how it is narrowed, never by what.
fn describe(scan: &ScanKey, part: &str) -> String {
    let AccountFilter { ids, toolkits, statuses, user_ids, auth_config_ids, account_type } = &scan.filter;
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

/// The rows that are what was asked for; others are dropped and counted.
fn admit(scan: &Scan, fetched: AccountPage) -> Page {
    let AccountPage { mut items, rows_sent, next_cursor, mut total_items } = fetched;
    let before = items.len();
    items.retain(|account| scan.admits(account));
    if items.len() < before {
        // Then it counted what the filter did not ask for, too.
        total_items = None;
        tracing::warn!(
            upstream = %UpstreamName::Composio,
            rows = before - items.len(),
            "rows were left out that the filter did not ask for"
        );
    }
    Page { items, rows_sent, next_cursor: next_cursor.map(Into::into), total_items }
}

/// A scan's size as its upstream told it.
#[derive(Debug, Clone, Copy)]
struct Total(Option<u64>);

impl Weigh for Total {
    fn weight_bytes(&self) -> usize {
        size_of::<Self>()
    }
}
