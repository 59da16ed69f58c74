//! Pages of one list in both directions, over an upstream that only leads forward.
//!
//! The entry point is `AccountLists::slice`. The upstream's cursors only lead forward, so a list's end is read through
//! the scan in the opposite order.
//!
//! Without a cursor, a page is read from the start of the scan that begins at the requested end. With a cursor, the
//! read stays in the scan that created the cursor. `read_after` follows the scan to the rows after the cursor's item.
//! `read_before`, in its own file, returns the rows before the item: first those on the item's own page, then those on
//! preceding pages. A client that pages from one end therefore always sees one order, even among rows with the same
//! timestamp.
//!
//! Pages may overlap. A read from the cursor's page recognizes repeated rows by their timestamps, by the cursor's ties,
//! or because it has read them. If these do not suffice and a page repeats a row, the list is read from its first page.

use std::sync::Arc;

use super::account_lists::{AccountLists, ListError};
use super::cursor::{Cursor, ScanDirection};
use super::position::{CursorTracker, RowPosition};
use super::reverse_pages::ReversePages;
use super::scan::Scan;
use super::slice::{Row, ScanRun, Slice};
use super::tie_run::TieRun;
use super::walk::{PageWalk, WalkPage};
use crate::domain::page::{Direction, PageRequest};
use crate::loaders::cache::freshness::{FreshnessState, StalePolicy};
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
pub(super) struct ScanReader<'r> {
    pub(super) lists: &'r AccountLists,
    pub(super) scan: &'r Scan,
    /// The other cursor of the arguments, at which the read stops.
    pub(super) bound: Option<&'r Cursor>,
    /// The direction of the scan.
    pub(super) scan_direction: ScanDirection,
    pub(super) size: usize,
    pub(super) has_more_selected: bool,
}

