//! Properties 2 and 5: accounts are added, deleted and updated between two pages.
//!
//! If upstream cursors are positions in the order, no account that stays throughout is skipped or repeated.
//! If they are page numbers, none is repeated, and one is skipped only if no page of the list, as last returned by the
//! upstream, has it: it moved between two responses. The totals then reveal the gap, or nothing could.
//!
//! There is one limit. If more accounts share a time than a cursor remembers, and all remembered accounts are
//! deleted between two pages, the position among those accounts is unknown.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::StatusCode;
use jiff::Timestamp;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::json;
use switchboard::domain::filters::{AccountFilter, AccountOrder, AccountOrderField, OrderDirection};
use switchboard::domain::page::Direction;
use switchboard::loaders::lists::parent::Parent;
use switchboard::loaders::settings::ListSettings;
use switchboard::sandbox::{Account, CursorKind, Tenant, Ties};

use super::bench::{Bench, FromScenario, List};
use super::expected_lists::{self, Scenario, Traits, accounts, is_in, scenario, time, traits};
use super::network_recorder::{LastPages, intercept};
use super::paging::lists;
use super::paging_client::Walker;
use super::{cases, with_paused_clock};

/// A change between two pages.
#[derive(Debug, Clone)]
enum Change {
    /// Adds an account with any time.
    Insert(Traits),
    /// Adds an account newer than all others.
    InsertNewest(Traits),
    /// Deletes any account.
    Delete(Index),
    /// Deletes the cursor's own item.
    DeleteLastShown,
    /// Deletes the cursor's item and every other account with its time.
    DeleteMoment,
    /// Deletes everything that was shown last, which empties most of the cursor's page.
    DeleteShown(u8),
    /// Updates an account, at any time.
    Update(Index, i64),
    /// Updates an account now.
    Touch(Index),
    /// Updates the cursor's own item now.
    TouchLastShown,
}

/// Changes, and whether the cached pages have expired by then.
type ChangesBetweenPages = (Vec<Change>, bool);

fn inserts_and_deletes() -> impl Strategy<Value = Vec<ChangesBetweenPages>> {
    let change = prop_oneof![
        4 => traits().prop_map(Change::Insert),
        3 => traits().prop_map(Change::InsertNewest),
        6 => any::<Index>().prop_map(Change::Delete),
        2 => Just(Change::DeleteLastShown),
        1 => Just(Change::DeleteMoment),
        1 => (1..4_u8).prop_map(Change::DeleteShown),
    ];
    vec((vec(change, 0..6), any::<bool>()), 0..12)
}

fn updates() -> impl Strategy<Value = Vec<ChangesBetweenPages>> {
    let change = prop_oneof![
        4 => (any::<Index>(), 0..10_000_i64).prop_map(|(index, at)| Change::Update(index, at)),
        4 => any::<Index>().prop_map(Change::Touch),
        2 => Just(Change::TouchLastShown),
        1 => any::<Index>().prop_map(Change::Delete),
        1 => traits().prop_map(Change::Insert),
    ];
    vec((vec(change, 0..6), any::<bool>()), 0..12)
}

fn directions() -> impl Strategy<Value = Direction> {
    prop_oneof![Just(Direction::Forward), Just(Direction::Backward)]
}

/// The clients that change the list while it is read.
struct Mutator {
    moments: i64,
    inserted: usize,
    touched: HashSet<String>,
    /// The times of all accounts so far, also of deleted ones.
    times: HashMap<String, Timestamp>,
    /// The times of which the cursor's remembered accounts are all deleted.
    worn: HashSet<Timestamp>,
}

/// The number of accounts with its time that a cursor remembers.
const REMEMBERED: usize = 32;

impl Mutator {
    fn change(&mut self, bench: &Bench, order: AccountOrder, walker: &Walker, change: &Change) {
        bench.sandbox.change_accounts(Tenant::A, |rows| self.apply(rows, order, walker, change));
    }

