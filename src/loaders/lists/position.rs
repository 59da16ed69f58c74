//! Position of a row relative to a cursor's item: before it, at it, or after it in the scan's order.
//!
//! [`CursorTracker`] receives the rows of a scan one by one while `paging` reads it. It decides in three steps:
//!
//! 1. The timestamp by which the list is ordered. It works even if the item was removed or has moved.
//! 2. Among rows with the item's timestamp: the ties in the cursor. Each such row is returned once, in any order
//!    that the upstream sends them.
//! 3. If the cursor does not remember all ties, or there are no timestamps: the index in the page. A bulk update can
//!    set one `updated_at` on thousands of rows.

use super::cursor::{Cursor, ScanDirection};
use super::scan::Scan;
use super::walk::WalkPage;
use crate::domain::accounts::ConnectedAccount;

/// Position of a row relative to a cursor's item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RowPosition {
    Before,
    At,
    After,
    /// Undecided: the row has the item's timestamp, the cursor does not remember the row, and neither the item nor a
    /// remembered row was read yet.
    Unsure,
}

impl RowPosition {
    /// Whether the row is the item or comes after it.
    pub(crate) fn is_reached(self) -> bool {
        matches!(self, Self::At | Self::After)
    }
}

/// Compares the rows of a scan, in their order, with a cursor.
pub(crate) struct CursorTracker<'c> {
    cursor: &'c Cursor,
    /// Whether the cursor was created in a scan of the same direction.
    is_same_direction: bool,
    /// Whether the item's own page was read.
    was_page_read: bool,
    /// Whether the item, one of its remembered ties, or a row after it was read.
    is_item_passed: bool,
    /// Whether the position of a row was undecided.
    was_unsure: bool,
    /// Whether the upstream returned rows in another order than requested. Timestamps are then ignored.
    is_unordered: bool,
}

impl<'c> CursorTracker<'c> {
    pub(crate) fn new(cursor: &'c Cursor, scan_direction: ScanDirection) -> Self {
        Self {
            cursor,
            is_same_direction: cursor.scan_direction == scan_direction,
            was_page_read: false,
            is_item_passed: false,
            was_unsure: false,
            is_unordered: false,
        }
    }

    /// Whether timestamps did not decide, and neither the item, its ties nor its page were found.
    pub(crate) fn is_lost(&self) -> bool {
        let is_undecided = self.item_micros().is_none() || self.was_unsure;
        is_undecided && !self.is_item_passed && !self.was_page_read
    }

    fn item_micros(&self) -> Option<i64> {
        self.cursor.order_micros.filter(|_| !self.is_unordered)
    }

    /// Returns the position of the next row.
    pub(crate) fn position_of(
        &mut self,
        scan: &Scan,
        step: &WalkPage,
        index: usize,
        account: &ConnectedAccount,
    ) -> RowPosition {
        self.is_unordered |= !step.is_ordered;
        let position = self.compare(scan, step, index, account);
        self.is_item_passed |= position.is_reached() || self.is_item_or_tie(scan, account);
        self.was_unsure |= position == RowPosition::Unsure;
        self.was_page_read |= step.cursor == self.cursor.page;
        position
    }

    /// Whether a row has a later timestamp than the item, so that no tie of the item follows it.
    pub(crate) fn is_past(&self, scan: &Scan, account: &ConnectedAccount) -> bool {
        let times = self.item_micros().zip(scan.order_micros(account));
        times.is_some_and(|(item, row)| item != row && scan.precedes(item, row))
    }

    fn compare(&self, scan: &Scan, step: &WalkPage, index: usize, account: &ConnectedAccount) -> RowPosition {
        let (item, row) = (self.item_micros(), scan.order_micros(account));
        if account.id == self.cursor.id && (item.is_none() || row == item) {
            return RowPosition::At;
        }
        match (item, row) {
            (Some(item), Some(row)) if item != row => match scan.precedes(item, row) {
                true => RowPosition::After,
                false => RowPosition::Before,
            },
            _ => self.position_among_ties(scan, step, index, account),
        }
    }

    /// Returns the position of a row with the item's timestamp, or without one. The cursor remembers all such rows
    /// before the item, unless there were too many.
    fn position_among_ties(
        &self,
        scan: &Scan,
        step: &WalkPage,
        index: usize,
        account: &ConnectedAccount,
    ) -> RowPosition {
        let has_timestamps = scan.order_micros(account).is_some() && self.item_micros().is_some();
        let after_if = |is_after| if is_after { RowPosition::After } else { RowPosition::Before };
        match (self.is_remembered(account), self.is_same_direction) {
            (true, is_same_direction) => after_if(!is_same_direction),
            (false, is_same_direction) if has_timestamps && self.cursor.ties.is_whole => {
                after_if(is_same_direction)
            }
            _ if self.is_item_passed => RowPosition::After,
            (false, true) => self.is_behind(scan, step, index).map_or(RowPosition::Unsure, after_if),
            (false, false) => RowPosition::Unsure,
        }
    }

    fn is_remembered(&self, account: &ConnectedAccount) -> bool {
        self.cursor.ties.contains(&account.id)
    }

    /// Whether a row is the item or a remembered tie whose timestamp has not changed since.
    fn is_item_or_tie(&self, scan: &Scan, account: &ConnectedAccount) -> bool {
        let is_known = account.id == self.cursor.id || self.is_remembered(account);
        let item = self.item_micros();
        is_known && (item.is_none() || scan.order_micros(account) == item)
    }

    /// Whether a row comes after the item or its remembered ties on the page; `None` if the page does not show it.
    fn is_behind(&self, scan: &Scan, step: &WalkPage, index: usize) -> Option<bool> {
        let Cursor { page, index: former_index, ties, .. } = self.cursor;
        match step.page.items.iter().position(|account| self.is_item_or_tie(scan, account)) {
            Some(border) => Some(index > border),
            None if step.cursor == *page => {
                Some(index >= usize::from(*former_index).saturating_sub(ties.len()))
            }
            None => self.was_page_read.then_some(true),
        }
    }
}
