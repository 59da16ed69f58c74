//! A walk over the pages of a scan, which always ends.
//!
//! [`PageWalk::step`] returns the next page. The walk ends at the last page, at an empty page, at a repeated cursor,
//! after several pages without new items, and at the page limit. Repeated ids are skipped: the upstream list changes
//! while it is read, so rows and pages may repeat (docs/upstreams.md#composio-paging). The limit on repeated pages
//! matters for an upstream that returns one page forever with new cursors. Without it, every parent would be read up
//! to the page limit.

use std::collections::HashSet;
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

/// A walk in progress.
pub(crate) struct PageWalk<'l> {
    lists: &'l AccountLists,
    scan: &'l Scan,
    next: WalkState,
    /// Policy of the pages so far. After a fresh page no stale one is accepted, because rows may have moved from one
    /// to the other.
    stale_policy: StalePolicy,
    uncached: Option<Uncached>,
    cursors_seen: HashSet<Option<Arc<str>>>,
    ids_seen: HashSet<Box<str>>,
    before: NoveltyCheck,
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
    /// The last page. Its ids are collected only if there is another page: most walks have one.
    last: Option<Arc<Page>>,
    ids: HashSet<Box<str>>,
    repeated: usize,
}

impl NoveltyCheck {
    /// Whether too many consecutive pages had no new items.
    fn leads_nowhere(&mut self, page: &Arc<Page>) -> bool {
        let Some(last) = self.last.replace(Arc::clone(page)) else {
            return false;
        };
        self.ids.extend(last.items.iter().map(|account| account.id.clone()));
        let is_known = |account: &SharedAccount| self.ids.contains(&account.id);
        let is_in_vain = !page.items.is_empty() && page.items.iter().all(is_known);
        self.repeated = if is_in_vain { self.repeated + 1 } else { 0 };
        self.repeated >= REPEATED_PAGES_MAX
    }
}

enum WalkState {
    /// The page behind this cursor.
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

    /// Creates a walk from the page at `cursor`, or from the first page. Stale pages are accepted until the first
    /// fresh one.
    pub(crate) fn from(
        lists: &'l AccountLists,
        scan: &'l Scan,
        cursor: Option<Arc<str>>,
        stale_policy: StalePolicy,
    ) -> Self {
        let next = WalkState::At(cursor);
        let (cursors_seen, ids_seen, before) = (HashSet::new(), HashSet::new(), NoveltyCheck::default());
        Self { lists, scan, next, stale_policy, uncached: None, cursors_seen, ids_seen, before }
    }

    /// Returns the next page, or `None` at the end of the walk.
    pub(crate) async fn step(&mut self) -> Result<Option<WalkPage>, UpstreamError> {
        let WalkState::At(cursor) = &self.next else {
            return Ok(None);
        };
        let cursor = cursor.clone();
        if self.cursors_seen.contains(&cursor) {
            self.next = WalkState::Cut;
            return Ok(None);
        }
        if self.cursors_seen.len() >= self.lists.settings().pages_max {
            self.next = WalkState::Capped;
            return Ok(None);
        }
        self.cursors_seen.insert(cursor.clone());
        let Cached { value: page, freshness } = match self.uncached {
            Some(Uncached { purpose, since }) => {
                self.lists.page_uncached(self.scan, cursor.clone(), purpose, since).await?
            }
            None => self.lists.page(self.scan, cursor.clone(), self.stale_policy).await?,
        };
        if freshness.state == FreshnessState::Fresh {
            self.stale_policy = StalePolicy::RequireFresh;
        }
        let leads_nowhere = self.before.leads_nowhere(&page);
        self.next = match &page.next_cursor {
            None => WalkState::End,
            Some(_) if page.rows_sent == 0 || leads_nowhere => WalkState::Cut,
            Some(next) => WalkState::At(Some(Arc::clone(next))),
        };
        Ok(Some(WalkPage { cursor, page, freshness }))
    }

    /// Whether an item occurs for the first time.
    pub(crate) fn is_new(&mut self, account: &SharedAccount) -> bool {
        self.ids_seen.insert(account.id.clone())
    }

    /// Whether there may be another page.
    pub(crate) fn goes_on(&self) -> bool {
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
