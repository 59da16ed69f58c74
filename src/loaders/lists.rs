//! The lists of connected accounts: pages through the cache, slices of a scan, counts.
//!
//! Composio's list runs forward only and is cut in pages; a Relay connection wants any number of
//! items after any item. So a scan's pages are fetched whole and kept, and a slice is cut out of as
//! many of them as it needs.

use std::sync::Arc;

use super::cache::{Cache, Weigh};
use super::cursor::Cursor;
use super::scan::{Page, PageKey, Scan, ScanKey};
use super::settings::{CacheSettings, ListSettings};
use super::walk::{Step, Walk};
use crate::domain::accounts::SharedAccount;
use crate::domain::global_id::IdKey;
use crate::domain::input::BadInput;
use crate::domain::upstream_name::UpstreamName;
use crate::upstream::accounts::{AccountPage, AccountsClient};
use crate::upstream::error::{UpstreamError, UpstreamFailure};

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

/// How much of a scan is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Wanted {
    /// Only what follows this cursor.
    pub after: Option<String>,
    /// At most so many items.
    pub size: usize,
    /// Whether it matters if more follow: to know, one more item may have to be read.
    pub is_next_asked: bool,
}

/// Some consecutive items of a scan.
#[derive(Debug)]
pub struct Slice {
    scan: Scan,
    ids: IdKey,
    rows: Vec<Row>,
    /// Whether items follow.
    pub has_next: bool,
    /// Whether items precede.
    pub has_previous: bool,
    /// How many items the whole scan holds, where that is already known.
    pub total_items: Option<u64>,
}

#[derive(Debug)]
pub(super) struct Row {
    pub(super) account: SharedAccount,
    pub(super) page: Option<Arc<str>>,
    pub(super) index: usize,
}

impl Slice {
    pub(super) fn new(lists: &Lists, scan: Scan, rows: Vec<Row>, has_next: bool, has_previous: bool) -> Self {
        let ids = lists.id_key(&scan);
        Self { scan, ids, rows, has_next, has_previous, total_items: None }
    }

    /// The items.
    pub fn accounts(&self) -> impl ExactSizeIterator<Item = &SharedAccount> {
        self.rows.iter().map(|row| &row.account)
    }

    /// The cursor of the item at a place of the slice.
    #[must_use]
    pub fn cursor(&self, place: usize) -> Option<String> {
        let Row { account, page, index } = self.rows.get(place)?;
        let cursor = Cursor {
            page: page.clone(),
            index: u16::try_from(*index).unwrap_or(u16::MAX),
            order_value: self.scan.order_value(account),
            id: account.id.clone(),
        };
        Some(cursor.encode(self.scan.binding(&self.ids), &self.ids))
    }
}

