//! Some consecutive items of a list: what a connection shows.

use std::sync::Arc;

use super::account_lists::AccountLists;
use super::cursor::{Cursor, ScanDirection};
use super::scan::Scan;
use super::ties::Ties;
use crate::domain::accounts::SharedAccount;
use crate::domain::global_id::IdKey;
use crate::domain::page::Direction;
use crate::loaders::cache::freshness::Freshness;

/// A slice of a list, in the list's own order whichever way it was read.
#[derive(Debug)]
pub struct Slice {
    list: Scan,
    scan_direction: ScanDirection,
    ids: IdKey,
    rows: Vec<Row>,
    /// Whether items follow.
    pub has_next: bool,
    /// Whether items precede.
    pub has_previous: bool,
    /// How many items the whole list holds, where that is already known.
    pub total_items: Option<u64>,
    /// False where the upstream stopped answering, or a page limit was met, before the slice was
    /// whole, or where its totals say that rows were passed over.
    pub is_complete: bool,
    /// The age of the oldest page that it was read from; none where nothing had to be read.
    pub freshness: Option<Freshness>,
}

/// An item, and where it was met.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) account: SharedAccount,
    pub(crate) freshness: Freshness,
    pub(crate) page: Option<Arc<str>>,
    pub(crate) index: usize,
    pub(crate) seen: u32,
    pub(crate) ties: Ties,
}

/// What reading a list one way brought, nearest first.
#[derive(Debug)]
pub(crate) struct ScanRun {
    pub(crate) rows: Vec<Row>,
    /// Items follow in the way that was read.
    pub(crate) more: bool,
    /// Items lie the other way.
    pub(crate) behind: bool,
    pub(crate) total_items: Option<u64>,
    pub(crate) is_complete: bool,
    pub(crate) freshness: Option<Freshness>,
}

impl ScanRun {
    /// Nothing, and nothing around it that is known.
    pub(crate) fn empty() -> Self {
        Self {
            rows: Vec::new(),
            more: false,
            behind: false,
            total_items: None,
            is_complete: true,
            freshness: None,
        }
    }

    /// It is made of a page of that age.
    pub(crate) fn reads(&mut self, page: Freshness) {
        self.freshness = Freshness::of(self.freshness.into_iter().chain([page]));
    }
}

impl Slice {
    /// The slice of a list that a run is, read from one end or the other.
    pub(crate) fn new(
        lists: &AccountLists,
        list: Scan,
        scan_direction: ScanDirection,
        direction: Direction,
        run: ScanRun,
    ) -> Self {
        let ScanRun { mut rows, more, behind, total_items, is_complete, freshness } = run;
        let (has_next, has_previous) = match direction {
            Direction::Forward => (more, behind),
            Direction::Backward => {
                rows.reverse();
                (behind, more)
            }
        };
        let ids = lists.id_key(&list);
        Self { list, scan_direction, ids, rows, has_next, has_previous, total_items, is_complete, freshness }
    }

    /// The items, each with its age.
    pub fn accounts(&self) -> impl ExactSizeIterator<Item = (&SharedAccount, Freshness)> {
        self.rows.iter().map(|row| (&row.account, row.freshness))
    }

    /// The cursor of the item at a place of the slice.
    #[must_use]
    pub fn cursor(&self, place: usize) -> Option<String> {
        let Row { account, freshness: _, page, index, seen, ties } = self.rows.get(place)?;
        let cursor = Cursor {
            scan_direction: self.scan_direction,
            page: page.clone(),
            index: u16::try_from(*index).unwrap_or(u16::MAX),
            seen: *seen,
            order_micros: self.list.order_micros(account),
            ties: ties.clone(),
            id: account.id.clone(),
        };
        Some(cursor.encode(self.list.binding(&self.ids), &self.ids))
    }
}
