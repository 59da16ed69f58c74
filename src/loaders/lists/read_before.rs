//! Rows before a cursor's item, against the direction of the scan.
//!
//! A walk from the cursor's page up to the item shows the rows before it on that page. If these are not enough, another
//! walk starts at the page before, and so on.

use std::collections::VecDeque;
use std::sync::Arc;

use super::cursor::Cursor;
use super::paging::{Attempt, ScanReader};
use super::position::{CursorTracker, RowPosition};
use super::reverse_pages::ReversePages;
use super::slice::{Row, ScanRun};
use super::tie_run::TieRun;
use super::walk::PageWalk;
use crate::loaders::cache::freshness::{Freshness, StalePolicy};
use crate::upstream::error::UpstreamError;

impl ScanReader<'_> {
    /// Reads the rows before a cursor's item, nearest first.
    pub(super) async fn read_before(&self, cursor: &Cursor) -> Result<ScanRun, UpstreamError> {
        let run = match cursor.pages_overlap {
            true => None,
            false => self.read_before_from(cursor, cursor.page.clone(), Attempt::FromCursor).await?,
        };
        let run = match run {
            None => self.read_before_from(cursor, None, Attempt::FromFirstPage).await?,
            run => run,
        };
        let run = match run {
            None => self.read_before_from(cursor, cursor.page.clone(), Attempt::BeyondPageLimit).await?,
            run => run,
        };
        Ok(run.unwrap_or_else(ScanRun::empty))
    }

    /// Reads the rows before a cursor's item from a page and, if these are not enough, from the pages before it.
    /// Returns `None` if another attempt is needed.
    async fn read_before_from(
        &self,
        cursor: &Cursor,
        mut start: Option<Arc<str>>,
        attempt: Attempt,
    ) -> Result<Option<ScanRun>, UpstreamError> {
        let needed_rows = self.size + usize::from(self.has_more_selected);
        let mut pages = ReversePages::new(self.lists, self.scan);
        loop {
            let Some(preceding) = self.rows_up_to(cursor, start.clone(), attempt).await? else {
                return Ok(None);
            };
            if preceding.is_from_start {
                start = None;
            }
            // A walk that was cut before the item would be cut there from an earlier page too.
            let is_enough = match preceding.is_item_reached {
                true => {
                    preceding.is_bound_found
                        || (preceding.rows.len() >= needed_rows && !preceding.may_contain_bound)
                }
                false => true,
            };
            if is_enough || start.is_none() {
                return Ok(Some(self.nearest_rows(preceding, start.is_some())));
            }
            start = start.and_then(|cursor| pages.before(&cursor));
        }
    }

    fn nearest_rows(&self, mut preceding: PrecedingRows, pages_precede: bool) -> ScanRun {
        if !preceding.is_item_reached {
            // The walk was cut before the item, so its last row need not be adjacent to the item.
            return ScanRun { is_complete: false, ..ScanRun::empty() };
        }
        let has_more = preceding.is_bound_found || preceding.rows.len() > self.size || pages_precede;
        let surplus = preceding.rows.len().saturating_sub(self.size);
        preceding.rows.drain(..surplus);
        ScanRun {
            rows: preceding.rows.into_iter().rev().collect(),
            has_more,
            has_rows_behind: preceding.has_rows_behind,
            total_items: preceding.total_items,
            rows_seen: 0,
            is_complete: true,
            freshness: preceding.freshness,
        }
    }

    /// Walks from a page up to a cursor's item and returns the nearest rows before it, or `None` if another attempt is
    /// needed.
    async fn rows_up_to(
        &self,
        cursor: &Cursor,
        start: Option<Arc<str>>,
        attempt: Attempt,
    ) -> Result<Option<PrecedingRows>, UpstreamError> {
        let rows_max = self.size + 1;
        let initial_state = |is_from_start| BackwardState {
            tracker: CursorTracker::new(cursor, self.scan_direction),
            bound: self.bound.map(|cursor| CursorTracker::new(cursor, self.scan_direction)),
            ties: match is_from_start {
                true => TieRun::from_start(),
                false => TieRun::from_middle(),
            },
            preceding: PrecedingRows { is_from_start, ..Default::default() },
            seen: 0,
        };
        let BackwardState { mut tracker, mut bound, mut ties, mut preceding, mut seen } =
            initial_state(start.is_none());
        let mut walk = PageWalk::from(self.lists, self.scan, start, StalePolicy::RequireFresh);
        while let Some(step) = walk.step().await? {
            if step.is_restart {
                BackwardState { tracker, bound, ties, preceding, seen } = initial_state(true);
            }
            if attempt == Attempt::FromCursor && self.can_repeat_rows(cursor, &walk, &step) {
                return Ok(None);
            }
            let is_counted = preceding.is_from_start;
            preceding.total_items = step.page.total(&self.scan.reader.view, step.cursor.is_none());
            preceding.freshness = Freshness::of(preceding.freshness.into_iter().chain([step.freshness]));
            for (index, account) in step.page.items.iter().enumerate() {
                if !walk.is_new(account) {
                    continue;
                }
                if tracker.position_of(self.scan, &step, index, account).is_reached() {
                    preceding.is_item_reached = true;
                    preceding.has_rows_behind = true;
                    return Ok(Some(preceding));
                }
                seen = seen.saturating_add(1);
                let is_ordered = cursor.order_micros.is_some() && step.is_ordered;
                let ties = ties.next(self.scan, account, is_ordered);
                let bound_position =
                    bound.as_mut().map(|bound| bound.position_of(self.scan, &step, index, account));
                match bound_position {
                    None | Some(RowPosition::After) => {}
                    Some(RowPosition::Unsure) if !is_counted => preceding.may_contain_bound = true,
                    Some(RowPosition::Before | RowPosition::At | RowPosition::Unsure) => {
                        preceding.rows.clear();
                        preceding.is_bound_found = true;
                        continue;
                    }
                }
                if preceding.rows.len() == rows_max {
                    preceding.rows.pop_front();
                }
                let seen = if is_counted { seen } else { 0 };
                let page = step.cursor.clone();
                let (account, freshness) = (Arc::clone(account), step.freshness);
                let is_overlapping = step.is_overlapping || cursor.pages_overlap;
                let row = Row { account, freshness, page, index, seen, ties, is_ordered, is_overlapping };
                preceding.rows.push_back(row);
            }
        }
        if attempt == Attempt::FromFirstPage && walk.was_capped() {
            return Ok(None);
        }
        // The scan ended without the item, so all of its rows precede it.
        preceding.is_item_reached = !walk.was_cut() && !tracker.is_lost();
        Ok(Some(preceding))
    }
}

/// The state of reading up to a cursor's item. It starts again if the walk restarts.
struct BackwardState<'r> {
    tracker: CursorTracker<'r>,
    bound: Option<CursorTracker<'r>>,
    ties: TieRun,
    preceding: PrecedingRows,
    seen: u32,
}

/// The rows before a cursor's item.
#[derive(Default)]
struct PrecedingRows {
    /// The nearest of them, in the scan's order.
    rows: VecDeque<Row>,
    /// Whether the walk began at the scan's first row.
    is_from_start: bool,
    /// Whether the bound was found. Rows beyond it are dropped.
    is_bound_found: bool,
    /// Whether the bound may be among `rows`. A walk from an earlier page decides.
    may_contain_bound: bool,
    /// Whether the walk reached the item, its former position, or the end of the scan.
    is_item_reached: bool,
    /// Whether there is a row at the item's position or after it.
    has_rows_behind: bool,
    total_items: Option<u64>,
    freshness: Option<Freshness>,
}
