//! Pages of one list in both directions, over an upstream that only leads forward.
//!
//! The entry point is `AccountLists::slice`. The upstream's cursors only lead forward, so a list's end is read through
//! the scan in the opposite order.
//!
//! Without a cursor, a page is read from the start of the scan that begins at the requested end. With a cursor, the
//! read stays in the scan that created the cursor. `read_after` follows the scan to the rows after the cursor's item.
//! `read_before` returns the rows before the item: first those on the item's own page, then those on preceding
//! pages. A client that pages from one end therefore always sees one order, even among rows with the same timestamp.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use super::account_lists::{AccountLists, ListError};
use super::cursor::{Cursor, ScanDirection};
use super::position::{CursorTracker, RowPosition};
use super::scan::Scan;
use super::slice::{Row, ScanRun, Slice};
use super::tie_run::TieRun;
use super::walk::{PageWalk, WalkPage};
use crate::domain::page::{Direction, PageRequest};
use crate::loaders::cache::freshness::{Freshness, FreshnessState, StalePolicy};
use crate::upstream::error::UpstreamError;

impl AccountLists {
    /// Returns a slice of a list.
    ///
    /// # Errors
    /// `BAD_CURSOR` for a cursor of another list, or the error of the upstream read.
    pub async fn slice(&self, list: Scan, page: &PageRequest) -> Result<Slice, ListError> {
        let parse = |text: &Option<String>| {
            let parsed = text.as_ref().map(|text| {
                let ids = self.id_key(&list);
                Cursor::parse(text, list.binding(&ids), &ids)
            });
            parsed.transpose()
        };
        let (after, before) = (parse(&page.after)?, parse(&page.before)?);
        let (anchor, bound, from_end) = match page.direction {
            Direction::Forward => (after, before, ScanDirection::ListOrder),
            Direction::Backward => (before, after, ScanDirection::Reversed),
        };
        let scan_direction = anchor.as_ref().map_or(from_end, |cursor| cursor.scan_direction);
        if list.key.filter.matches_nothing() || page.size == 0 {
            // A page of size 0 makes no call. `hasNextPage` is reported if a cached total shows it.
            let total = match &anchor {
                None if !list.key.filter.matches_nothing() => self.cached_total(&list).await,
                _ => None,
            };
            let is_more_known =
                total.as_ref().is_some_and(|total| total.value.is_some_and(|total| total > 0));
            let freshness = total.map(|total| total.freshness);
            let run = ScanRun { has_more: is_more_known, freshness, ..ScanRun::empty() };
            return Ok(Slice::new(self, list, scan_direction, page.direction, run));
        }
        let scan = match scan_direction {
            ScanDirection::ListOrder => list.clone(),
            ScanDirection::Reversed => list.opposite(),
        };
        let scan_reader = ScanReader {
            lists: self,
            scan: &scan,
            bound: bound.as_ref(),
            scan_direction,
            size: page.size,
            has_more_selected: page.has_more_selected,
        };
        let run = match &anchor {
            Some(cursor) if scan_direction != from_end => scan_reader.read_before(cursor).await?,
            // A page after a cursor is never stale: rows may have moved since the client read the page before it.
            Some(cursor) => scan_reader
                .read_after(Some(cursor), StalePolicy::RequireFresh)
                .await?
                .unwrap_or_else(ScanRun::empty),
            None => match scan_reader.read_after(None, StalePolicy::AllowStale).await? {
                Some(run) => run,
                None => scan_reader
                    .read_after(None, StalePolicy::RequireFresh)
                    .await?
                    .unwrap_or_else(ScanRun::empty),
            },
        };
        Ok(Slice::new(self, list, scan_direction, page.direction, run))
    }
}

/// Reads one scan in one direction.
struct ScanReader<'r> {
    lists: &'r AccountLists,
    scan: &'r Scan,
    /// The other cursor of the arguments, at which the read stops.
    bound: Option<&'r Cursor>,
    /// The direction of the scan.
    scan_direction: ScanDirection,
    size: usize,
    has_more_selected: bool,
}

