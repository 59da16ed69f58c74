//! Where a row stands to a cursor's item: before it, at it, or after it, as the scan runs.
//!
//! It is told by the order value, so the item itself may be gone, or have moved because what it is
//! ordered by changed. Rows of one moment are told apart by those that the cursor remembers: whatever
//! order the upstream gives them, none of them is told twice and none is passed over.

use super::cursor::{Course, Cursor, tie};
use super::scan::Scan;
use super::walk::Step;
use crate::domain::accounts::ConnectedAccount;

/// A row's place, seen from a cursor's item, along a scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Before,
    At,
    After,
}

/// A cursor, looked at from a scan.
pub(super) struct Position<'c> {
    cursor: &'c Cursor,
    /// Whether the cursor was made in a scan that ran this way.
    same_course: bool,
}

impl<'c> Position<'c> {
    pub(super) fn new(cursor: &'c Cursor, course: Course) -> Self {
        Self { cursor, same_course: cursor.course == course }
    }

    /// Where a row of a page stands.
    pub(super) fn place(&self, scan: &Scan, step: &Step, index: usize, account: &ConnectedAccount) -> Place {
        let Cursor { id, order_micros, ties, .. } = self.cursor;
        let own_micros = scan.order_micros(account);
        if account.id == *id && own_micros == *order_micros {
            return Place::At;
        }
        match (*order_micros, own_micros) {
            (Some(item), Some(row)) if item == row => {
                let was_seen = ties.contains(&tie(&account.id));
                if was_seen == self.same_course { Place::Before } else { Place::After }
            }
            (Some(item), Some(row)) => {
                if scan.runs_past(item, row) {
                    Place::After
                } else {
                    Place::Before
                }
            }
            _ => self.place_by_index(step, index),
        }
    }

    /// Where there is no order value to go by, the item's place in its own page decides.
    fn place_by_index(&self, step: &Step, index: usize) -> Place {
        let Cursor { page, index: was_at, id, .. } = self.cursor;
        let item = step.page.items.iter().position(|account| account.id == *id);
        let is_own_page = step.cursor == *page;
        match item {
            Some(item) if index > item => Place::After,
            None if is_own_page && index >= usize::from(*was_at) => Place::After,
            _ => Place::Before,
        }
    }
}
