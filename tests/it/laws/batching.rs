//! Property 3: many parents in one request get the same as each alone, in few calls.

use proptest::prelude::*;
use switchboard::domain::filters::{AccountFilter, AccountOrder, AccountTypeFilter};
use switchboard::domain::page::{Direction, PageRequest};
use switchboard::loaders::lists::parent::Parent;

use super::bench::{Bench, List, ids};
use super::expected_lists::{
    self, Accounts, ReadDirection, Scenario, accounts, filters, orders, parents, scenario,
};
use super::{cases, with_paused_clock};

/// A request for each parent.
#[derive(Debug, Clone)]
struct BatchRequest {
    parents: Vec<Parent>,
    filter: AccountFilter,
    order: AccountOrder,
    wanted: PageRequest,
}

fn batch_request() -> impl Strategy<Value = BatchRequest> {
    let direction = prop_oneof![Just(Direction::Forward), Just(Direction::Backward)];
    (parents(), filters(), orders(), direction, 0..13_usize, any::<bool>()).prop_map(
        |(parents, filter, order, direction, size, has_more_selected)| BatchRequest {
            parents,
            filter,
            order,
            wanted: PageRequest { after: None, before: None, size, direction, has_more_selected },
        },
    )
}

async fn check_batch(accounts: &Accounts, scenario: Scenario, batch_request: &BatchRequest) {
    let BatchRequest { parents, filter, order, wanted } = batch_request;
    let bench = Bench::new(accounts, scenario);
    let together = bench.read_many(parents, filter, *order, wanted.clone()).await;
    let calls = bench.calls().len();
    let most = most_calls(accounts, scenario, batch_request);
    assert!(most.is_none_or(|most| calls <= most), "{calls} calls and not {most:?}");
    assert_eq!(together.len(), parents.len());
    for (parent, slice) in together {
        let list = List { parent, filter: filter.clone(), order: *order };
        let slice = slice.unwrap();
        let fresh = Bench::new(accounts, scenario);
        let alone = fresh.read(&list, wanted.clone()).await;
        assert_eq!(ids(&slice), ids(&alone), "{:?}", list.parent);
        assert_eq!(slice.is_complete, alone.is_complete);
        let (is_next_known, is_previous_known) = match wanted.direction {
            Direction::Forward => (wanted.has_more_selected, true),
            Direction::Backward => (true, wanted.has_more_selected),
        };
        assert!(!is_next_known || slice.has_next == alone.has_next, "hasNextPage of {:?}", list.parent);
        assert!(!is_previous_known || slice.has_previous == alone.has_previous, "hasPreviousPage");
        check_next_page(&bench, &list, wanted, slice.cursor(0), alone.cursor(0)).await;
    }
}

/// A cursor from a batched call equals the cursor of the parent's own list: it leads to the same next page.
async fn check_next_page(
    bench: &Bench,
    list: &List,
    wanted: &PageRequest,
    one: Option<String>,
    other: Option<String>,
) {
    let (Some(one), Some(other)) = (one, other) else { return };
    let from = |cursor| match wanted.direction {
        Direction::Forward => PageRequest { after: Some(cursor), ..wanted.clone() },
        Direction::Backward => PageRequest { before: Some(cursor), ..wanted.clone() },
    };
    let (one, other) = (bench.read(list, from(one)).await, bench.read(list, from(other)).await);
    assert_eq!(ids(&one), ids(&other), "{:?}", list.parent);
}

/// The maximum number of batches and of parents that need another call. `None` if one parent needs more than
/// a page.
fn most_calls(accounts: &Accounts, scenario: Scenario, batch_request: &BatchRequest) -> Option<usize> {
    let BatchRequest { parents, filter, order, wanted } = batch_request;
    let enough = wanted.size + usize::from(wanted.has_more_selected);
    if enough > scenario.page_rows {
        return None;
    }
    let mut parents: Vec<_> =
        parents.iter().filter(|parent| !parent.narrow(filter).matches_nothing()).collect();
    parents.sort_unstable();
    if wanted.size == 0 || parents.is_empty() {
        return Some(0);
    }
    let groups = parents.len().div_ceil(scenario.page_rows / enough);
    let group_size = parents.len().div_ceil(groups);
    let read_direction = match wanted.direction {
        Direction::Forward => ReadDirection::Own,
        Direction::Backward => ReadDirection::Opposite,
    };
    let rows = |filter: &AccountFilter| {
        let mut rows = expected_lists::list(accounts, filter, *order, scenario.ties, read_direction);
        if wanted.direction == Direction::Backward {
            rows.reverse();
        }
        rows.iter().map(|row| row.id.as_str()).collect::<Vec<_>>()
    };
    let everything =
        rows(&AccountFilter { account_type: Some(AccountTypeFilter::All), ..Default::default() });
    let calls_of = |group: &[&Parent]| {
        let own: Vec<_> = group.iter().map(|parent| rows(&parent.narrow(filter))).collect();
        // The first rows of the batch's only page, in the common order.
        let mut page = everything.clone();
        page.retain(|id| own.iter().flatten().any(|other| other == id));
        let is_whole = page.len() <= scenario.page_rows;
        page.truncate(scenario.page_rows);
        let is_short = |own: &&Vec<&str>| own.iter().filter(|id| page.contains(id)).count() < enough;
        1 + own.iter().filter(|own| !is_whole && is_short(own)).count()
    };
    let most = parents.chunks(group_size).map(calls_of).sum();
    Some(most)
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn batched_parents_equal_single_parents_on_random_data(
        accounts in accounts(), scenario in scenario(), batch_request in batch_request(),
    ) {
        with_paused_clock(check_batch(&accounts, scenario, &batch_request));
    }
}