impl ScanReader<'_> {
    /// Reads the rows after a cursor's item, or from the start of the scan. Returns `None` if the first page is stale
    /// and more pages are needed. Those would be fetched now, and rows may have moved between a stale and a fresh page.
    async fn read_after(
        &self,
        anchor: Option<&Cursor>,
        stale_policy: StalePolicy,
    ) -> Result<Option<ScanRun>, UpstreamError> {
        let start = match anchor {
            Some(cursor) => self.page_to_continue_from(cursor).await?,
            None => None,
        };
        let walk = PageWalk::from(self.lists, self.scan, start, stale_policy);
        match self.read_from(anchor, walk, stale_policy, true).await? {
            RunResult::Read(run) => Ok(Some(run)),
            RunResult::Stale => Ok(None),
            RunResult::Unordered => {
                let walk = PageWalk::again(self.lists, self.scan);
                match self.read_from(anchor, walk, stale_policy, false).await? {
                    RunResult::Read(run) => Ok(Some(run)),
                    RunResult::Stale | RunResult::Unordered => Ok(None),
                }
            }
        }
    }

    /// Reads the pages of a walk from a cursor's item, or from the beginning of the scan. If `trusts_times`, ends at
    /// the first page that is not in the order of the cursor.
    async fn read_from(
        &self,
        anchor: Option<&Cursor>,
        mut walk: PageWalk<'_>,
        stale_policy: StalePolicy,
        trusts_times: bool,
    ) -> Result<RunResult, UpstreamError> {
        let track = |cursor| CursorTracker::new(cursor, self.scan_direction);
        let initial_state = || ForwardState {
            tracker: anchor.map(track),
            bound: self.bound.map(track),
            ties: anchor.map_or_else(TieRun::from_start, TieRun::after),
            seen: anchor.map_or(0, |cursor| cursor.seen),
            run: ScanRun::empty(),
            has_unread: false,
        };
        let is_counted = anchor.is_none_or(|cursor| cursor.seen > 0);
        let ForwardState { mut tracker, mut bound, mut ties, mut seen, mut run, mut has_unread } =
            initial_state();
        let mut is_ordered = anchor.is_none_or(|cursor| cursor.order_micros.is_some());
        let mut has_expired = false;
        loop {
            let step = match walk.step().await {
                Ok(Some(step)) => step,
                Ok(None) => break,
                // The rows so far are returned; the next request resumes after the last of them.
                Err(error) if error.can_be_an_expired_cursor() && !run.rows.is_empty() => {
                    has_expired = true;
                    break;
                }
                Err(error) => return Err(error),
            };
            if step.is_restart {
                ForwardState { tracker, bound, ties, seen, run, has_unread } = initial_state();
            }
            let was_ordered = is_ordered;
            is_ordered &= step.is_ordered;
            // Either the pages are of different states of the list, or the upstream does not use the requested order. A
            // walk over current pages from the first one shows which, and reads every row before the item.
            if trusts_times && anchor.is_some() && was_ordered && !is_ordered {
                return Ok(RunResult::Unordered);
            }
            run.total_items = step.page.total(&self.scan.reader.view, step.cursor.is_none());
            run.add_freshness(step.freshness);
            let unread = step.page.rows_rejected();
            has_unread |= unread > 0;
            seen = seen.saturating_add(u32::try_from(unread).unwrap_or(u32::MAX));
            for (index, account) in step.page.items.iter().enumerate() {
                let position =
                    tracker.as_mut().map(|tracker| tracker.position_of(self.scan, &step, index, account));
                let bound_position =
                    bound.as_mut().map(|bound| bound.position_of(self.scan, &step, index, account));
                let is_before_anchor = position.is_some_and(|position| position != RowPosition::After);
                run.has_rows_behind |= is_before_anchor;
                let is_new = walk.is_new(account);
                if is_new && is_before_anchor && !(trusts_times && is_ordered) {
                    ties.pass(account);
                }
                if !is_new || is_before_anchor {
                    continue;
                }
                let is_at_bound = bound_position.is_some_and(RowPosition::is_reached);
                if is_at_bound || run.rows.len() == self.size {
                    run.has_more = true;
                    return Ok(RunResult::Read(run));
                }
                seen = seen.saturating_add(1);
                run.rows_seen = if is_counted { u64::from(seen) } else { 0 };
                run.rows.push(Row {
                    account: Arc::clone(account),
                    freshness: step.freshness,
                    page: step.cursor.clone(),
                    index,
                    seen: if is_counted { seen } else { 0 },
                    ties: ties.next(self.scan, account, is_ordered),
                    is_ordered,
                });
            }
            if run.rows.len() == self.size && walk.may_have_more() {
                // More rows are certain only with a next cursor and a total that is not reached yet.
                let total_shows_more =
                    is_counted && run.total_items.is_some_and(|total| u64::from(seen) < total);
                if total_shows_more || !self.has_more_selected {
                    run.has_more = true;
                    return Ok(RunResult::Read(run));
                }
            }
            if stale_policy == StalePolicy::AllowStale
                && step.freshness.state != FreshnessState::Fresh
                && walk.may_have_more()
            {
                return Ok(RunResult::Stale);
            }
        }
        let has_skipped_rows = is_counted && run.total_items.is_some_and(|total| u64::from(seen) < total);
        let has_unreadable_gap = has_unread && run.rows.len() < self.size;
        let is_lost = tracker.is_some_and(|tracker| tracker.is_lost());
        let is_cut_short = match has_expired {
            true => run.rows.len() < self.size,
            false => walk.was_cut() || has_skipped_rows,
        };
        run.is_complete = !(is_cut_short || has_unreadable_gap || is_lost);
        // After the page limit or an expired cursor, the client can continue from the last row.
        run.has_more = (walk.was_capped() || has_expired) && !run.rows.is_empty();
        Ok(RunResult::Read(run))
    }

    /// Reads the rows before a cursor's item, nearest first.
    async fn read_before(&self, cursor: &Cursor) -> Result<ScanRun, UpstreamError> {
        let needed_rows = self.size + usize::from(self.has_more_selected);
        let mut start = cursor.page.clone();
        let mut pages = ReversePages::new(self);
        loop {
            let preceding = self.rows_up_to(cursor, start.clone()).await?;
            if preceding.is_from_start {
                start = None;
            }
            // A walk that was cut before the item would be cut there from an earlier page too.
            let is_enough = !preceding.is_item_reached
                || preceding.is_bound_found
                || (preceding.rows.len() >= needed_rows && !preceding.may_contain_bound);
            if is_enough || start.is_none() {
                return Ok(self.nearest_rows(preceding, start.is_some()));
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

    /// Walks from a page up to a cursor's item and returns the nearest rows before it.
    async fn rows_up_to(
        &self,
        cursor: &Cursor,
        start: Option<Arc<str>>,
    ) -> Result<PrecedingRows, UpstreamError> {
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
                    return Ok(preceding);
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
                preceding.rows.push_back(Row { account, freshness, page, index, seen, ties, is_ordered });
            }
        }
        // The scan ended without the item, so all of its rows precede it.
        preceding.is_item_reached = !walk.was_cut() && !tracker.is_lost();
        Ok(preceding)
    }

    /// Returns the page from which to read on after a cursor's item: usually the cursor's own page. If even the first
    /// row of that page comes after the item, rows were removed, and the rows that follow the item may begin on an
    /// earlier page. If the upstream rejects the page's cursor, the result is the first page.
    async fn page_to_continue_from(&self, cursor: &Cursor) -> Result<Option<Arc<str>>, UpstreamError> {
        let mut start = cursor.page.clone();
        let mut pages = ReversePages::new(self);
        while let Some(page) = start.clone() {
            let read = self.lists.page(self.scan, start.clone(), StalePolicy::RequireFresh).await;
            let read = match read {
                Err(error) if error.can_be_an_expired_cursor() => return Ok(None),
                read => read?,
            };
            let step = WalkPage::new(self.scan, start.clone(), read);
            let first = step.page.items.first();
            let mut tracker = CursorTracker::new(cursor, self.scan_direction);
            match first.map(|account| tracker.position_of(self.scan, &step, 0, account)) {
                Some(RowPosition::Before | RowPosition::At) => return Ok(start),
                // The page has no row that the cursor remembers, so its position relative to them is unknown.
                Some(RowPosition::Unsure) => return Ok(cursor.page.clone()),
                Some(RowPosition::After) | None => {}
            }
            start = pages.before(&page);
        }
        Ok(None)
    }
}

