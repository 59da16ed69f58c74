//! A walk over the pages of a scan, which always ends.
//!
//! [`PageWalk::step`] returns the next page. The walk ends at the last page, at a repeated cursor, after
//! [`REPEATED_PAGES_MAX`] pages in a row without new items, and at the page limit. An upstream that returns one page
//! forever, each time with a new cursor, would otherwise be read up to the page limit for every parent. Items that
//! occur twice are skipped by [`PageWalk::is_new`]: the upstream's list changes while it is read, so rows and pages may
//! repeat (docs/upstreams.md#composio-paging).
//!
//! An upstream may not use the requested order. [`WalkPage::is_ordered`] compares the rows with all rows of the walk so
//! far, apart from repeated ones. [`WalkPage::is_overlapping`] reports the repeated ones. A walk from a later page does
//! not know the rows before that page, so it cannot recognize all of them.
//!
//! A cursor can expire between two pages. The upstream's documentation does not name the status for it
//! (docs/upstreams.md#composio-paging). The walk then restarts from the first page, at most [`RESTARTS_MAX`] times.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use tokio::time::Instant;

use super::account_lists::AccountLists;
use super::scan::{Page, Scan};
use crate::domain::accounts::SharedAccount;
use crate::loaders::cache::freshness::{Cached, Freshness, FreshnessState, StalePolicy};
use crate::upstream::error::UpstreamError;
use crate::upstream::quota::Purpose;

/// Number of consecutive pages without new items after which a walk ends.
const REPEATED_PAGES_MAX: usize = 3;

/// The maximum number of restarts of a walk whose cursors expire.
const RESTARTS_MAX: usize = 2;

/// A walk in progress.
pub(crate) struct PageWalk<'l> {
    lists: &'l AccountLists,
    scan: &'l Scan,
    next: WalkState,
    /// Whether stale pages are accepted. After a fresh page they are not, because rows may have moved between the two.
    stale_policy: StalePolicy,
    uncached: Option<Uncached>,
    cursors_seen: HashSet<Option<Arc<str>>>,
    accounts_seen: AccountSet,
    novelty: NoveltyCheck,
    order: OrderCheck,
    pages_read: usize,
    /// Whether the walk began at the first page, or restarted there.
    is_from_first_page: bool,
    restarts: usize,
    /// Whether the walk has restarted and not returned a page since.
    is_restart: bool,
    /// Time at which a cached page's cursor proved to be expired. Older pages are fetched again.
    cursors_expired_at: Option<Instant>,
}

/// A set of accounts, compared by id. They are shared instead of copying their ids, so the accounts that a walk has read stay
/// in memory until it ends.
type AccountSet = HashSet<ById, ahash::RandomState>;

struct ById(SharedAccount);

impl Borrow<str> for ById {
    fn borrow(&self) -> &str {
        &self.0.id
    }
}

impl PartialEq for ById {
    fn eq(&self, other: &Self) -> bool {
        self.0.id == other.0.id
    }
}

impl Eq for ById {}

impl Hash for ById {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.id.hash(state);
    }
}

/// Settings of a walk that does not use this replica's cache.
#[derive(Clone, Copy)]
struct Uncached {
    purpose: Purpose,
    /// Accepts pages that another replica fetched after this time; `None` accepts none.
    since: Option<Instant>,
}

/// Detects pages without new items.
#[derive(Default)]
struct NoveltyCheck {
    /// The last page. Its accounts are collected only when another page follows, because most walks have one page.
    last: Option<Arc<Page>>,
    accounts: AccountSet,
    repeated: usize,
}

impl NoveltyCheck {
    /// Whether too many consecutive pages had no new items.
    fn repeats_too_often(&mut self, page: &Arc<Page>) -> bool {
        let Some(last) = self.last.replace(Arc::clone(page)) else {
            return false;
        };
        self.accounts.extend(last.items.iter().map(|account| ById(Arc::clone(account))));
        let is_known = |account: &SharedAccount| self.accounts.contains(&*account.id);
        // A page whose rows were all filtered out is not a repeated page.
        let is_repeated = match page.items.is_empty() {
            true => page.rows_received == 0,
            false => page.items.iter().all(is_known),
        };
        self.repeated = if is_repeated { self.repeated + 1 } else { 0 };
        self.repeated >= REPEATED_PAGES_MAX
    }
}

