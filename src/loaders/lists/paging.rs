//! Pages of one list, in both directions, over an upstream that only leads forward.
//!
//! A list can be read as its order says or from its other end, which is the scan with the opposite
//! order. A page that starts at an end is read *along* one of the two. A page that starts at a cursor
//! stays in the scan that the cursor was made in: *along* it where the page lies that way, else
//! *against* it, inside the cursor's own page first, then through the pages that lead to it. So
//! whatever steps a client takes from one end, it moves in one order, also among rows of one moment.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use super::account_lists::{ListError, Lists};
use super::cursor::{Course, Cursor};
use super::position::{Place, Position};
use super::scan::Scan;
use super::slice::{Row, Run, Slice};
use super::tie_run::TieRun;
use super::walk::{Step, Walk};
use crate::domain::page::{Direction, PageRequest};
use crate::loaders::cache::freshness::{Accept, Freshness, FreshnessState, Kept};
use crate::upstream::error::{UpstreamError, UpstreamFailure};

impl Lists {
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
        let (anchor, bound, from_the_end) = match page.direction {
            Direction::Forward => (after, before, Course::Own),
            Direction::Backward => (before, after, Course::Opposite),
        };
        let course = anchor.as_ref().map_or(from_the_end, |cursor| cursor.course);
        if list.key.filter.matches_nothing() || page.size == 0 {
            // Asking for no items costs no call: there are more where that is already known.
            let total = match &anchor {
                None if !list.key.filter.matches_nothing() => self.total_kept(&list).await,
                _ => None,
            };
            let is_more_known =
                total.as_ref().is_some_and(|total| total.value.is_some_and(|total| total > 0));
            let freshness = total.map(|total| total.freshness);
            let run = Run { more: is_more_known, freshness, ..Run::empty() };
            return Ok(Slice::new(self, list, course, page.direction, run));
        }
        let scan = match course {
            Course::Own => list.clone(),
            Course::Opposite => list.opposite(),
        };
        let reading = Reading {
            lists: self,
            scan: &scan,
            bound: bound.as_ref(),
            course,
            size: page.size,
            has_more_selected: page.has_more_selected,
        };
        let run = match &anchor {
            Some(cursor) if course != from_the_end => reading.against(cursor).await?,
            // A page that follows another is not put together with an old one: rows have moved between them.
            Some(cursor) => reading.along(Some(cursor), Accept::Fresh).await?.unwrap_or_else(Run::empty),
            None => match reading.along(None, Accept::Stale).await? {
                Some(run) => run,
                None => reading.along(None, Accept::Fresh).await?.unwrap_or_else(Run::empty),
            },
        };
        Ok(Slice::new(self, list, course, page.direction, run))
    }
}

/// One way of reading one scan.
struct Reading<'r> {
    lists: &'r Lists,
    scan: &'r Scan,
    /// Where to stop.
    bound: Option<&'r Cursor>,
    /// Which way the scan runs.
    course: Course,
    size: usize,
    has_more_selected: bool,
}

