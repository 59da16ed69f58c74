//! A walk over the pages of a scan that always ends.
//!
//! It ends where there is no next cursor, at an empty page, at a cursor that it has seen before, after several pages without
//! new items, and at the page limit. An id that it has seen before is skipped. The upstream list changes while it is read, so
//! rows and pages may repeat (UPSTREAMS.md A5). An upstream that repeats one page forever behind new cursors is not read up
//! to the limit for each of many parents.

use std::collections::HashSet;
use std::sync::Arc;

use tokio::time::Instant;

use super::account_lists::AccountLists;
use super::scan::{Page, Scan};
use crate::domain::accounts::SharedAccount;
use crate::loaders::cache::freshness::{Cached, Freshness, FreshnessState, StalePolicy};
use crate::upstream::error::UpstreamError;
use crate::upstream::quota::Purpose;

/// The number of consecutive pages without new items after which a walk is given up.
const REPEATED_PAGES_MAX: usize = 3;

/// A walk under way.
pub(crate) struct PageWalk<'l> {
    lists: &'l AccountLists,
    scan: &'l Scan,
    next: WalkState,
    /// What the first page was: a page that is past its time does not go with one that was just read, as
    /// rows move from one to the other.
    stale_policy: StalePolicy,
    anew: Option<Uncached>,
    cursors_seen: HashSet<Option<Arc<str>>>,
    ids_seen: HashSet<Box<str>>,
    before: NoveltyCheck,
}

/// Pages are read past the cache.
#[derive(Clone, Copy)]
struct Uncached {
    purpose: Purpose,
    /// Since when another replica's reading will do; none: each is read by this one.
    since: Option<Instant>,
}

/// What the pages before the newest held.
#[derive(Default)]
struct NoveltyCheck {
    /// Most walks are of one page: its ids are looked at when there is another.
    last: Option<Arc<Page>>,
    ids: HashSet<Box<str>>,
    repeated: usize,
}

impl NoveltyCheck {
    /// Whether another page, with those before it, says that there is nothing more to be had.
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
    /// The scan was read to its end.
    End,
    /// The walk was cut short: the upstream leads nowhere.
    Cut,
    /// The walk was cut short by the page cap.
    Capped,
}

/// One page of a walk.
#[derive(Clone)]
pub(crate) struct WalkPage {
    /// The upstream's cursor of the page.
    pub(crate) cursor: Option<Arc<str>>,
    /// The page.
    pub(crate) page: Arc<Page>,
    /// How old it is.
    pub(crate) freshness: Freshness,
}

impl<'l> PageWalk<'l> {
    /// A walk from the first page past the cache: every page is read for that purpose, and none is kept.
    pub(crate) fn anew(lists: &'l AccountLists, scan: &'l Scan, purpose: Purpose) -> Self {
        let anew = Some(Uncached { purpose, since: None });
        Self { anew, ..Self::from(lists, scan, None, StalePolicy::RequireFresh) }
    }

    /// The same of pages that any replica has read since a moment.
    pub(crate) fn since(lists: &'l AccountLists, scan: &'l Scan, since: Instant) -> Self {
        let anew = Some(Uncached { purpose: Purpose::Refresh, since: Some(since) });
        Self { anew, ..Self::from(lists, scan, None, StalePolicy::RequireFresh) }
    }

    /// A walk that begins with the page behind `cursor`, or with the first. Stale pages are
    /// accepted until the first fresh one.
    pub(crate) fn from(
        lists: &'l AccountLists,
        scan: &'l Scan,
        cursor: Option<Arc<str>>,
        stale_policy: StalePolicy,
    ) -> Self {
        let next = WalkState::At(cursor);
        let (cursors_seen, ids_seen, before) = (HashSet::new(), HashSet::new(), NoveltyCheck::default());
        Self { lists, scan, next, stale_policy, anew: None, cursors_seen, ids_seen, before }
    }

    /// The next page; `None` where the walk is over.
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
        let Cached { value: page, freshness } = match self.anew {
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

    /// Whether an item is met for the first time.
    pub(crate) fn is_new(&mut self, account: &SharedAccount) -> bool {
        self.ids_seen.insert(account.id.clone())
    }

    /// Whether there is, for all that is known, another page.
    pub(crate) fn goes_on(&self) -> bool {
        matches!(self.next, WalkState::At(_))
    }

    /// Whether it ended before the scan did.
    pub(crate) fn was_cut(&self) -> bool {
        matches!(self.next, WalkState::Cut | WalkState::Capped)
    }

    /// Whether nothing but the page cap ended it.
    pub(crate) fn was_capped(&self) -> bool {
        matches!(self.next, WalkState::Capped)
    }
}