impl ScanReader<'_> {
    /// Reads the rows after a cursor's item, or from the start of the scan. Returns `None` if the first page is stale
    /// and more pages are needed. Those would be fetched now, and rows may have moved between a stale and a fresh page.
    async fn read_after(
        &self,
        anchor: Option<&Cursor>,
        stale_policy: StalePolicy,
    ) -> Result<Option<ScanRun>, UpstreamError> {
        let mut attempt = match anchor {
            Some(cursor) if cursor.pages_overlap && !cursor.is_exact() => Attempt::FromFirstPage,
            _ => Attempt::FromCursor,
        };
        let mut may_refetch = true;
        loop {
            let walk = match (attempt, anchor) {
                (Attempt::FromCursor | Attempt::BeyondPageLimit, Some(cursor)) => {
                    let start = self.page_to_continue_from(cursor).await?;
                    PageWalk::from(self.lists, self.scan, start, stale_policy)
                }
                (Attempt::Unordered, _) => PageWalk::again(self.lists, self.scan),
                _ => PageWalk::from(self.lists, self.scan, None, stale_policy),
            };
            match self.read_from(anchor, walk, stale_policy, attempt, may_refetch).await? {
                RunResult::Read(run) => return Ok(Some(run)),
                RunResult::Stale => return Ok(None),
                RunResult::Again(next) => attempt = next,
                RunResult::Changed(older) => {
                    may_refetch = false;
                    let now = self.lists.upstream_cache.clock.instant_now();
                    // If this fails, the cached page still gives a response, which is then not complete.
                    let _ = self.lists.page_since(self.scan, older, now).await;
                }
            }
        }
    }

    /// Reads the pages of a walk from a cursor's item, or from the beginning of the scan.
    async fn read_from(
        &self,
        anchor: Option<&Cursor>,
        mut walk: PageWalk<'_>,
        stale_policy: StalePolicy,
        attempt: Attempt,
        may_refetch: bool,
    ) -> Result<RunResult, UpstreamError> {
        let trusts_times = matches!(attempt, Attempt::FromCursor | Attempt::FromFirstPage);
        let track = |cursor| CursorTracker::new(cursor, self.scan_direction);
        let initial_state = || ForwardState {
            tracker: anchor.map(track),
            bound: self.bound.map(track),
            ties: anchor.map_or_else(TieRun::from_start, TieRun::after),
            seen: anchor.map_or(0, |cursor| cursor.seen),
            run: ScanRun::empty(),
            has_unread: false,
            is_item_passed: attempt != Attempt::FromFirstPage,
        };
        let is_counted = anchor.is_none_or(|cursor| cursor.seen > 0);
        let ForwardState {
            mut tracker,
            mut bound,
            mut ties,
            mut seen,
            mut run,
            mut has_unread,
            mut is_item_passed,
        } = initial_state();
        let mut is_ordered = anchor.is_none_or(|cursor| cursor.order_micros.is_some());
        let mut has_expired = false;
        let mut previous: Option<WalkPage> = None;
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
                ForwardState { tracker, bound, ties, seen, run, has_unread, is_item_passed } =
                    initial_state();
            }
            if trusts_times
                && let Some(older) = previous.as_ref().and_then(|previous| older_of_changed(previous, &step))
            {
                if may_refetch {
                    return Ok(RunResult::Changed(older));
                }
                run.is_complete = false;
            }
            previous = Some(step.clone());
            let was_ordered = is_ordered;
            is_ordered &= step.is_ordered;
            // Either the pages are of different states of the list, or the upstream does not use the requested order. A
            // walk over current pages from the first one shows which, and reads every row before the item.
            if trusts_times && anchor.is_some() && was_ordered && !is_ordered {
                return Ok(RunResult::Again(Attempt::Unordered));
            }
            if attempt == Attempt::FromCursor
                && anchor.is_some_and(|cursor| self.can_repeat_rows(cursor, &walk, &step))
            {
                return Ok(RunResult::Again(Attempt::FromFirstPage));
            }
            run.total_items = step.page.total(&self.scan.reader.view, step.cursor.is_none());
            run.add_freshness(step.freshness);
            let unread = step.page.rows_rejected();
            has_unread |= unread > 0;
            seen = seen.saturating_add(u32::try_from(unread).unwrap_or(u32::MAX));
            run.rows.reserve(step.page.items.len().min(self.size.saturating_sub(run.rows.len())));
            for (index, account) in step.page.items.iter().enumerate() {
                let position =
                    tracker.as_mut().map(|tracker| tracker.position_of(self.scan, &step, index, account));
                let bound_position =
                    bound.as_mut().map(|bound| bound.position_of(self.scan, &step, index, account));
                let is_before_anchor = position.is_some_and(|position| position != RowPosition::After);
                run.has_rows_behind |= is_before_anchor;
                if !is_item_passed {
                    is_item_passed =
                        tracker.as_ref().is_none_or(|tracker| tracker.is_past(self.scan, account))
                            || position == Some(RowPosition::At);
                    // The rows so far are older than those that the cursor remembers, or a former read missed them.
                    if matches!(position, Some(RowPosition::Before | RowPosition::At)) {
                        ForwardState { ties, seen, .. } = initial_state();
                        run.rows.clear();
                        run.has_more = false;
                    }
                }
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
                    match is_item_passed || is_at_bound {
                        true => return Ok(RunResult::Read(run)),
                        false => continue,
                    }
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
                    is_overlapping: step.is_overlapping || anchor.is_some_and(|cursor| cursor.pages_overlap),
                });
            }
            if run.rows.len() == self.size && is_item_passed && walk.may_have_more() {
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
        if attempt == Attempt::FromFirstPage && walk.was_capped() && (run.rows.is_empty() || !is_item_passed)
        {
            return Ok(RunResult::Again(Attempt::BeyondPageLimit));
        }
        let has_skipped_rows = is_counted && run.total_items.is_some_and(|total| u64::from(seen) < total);
        let has_unreadable_gap = has_unread && run.rows.len() < self.size;
        let is_lost = tracker.is_some_and(|tracker| tracker.is_lost());
        let is_cut_short = match has_expired {
            true => run.rows.len() < self.size,
            false => walk.was_cut() || has_skipped_rows,
        };
        run.is_complete &= !(is_cut_short || has_unreadable_gap || is_lost);
        // After the page limit or an expired cursor, the client can continue from the last row.
        run.has_more |= (walk.was_capped() || has_expired) && !run.rows.is_empty();
        Ok(RunResult::Read(run))
    }

    /// Whether a page of a walk from a cursor's page may repeat rows before that page, unrecognized.
    pub(super) fn can_repeat_rows(&self, cursor: &Cursor, walk: &PageWalk<'_>, step: &WalkPage) -> bool {
        let has_no_time = |account| self.scan.order_micros(account).is_none();
        step.is_overlapping
            && !walk.is_from_first_page()
            && (!cursor.is_exact() || step.page.items.iter().any(|account| has_no_time(account)))
    }

    /// Returns the page from which to read on after a cursor's item: usually the cursor's own page. If even the first
    /// row of that page comes after the item, rows were removed, and the rows that follow the item may begin on an
    /// earlier page. If the upstream rejects the page's cursor, the result is the first page.
    async fn page_to_continue_from(&self, cursor: &Cursor) -> Result<Option<Arc<str>>, UpstreamError> {
        let mut page = cursor.page.clone();
        let mut pages = ReversePages::new(self.lists, self.scan);
        // The page to use if no page has the item, a row that the cursor remembers, or a row before them.
        let mut estimate = None;
        loop {
            if page.is_none() && estimate.is_none() {
                return Ok(None);
            }
            let read = match self.lists.page(self.scan, page.clone(), StalePolicy::RequireFresh).await {
                Err(error) if error.can_be_an_expired_cursor() => return Ok(None),
                read => read?,
            };
            let step = WalkPage::new(self.scan, page.clone(), read);
            let mut tracker = CursorTracker::new(cursor, self.scan_direction);
            if let Some(first) = step.page.items.first() {
                let times = self.scan.order_micros(first).zip(cursor.order_micros);
                let is_certain = times.is_some_and(|(row, item)| row != item || cursor.ties.is_whole);
                match tracker.position_of(self.scan, &step, 0, first) {
                    RowPosition::Before | RowPosition::At => return Ok(page),
                    RowPosition::After if is_certain => {}
                    RowPosition::After | RowPosition::Unsure => {
                        _ = estimate.get_or_insert_with(|| page.clone())
                    }
                }
            }
            let Some(current) = page else { return Ok(estimate.flatten()) };
            page = pages.before(&current);
        }
    }
}

