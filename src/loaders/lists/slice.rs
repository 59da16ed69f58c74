//! A slice of a list: the consecutive items that a connection returns.
//!
//! `paging` and `multi_parent` read a [`ScanRun`], in the order of the read. [`Slice::new`] brings it into the order of
//! the list.

use std::sync::{Arc, OnceLock};

use super::account_lists::AccountLists;
use super::cursor::{Cursor, ScanDirection};
use super::scan::Scan;
use super::ties::Ties;
use crate::domain::accounts::SharedAccount;
use crate::domain::global_id::IdKey;
use crate::domain::page::Direction;
use crate::loaders::cache::freshness::Freshness;

/// Consecutive items of a list, in the order of the list.
#[derive(Debug)]
pub struct Slice {
    list: Scan,
    scan_direction: ScanDirection,
    ids: Option<IdKey>,
    /// The key that signs cursors, and the bytes that bind them to the list; computed for the first cursor.
    signing: OnceLock<(IdKey, [u8; 8])>,
    rows: Vec<Row>,
    /// Whether more items follow.
    pub has_next: bool,
    /// Whether items precede.
    pub has_previous: bool,
    /// Number of items of the whole list, if known.
    pub total_items: Option<u64>,
    /// Smallest possible number of items of the list. A smaller total is wrong and is dropped.
    pub rows_seen: u64,
    /// Whether the slice has all items that it should have. It is false if the upstream stopped early, if the page
    /// limit was reached, or if the total shows that rows were skipped.
    pub is_complete: bool,
    /// Freshness of the oldest page that was read; `None` if nothing was read.
    pub freshness: Option<Freshness>,
}

/// An item and its position in the scan.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) account: SharedAccount,
    pub(crate) freshness: Freshness,
    pub(crate) page: Option<Arc<str>>,
    pub(crate) index: usize,
    pub(crate) seen: u32,
    pub(crate) ties: Ties,
    /// Whether its page and all pages before it were in the requested order.
    pub(crate) is_ordered: bool,
    /// Whether its page, or a page before it, repeats a row of another page.
    pub(crate) is_overlapping: bool,
}

/// Items read in one direction, nearest first.
#[derive(Debug)]
pub(crate) struct ScanRun {
    pub(crate) rows: Vec<Row>,
    /// Whether more items follow in the direction of the read.
    pub(crate) has_more: bool,
    /// Whether there are items in the opposite direction.
    pub(crate) has_rows_behind: bool,
    pub(crate) total_items: Option<u64>,
    /// Number of rows of the scan up to the last of `rows`; 0 if unknown.
    pub(crate) rows_seen: u64,
    pub(crate) is_complete: bool,
    pub(crate) freshness: Option<Freshness>,
}

impl ScanRun {
    /// Creates a run without items.
    pub(crate) fn empty() -> Self {
        Self {
            rows: Vec::new(),
            has_more: false,
            has_rows_behind: false,
            total_items: None,
            rows_seen: 0,
            is_complete: true,
            freshness: None,
        }
    }

    /// Records that the run contains a page with this freshness.
    pub(crate) fn add_freshness(&mut self, page: Freshness) {
        self.freshness = Freshness::of(self.freshness.into_iter().chain([page]));
    }
}

impl Slice {
    /// Creates the slice from a run. `direction` is the direction in which the client pages.
    pub(crate) fn new(
        lists: &AccountLists,
        list: Scan,
        scan_direction: ScanDirection,
        direction: Direction,
        run: ScanRun,
    ) -> Self {
        let ScanRun { mut rows, has_more, has_rows_behind, total_items, rows_seen, is_complete, freshness } =
            run;
        let (has_next, has_previous) = match direction {
            Direction::Forward => (has_more, has_rows_behind),
            Direction::Backward => {
                rows.reverse();
                (has_rows_behind, has_more)
            }
        };
        let rows_seen = rows_seen.max(rows.len() as u64);
        let total_items = total_items.filter(|total| *total >= rows_seen);
        Self {
            list,
            scan_direction,
            ids: lists.ids.clone(),
            signing: OnceLock::new(),
            rows,
            has_next,
            has_previous,
            total_items,
            rows_seen,
            is_complete,
            freshness,
        }
    }

    /// Returns the items, each with its freshness.
    pub fn accounts(&self) -> impl ExactSizeIterator<Item = (&SharedAccount, Freshness)> {
        self.rows.iter().map(|row| (&row.account, row.freshness))
    }

    /// Returns the cursor of the item at an index of the slice.
    #[must_use]
    pub fn cursor(&self, index: usize) -> Option<String> {
        let Row { account, freshness: _, page, index, seen, ties, is_ordered, is_overlapping } =
            self.rows.get(index)?;
        let cursor = Cursor {
            scan_direction: self.scan_direction,
            page: page.clone(),
            index: u16::try_from(*index).unwrap_or(u16::MAX),
            pages_overlap: *is_overlapping,
            seen: *seen,
            order_micros: self.list.order_micros(account).filter(|_| *is_ordered),
            ties: ties.clone(),
            id: account.id.clone(),
        };
        let (ids, binding) = self.signing.get_or_init(|| {
            let ids = self.list.id_key(self.ids.as_ref());
            let binding = self.list.binding(&ids);
            (ids, binding)
        });
        Some(cursor.encode(*binding, ids))
    }
}
