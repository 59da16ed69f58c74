//! Laws 2 and 5: accounts that come, go and are updated between two pages.
//!
//! Where upstream cursors stand for a row's place in the order, no account that stood throughout is skipped or shown
//! twice. Where they stand for a page's number, none is shown twice, and one is skipped only where no page, as the
//! upstream last told it, holds it: it moved between two answers. Then the totals betray it, or nothing could.
//!
//! One thing no cursor can tell: where more accounts share a moment than it remembers, and all that it remembers go
//! between two pages, nothing says any more how far into that moment the walk had come.

use std::collections::HashSet;

use jiff::Timestamp;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use switchboard::domain::filters::{AccountOrder, AccountOrderField, OrderDirection};
use switchboard::domain::page::Direction;
use switchboard::loaders::settings::ListSettings;
use switchboard::sandbox::{Account, CursorKind, Tenant};

use super::bench::{Bench, List, Of};
use super::truth::{self, Manners, Traits, accounts, is_in, manners, time, traits};
use super::walker::Walker;
use super::walking::lists;
use super::wire::Heard;
use super::{cases, on_a_paused_clock};

/// What happens between two pages.
#[derive(Debug, Clone)]
enum Change {
    /// An account comes, of any moment.
    Insert(Traits),
    /// An account comes that is younger than all others.
    InsertNewest(Traits),
    /// Any account goes.
    Delete(Index),
    /// The cursor's own item goes.
    DeleteLastShown,
    /// The cursor's item goes, and every other account of its moment.
    DeleteMoment,
    /// Everything goes that was shown last: the cursor's page is emptied, or most of it.
    DeleteShown(u8),
    /// An account is updated, at any moment.
    Update(Index, i64),
    /// An account is updated now.
    Touch(Index),
    /// The cursor's own item is updated now.
    TouchLastShown,
}

/// Changes, and whether what is kept has grown too old by then.
type Meanwhile = (Vec<Change>, bool);

