//! Pages of one list, in both directions, over an upstream that only leads forward.
//!
//! A list can be read as its order says or from its other end, which is the scan with the opposite
//! order. A page that starts at an end is read *along* one of the two. A page that starts at a cursor
//! stays in the scan that the cursor was made in: *along* it where the page lies that way, else
//! *against* it, inside the cursor's own page first, then through the pages that lead to it. So
//! whatever steps a client takes from one end, it moves in one order, also among rows of one moment.

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
use crate::loaders::cache::freshness::{Cached, Freshness, FreshnessState, StalePolicy};
use crate::upstream::error::{UpstreamError, UpstreamFailure};

impl AccountLists {
    /// A slice of a list.
    ///
    /// # Errors
    /// `BAD_CURSOR` for a cursor of another list, or where the upstream cannot be read.
    pub async fn slice(&self, list: Scan, page: &PageRequest) -> Result<Slice, ListError> {
        let ids = self.id_key(&list);
        let parse = |text: &Option<String>| {
            text.as_ref().map(|text| Cursor::parse(text, list.binding(&ids), &ids)).transpose()
        };
        let (after, before) = (parse(&page.after)?, parse(&page.before)?);
        let (anchor, bound, from_end) = match page.direction {
            Direction::Forward => (after, before, ScanDirection::ListOrder),
            Direction::Backward => (before, after, ScanDirection::Reversed),
        };
        let scan_direction = anchor.as_ref().map_or(from_end, |cursor| cursor.scan_direction);
        if list.key.filter.matches_nothing() || page.size == 0 {
            // Asking for no items costs no call: there are more where that is already known.
            let total = match &anchor {
                None if !list.key.filter.matches_nothing() => self.cached_total(&list).await,
                _ => None,
            };
            let is_more_known =
                total.as_ref().is_some_and(|total| total.value.is_some_and(|total| total > 0));
            let freshness = total.map(|total| total.freshness);
            let run = ScanRun { more: is_more_known, freshness, ..ScanRun::empty() };
            return Ok(Slice::new(self, list, scan_direction, page.direction, run));
        }
        let scan = match scan_direction {
            ScanDirection::ListOrder => list.clone(),
            ScanDirection::Reversed => list.opposite(),
        };
        let reading = ScanReader {
            lists: self,
            scan: &scan,
            bound: bound.as_ref(),
            scan_direction,
            size: page.size,
            has_more_selected: page.has_more_selected,
        };
        let run = match &anchor {
            Some(cursor) if scan_direction != from_end => reading.against(cursor).await?,
            // A page that follows another is not put together with an old one: rows have moved between them.
            Some(cursor) => {
                reading.along(Some(cursor), StalePolicy::RequireFresh).await?.unwrap_or_else(ScanRun::empty)
            }
            None => match reading.along(None, StalePolicy::AllowStale).await? {
                Some(run) => run,
                None => reading.along(None, StalePolicy::RequireFresh).await?.unwrap_or_else(ScanRun::empty),
            },
        };
        Ok(Slice::new(self, list, scan_direction, page.direction, run))
    }
}

/// Reads one scan in one direction.
struct ScanReader<'r> {
    lists: &'r AccountLists,
    scan: &'r Scan,
    /// Where to stop.
    bound: Option<&'r Cursor>,
    /// The direction of the scan.
    scan_direction: ScanDirection,
    size: usize,
    has_more_selected: bool,
}

