//! Law 1: any steps over a list that stands still show what the list holds.
//!
//! Forward to the end is the list, backward is its reverse, and any mixture of `first` and `last` with `after` and
//! `before` from any cursor shows what the Cursor Connections Specification says (4.4, ApplyCursorsToEdges and
//! EdgesToReturn), in the connection's order, with honest `pageInfo`.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use switchboard::domain::page::{Direction, PageRequest};
use switchboard::loaders::lists::parent::Parent;
use switchboard::loaders::lists::slice::Slice;
use switchboard::sandbox::{Account, Ties};

use super::bench::{Bench, List, ids, wanted};
use super::truth::{self, Course, Manners, accounts, filters, manners, orders, parents};
use super::{cases, on_a_paused_clock};

/// One page, asked for from places among the cursors seen so far.
#[derive(Debug, Clone)]
struct Step {
    direction: Direction,
    size: usize,
    after: Option<Index>,
    before: Option<Index>,
    has_more_selected: bool,
    is_late: bool,
}

/// A cursor that was seen.
#[derive(Debug, Clone)]
struct Seen {
    cursor: String,
    id: String,
    course: Course,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let direction = prop_oneof![Just(Direction::Forward), Just(Direction::Backward)];
    let place = || proptest::option::weighted(0.6, any::<Index>());
    let step = (direction, 0..14_usize, place(), place(), any::<bool>(), proptest::bool::weighted(0.2));
    vec(
        step.prop_map(|(direction, size, after, before, has_more_selected, is_late)| Step {
            direction,
            size,
            after,
            before,
            has_more_selected,
            is_late,
        }),
        1..14,
    )
}

pub(super) fn lists() -> impl Strategy<Value = List> {
    let parent = prop_oneof![
        2 => Just(Parent::Project),
        1 => (parents(), any::<Index>()).prop_map(|(parents, index)| index.get(&parents).clone()),
    ];
    (parent, filters(), orders()).prop_map(|(parent, filter, order)| List { parent, filter, order })
}

impl List {
    /// What the list truly holds.
    pub(super) fn rows<'a>(&self, accounts: &'a [Account], ties: Ties, course: Course) -> Vec<&'a Account> {
        truth::list(accounts, &self.parent.narrow(&self.filter), self.order, ties, course)
    }

    pub(super) fn ids(&self, accounts: &[Account], ties: Ties, course: Course) -> Vec<String> {
        self.rows(accounts, ties, course).iter().map(|row| row.id.clone()).collect()
    }
}

/// Every page of a walk from one end to the other; the items in the order in which they were shown.
pub(super) async fn walk(bench: &Bench, list: &List, direction: Direction, size: usize) -> Vec<String> {
    let mut shown = Vec::new();
    let mut wanted = wanted(direction, size);
    loop {
        let slice = bench.ask(list, wanted.clone()).await;
        assert!(slice.is_complete);
        let mut page = ids(&slice);
        assert!(page.len() <= size);
        let last = page.len().checked_sub(1);
        let is_more = match direction {
            Direction::Forward => {
                wanted.after = last.and_then(|last| slice.cursor(last));
                slice.has_next
            }
            Direction::Backward => {
                page.reverse();
                wanted.before = slice.cursor(0);
                slice.has_previous
            }
        };
        shown.extend(page);
        assert!(shown.len() <= 1_000, "a walk without end");
        if !is_more {
            return shown;
        }
    }
}

async fn walks(accounts: &[Account], manners: Manners, list: &List, size: usize) {
    let bench = Bench::over(accounts, manners);
    let forward = walk(&bench, list, Direction::Forward, size).await;
    assert_eq!(forward, list.ids(accounts, manners.ties, Course::Own));
    let backward = walk(&bench, list, Direction::Backward, size).await;
    let mut reversed = list.ids(accounts, manners.ties, Course::Opposite);
    reversed.reverse();
    assert_eq!(backward, reversed);
}

async fn wanders(accounts: &[Account], manners: Manners, list: &List, steps: &[Step]) {
    let bench = Bench::over(accounts, manners);
    let mut seen: Vec<Seen> = Vec::new();
    for step in steps {
        if step.is_late {
            bench.forget().await;
        }
        let pick =
            |place: Option<Index>| place.filter(|_| !seen.is_empty()).map(|place| place.get(&seen).clone());
        let (after, before) = (pick(step.after), pick(step.before));
        let (anchor, bound, end) = match step.direction {
            Direction::Forward => (&after, &before, Course::Own),
            Direction::Backward => (&before, &after, Course::Opposite),
        };
        let course = anchor.as_ref().map_or(end, |anchor| anchor.course);
        let wanted = PageRequest {
            after: after.as_ref().map(|seen| seen.cursor.clone()),
            before: before.as_ref().map(|seen| seen.cursor.clone()),
            size: step.size,
            direction: step.direction,
            has_more_selected: step.has_more_selected,
        };
        let slice = bench.ask(list, wanted).await;
        let rows = list.ids(accounts, manners.ties, course);
        let is_one_order =
            manners.ties == Ties::Mirrored || bound.as_ref().is_none_or(|bound| bound.course == course);
        if is_one_order {
            agrees(&slice, &rows, step, after.as_ref(), before.as_ref());
        }
        for (place, id) in ids(&slice).into_iter().enumerate() {
            seen.push(Seen { cursor: slice.cursor(place).unwrap(), id, course });
        }
    }
}

/// Whether a slice is what the specification cuts out of the list.
fn agrees(slice: &Slice, rows: &[String], step: &Step, after: Option<&Seen>, before: Option<&Seen>) {
    let place = |seen: &Seen| rows.iter().position(|id| *id == seen.id).unwrap();
    let start = after.map_or(0, |after| place(after) + 1);
    let end = before.map_or(rows.len(), place);
    let is_crossed = end < start;
    let end = end.max(start);
    let range = match step.direction {
        Direction::Forward => start..end.min(start + step.size),
        Direction::Backward => start.max(end.saturating_sub(step.size))..end,
    };
    // Cursors that crossed among accounts of one moment mean nothing.
    if is_crossed && !ids(slice).is_empty() {
        return;
    }
    assert_eq!(ids(slice), rows[range.clone()], "{range:?} of {rows:?}");
    assert!(slice.is_complete);
    if let Some(total) = slice.total_items {
        assert_eq!(total, rows.len() as u64);
    }
    // Nobody is asked for nothing, and so nothing is known; and cursors that crossed mean nothing.
    if step.size == 0 || is_crossed {
        return;
    }
    let (has_next, has_previous) = (range.end < rows.len(), range.start > 0);
    let is_next_known = step.has_more_selected || step.direction == Direction::Backward;
    let is_previous_known = step.has_more_selected || step.direction == Direction::Forward;
    assert!(!is_next_known || slice.has_next == has_next, "hasNextPage of {range:?} of {}", rows.len());
    assert!(!is_previous_known || slice.has_previous == has_previous, "hasPreviousPage of {range:?}");
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn forward_is_the_list_and_backward_its_reverse(
        accounts in accounts(), manners in manners(), list in lists(), size in 1..40_usize,
    ) {
        on_a_paused_clock(walks(&accounts, manners, &list, size));
    }

    #[test]
    fn any_steps_from_any_cursor_agree_with_the_list(
        accounts in accounts(), manners in manners(), list in lists(), steps in steps(),
    ) {
        on_a_paused_clock(wanders(&accounts, manners, &list, &steps));
    }
}