impl Reading<'_> {
    /// Reads on from a cursor's item, or from the scan's beginning; nothing where the first page is stale and not enough:
    /// what it lacks would be read now, and rows may have moved between the two.
    async fn along(&self, anchor: Option<&Cursor>, accept: Accept) -> Result<Option<Run>, UpstreamError> {
        let start = match anchor {
            Some(cursor) => self.page_before_what_follows(cursor).await?,
            None => None,
        };
        let mut position = anchor.map(|cursor| Position::new(cursor, self.course));
        let mut bound = self.bound.map(|cursor| Position::new(cursor, self.course));
        let mut ties = anchor.map_or_else(TieRun::at_the_beginning, TieRun::behind);
        let mut seen = anchor.map_or(0, |cursor| cursor.seen);
        let is_counted = anchor.is_none_or(|cursor| cursor.seen > 0);
        let mut walk = Walk::from(self.lists, self.scan, start, accept);
        let (mut run, mut has_unread) = (Run::empty(), false);
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
                let is_behind_it = place.is_some_and(|place| place != Place::After);
                run.behind |= is_behind_it;
                if !walk.is_new(account) || is_behind_it {
                    continue;
                }
                let is_at_the_bound = to_bound.is_some_and(Place::is_reached);
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
            if accept == Accept::Stale && step.freshness.state != FreshnessState::Fresh && walk.goes_on() {
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
    async fn against(&self, cursor: &Cursor) -> Result<Run, UpstreamError> {
        let enough = self.size + usize::from(self.has_more_selected);
        let mut start = cursor.page.clone();
        let mut way = WayBack::of(self);
        loop {
            match self.rows_up_to(cursor, start.clone()).await {
                Err(error) if start.is_some() && error.failure == UpstreamFailure::Rejected => start = None,
                Err(error) => return Err(error),
                Ok(led) => {
                    // A walk that was cut before the item is cut there from further back, too.
                    let is_enough = match led.reached {
                        true => led.stopped || (led.rows.len() >= enough && !led.is_bound_ahead),
                        false => true,
                    };
                    if is_enough || start.is_none() {
                        return Ok(self.nearest(led, start.is_some()));
                    }
                    start = start.and_then(|cursor| way.before(&cursor));
                }
            }
        }
    }

    fn nearest(&self, mut led: Led, pages_precede: bool) -> Run {
        if !led.reached {
            // The walk was cut before it came to the item: what it read does not border on it.
            return Run { is_complete: false, ..Run::empty() };
        }
        let more = led.stopped || led.rows.len() > self.size || pages_precede;
        let surplus = led.rows.len().saturating_sub(self.size);
        led.rows.drain(..surplus);
        Run {
            rows: led.rows.into_iter().rev().collect(),
            more,
            behind: led.behind,
            total_items: led.total_items,
            is_complete: true,
            freshness: led.freshness,
        }
    }

    /// Walks from a page up to a cursor's item, keeping as many rows as can be needed.
    async fn rows_up_to(&self, cursor: &Cursor, start: Option<Arc<str>>) -> Result<Led, UpstreamError> {
        let mut position = Position::new(cursor, self.course);
        let mut bound = self.bound.map(|cursor| Position::new(cursor, self.course));
        let keep = self.size + 1;
        let is_counted = start.is_none();
        let mut walk = Walk::from(self.lists, self.scan, start, Accept::Fresh);
        let mut ties = if is_counted { TieRun::at_the_beginning() } else { TieRun::in_the_midst() };
        let mut led = Led::default();
        let mut seen = 0_u32;
        while let Some(step) = walk.step().await? {
            led.total_items = step.page.total_items;
            led.freshness = Freshness::of(led.freshness.into_iter().chain([step.freshness]));
            for (index, account) in step.page.items.iter().enumerate() {
                if !walk.is_new(account) {
                    continue;
                }
                if position.place(self.scan, &step, index, account).is_reached() {
                    led.reached = true;
                    led.behind = true;
                    return Ok(led);
                }
                seen = seen.saturating_add(1);
                let ties = ties.next(self.scan, account);
                let to_bound = bound.as_mut().map(|bound| bound.place(self.scan, &step, index, account));
                match to_bound {
                    None | Some(Place::After) => {}
                    Some(Place::Unsure) if !is_counted => led.is_bound_ahead = true,
                    Some(Place::Before | Place::At | Place::Unsure) => {
                        led.rows.clear();
                        led.stopped = true;
                        continue;
                    }
                }
                if led.rows.len() == keep {
                    led.rows.pop_front();
                }
                let seen = if is_counted { seen } else { 0 };
                let page = step.cursor.clone();
                let (account, freshness) = (Arc::clone(account), step.freshness);
                led.rows.push_back(Row { account, freshness, page, index, seen, ties });
            }
        }
        // At the scan's end without meeting it: everything leads to it.
        led.reached = !walk.was_cut();
        Ok(led)
    }

    /// The page to read on from: the cursor's own, unless all of it lies behind the item, as then what
    /// follows the item may begin on a page before it; and the first page where the upstream does not
    /// take its own cursor any more.
    async fn page_before_what_follows(&self, cursor: &Cursor) -> Result<Option<Arc<str>>, UpstreamError> {
        let mut start = cursor.page.clone();
        let mut way = WayBack::of(self);
        while let Some(page) = start.clone() {
            match self.lists.page(self.scan, Some(Arc::clone(&page)), Accept::Fresh).await {
                Err(error) if error.failure == UpstreamFailure::Rejected => return Ok(None),
                Err(error) => return Err(error),
                Ok(Kept { value: read, freshness }) => {
                    let step = Step { cursor: start.clone(), page: read, freshness };
                    let first = step.page.items.first();
                    let mut position = Position::new(cursor, self.course);
                    match first.map(|account| position.place(self.scan, &step, 0, account)) {
                        Some(Place::Before | Place::At) => return Ok(start),
                        // Nothing that the cursor knows is left there: what is behind its page follows.
                        Some(Place::Unsure) => return Ok(cursor.page.clone()),
                        Some(Place::After) | None => {}
                    }
                    start = way.before(&page);
                }
            }
        }
        Ok(None)
    }
}

/// From page to page back to a scan's beginning. Upstreams have led in circles: it ends.
struct WayBack<'r> {
    reading: &'r Reading<'r>,
    pages_seen: HashSet<Arc<str>>,
}

impl<'r> WayBack<'r> {
    fn of(reading: &'r Reading<'r>) -> Self {
        Self { reading, pages_seen: HashSet::new() }
    }

    /// The page before another; the first where that is not known.
    fn before(&mut self, page: &Arc<str>) -> Option<Arc<str>> {
        let Reading { lists, scan, .. } = self.reading;
        let is_new = self.pages_seen.insert(Arc::clone(page));
        let goes_on = is_new && self.pages_seen.len() < lists.settings().pages_max;
        lists.way_back(scan, page).filter(|_| goes_on)
    }
}

/// The rows that lead up to an item.
#[derive(Default)]
struct Led {
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