impl ScanReader<'_> {
    /// Reads on from a cursor's item, or from the scan's beginning; nothing where the first page is stale and not enough:
    /// what it lacks would be read now, and rows may have moved between the two.
    async fn along(
        &self,
        anchor: Option<&Cursor>,
        stale_policy: StalePolicy,
    ) -> Result<Option<ScanRun>, UpstreamError> {
        let start = match anchor {
            Some(cursor) => self.page_before_what_follows(cursor).await?,
            None => None,
        };
        let mut position = anchor.map(|cursor| CursorTracker::new(cursor, self.scan_direction));
        let mut bound = self.bound.map(|cursor| CursorTracker::new(cursor, self.scan_direction));
        let mut ties = anchor.map_or_else(TieRun::at_the_beginning, TieRun::behind);
        let mut seen = anchor.map_or(0, |cursor| cursor.seen);
        let is_counted = anchor.is_none_or(|cursor| cursor.seen > 0);
        let mut walk = PageWalk::from(self.lists, self.scan, start, stale_policy);
        let (mut run, mut has_unread) = (ScanRun::empty(), false);
        while let Some(step) = walk.step().await? {
            run.total_items = step.page.total_items;
            run.reads(step.freshness);
            let unread = step.page.rows_unread();
            has_unread |= unread > 0;
            seen = seen.saturating_add(u32::try_from(unread).unwrap_or(u32::MAX));
            for (index, account) in step.page.items.iter().enumerate() {
                let place =
                    position.as_mut().map(|position| position.place(self.scan, &step, index, account));
                let to_bound = bound.as_mut().map(|bound| bound.place(self.scan, &step, index, account));
                let is_behind_it = place.is_some_and(|place| place != RowPosition::After);
                run.behind |= is_behind_it;
                if !walk.is_new(account) || is_behind_it {
                    continue;
                }
                let is_at_the_bound = to_bound.is_some_and(RowPosition::is_reached);
                if is_at_the_bound || run.rows.len() == self.size {
                    run.more = true;
                    return Ok(Some(run));
                }
                seen = seen.saturating_add(1);
                run.rows.push(Row {
                    account: Arc::clone(account),
                    freshness: step.freshness,
                    page: step.cursor.clone(),
                    index,
                    seen: if is_counted { seen } else { 0 },
                    ties: ties.next(self.scan, account),
                });
            }
            if run.rows.len() == self.size && walk.goes_on() {
                // Two signs that agree are believed: a next cursor, and a total that was not met.
                let by_total = is_counted && run.total_items.is_some_and(|total| u64::from(seen) < total);
                if by_total || !self.has_more_selected {
                    run.more = true;
                    return Ok(Some(run));
                }
            }
            if stale_policy == StalePolicy::AllowStale
                && step.freshness.state != FreshnessState::Fresh
                && walk.goes_on()
            {
                return Ok(None);
            }
        }
        let passed_over = is_counted && run.total_items.is_some_and(|total| u64::from(seen) < total);
        let left_out = has_unread && run.rows.len() < self.size;
        run.is_complete = !(walk.was_cut() || passed_over || left_out);
        // Where only the cap ended it, it can be gone on with, from the last row.
        run.more = walk.was_capped() && !run.rows.is_empty();
        Ok(Some(run))
    }

    /// Reads back from a cursor's item: the rows that lead to it, nearest first.
    async fn against(&self, cursor: &Cursor) -> Result<ScanRun, UpstreamError> {
        let enough = self.size + usize::from(self.has_more_selected);
        let mut start = cursor.page.clone();
        let mut pages = ReversePages::of(self);
        loop {
            match self.rows_up_to(cursor, start.clone()).await {
                Err(error) if start.is_some() && error.failure == UpstreamFailure::Rejected => start = None,
                Err(error) => return Err(error),
                Ok(preceding) => {
                    // A walk that was cut before the item is cut there from further back, too.
                    let is_enough = match preceding.reached {
                        true => {
                            preceding.stopped || (preceding.rows.len() >= enough && !preceding.is_bound_ahead)
                        }
                        false => true,
                    };
                    if is_enough || start.is_none() {
                        return Ok(self.nearest(preceding, start.is_some()));
                    }
                    start = start.and_then(|cursor| pages.before(&cursor));
                }
            }
        }
    }

    fn nearest(&self, mut preceding: PrecedingRows, pages_precede: bool) -> ScanRun {
        if !preceding.reached {
            // The walk was cut before it came to the item: what it read does not border on it.
            return ScanRun { is_complete: false, ..ScanRun::empty() };
        }
        let more = preceding.stopped || preceding.rows.len() > self.size || pages_precede;
        let surplus = preceding.rows.len().saturating_sub(self.size);
        preceding.rows.drain(..surplus);
        ScanRun {
            rows: preceding.rows.into_iter().rev().collect(),
            more,
            behind: preceding.behind,
            total_items: preceding.total_items,
            is_complete: true,
            freshness: preceding.freshness,
        }
    }

    /// Walks from a page up to a cursor's item, keeping as many rows as can be needed.
    async fn rows_up_to(
        &self,
        cursor: &Cursor,
        start: Option<Arc<str>>,
    ) -> Result<PrecedingRows, UpstreamError> {
        let mut position = CursorTracker::new(cursor, self.scan_direction);
        let mut bound = self.bound.map(|cursor| CursorTracker::new(cursor, self.scan_direction));
        let keep = self.size + 1;
        let is_counted = start.is_none();
        let mut walk = PageWalk::from(self.lists, self.scan, start, StalePolicy::RequireFresh);
        let mut ties = if is_counted { TieRun::at_the_beginning() } else { TieRun::in_the_midst() };
        let mut preceding = PrecedingRows::default();
        let mut seen = 0_u32;
        while let Some(step) = walk.step().await? {
            preceding.total_items = step.page.total_items;
            preceding.freshness = Freshness::of(preceding.freshness.into_iter().chain([step.freshness]));
            for (index, account) in step.page.items.iter().enumerate() {
                if !walk.is_new(account) {
                    continue;
                }
                if position.place(self.scan, &step, index, account).is_reached() {
                    preceding.reached = true;
                    preceding.behind = true;
                    return Ok(preceding);
                }
                seen = seen.saturating_add(1);
                let ties = ties.next(self.scan, account);
                let to_bound = bound.as_mut().map(|bound| bound.place(self.scan, &step, index, account));
                match to_bound {
                    None | Some(RowPosition::After) => {}
                    Some(RowPosition::Unsure) if !is_counted => preceding.is_bound_ahead = true,
                    Some(RowPosition::Before | RowPosition::At | RowPosition::Unsure) => {
                        preceding.rows.clear();
                        preceding.stopped = true;
                        continue;
                    }
                }
                if preceding.rows.len() == keep {
                    preceding.rows.pop_front();
                }
                let seen = if is_counted { seen } else { 0 };
                let page = step.cursor.clone();
                let (account, freshness) = (Arc::clone(account), step.freshness);
                preceding.rows.push_back(Row { account, freshness, page, index, seen, ties });
            }
        }
        // At the scan's end without meeting it: everything leads to it.
        preceding.reached = !walk.was_cut();
        Ok(preceding)
    }

    /// The page to read on from: the cursor's own, unless all of it lies behind the item, as then what
    /// follows the item may begin on a page before it; and the first page where the upstream does not
    /// take its own cursor any more.
    async fn page_before_what_follows(&self, cursor: &Cursor) -> Result<Option<Arc<str>>, UpstreamError> {
        let mut start = cursor.page.clone();
        let mut pages = ReversePages::of(self);
        while let Some(page) = start.clone() {
            match self.lists.page(self.scan, Some(Arc::clone(&page)), StalePolicy::RequireFresh).await {
                Err(error) if error.failure == UpstreamFailure::Rejected => return Ok(None),
                Err(error) => return Err(error),
                Ok(Cached { value: read, freshness }) => {
                    let step = WalkPage { cursor: start.clone(), page: read, freshness };
                    let first = step.page.items.first();
                    let mut position = CursorTracker::new(cursor, self.scan_direction);
                    match first.map(|account| position.place(self.scan, &step, 0, account)) {
                        Some(RowPosition::Before | RowPosition::At) => return Ok(start),
                        // Nothing that the cursor knows is left there: what is behind its page follows.
                        Some(RowPosition::Unsure) => return Ok(cursor.page.clone()),
                        Some(RowPosition::After) | None => {}
                    }
                    start = pages.before(&page);
                }
            }
        }
        Ok(None)
    }
}

