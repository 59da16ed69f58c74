//! Law 3: many parents asked at once get what each would get alone, in few calls.

use proptest::prelude::*;
use switchboard::domain::filters::{AccountFilter, AccountOrder, AccountTypeFilter};
use switchboard::domain::page::{Direction, PageRequest};
use switchboard::loaders::lists::parent::Parent;

use super::bench::{Bench, List, ids};
use super::truth::{self, Accounts, Course, Manners, accounts, filters, manners, orders, parents};
use super::{cases, on_a_paused_clock};

/// What is asked of each parent.
#[derive(Debug, Clone)]
struct Asked {
    parents: Vec<Parent>,
    filter: AccountFilter,
    order: AccountOrder,
    wanted: PageRequest,
}

fn asked() -> impl Strategy<Value = Asked> {
    let direction = prop_oneof![Just(Direction::Forward), Just(Direction::Backward)];
    (parents(), filters(), orders(), direction, 0..13_usize, any::<bool>()).prop_map(
        |(parents, filter, order, direction, size, has_more_selected)| Asked {
            parents,
            filter,
            order,
            wanted: PageRequest { after: None, before: None, size, direction, has_more_selected },
        },
    )
}

async fn together_as_alone(accounts: &Accounts, manners: Manners, asked: &Asked) {
    let Asked { parents, filter, order, wanted } = asked;
    let bench = Bench::over(accounts, manners);
    let together = bench.ask_all(parents, filter, *order, wanted.clone()).await;
    let calls = bench.calls().len();
    let most = most_calls(accounts, manners, asked);
    assert!(most.is_none_or(|most| calls <= most), "{calls} calls and not {most:?}");
    assert_eq!(together.len(), parents.len());
    for (parent, slice) in together {
        let list = List { parent, filter: filter.clone(), order: *order };
        let slice = slice.unwrap();
        let fresh = Bench::over(accounts, manners);
        let alone = fresh.ask(&list, wanted.clone()).await;
        assert_eq!(ids(&slice), ids(&alone), "{:?}", list.parent);
        assert_eq!(slice.is_complete, alone.is_complete);
        let (is_next_known, is_previous_known) = match wanted.direction {
            Direction::Forward => (wanted.has_more_selected, true),
            Direction::Backward => (true, wanted.has_more_selected),
        };
        assert!(!is_next_known || slice.has_next == alone.has_next, "hasNextPage of {:?}", list.parent);
        assert!(!is_previous_known || slice.has_previous == alone.has_previous, "hasPreviousPage");
        goes_on_alike(&bench, &list, wanted, slice.cursor(0), alone.cursor(0)).await;
    }
}

/// A joined answer's cursor is the one that the parent's own list would give: it leads on to the same page.
async fn goes_on_alike(
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
    let (one, other) = (bench.ask(list, from(one)).await, bench.ask(list, from(other)).await);
    assert_eq!(ids(&one), ids(&other), "{:?}", list.parent);
}

/// The groups, and the parents that come out of them short; `None` where a parent alone takes more than a page.
fn most_calls(accounts: &Accounts, manners: Manners, asked: &Asked) -> Option<usize> {
    let Asked { parents, filter, order, wanted } = asked;
    let enough = wanted.size + usize::from(wanted.has_more_selected);
    if enough > manners.page_rows {
        return None;
    }
    let mut parents: Vec<_> =
        parents.iter().filter(|parent| !parent.narrow(filter).matches_nothing()).collect();
    parents.sort_unstable();
    if wanted.size == 0 || parents.is_empty() {
        return Some(0);
    }
    let groups = parents.len().div_ceil(manners.page_rows / enough);
    let group_size = parents.len().div_ceil(groups);
    let course = match wanted.direction {
        Direction::Forward => Course::Own,
        Direction::Backward => Course::Opposite,
    };
    let rows = |filter: &AccountFilter| {
        let mut rows = truth::list(accounts, filter, *order, manners.ties, course);
        if wanted.direction == Direction::Backward {
            rows.reverse();
        }
        rows.iter().map(|row| row.id.as_str()).collect::<Vec<_>>()
    };
    let everything =
        rows(&AccountFilter { account_type: Some(AccountTypeFilter::All), ..Default::default() });
    let calls_of = |group: &[&Parent]| {
        let own: Vec<_> = group.iter().map(|parent| rows(&parent.narrow(filter))).collect();
        // What the group's one page holds: its first rows, by the order that all of them share.
        let mut page = everything.clone();
        page.retain(|id| own.iter().flatten().any(|other| other == id));
        let is_whole = page.len() <= manners.page_rows;
        page.truncate(manners.page_rows);
        let is_short = |own: &&Vec<&str>| own.iter().filter(|id| page.contains(id)).count() < enough;
        1 + own.iter().filter(|own| !is_whole && is_short(own)).count()
    };
    let most = parents.chunks(group_size).map(calls_of).sum();
    Some(most)
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn many_parents_at_once_get_what_each_gets_alone(
        accounts in accounts(), manners in manners(), asked in asked(),
    ) {
        on_a_paused_clock(together_as_alone(&accounts, manners, &asked));
    }
}