/// Returns the cursor of the older page if the totals of two consecutive pages differ.
fn older_of_changed(page: &WalkPage, next: &WalkPage) -> Option<Option<Arc<str>>> {
    let is_changed = !next.is_restart
        && page.page.total_items.zip(next.page.total_items).is_some_and(|(total, other)| total != other);
    let older = if next.freshness.fetched_at < page.freshness.fetched_at { next } else { page };
    is_changed.then(|| older.cursor.clone())
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
    /// Whether the item, or a row that is certainly after it, was read. A walk from the first page returns only what
    /// follows the last row that the cursor knows, so it goes on until then.
    is_item_passed: bool,
}

/// The outcome of reading the pages of a walk.
enum RunResult {
    Read(ScanRun),
    /// The first page is stale, and another one is needed.
    Stale,
    /// The list changed between two pages, and a row may have moved from one to the other. The page with this cursor is
    /// older.
    Changed(Option<Arc<str>>),
    /// The walk did not show which rows follow the cursor's item.
    Again(Attempt),
}

/// The way to read the rows next to a cursor's item. Each can be followed by a later one only, so a read ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attempt {
    /// From the cursor's page.
    FromCursor,
    /// From the first page, because pages overlap and the cursor does not tell which of their rows precede its item.
    FromFirstPage,
    /// From the first page over current pages, because a page is not in the order of the cursor.
    Unordered,
    /// From the cursor's page, because a walk from the first page ends before the item. Rows may be repeated.
    BeyondPageLimit,
}