/// The list engine for single scans.
pub struct Lists {
    client: AccountsClient,
    settings: ListSettings,
    ids: Option<IdKey>,
    pages: Cache<PageKey, Arc<Page>>,
    counts: Cache<Arc<ScanKey>, Count>,
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
            counts: Cache::new(UpstreamName::Composio, ttl, bytes / 16),
        }
    }

    pub(super) fn settings(&self) -> &ListSettings {
        &self.settings
    }

    fn id_key(&self, scan: &Scan) -> IdKey {
        self.ids.clone().unwrap_or_else(|| IdKey::from_fingerprint(&scan.key.credential))
    }

    /// One page of a scan.
    pub(super) async fn page(
        &self,
        scan: &Scan,
        cursor: Option<Arc<str>>,
    ) -> Result<Arc<Page>, UpstreamError> {
        let key = PageKey { scan: Arc::clone(&scan.key), cursor: cursor.clone() };
        let (client, scan, limit) = (self.client.clone(), scan.clone(), self.settings.page_rows);
        let fetch = async move {
            let ScanKey { filter, order, .. } = &*scan.key;
            let fetched =
                client.fetch_page(&scan.credential, filter, *order, cursor.as_deref(), limit).await?;
            Ok(Arc::new(admit(&scan, fetched)))
        };
        self.pages.get(key, fetch).await
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

    /// How many accounts a scan holds; `None` where the upstream does not say. A page that is kept
    /// says it for nothing; otherwise it costs one call for one row.
    ///
    /// # Errors
    /// Where the upstream cannot be read.
    pub async fn count(&self, scan: &Scan) -> Result<Option<u64>, UpstreamError> {
        if scan.key.filter.matches_nothing() {
            return Ok(Some(0));
        }
        if let Some(page) = self.first_page_kept(scan) {
            return Ok(page.total_items);
        }
        let (client, counted) = (self.client.clone(), scan.clone());
        let fetch = async move {
            let ScanKey { filter, order, .. } = &*counted.key;
            let page = client.fetch_page(&counted.credential, filter, *order, None, 1).await?;
            Ok(Count(page.total_items))
        };
        Ok(self.counts.get(Arc::clone(&scan.key), fetch).await?.0)
    }

    /// Some consecutive items of a scan.
    ///
    /// # Errors
    /// `BAD_CURSOR` for a cursor of another list, or where the upstream cannot be read.
    pub async fn slice(&self, scan: Scan, wanted: &Wanted) -> Result<Slice, ListError> {
        let ids = self.id_key(&scan);
        let after = match &wanted.after {
            Some(text) => Some(Cursor::parse(text, scan.binding(&ids), &ids)?),
            None => None,
        };
        if scan.key.filter.matches_nothing() || wanted.size == 0 {
            return Ok(Slice::new(self, scan, Vec::new(), false, false));
        }
        let (mut walk, mut step, from) = match &after {
            Some(cursor) => match self.resume(&scan, cursor).await? {
                Some((walk, step, from)) => (walk, Some(step), from),
                None => return Ok(Slice::new(self, scan.clone(), Vec::new(), false, true)),
            },
            None => {
                let mut walk = Walk::from(self, &scan, None);
                let first = walk.step().await?;
                (walk, first, 0)
            }
        };
        let has_previous = from > 0 || step.as_ref().is_some_and(|step| step.cursor.is_some());
        let mut rows = Vec::new();
        let (mut skip, mut seen, mut total_items) = (from, 0_u64, None);
        let has_next = loop {
            let Some(Step { cursor, page }) = step else {
                break false;
            };
            seen += u64::try_from(page.rows_sent).unwrap_or(u64::MAX);
            total_items = page.total_items;
            let mut left_over = false;
            for (index, account) in page.items.iter().enumerate() {
                // What stands before the cursor was told before: the upstream may repeat it on a later page.
                if !walk.is_new(account) || index < skip {
                    continue;
                }
                if rows.len() == wanted.size {
                    left_over = true;
                    break;
                }
                rows.push(Row { account: Arc::clone(account), page: cursor.clone(), index });
            }
            skip = 0;
            if left_over {
                break true;
            }
            if rows.len() == wanted.size {
                // Two signs that agree are believed: a next cursor, and a total that was not met.
                let more_by_total = after.is_none() && total_items.is_some_and(|total| seen < total);
                if !walk.goes_on() || more_by_total || !wanted.is_next_asked {
                    break walk.goes_on();
                }
            }
            step = walk.step().await?;
        };
        drop(walk);
        Ok(Slice { total_items, ..Slice::new(self, scan, rows, has_next, has_previous) })
    }

    /// The page and the index that follow a cursor's item; `None` where nothing follows.
    ///
    /// The item is looked up by its id, in its page and in the next; after that, and where the
    /// upstream does not take its own cursor any more, the scan is walked again from its beginning,
    /// under the cap. An item that is gone, or moved because the order is by a moment that changed,
    /// is followed by what comes after its old place.
    async fn resume<'l>(
        &'l self,
        scan: &'l Scan,
        cursor: &Cursor,
    ) -> Result<Option<Found<'l>>, UpstreamError> {
        let near = match self.find(scan, cursor, cursor.page.clone(), 2).await {
            Err(error) if cursor.page.is_some() && error.failure == UpstreamFailure::Rejected => None,
            near => near?,
        };
        match near {
            None => self.find(scan, cursor, None, usize::MAX).await,
            near => Ok(near),
        }
    }

    /// Looks for a cursor's item within some pages from one on, and for its old place where it is certain
    /// that the item is gone: pages shift, so it may stand on an earlier or a later one.
    async fn find<'l>(
        &'l self,
        scan: &'l Scan,
        cursor: &Cursor,
        page: Option<Arc<str>>,
        pages: usize,
    ) -> Result<Option<Found<'l>>, UpstreamError> {
        let is = |account: &SharedAccount| {
            account.id == cursor.id && scan.order_value(account) == cursor.order_value
        };
        let mut walk = Walk::from(self, scan, page);
        let mut place = None;
        let mut is_passed = false;
        for nth in 0..pages {
            let Some(step) = walk.step().await? else {
                is_passed = true;
                break;
            };
            let items = &step.page.items;
            if let Some(index) = items.iter().position(is) {
                return Ok(Some((walk, step, index + 1)));
            }
            if nth == 0
                && step.cursor.is_some()
                && !items.first().is_some_and(|row| precedes(scan, row, cursor))
            {
                return Ok(None);
            }
            if place.is_none() {
                place = old_place(scan, cursor, &step).map(|index| (step.cursor.clone(), index));
            }
            if items.iter().any(|row| follows(scan, row, cursor)) {
                is_passed = true;
                break;
            }
        }
        let Some((page, index)) = place.filter(|_| is_passed) else { return Ok(None) };
        let mut walk = Walk::from(self, scan, page);
        Ok(walk.step().await?.map(|step| (walk, step, index)))
    }
}

/// Where a slice begins: a walk, the page that it stands on, and the index in it.
type Found<'l> = (Walk<'l>, Step, usize);

/// Whether a row comes before a cursor's item, by its moment alone.
fn precedes(scan: &Scan, row: &SharedAccount, cursor: &Cursor) -> bool {
    scan.order_value(row).zip(cursor.order_value).is_some_and(|(row, item)| scan.runs_past(row, item))
}

/// Whether a row comes after a cursor's item, by its moment alone.
fn follows(scan: &Scan, row: &SharedAccount, cursor: &Cursor) -> bool {
    scan.order_value(row).zip(cursor.order_value).is_some_and(|(row, item)| scan.runs_past(item, row))
}

/// Where the item would stand, if a page reaches that far: at the first row that runs past its
/// order value, or that shares it and stands no earlier than the item did.
fn old_place(scan: &Scan, cursor: &Cursor, step: &Step) -> Option<usize> {
    let same_page = step.cursor == cursor.page;
    step.page.items.iter().enumerate().position(|(index, row)| {
        let ties = scan.order_value(row) == cursor.order_value && cursor.order_value.is_some();
        follows(scan, row, cursor) || (same_page && ties && index >= usize::from(cursor.index))
    })
}

/// The rows that are what was asked for; others are dropped and counted.
fn admit(scan: &Scan, fetched: AccountPage) -> Page {
    let AccountPage { mut items, rows_sent, next_cursor, total_items } = fetched;
    let before = items.len();
    items.retain(|account| scan.admits(account));
    if items.len() < before {
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
struct Count(Option<u64>);

impl Weigh for Count {
    fn weight_bytes(&self) -> usize {
        size_of::<Self>()
    }
}
