//! The true lists and their order, computed from the sandbox's data and not from its responses.

use std::cmp::Reverse;
use std::fmt;
use std::ops::Deref;

use jiff::{SignedDuration, Timestamp};
use proptest::collection::{btree_set, vec};
use proptest::option::weighted;
use proptest::prelude::*;
use switchboard::domain::filters::{
    AccountFilter, AccountOrder, AccountOrderField, AccountTypeFilter, FilterValues, OrderDirection,
};
use switchboard::domain::toolkits::ToolkitSlug;
use switchboard::loaders::lists::parent::Parent;
use switchboard::sandbox::{Account, CursorKind, TOOLKITS, Ties};

/// The toolkits of accounts. Filters also name one toolkit that no account has.
pub(super) const TOOLKITS_USED: usize = 6;
const USERS: usize = 7;
const STATUSES: [&str; 8] =
    ["ACTIVE", "EXPIRED", "FAILED", "INITIATED", "INACTIVE", "REVOKED", "INITIALIZING", "QUARANTINED"];

/// The end at which a scan began: the order among accounts with equal times may depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReadDirection {
    Own,
    Opposite,
}

/// The settings of the sandbox and the engine in one case.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scenario {
    pub(super) cursor: CursorKind,
    pub(super) ties: Ties,
    pub(super) page_rows: usize,
}

pub(super) fn scenario() -> impl Strategy<Value = Scenario> {
    let cursor = prop_oneof![Just(CursorKind::Page), Just(CursorKind::Keyset)];
    let ties = prop_oneof![Just(Ties::Mirrored), Just(Ties::Stable)];
    let page_rows = prop_oneof![6 => 2..=9_usize, 1 => Just(50_usize)];
    (cursor, ties, page_rows).prop_map(|(cursor, ties, page_rows)| Scenario { cursor, ties, page_rows })
}

/// The creation time of account number 0.
pub(super) const EPOCH: &str = "2026-04-17T10:00:00Z";

/// A time for accounts.
pub(super) fn moment(minutes: i64) -> Timestamp {
    EPOCH.parse::<Timestamp>().unwrap() + SignedDuration::from_mins(minutes)
}

/// The account for some random numbers.
pub(super) fn account(id: &str, traits: Traits, skew: u16, moments: i64) -> Account {
    let (toolkit, user, status, created, updated, shared) = traits;
    let toolkit = if toolkit < skew { 0 } else { usize::from(toolkit) % TOOLKITS_USED };
    let mut account = Account::new(
        id,
        TOOLKITS[toolkit].0,
        &format!("user_{}", usize::from(user) % USERS),
        moment(created % moments),
    );
    account.updated_at = account.created_at.max(moment(updated % moments));
    account.status = STATUSES[usize::from(status) % STATUSES.len()];
    account.shared = shared < 10;
    account
}

/// Toolkit, user, status, created at, updated at, shared.
pub(super) type Traits = (u16, u8, u8, i64, i64, u8);

pub(super) fn traits() -> impl Strategy<Value = Traits> {
    (0..1_000_u16, 0..=255_u8, 0..=255_u8, 0..10_000_i64, 0..10_000_i64, 0..100_u8)
}

/// The minutes over which accounts are spread: one time, a few, or almost as many as accounts.
pub(super) fn moments() -> impl Strategy<Value = i64> {
    prop_oneof![1 => Just(1_i64), 3 => 2..20_i64, 3 => 20..200_i64, 1 => Just(10_000_i64)]
}

/// The number of accounts per thousand that have the first toolkit in any case.
pub(super) fn skew() -> impl Strategy<Value = u16> {
    prop_oneof![2 => Just(0_u16), 1 => Just(700), 1 => Just(950)]
}

/// Accounts that print one line each on failure.
#[derive(Clone)]
pub(super) struct Accounts(pub(super) Vec<Account>);

impl Deref for Accounts {
    type Target = [Account];

    fn deref(&self) -> &[Account] {
        &self.0
    }
}

impl fmt::Debug for Accounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Account { id, toolkit, user_id, status, created_at, updated_at, shared, .. } in self.iter() {
            let shared = if *shared { "shared" } else { "private" };
            writeln!(f)?;
            write!(f, "{id} {toolkit} {user_id} {status} {shared} {created_at:.0} {updated_at:.0}")?;
        }
        Ok(())
    }
}

/// 10 to 120 accounts, uniform or heavily skewed, many of them with equal times.
pub(super) fn accounts() -> impl Strategy<Value = Accounts> {
    (vec(traits(), 10..=120), skew(), moments()).prop_map(|(rows, skew, moments)| {
        let row = |(number, traits)| account(&format!("ca_{number}"), traits, skew, moments);
        Accounts(rows.into_iter().enumerate().map(row).collect())
    })
}

/// Some values of `from`, rarely none.
fn some_of(from: Vec<String>) -> impl Strategy<Value = FilterValues> {
    let most = from.len();
    prop_oneof![
        1 => Just(FilterValues::new("values", [""; 0]).unwrap()),
        30 => btree_set(proptest::sample::select(from), 1..=most)
            .prop_map(|values| FilterValues::new("values", values).unwrap()),
    ]
}