    fn apply(&mut self, rows: &mut Vec<Account>, order: AccountOrder, walker: &Walker, change: &Change) {
        let before: HashSet<String> = rows.iter().map(|row| row.id.clone()).collect();
        let last = walker.last_item().map(str::to_owned);
        match change {
            Change::Insert(traits) | Change::InsertNewest(traits) => {
                let id = format!("ca_new_{}", self.inserted);
                self.inserted += 1;
                let mut row = expected_lists::account(&id, *traits, 0, self.moments);
                if matches!(change, Change::InsertNewest(_)) {
                    row.created_at = expected_lists::moment(20_000 + i64::try_from(self.inserted).unwrap());
                    row.updated_at = row.created_at;
                }
                rows.push(row);
            }
            Change::Delete(index) if !rows.is_empty() => {
                rows.remove(index.index(rows.len()));
            }
            Change::DeleteLastShown => rows.retain(|row| Some(&row.id) != last.as_ref()),
            Change::DeleteMoment => {
                let moment = rows.iter().find(|row| Some(&row.id) == last.as_ref());
                let moment = moment.map(|row| time(order, row));
                rows.retain(|row| Some(time(order, row)) != moment);
            }
            Change::DeleteShown(pages) => {
                let pages: Vec<_> = walker.pages.iter().rev().take(usize::from(*pages)).flatten().collect();
                rows.retain(|row| !pages.contains(&&row.id));
            }
            Change::Update(index, at) => {
                self.touch(rows, &[*index], expected_lists::moment(at % self.moments))
            }
            Change::Touch(index) => self.touch(rows, &[*index], expected_lists::moment(30_000)),
            Change::TouchLastShown => {
                if let Some(row) = rows.iter_mut().find(|row| Some(&row.id) == last.as_ref()) {
                    row.updated_at = expected_lists::moment(30_000);
                    self.touched.insert(row.id.clone());
                }
            }
            Change::Delete(_) => {}
        }
        let after: HashSet<String> = rows.iter().map(|row| row.id.clone()).collect();
        self.touched.extend(before.symmetric_difference(&after).cloned());
    }

    fn track_lost_positions(
        &mut self,
        before: &[Account],
        after: &[Account],
        order: AccountOrder,
        walker: &Walker,
    ) {
        let shown = walker.items();
        self.times.extend(before.iter().map(|row| (row.id.clone(), time(order, row))));
        let Some(moment) = walker.last_item().and_then(|id| self.times.get(id)).copied() else { return };
        let is_of_it = |row: &&Account| time(order, row) == moment;
        let passed = shown.iter().filter(|id| self.times.get(**id) == Some(&moment)).count();
        let mut remembered = shown.iter().rev().take(REMEMBERED + 1);
        let is_left = |id: &str| after.iter().filter(is_of_it).any(|row| row.id == id);
        if passed > REMEMBERED && !remembered.any(|id| is_left(id)) {
            self.worn.insert(moment);
        }
    }

    fn touch(&mut self, rows: &mut [Account], places: &[Index], at: Timestamp) {
        for place in places.iter().filter(|_| !rows.is_empty()).collect::<Vec<_>>() {
            let row = &mut rows[place.index(rows.len())];
            row.updated_at = at;
            self.touched.insert(row.id.clone());
        }
    }
}

async fn check(
    accounts: &[Account],
    scenario: Scenario,
    list: &List,
    (direction, size): (Direction, usize),
    meanwhile: &[ChangesBetweenPages],
) {
    let heard = LastPages::default();
    let bench =
        Bench::with_network(accounts, scenario, ListSettings::of(scenario), |network| heard.on(network));
    let mut walker = Walker::new(direction, size);
    let mut others = Mutator {
        moments: 200,
        inserted: 0,
        touched: HashSet::new(),
        times: HashMap::new(),
        worn: HashSet::new(),
    };
    let filter = list.parent.narrow(&list.filter);
    let mut moved = HashSet::new();
    let mut meanwhile = meanwhile.iter();
    while !walker.is_over {
        let slice = walker.step(&bench, list).await;
        let shown = walker.items().len() as u64;
        if walker.is_over && slice.total_items.is_some_and(|total| total > shown) {
            assert!(!slice.is_complete, "the totals show that accounts were skipped");
        }
        if scenario.cursor == CursorKind::Page {
            let accounts = bench.accounts();
            let passed = passed(&accounts, list, direction, &walker);
            moved.extend(passed.filter(|row| !heard.holds(&row.id)).map(|row| row.id.clone()));
        }
        if let Some((changes, is_late)) = meanwhile.next() {
            let before = bench.accounts();
            for change in changes {
                others.change(&bench, list.order, &walker, change);
            }
            others.track_lost_positions(&before, &bench.accounts(), list.order, &walker);
            if *is_late {
                bench.expire_pages().await;
            }
        }
    }
    let stood =
        |row: &&Account| !others.touched.contains(&row.id) && !others.worn.contains(&time(list.order, row));
    let stood: Vec<_> = accounts.iter().filter(|row| is_in(&filter, row)).filter(stood).collect();
    let are_told_once = list.order.field == AccountOrderField::CreatedAt && others.worn.is_empty();
    let came = walker.items().into_iter().filter(|id| are_told_once && id.starts_with("ca_new"));
    let shown = |id: &&str| walker.occurrences(id) > 0;
    for id in stood.iter().map(|row| row.id.as_str()).filter(shown).chain(came) {
        assert_eq!(walker.occurrences(id), 1, "{id} was shown twice: {:?}", walker.pages);
    }
    for row in stood.into_iter().filter(|row| walker.occurrences(&row.id) == 0) {
        assert!(moved.contains(&row.id), "{} was skipped: {:?}", row.id, walker.pages);
    }
}

