//! Where a row stands to a cursor's item: before it, at it, or after it, as the scan runs.
//!
//! It is told by the order value, so the item itself may be gone, or have moved because what it is
//! ordered by changed. Rows of one moment are told apart by those that the cursor remembers: whatever
//! order the upstream gives them, none of them is told twice and none is passed over. Where more of them
//! share a moment than a cursor remembers (a bulk update writes one `updated_at` into thousands of
//! rows), and where there is no moment to go by, the item's place among them decides.

use super::cursor::{Cursor, ScanDirection};
use super::scan::Scan;
use super::walk::WalkPage;
use crate::domain::accounts::ConnectedAccount;

/// A row's place, seen from a cursor's item, along a scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RowPosition {
    Before,
    At,
    After,
    /// Nothing tells: it shares the item's moment, the cursor does not remember it, and nothing that the
    /// cursor knows was met yet.
    Unsure,
}

impl RowPosition {
    /// At the item or behind it.
    pub(crate) fn is_reached(self) -> bool {
        matches!(self, Self::At | Self::After)
    }
}

/// A cursor, looked at while a scan is read: it is shown the rows one by one, as they come.
pub(crate) struct CursorTracker<'c> {
    cursor: &'c Cursor,
    /// Whether the cursor was made in a scan that ran this way.
    same_direction: bool,
    /// Whether the item's own page was read.
    page_met: bool,
    /// Whether the item was met, a row that is known to border on it, or one that lies behind it.
    passed: bool,
}

impl<'c> CursorTracker<'c> {
    pub(crate) fn new(cursor: &'c Cursor, scan_direction: ScanDirection) -> Self {
        Self {
            cursor,
            same_direction: cursor.scan_direction == scan_direction,
            page_met: false,
            passed: false,
        }
    }

    /// Where the next row of a page stands.
    pub(crate) fn place(
        &mut self,
        scan: &Scan,
        step: &WalkPage,
        index: usize,
        account: &ConnectedAccount,
    ) -> RowPosition {
        let place = self.look(scan, step, index, account);
        self.passed |= place.is_reached() || self.borders(scan, account);
        self.page_met |= step.cursor == self.cursor.page;
        place
    }

    fn look(&self, scan: &Scan, step: &WalkPage, index: usize, account: &ConnectedAccount) -> RowPosition {
        let (item, row) = (self.cursor.order_micros, scan.order_micros(account));
        if account.id == self.cursor.id && row == item {
            return RowPosition::At;
        }
        match (item, row) {
            (Some(item), Some(row)) if item != row => match scan.runs_past(item, row) {
                true => RowPosition::After,
                false => RowPosition::Before,
            },
            _ => self.place_of_an_equal(scan, step, index, account),
        }
    }

    /// The place of a row that the order value does not tell. All rows of the item's moment that came
    /// before it are remembered, unless they were too many.
    fn place_of_an_equal(
        &self,
        scan: &Scan,
        step: &WalkPage,
        index: usize,
        account: &ConnectedAccount,
    ) -> RowPosition {
        let is_of_one_moment = scan.order_micros(account).is_some() && self.cursor.order_micros.is_some();
        let after = |is_after| if is_after { RowPosition::After } else { RowPosition::Before };
        match (self.is_remembered(account), self.same_direction) {
            (true, same_direction) => after(!same_direction),
            (false, same_direction) if is_of_one_moment && self.cursor.ties.is_whole => after(same_direction),
            _ if self.passed => RowPosition::After,
            (false, true) => self.is_behind(scan, step, index).map_or(RowPosition::Unsure, after),
            (false, false) => RowPosition::Unsure,
        }
    }

    fn is_remembered(&self, account: &ConnectedAccount) -> bool {
        self.cursor.ties.holds(&account.id)
    }

    /// Whether a row is the item or one of those that led to it, and stands where it stood: what it is
    /// ordered by may have changed.
    fn borders(&self, scan: &Scan, account: &ConnectedAccount) -> bool {
        let Cursor { id, order_micros, .. } = self.cursor;
        let is_known = account.id == *id || self.is_remembered(account);
        is_known && (order_micros.is_none() || scan.order_micros(account) == *order_micros)
    }

    /// Whether a row lies behind the item, or behind what is left of the rows that led to it: they
    /// followed one another.
    fn is_behind(&self, scan: &Scan, step: &WalkPage, index: usize) -> Option<bool> {
        let Cursor { page, index: was_at, ties, .. } = self.cursor;
        match step.page.items.iter().position(|account| self.borders(scan, account)) {
            Some(border) => Some(index > border),
            None if step.cursor == *page => Some(index >= usize::from(*was_at).saturating_sub(ties.len())),
            None => self.page_met.then_some(true),
        }
    }
}