pub(super) fn slugs() -> Vec<String> {
    TOOLKITS.iter().take(TOOLKITS_USED + 1).map(|(slug, _)| (*slug).to_owned()).collect()
}

pub(super) fn filters() -> impl Strategy<Value = AccountFilter> {
    let ids = (0..130).map(|number| format!("ca_{number}")).collect();
    let statuses = STATUSES.iter().filter(|word| **word != "QUARANTINED").map(|word| (*word).to_owned());
    let users = (0..=USERS).map(|user| format!("user_{user}")).collect();
    let auth_configs = slugs().iter().map(|slug| format!("ac_{slug}")).collect();
    let account_type = prop_oneof![
        1 => Just(AccountTypeFilter::Private),
        1 => Just(AccountTypeFilter::Shared),
        3 => Just(AccountTypeFilter::All)
    ];
    (
        weighted(0.1, some_of(ids)),
        weighted(0.2, some_of(slugs())),
        weighted(0.2, some_of(statuses.collect())),
        weighted(0.2, some_of(users)),
        weighted(0.2, some_of(auth_configs)),
        weighted(0.3, account_type),
    )
        .prop_map(|(ids, toolkits, statuses, user_ids, auth_config_ids, account_type)| AccountFilter {
            ids,
            toolkits,
            statuses,
            user_ids,
            auth_config_ids,
            account_type,
            pending_longer_than: None,
        })
}

pub(super) fn orders() -> impl Strategy<Value = AccountOrder> {
    let field = prop_oneof![Just(AccountOrderField::CreatedAt), Just(AccountOrderField::UpdatedAt)];
    let direction = prop_oneof![Just(OrderDirection::Asc), Just(OrderDirection::Desc)];
    (field, direction).prop_map(|(field, direction)| AccountOrder { field, direction })
}

/// Parents of one kind: every toolkit, some overlapping sets of toolkits, every user or every auth config.
pub(super) fn parents() -> impl Strategy<Value = Vec<Parent>> {
    let slug = |place: usize| ToolkitSlug::parse(TOOLKITS[place].0).unwrap();
    let toolkits = move |places: &[usize]| {
        Parent::toolkits(&places.iter().map(|place| slug(*place)).collect::<Vec<_>>())
    };
    let sets = btree_set(btree_set(0..=TOOLKITS_USED, 1..=3), 1..=8).prop_map(move |sets| {
        sets.iter().map(|set| toolkits(&set.iter().copied().collect::<Vec<_>>()).unwrap()).collect::<Vec<_>>()
    });
    prop_oneof![
        Just((0..=TOOLKITS_USED).map(|place| toolkits(&[place]).unwrap()).collect::<Vec<_>>()),
        sets,
        Just((0..=USERS).map(|user| Parent::user(&format!("user_{user}")).unwrap()).collect::<Vec<_>>()),
        Just(
            slugs()
                .iter()
                .map(|slug| Parent::auth_config(&format!("ac_{slug}")).unwrap())
                .collect::<Vec<_>>()
        ),
    ]
}

/// Whether an account is in a list.
pub(super) fn is_in(filter: &AccountFilter, account: &Account) -> bool {
    // "Left to its user" depends on the clock and is tested in `graph::health`.
    let AccountFilter {
        ids,
        toolkits,
        statuses,
        user_ids,
        auth_config_ids,
        account_type,
        pending_longer_than: _,
    } = filter;
    let fits = |values: &Option<FilterValues>, own: &str| {
        values.as_ref().is_none_or(|held| held.iter().any(|v| v == own))
    };
    fits(ids, &account.id)
        && fits(toolkits, account.toolkit)
        && fits(statuses, account.status)
        && fits(user_ids, &account.user_id)
        && fits(auth_config_ids, &format!("ac_{}", account.toolkit))
        && match account_type {
            None | Some(AccountTypeFilter::Private) => !account.shared,
            Some(AccountTypeFilter::Shared) => account.shared,
            Some(AccountTypeFilter::All) => true,
        }
}

/// The time that an account is ordered by.
pub(super) fn time(order: AccountOrder, account: &Account) -> Timestamp {
    match order.field {
        AccountOrderField::CreatedAt => account.created_at,
        AccountOrderField::UpdatedAt => account.updated_at,
    }
}

/// A list in the connection's order, as read from one of its ends.
pub(super) fn list<'a>(
    accounts: &'a [Account],
    filter: &AccountFilter,
    order: AccountOrder,
    ties: Ties,
    read_direction: ReadDirection,
) -> Vec<&'a Account> {
    let mut rows: Vec<&Account> = accounts.iter().filter(|account| is_in(filter, account)).collect();
    rows.sort_by_key(|row| (time(order, row), Reverse(row.rank())));
    let is_descending = order.direction == OrderDirection::Desc;
    if is_descending {
        rows.reverse();
    }
    // Read from the latest end, the times run backward but accounts with equal times do not.
    if ties == Ties::Stable && is_descending == (read_direction == ReadDirection::Own) {
        for moment in rows.chunk_by_mut(|a, b| time(order, a) == time(order, b)) {
            moment.reverse();
        }
    }
    rows
}
