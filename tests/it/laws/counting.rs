//! Property 4: counts are exact or null, and they cost no more than the cheaper way to find them.

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

use super::bench::{Bench, FromScenario, wanted};
use super::expected_lists::{
    self, Accounts, ReadDirection, Scenario, accounts, filters, orders, parents, scenario,
};
use super::{cases, with_paused_clock};

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
struct CountRequest {
    parents: Vec<Parent>,
    filter: AccountFilter,
    order: AccountOrder,
    by_status: bool,
    calls_max: usize,
    /// A page of all parents that was read before, so that some counts are known.
    page: Option<usize>,
}

fn count_request() -> impl Strategy<Value = CountRequest> {
    let parents = prop_oneof![1 => Just(vec![Parent::Project]), 3 => parents()];
    (parents, filters(), orders(), any::<bool>(), 0..80_usize, proptest::option::of(1..8_usize)).prop_map(
        |(parents, filter, order, by_status, calls_max, page)| CountRequest {
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

async fn counts_are_exact(accounts: &Accounts, scenario: Scenario, count_request: &CountRequest) {
    let CountRequest { parents, filter, order, .. } = count_request;
    let settings = ListSettings { count_calls_max: count_request.calls_max, ..ListSettings::of(scenario) };
    let bench = Bench::with_network(accounts, scenario, settings, |network| network);
    if let Some(size) = count_request.page {
        bench.read_many(parents, filter, *order, wanted(Direction::Forward, size)).await;
        bench.calls();
    }
    let query = CountQuery { filter: filter.clone(), order: *order, by_status: count_request.by_status };
    let counted = bench.lists.counts(&bench.reader, &query, parents.clone()).await;
    let calls = bench.calls().len();
    let rows = |parent: &Parent| {
        expected_lists::list(accounts, &parent.narrow(filter), *order, scenario.ties, ReadDirection::Own)
    };
    let is_affordable = costs(accounts, scenario, count_request, calls);
    for parent in parents {
        let counts = counted[parent].as_ref().unwrap();
        let rows = rows(parent);
        assert!(counts.total.is_none_or(|total| total == rows.len() as u64), "{counts:?} of {}", rows.len());
        assert!(!is_affordable || counts.total.is_some(), "null, although it is affordable");
        match &counts.by_status {
            Some(returned) => assert_eq!(*returned, by_status(&rows)),
            None => assert!(!is_affordable || !count_request.by_status, "null, although it is affordable"),
        }
    }
}

/// Checks the calls against the cheaper way, and returns whether either way was affordable.
fn costs(accounts: &Accounts, scenario: Scenario, count_request: &CountRequest, calls: usize) -> bool {
    let CountRequest { parents, filter, .. } = count_request;
    let asking: Vec<_> = parents.iter().filter(|parent| !parent.narrow(filter).matches_nothing()).collect();
    let statuses = filter.statuses.as_ref().map_or(7, |statuses| statuses.iter().count());
    let one_by_one = asking.len() * if count_request.by_status { 1 + statuses } else { 1 };
    let is_in_any =
        |row: &&Account| asking.iter().any(|parent| expected_lists::is_in(&parent.narrow(filter), row));
    let pages = accounts.iter().filter(is_in_any).count().div_ceil(scenario.page_rows).max(1);
    // To find the cheaper way, the engine reads the first page of the scan.
    let most = if asking.is_empty() { 0 } else { pages.min(one_by_one + 1).max(1) };
    assert!(calls <= most.max(usize::from(one_by_one == 1)), "{calls} calls and not {most}");
    one_by_one <= count_request.calls_max || (pages < one_by_one && pages <= count_request.calls_max)
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn counts_are_exact_or_null(accounts in accounts(), scenario in scenario(), count_request in count_request()) {
        with_paused_clock(counts_are_exact(&accounts, scenario, &count_request));
    }
}
