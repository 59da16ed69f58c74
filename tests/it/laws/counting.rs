//! Law 4: counts are exact, or not told; and they cost no more than the cheaper way to them.

use std::collections::BTreeMap;

use proptest::prelude::*;
use switchboard::domain::accounts::AccountStatus;
use switchboard::domain::filters::{AccountFilter, AccountOrder};
use switchboard::domain::open_enum::OpenValue;
use switchboard::domain::page::Direction;
use switchboard::loaders::lists::counts::{CountQuery, StatusCounts};
use switchboard::loaders::lists::parent::Parent;
use switchboard::loaders::settings::ListSettings;
use switchboard::sandbox::Account;

use super::bench::{Bench, Of, wanted};
use super::truth::{self, Accounts, Course, Manners, accounts, filters, manners, orders, parents};
use super::{cases, on_a_paused_clock};

const STATUSES: [AccountStatus; 8] = [
    AccountStatus::Initializing,
    AccountStatus::Initiated,
    AccountStatus::Active,
    AccountStatus::Failed,
    AccountStatus::Expired,
    AccountStatus::Inactive,
    AccountStatus::Revoked,
    AccountStatus::Unknown,
];

#[derive(Debug, Clone)]
struct Asked {
    parents: Vec<Parent>,
    filter: AccountFilter,
    order: AccountOrder,
    by_status: bool,
    calls_max: usize,
    /// A page that was asked for before, of all parents: some counts are known then.
    page: Option<usize>,
}

fn asked() -> impl Strategy<Value = Asked> {
    let parents = prop_oneof![1 => Just(vec![Parent::Project]), 3 => parents()];
    (parents, filters(), orders(), any::<bool>(), 0..80_usize, proptest::option::of(1..8_usize)).prop_map(
        |(parents, filter, order, by_status, calls_max, page)| Asked {
            parents,
            filter,
            order,
            by_status,
            calls_max,
            page,
        },
    )
}

fn by_status(rows: &[&Account]) -> StatusCounts {
    let mut counts: BTreeMap<_, _> = STATUSES.into_iter().map(|status| (status, 0)).collect();
    for row in rows {
        *counts.entry(OpenValue::<AccountStatus>::parse(row.status).kind()).or_default() += 1;
    }
    counts
}

async fn counts_are_exact(accounts: &Accounts, manners: Manners, asked: &Asked) {
    let Asked { parents, filter, order, .. } = asked;
    let settings = ListSettings { count_calls_max: asked.calls_max, ..ListSettings::of(manners) };
    let bench = Bench::wired(accounts, manners, settings, |network| network);
    if let Some(size) = asked.page {
        bench.ask_all(parents, filter, *order, wanted(Direction::Forward, size)).await;
        bench.calls();
    }
    let query = CountQuery { filter: filter.clone(), order: *order, by_status: asked.by_status };
    let counted = bench.lists.counts(&bench.reader, &query, parents.clone()).await;
    let calls = bench.calls().len();
    let rows =
        |parent: &Parent| truth::list(accounts, &parent.narrow(filter), *order, manners.ties, Course::Own);
    let is_affordable = costs(accounts, manners, asked, calls);
    for parent in parents {
        let counts = counted[parent].as_ref().unwrap();
        let rows = rows(parent);
        assert!(counts.total.is_none_or(|total| total == rows.len() as u64), "{counts:?} of {}", rows.len());
        assert!(!is_affordable || counts.total.is_some(), "not told, though it can be afforded");
        match &counts.by_status {
            Some(told) => assert_eq!(*told, by_status(&rows)),
            None => assert!(!is_affordable || !asked.by_status, "not told, though it can be afforded"),
        }
    }
}

/// Holds the calls to the cheaper way, and tells whether one of the ways could be afforded.
fn costs(accounts: &Accounts, manners: Manners, asked: &Asked, calls: usize) -> bool {
    let Asked { parents, filter, .. } = asked;
    let asking: Vec<_> = parents.iter().filter(|parent| !parent.narrow(filter).matches_nothing()).collect();
    let statuses = filter.statuses.as_ref().map_or(7, |statuses| statuses.iter().count());
    let one_by_one = asking.len() * if asked.by_status { 1 + statuses } else { 1 };
    let is_in_any = |row: &&Account| asking.iter().any(|parent| truth::is_in(&parent.narrow(filter), row));
    let pages = accounts.iter().filter(is_in_any).count().div_ceil(manners.page_rows).max(1);
    // To know which way is the cheaper takes the first page of the walk.
    let most = if asking.is_empty() { 0 } else { pages.min(one_by_one + 1).max(1) };
    assert!(calls <= most.max(usize::from(one_by_one == 1)), "{calls} calls and not {most}");
    one_by_one <= asked.calls_max || (pages < one_by_one && pages <= asked.calls_max)
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn counts_are_exact_or_not_told(accounts in accounts(), manners in manners(), asked in asked()) {
        on_a_paused_clock(counts_are_exact(&accounts, manners, &asked));
    }
}