/// Goes back from page to page to the beginning of a scan. It ends even if the pages form a circle.
struct ReversePages<'r> {
    reading: &'r ScanReader<'r>,
    pages_seen: HashSet<Arc<str>>,
}

impl<'r> ReversePages<'r> {
    fn of(reading: &'r ScanReader<'r>) -> Self {
        Self { reading, pages_seen: HashSet::new() }
    }

    /// The page before another; the first where that is not known.
    fn before(&mut self, page: &Arc<str>) -> Option<Arc<str>> {
        let ScanReader { lists, scan, .. } = self.reading;
        let is_new = self.pages_seen.insert(Arc::clone(page));
        let goes_on = is_new && self.pages_seen.len() < lists.settings().pages_max;
        lists.previous_page(scan, page).filter(|_| goes_on)
    }
}

/// The rows that lead up to an item.
#[derive(Default)]
struct PrecedingRows {
    /// The last of them, in the scan's order.
    rows: VecDeque<Row>,
    /// The bound was met: there are none beyond `rows` that may be shown.
    stopped: bool,
    /// Nothing told whether the bound lies among `rows`: it has to be looked for further ahead.
    is_bound_ahead: bool,
    /// The walk came to the item, to its place, or to the scan's end.
    reached: bool,
    /// There is a row at the item's place or behind it.
    behind: bool,
    total_items: Option<u64>,
    freshness: Option<Freshness>,
}