/// The accounts that later pages need not show: all up to the time of the last account shown.
fn passed<'a>(
    accounts: &'a [Account],
    list: &List,
    direction: Direction,
    walker: &Walker,
) -> impl Iterator<Item = &'a Account> {
    let last = accounts.iter().find(|row| Some(&*row.id) == walker.last_item());
    let last = last.map(|row| time(list.order, row));
    let is_over = walker.is_over;
    let order = list.order;
    let is_ascending = (order.direction == OrderDirection::Asc) == (direction == Direction::Forward);
    accounts.iter().filter(move |row| {
        let passed = |last| {
            let own = time(order, row);
            if is_ascending { own <= last } else { own >= last }
        };
        is_over || last.is_some_and(passed)
    })
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn inserts_and_deletes_skip_and_repeat_no_other_account(
        accounts in accounts(), scenario in scenario(), list in lists(), direction in directions(), size in 1..20_usize,
        meanwhile in inserts_and_deletes(),
    ) {
        let order = AccountOrder { field: AccountOrderField::CreatedAt, ..list.order };
        let list = List { order, ..list };
        with_paused_clock(check(&accounts, scenario, &list, (direction, size), &meanwhile));
    }

    #[test]
    fn updates_do_not_break_paging_by_update_time(
        accounts in accounts(), scenario in scenario(), list in lists(), direction in directions(), size in 1..20_usize,
        meanwhile in updates(),
    ) {
        let order = AccountOrder { field: AccountOrderField::UpdatedAt, ..list.order };
        let list = List { order, ..list };
        with_paused_clock(check(&accounts, scenario, &list, (direction, size), &meanwhile));
    }
}

/// Reads accounts by creation time, newest first, 9 per page from upstream pages of 2, while they change. The first of
/// `moments` are the times of the accounts.
async fn check_changes(moments: &[i64], cursor: CursorKind, meanwhile: &[ChangesBetweenPages]) {
    let row = |(number, at): (usize, &i64)| {
        expected_lists::account(&format!("ca_{number}"), (500, 0, 0, *at, *at, 50), 0, 100)
    };
    let accounts: Vec<_> = moments.iter().enumerate().map(row).collect();
    let scenario = Scenario { cursor, ties: Ties::Mirrored, page_rows: 2 };
    let list =
        List { parent: Parent::Project, filter: AccountFilter::default(), order: AccountOrder::NEWEST_FIRST };
    check(&accounts, scenario, &list, (Direction::Forward, 9), meanwhile).await;
}

/// All accounts that the cursor remembers are deleted, and with them the page of the cursor.
#[tokio::test(start_paused = true)]
async fn older_accounts_follow_after_all_accounts_of_a_time_are_deleted() {
    let moments = [vec![2; 40], vec![1; 5]].concat();
    let unchanged = || (Vec::new(), true);
    let meanwhile = [unchanged(), unchanged(), unchanged(), (vec![Change::DeleteShown(4)], true)];
    for cursor in [CursorKind::Page, CursorKind::Keyset] {
        check_changes(&moments, cursor, &meanwhile).await;
    }
}

