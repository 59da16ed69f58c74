//! A walk over the pages of a scan that always ends.
//!
//! It stops where there is no next cursor, at an empty page, at a cursor that it has seen before,
//! and at the page cap; an id that it has seen before is not told again. The upstream is page-based
//! and lives while it is read, so rows may come twice (UPSTREAMS.md A5).

use std::collections::HashSet;
use std::sync::Arc;

use super::cache::Accept;
use super::freshness::{Freshness, FreshnessState, Kept};
use super::lists::Lists;
use super::scan::{Page, Scan};
use crate::domain::accounts::SharedAccount;
use crate::upstream::error::UpstreamError;
use crate::upstream::quota::Purpose;

/// A walk under way.
pub(super) struct Walk<'l> {
    lists: &'l Lists,
    scan: &'l Scan,
    next: Next,
    /// What the first page was: a page that is past its time does not go with one that was just read, as
    /// rows move from one to the other.
    accept: Accept,
    anew: Option<Purpose>,
    cursors_seen: HashSet<Option<Arc<str>>>,
    ids_seen: HashSet<Box<str>>,
}

enum Next {
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
pub(super) struct Step {
    /// The upstream's cursor of the page.
    pub(super) cursor: Option<Arc<str>>,
    /// The page.
    pub(super) page: Arc<Page>,
    /// How old it is.
    pub(super) freshness: Freshness,
}

impl<'l> Walk<'l> {
    /// A walk from the first page past the cache: every page is read for that purpose, and none is kept.
    pub(super) fn anew(lists: &'l Lists, scan: &'l Scan, purpose: Purpose) -> Self {
        Self { anew: Some(purpose), ..Self::from(lists, scan, None, Accept::Fresh) }
    }

    /// A walk that begins with the page behind `cursor`, or with the first. Where it may `accept` stale pages, that is over
    /// with the first that is fresh.
    pub(super) fn from(lists: &'l Lists, scan: &'l Scan, cursor: Option<Arc<str>>, accept: Accept) -> Self {
        let next = Next::At(cursor);
        Self { lists, scan, next, accept, anew: None, cursors_seen: HashSet::new(), ids_seen: HashSet::new() }
    }

    /// The next page; `None` where the walk is over.
    pub(super) async fn step(&mut self) -> Result<Option<Step>, UpstreamError> {
        let Next::At(cursor) = &self.next else {
            return Ok(None);
        };
        let cursor = cursor.clone();
        if self.cursors_seen.contains(&cursor) {
            self.next = Next::Cut;
            return Ok(None);
        }
        if self.cursors_seen.len() >= self.lists.settings().pages_max {
            self.next = Next::Capped;
            return Ok(None);
        }
        self.cursors_seen.insert(cursor.clone());
        let Kept { value: page, freshness } = match self.anew {
            Some(purpose) => self.lists.page_anew(self.scan, cursor.as_deref(), purpose).await?,
            None => self.lists.page(self.scan, cursor.clone(), self.accept).await?,
        };
        if freshness.state == FreshnessState::Fresh {
            self.accept = Accept::Fresh;
        }
        self.next = match &page.next_cursor {
            None => Next::End,
            Some(_) if page.rows_sent == 0 => Next::Cut,
            Some(next) => Next::At(Some(Arc::clone(next))),
        };
        Ok(Some(Step { cursor, page, freshness }))
    }

    /// Whether an item is met for the first time.
    pub(super) fn is_new(&mut self, account: &SharedAccount) -> bool {
        self.ids_seen.insert(account.id.clone())
    }

    /// Whether there is, for all that is known, another page.
    pub(super) fn goes_on(&self) -> bool {
        matches!(self.next, Next::At(_))
    }

    /// Whether it ended before the scan did.
    pub(super) fn was_cut(&self) -> bool {
        matches!(self.next, Next::Cut | Next::Capped)
    }

    /// Whether nothing but the page cap ended it.
    pub(super) fn was_capped(&self) -> bool {
        matches!(self.next, Next::Capped)
    }
}