fn comings_and_goings() -> impl Strategy<Value = Vec<Meanwhile>> {
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

fn updates() -> impl Strategy<Value = Vec<Meanwhile>> {
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

/// Those who change the list while it is walked.
struct Others {
    moments: i64,
    inserted: usize,
    touched: HashSet<String>,
    /// The moments that lost everything that the walk's cursor remembers of them.
    worn: HashSet<Timestamp>,
}

/// How many accounts of its moment a cursor remembers.
const REMEMBERED: usize = 32;

impl Others {
    fn change(&mut self, bench: &Bench, order: AccountOrder, walker: &Walker, change: &Change) {
        bench.sandbox.change_accounts(Tenant::A, |rows| self.alter(rows, order, walker, change));
    }

    fn alter(&mut self, rows: &mut Vec<Account>, order: AccountOrder, walker: &Walker, change: &Change) {
        let before: HashSet<String> = rows.iter().map(|row| row.id.clone()).collect();
        let last = walker.last().map(str::to_owned);
        match change {
            Change::Insert(traits) | Change::InsertNewest(traits) => {
                let id = format!("ca_new_{}", self.inserted);
                self.inserted += 1;
                let mut row = truth::account(&id, *traits, 0, self.moments);
                if matches!(change, Change::InsertNewest(_)) {
                    row.created_at = truth::moment(20_000 + i64::try_from(self.inserted).unwrap());
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
            Change::Update(index, at) => self.touch(rows, &[*index], truth::moment(at % self.moments)),
            Change::Touch(index) => self.touch(rows, &[*index], truth::moment(30_000)),
            Change::TouchLastShown => {
                if let Some(row) = rows.iter_mut().find(|row| Some(&row.id) == last.as_ref()) {
                    row.updated_at = truth::moment(30_000);
                    self.touched.insert(row.id.clone());
                }
            }
            Change::Delete(_) => {}
        }
        let after: HashSet<String> = rows.iter().map(|row| row.id.clone()).collect();
        self.touched.extend(before.symmetric_difference(&after).cloned());
    }

    fn wear(&mut self, before: &[Account], after: &[Account], order: AccountOrder, walker: &Walker) {
        let shown = walker.shown();
        let row = |id: &str| before.iter().find(|row| row.id == id);
        let Some(moment) = walker.last().and_then(row).map(|row| time(order, row)) else { return };
        let is_of_it = |row: &&Account| time(order, row) == moment;
        let passed = shown.iter().filter_map(|id| row(id)).filter(is_of_it).count();
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

async fn holds(
    accounts: &[Account],
    manners: Manners,
    list: &List,
    (direction, size): (Direction, usize),
    meanwhile: &[Meanwhile],
) {
    let heard = Heard::default();
    let bench = Bench::wired(accounts, manners, ListSettings::of(manners), |network| heard.on(network));
    let mut walker = Walker::new(direction, size);
    let mut others = Others { moments: 200, inserted: 0, touched: HashSet::new(), worn: HashSet::new() };
    let filter = list.parent.narrow(&list.filter);
    let mut moved = HashSet::new();
    let mut meanwhile = meanwhile.iter();
    while !walker.is_over {
        let slice = walker.step(&bench, list).await;
        let shown = walker.shown().len() as u64;
        if walker.is_over && slice.total_items.is_some_and(|total| total > shown) {
            assert!(!slice.is_complete, "the totals betray that accounts were passed over");
        }
        if manners.cursor == CursorKind::Page {
            let accounts = bench.accounts();
            let passed = passed(&accounts, list, direction, &walker);
            moved.extend(passed.filter(|row| !heard.holds(&row.id)).map(|row| row.id.clone()));
        }
        if let Some((changes, is_late)) = meanwhile.next() {
            let before = bench.accounts();
            for change in changes {
                others.change(&bench, list.order, &walker, change);
            }
            others.wear(&before, &bench.accounts(), list.order, &walker);
            if *is_late {
                bench.forget().await;
            }
        }
    }
    let stood =
        |row: &&Account| !others.touched.contains(&row.id) && !others.worn.contains(&time(list.order, row));
    let stood: Vec<_> = accounts.iter().filter(|row| is_in(&filter, row)).filter(stood).collect();
    let are_told_once = list.order.field == AccountOrderField::CreatedAt && others.worn.is_empty();
    let came = walker.shown().into_iter().filter(|id| are_told_once && id.starts_with("ca_new"));
    let shown = |id: &&str| walker.times_shown(id) > 0;
    for id in stood.iter().map(|row| row.id.as_str()).filter(shown).chain(came) {
        assert_eq!(walker.times_shown(id), 1, "{id} was shown twice: {:?}", walker.pages);
    }
    for row in stood.into_iter().filter(|row| walker.times_shown(&row.id) == 0) {
        assert!(moved.contains(&row.id), "{} was skipped: {:?}", row.id, walker.pages);
    }
}

/// The accounts that a walk has no more reason to show: all up to the moment of the one that it showed last.
fn passed<'a>(
    accounts: &'a [Account],
    list: &List,
    direction: Direction,
    walker: &Walker,
) -> impl Iterator<Item = &'a Account> {
    let last = accounts.iter().find(|row| Some(&*row.id) == walker.last());
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
    fn accounts_that_come_and_go_hide_no_other_and_repeat_none(
        accounts in accounts(), manners in manners(), list in lists(), direction in directions(), size in 1..20_usize,
        meanwhile in comings_and_goings(),
    ) {
        let order = AccountOrder { field: AccountOrderField::CreatedAt, ..list.order };
        let list = List { order, ..list };
        on_a_paused_clock(holds(&accounts, manners, &list, (direction, size), &meanwhile));
    }

    #[test]
    fn accounts_that_are_updated_do_not_derail_a_walk_by_the_update(
        accounts in accounts(), manners in manners(), list in lists(), direction in directions(), size in 1..20_usize,
        meanwhile in updates(),
    ) {
        let order = AccountOrder { field: AccountOrderField::UpdatedAt, ..list.order };
        let list = List { order, ..list };
        on_a_paused_clock(holds(&accounts, manners, &list, (direction, size), &meanwhile));
    }
}