/// The cursor's page begins with an account that the cursor does not remember.
#[tokio::test(start_paused = true)]
async fn accounts_of_one_time_follow_after_those_on_the_cursors_page_are_deleted() {
    let unchanged = || (Vec::new(), true);
    let meanwhile = [unchanged(), unchanged(), unchanged(), (vec![Change::DeleteShown(2)], true)];
    check_changes(&[2; 48], CursorKind::Keyset, &meanwhile).await;
}

/// Cached pages and new ones overlap, so the list is read from its first page, with accounts that were missed before.
#[tokio::test(start_paused = true)]
async fn accounts_that_a_cursor_no_longer_remembers_are_not_repeated() {
    let newest = || Change::InsertNewest((500, 0, 0, 0, 0, 50));
    let meanwhile = [
        (vec![newest(), newest()], false),
        (vec![Change::DeleteShown(1)], false),
        (Vec::new(), true),
        (vec![newest()], true),
        (vec![newest()], false),
        (Vec::new(), true),
        (vec![newest()], true),
    ];
    check_changes(&[2; 72], CursorKind::Page, &meanwhile).await;
}

/// The first page is cached. One of its accounts is deleted, so the first account of the second page moves to it.
#[tokio::test(start_paused = true)]
async fn an_account_that_moves_to_a_cached_page_is_not_skipped() {
    let moments: Vec<i64> = (0..20).rev().collect();
    let row = |(number, at): (usize, &i64)| {
        expected_lists::account(&format!("ca_{number:02}"), (500, 0, 0, *at, *at, 50), 0, 100)
    };
    let accounts: Vec<_> = moments.iter().enumerate().map(row).collect();
    let scenario = Scenario { cursor: CursorKind::Page, ties: Ties::Mirrored, page_rows: 5 };
    for (direction, size) in [(Direction::Forward, 5), (Direction::Forward, 3), (Direction::Backward, 5)] {
        let bench = Bench::new(&accounts, scenario);
        let list = List {
            parent: Parent::Project,
            filter: AccountFilter::default(),
            order: AccountOrder::NEWEST_FIRST,
        };
        let mut walker = Walker::new(direction, size);
        walker.step(&bench, &list).await;
        let deleted = walker.items().first().map(|id| (*id).to_owned()).unwrap();
        bench.sandbox.change_accounts(Tenant::A, |rows| rows.retain(|row| row.id != deleted));
        while !walker.is_over {
            assert!(walker.step(&bench, &list).await.is_complete);
        }
        let mut shown: Vec<_> = walker.items().into_iter().map(str::to_owned).collect();
        shown.sort_unstable();
        let all: Vec<_> = accounts.iter().map(|row| row.id.clone()).collect();
        assert_eq!(shown, all, "{direction:?} {size}");
    }
}

/// As above, but the cached page cannot be read again.
#[tokio::test(start_paused = true)]
async fn a_page_beside_one_that_cannot_be_read_again_is_not_complete() {
    let row = |at: i64| expected_lists::account(&format!("ca_{at:02}"), (500, 0, 0, at, at, 50), 0, 100);
    let accounts: Vec<_> = (0..20).map(row).collect();
    let scenario = Scenario { cursor: CursorKind::Page, ties: Ties::Mirrored, page_rows: 5 };
    let is_failing = Arc::new(AtomicBool::new(false));
    let fails = Arc::clone(&is_failing);
    let bench = Bench::with_network(&accounts, scenario, ListSettings::of(scenario), move |network| {
        intercept(network, move |query, response| {
            match fails.load(Ordering::Relaxed) && !query.contains("cursor=") {
                true => (StatusCode::SERVICE_UNAVAILABLE, json!({})),
                false => response,
            }
        })
    });
    let list =
        List { parent: Parent::Project, filter: AccountFilter::default(), order: AccountOrder::NEWEST_FIRST };
    let mut walker = Walker::new(Direction::Forward, 5);
    walker.step(&bench, &list).await;
    bench.sandbox.change_accounts(Tenant::A, |rows| rows.retain(|row| row.id != "ca_19"));
    is_failing.store(true, Ordering::Relaxed);
    let slice = walker.step(&bench, &list).await;
    assert!(!slice.is_complete && slice.has_next);
    assert_eq!(walker.pages[1], ["ca_13", "ca_12", "ca_11", "ca_10", "ca_09"]);
}
