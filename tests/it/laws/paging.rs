//! Property 1: any sequence of pages of an unchanged list matches the list.
//!
//! Paging forward gives the list and paging backward its reverse. Any mix of `first` and `last` with `after`
//! and `before`, from any cursor, follows the Cursor Connections Specification (4.4, ApplyCursorsToEdges and
//! EdgesToReturn), in the connection's order, with correct `pageInfo`.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use switchboard::domain::page::{Direction, PageRequest};
use switchboard::loaders::lists::parent::Parent;
use switchboard::loaders::lists::slice::Slice;
use switchboard::sandbox::{Account, Ties};

use super::bench::{Bench, List, ids, wanted};
use super::expected_lists::{self, ReadDirection, Scenario, accounts, filters, orders, parents, scenario};
use super::{cases, with_paused_clock};

/// One page, with `after` and `before` chosen from the cursors read so far.
#[derive(Debug, Clone)]
struct Step {
    direction: Direction,
    size: usize,
    after: Option<Index>,
    before: Option<Index>,
    has_more_selected: bool,
    is_late: bool,
}

/// A cursor that was read.
#[derive(Debug, Clone)]
struct KnownCursor {
    cursor: String,
    id: String,
    read_direction: ReadDirection,
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
    /// The true content of the list.
    pub(super) fn rows<'a>(
        &self,
        accounts: &'a [Account],
        ties: Ties,
        read_direction: ReadDirection,
    ) -> Vec<&'a Account> {
        expected_lists::list(accounts, &self.parent.narrow(&self.filter), self.order, ties, read_direction)
    }

    pub(super) fn ids(&self, accounts: &[Account], ties: Ties, read_direction: ReadDirection) -> Vec<String> {
        self.rows(accounts, ties, read_direction).iter().map(|row| row.id.clone()).collect()
    }
}

/// Reads every page from one end to the other and returns the items in that order.
pub(super) async fn read_all(bench: &Bench, list: &List, direction: Direction, size: usize) -> Vec<String> {
    let mut shown = Vec::new();
    let mut wanted = wanted(direction, size);
    loop {
        let slice = bench.read(list, wanted.clone()).await;
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
        assert!(shown.len() <= 1_000, "paging does not end");
        if !is_more {
            return shown;
        }
    }
}

async fn check_full_reads(accounts: &[Account], scenario: Scenario, list: &List, size: usize) {
    let bench = Bench::new(accounts, scenario);
    let forward = read_all(&bench, list, Direction::Forward, size).await;
    assert_eq!(forward, list.ids(accounts, scenario.ties, ReadDirection::Own));
    let backward = read_all(&bench, list, Direction::Backward, size).await;
    let mut reversed = list.ids(accounts, scenario.ties, ReadDirection::Opposite);
    reversed.reverse();
    assert_eq!(backward, reversed);
}

async fn check_random_steps(accounts: &[Account], scenario: Scenario, list: &List, steps: &[Step]) {
    let bench = Bench::new(accounts, scenario);
    let mut seen: Vec<KnownCursor> = Vec::new();
    for step in steps {
        if step.is_late {
            bench.expire_pages().await;
        }
        let pick =
            |place: Option<Index>| place.filter(|_| !seen.is_empty()).map(|place| place.get(&seen).clone());
        let (after, before) = (pick(step.after), pick(step.before));
        let (anchor, bound, end) = match step.direction {
            Direction::Forward => (&after, &before, ReadDirection::Own),
            Direction::Backward => (&before, &after, ReadDirection::Opposite),
        };
        let read_direction = anchor.as_ref().map_or(end, |anchor| anchor.read_direction);
        let wanted = PageRequest {
            after: after.as_ref().map(|seen| seen.cursor.clone()),
            before: before.as_ref().map(|seen| seen.cursor.clone()),
            size: step.size,
            direction: step.direction,
            has_more_selected: step.has_more_selected,
        };
        let slice = bench.read(list, wanted).await;
        let rows = list.ids(accounts, scenario.ties, read_direction);
        let is_one_order = scenario.ties == Ties::Mirrored
            || bound.as_ref().is_none_or(|bound| bound.read_direction == read_direction);
        if is_one_order {
            assert_matches(&slice, &rows, step, after.as_ref(), before.as_ref());
        }
        for (place, id) in ids(&slice).into_iter().enumerate() {
            seen.push(KnownCursor { cursor: slice.cursor(place).unwrap(), id, read_direction });
        }
    }
}

/// Whether a slice is what the specification selects from the list.
fn assert_matches(
    slice: &Slice,
    rows: &[String],
    step: &Step,
    after: Option<&KnownCursor>,
    before: Option<&KnownCursor>,
) {
    let place = |seen: &KnownCursor| rows.iter().position(|id| *id == seen.id).unwrap();
    let start = after.map_or(0, |after| place(after) + 1);
    let end = before.map_or(rows.len(), place);
    let is_crossed = end < start;
    let end = end.max(start);
    let range = match step.direction {
        Direction::Forward => start..end.min(start + step.size),
        Direction::Backward => start.max(end.saturating_sub(step.size))..end,
    };
    // Crossed cursors among accounts with equal times have no defined meaning.
    if is_crossed && !ids(slice).is_empty() {
        return;
    }
    assert_eq!(ids(slice), rows[range.clone()], "{range:?} of {rows:?}");
    assert!(slice.is_complete);
    if let Some(total) = slice.total_items {
        assert_eq!(total, rows.len() as u64);
    }
    // A page of zero items makes no call, so nothing is known. Crossed cursors have no meaning.
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
    fn paging_forward_is_the_list_and_backward_its_reverse(
        accounts in accounts(), scenario in scenario(), list in lists(), size in 1..40_usize,
    ) {
        with_paused_clock(check_full_reads(&accounts, scenario, &list, size));
    }

    #[test]
    fn pages_from_any_cursor_match_the_list(
        accounts in accounts(), scenario in scenario(), list in lists(), steps in steps(),
    ) {
        with_paused_clock(check_random_steps(&accounts, scenario, &list, &steps));
    }
}