/// The state of reading forward from a cursor's item. It starts again if the walk restarts.
struct ForwardState<'r> {
    /// Finds the item of the cursor.
    tracker: Option<CursorTracker<'r>>,
    /// Finds the item at which the read stops.
    bound: Option<CursorTracker<'r>>,
    ties: TieRun,
    /// The number of rows so far, from the start of the scan if that is known.
    seen: u32,
    run: ScanRun,
    /// Whether a page had rows that could not be read.
    has_unread: bool,
}

/// The state of reading up to a cursor's item. It starts again if the walk restarts.
struct BackwardState<'r> {
    tracker: CursorTracker<'r>,
    bound: Option<CursorTracker<'r>>,
    ties: TieRun,
    preceding: PrecedingRows,
    seen: u32,
}

/// The outcome of reading the pages of a walk.
enum RunResult {
    Read(ScanRun),
    /// The first page is stale, and another one is needed.
    Stale,
    /// A page is not in the order of the cursor.
    Unordered,
}

/// Steps back through remembered pages to the first page of a scan. Always ends, even if the remembered pages form a
/// circle.
struct ReversePages<'r> {
    scan_reader: &'r ScanReader<'r>,
    pages_seen: HashSet<Arc<str>>,
}

impl<'r> ReversePages<'r> {
    fn new(scan_reader: &'r ScanReader<'r>) -> Self {
        Self { scan_reader, pages_seen: HashSet::new() }
    }

    /// Returns the page before another, or `None` (the first page) if it is not remembered.
    fn before(&mut self, page: &Arc<str>) -> Option<Arc<str>> {
        let ScanReader { lists, scan, .. } = self.scan_reader;
        let is_new = self.pages_seen.insert(Arc::clone(page));
        let may_have_more = is_new && self.pages_seen.len() < lists.settings.pages_max;
        lists.previous_page(scan, page).filter(|_| may_have_more)
    }
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