/// Detects rows that are not in the scan's order, and rows that repeat.
struct OrderCheck {
    /// The time of the last row in order.
    last: Option<i64>,
    /// Whether all rows that have a time are in order. Rows of earlier pages may repeat.
    is_ordered: bool,
    /// Whether a page repeats a row of an earlier page.
    is_overlapping: bool,
}

impl OrderCheck {
    const NEW: Self = Self { last: None, is_ordered: true, is_overlapping: false };

    /// Adds a page.
    fn add(&mut self, scan: &Scan, page: &Page, accounts_seen: &AccountSet) {
        for row in &page.items {
            if accounts_seen.contains(&*row.id) {
                self.is_overlapping = true;
                continue;
            }
            let Some(time) = scan.order_micros(row) else { continue };
            if self.last.is_some_and(|last| scan.precedes(time, last)) {
                self.is_ordered = false;
            }
            self.last = Some(time);
        }
        self.is_ordered &= scan.is_page_ordered(page);
    }
}

enum WalkState {
    /// The walk continues with the page at this cursor.
    At(Option<Arc<str>>),
    /// The end of the scan was reached.
    End,
    /// The walk stopped early because of the upstream's pages.
    Cut,
    /// The walk stopped at the page limit.
    Capped,
}

/// One page of a walk.
#[derive(Clone)]
pub(crate) struct WalkPage {
    /// Upstream cursor of the page.
    pub(crate) cursor: Option<Arc<str>>,
    /// The page.
    pub(crate) page: Arc<Page>,
    /// Freshness of the page.
    pub(crate) freshness: Freshness,
    /// Whether its rows and all rows before them are in the scan's order. Rows without a timestamp are ignored.
    pub(crate) is_ordered: bool,
    /// Whether it, or a page before it in the walk, repeats a row of another page.
    pub(crate) is_overlapping: bool,
    /// Whether the walk restarted with this page. The caller must then discard all pages before it.
    pub(crate) is_restart: bool,
}

impl WalkPage {
    pub(crate) fn new(
        scan: &Scan,
        cursor: Option<Arc<str>>,
        Cached { value: page, freshness }: Cached<Arc<Page>>,
    ) -> Self {
        let is_ordered = scan.is_page_ordered(&page);
        Self { cursor, page, freshness, is_ordered, is_overlapping: false, is_restart: false }
    }
}

impl<'l> PageWalk<'l> {
    /// Creates a walk from the first page without the cache: every page is fetched for `purpose` and not stored.
    pub(crate) fn uncached(lists: &'l AccountLists, scan: &'l Scan, purpose: Purpose) -> Self {
        let uncached = Some(Uncached { purpose, since: None });
        Self { uncached, ..Self::from(lists, scan, None, StalePolicy::RequireFresh) }
    }

    /// Creates a walk like [`Self::uncached`] that also accepts pages that any replica fetched after `since`.
    pub(crate) fn since(lists: &'l AccountLists, scan: &'l Scan, since: Instant) -> Self {
        let uncached = Some(Uncached { purpose: Purpose::Refresh, since: Some(since) });
        Self { uncached, ..Self::from(lists, scan, None, StalePolicy::RequireFresh) }
    }

    /// Creates a walk from the first page over pages that are read from now on, so that all are of one state of the
    /// list.
    pub(crate) fn again(lists: &'l AccountLists, scan: &'l Scan) -> Self {
        let cursors_expired_at = Some(lists.upstream_cache.clock.instant_now());
        Self { cursors_expired_at, ..Self::from(lists, scan, None, StalePolicy::RequireFresh) }
    }

    /// Creates a walk from the page at `cursor`, or from the first page. Stale pages are accepted until the first
    /// fresh one.
    pub(crate) fn from(
        lists: &'l AccountLists,
        scan: &'l Scan,
        cursor: Option<Arc<str>>,
        stale_policy: StalePolicy,
    ) -> Self {
        let is_from_first_page = cursor.is_none();
        let next = WalkState::At(cursor);
        let (cursors_seen, accounts_seen) = (HashSet::new(), AccountSet::default());
        let novelty = NoveltyCheck::default();
        Self {
            lists,
            scan,
            next,
            stale_policy,
            uncached: None,
            cursors_seen,
            accounts_seen,
            novelty,
            order: OrderCheck::NEW,
            pages_read: 0,
            is_from_first_page,
            restarts: 0,
            is_restart: false,
            cursors_expired_at: None,
        }
    }

    /// Returns the next page, or `None` at the end of the walk.
    pub(crate) async fn step(&mut self) -> Result<Option<WalkPage>, UpstreamError> {
        loop {
            let WalkState::At(cursor) = &self.next else {
                return Ok(None);
            };
            let cursor = cursor.clone();
            if self.cursors_seen.contains(&cursor) {
                self.next = WalkState::Cut;
                return Ok(None);
            }
            if self.pages_read >= self.lists.settings.pages_max {
                self.next = WalkState::Capped;
                return Ok(None);
            }
            let is_first = self.cursors_seen.is_empty();
            self.cursors_seen.insert(cursor.clone());
            self.pages_read += 1;
            let read = match self.read(cursor.clone()).await {
                Err(error)
                    if cursor.is_some()
                        && error.can_be_an_expired_cursor()
                        && self.restarts < RESTARTS_MAX =>
                {
                    self.restart(is_first);
                    continue;
                }
                read => read?,
            };
            if read.freshness.state == FreshnessState::Fresh {
                self.stale_policy = StalePolicy::RequireFresh;
            }
            self.accounts_seen.reserve(read.value.items.len());
            let repeats_too_often = self.novelty.repeats_too_often(&read.value);
            self.next = match &read.value.next_cursor {
                None if read.value.has_unreadable_cursor => WalkState::Cut,
                None => WalkState::End,
                Some(_) if repeats_too_often => WalkState::Cut,
                Some(next) => WalkState::At(Some(Arc::clone(next))),
            };
            let is_restart = std::mem::take(&mut self.is_restart);
            self.order.add(self.scan, &read.value, &self.accounts_seen);
            let OrderCheck { is_ordered, is_overlapping, .. } = self.order;
            let page = WalkPage::new(self.scan, cursor, read);
            return Ok(Some(WalkPage { is_restart, is_ordered, is_overlapping, ..page }));
        }
    }

    async fn read(&self, cursor: Option<Arc<str>>) -> Result<Cached<Arc<Page>>, UpstreamError> {
        match (self.uncached, self.cursors_expired_at) {
            (Some(Uncached { purpose, since }), expired_at) => {
                let since = since.map(|since| expired_at.map_or(since, |expired_at| since.max(expired_at)));
                self.lists.page_uncached(self.scan, cursor, purpose, since).await
            }
            (None, Some(since)) => self.lists.page_since(self.scan, cursor, since).await,
            (None, None) => self.lists.page(self.scan, cursor, self.stale_policy).await,
        }
    }

    /// Restarts from the first page. If the expired cursor came from a page of this walk, which may be cached, that
    /// page is fetched again.
    fn restart(&mut self, is_first: bool) {
        self.next = WalkState::At(None);
        self.is_from_first_page = true;
        (self.restarts, self.is_restart) = (self.restarts + 1, true);
        (self.cursors_seen, self.accounts_seen) = (HashSet::new(), AccountSet::default());
        (self.novelty, self.stale_policy) = (NoveltyCheck::default(), StalePolicy::RequireFresh);
        self.order = OrderCheck::NEW;
        if !is_first {
            // The cached pages' times are of this clock too.
            self.cursors_expired_at = Some(self.lists.upstream_cache.clock.instant_now());
        }
    }

    /// Whether an item occurs for the first time.
    pub(crate) fn is_new(&mut self, account: &SharedAccount) -> bool {
        self.accounts_seen.insert(ById(Arc::clone(account)))
    }

    /// Whether the walk read every page from the first one.
    pub(crate) fn is_from_first_page(&self) -> bool {
        self.is_from_first_page
    }

    /// Whether there may be another page.
    pub(crate) fn may_have_more(&self) -> bool {
        matches!(self.next, WalkState::At(_))
    }

    /// Whether the walk ended before the scan.
    pub(crate) fn was_cut(&self) -> bool {
        matches!(self.next, WalkState::Cut | WalkState::Capped)
    }

    /// Whether the walk ended because of the page limit alone.
    pub(crate) fn was_capped(&self) -> bool {
        matches!(self.next, WalkState::Capped)
    }
}
