//! Property 5: a damaged cursor yields `BAD_CURSOR` or the right page, never anything else.

use proptest::prelude::*;
use proptest::sample::Index;
use switchboard::domain::credential::Credential;
use switchboard::domain::input::BadInputReason;
use switchboard::domain::page::{Direction, PageRequest};
use switchboard::domain::view::View;
use switchboard::loaders::lists::account_lists::ListError;
use switchboard::loaders::lists::scan::Reader;
use switchboard::sandbox::Tenant;

use super::bench::{Bench, List, ids, wanted};
use super::expected_lists::{Accounts, ReadDirection, Scenario, accounts, scenario};
use super::paging::lists;
use super::{cases, with_paused_clock};

/// The damage of a cursor.
#[derive(Debug, Clone)]
enum Damage {
    Nothing,
    FlipBit(Index, u8),
    OtherLetter(Index, char),
    Cut(Index),
    Longer(String),
    OtherList(List),
    OtherTenant,
    Text(String),
}

fn damages() -> impl Strategy<Value = Damage> {
    prop_oneof![
        1 => Just(Damage::Nothing),
        3 => (any::<Index>(), 0..8_u8).prop_map(|(place, bit)| Damage::FlipBit(place, bit)),
        3 => (any::<Index>(), "[A-Za-z0-9_+/=-]".prop_map(|text| text.chars().next().unwrap()))
            .prop_map(|(place, letter)| Damage::OtherLetter(place, letter)),
        2 => any::<Index>().prop_map(Damage::Cut),
        1 => "[A-Za-z0-9_=-]{1,8}".prop_map(Damage::Longer),
        2 => lists().prop_map(Damage::OtherList),
        1 => Just(Damage::OtherTenant),
        1 => ".{0,80}".prop_map(Damage::Text),
    ]
}

impl List {
    /// Whether two parents with their filters have the same list.
    fn is_the_same_as(&self, other: &Self) -> bool {
        let own = self.parent.narrow(&self.filter);
        own == other.parent.narrow(&other.filter) && self.order == other.order
    }
}

async fn some_cursor(
    bench: &Bench,
    list: &List,
    direction: Direction,
    place: Index,
) -> Option<(String, String)> {
    let slice = bench.read(list, wanted(direction, 40)).await;
    let ids = ids(&slice);
    let place = (!ids.is_empty()).then(|| place.index(ids.len()))?;
    Some((slice.cursor(place)?, ids[place].clone()))
}

async fn is_right_or_refused(
    accounts: &Accounts,
    scenario: Scenario,
    list: &List,
    (made, asked, place): (Direction, Direction, Index),
    mangling: &Damage,
) {
    let mut bench = Bench::new(accounts, scenario);
    bench.sandbox.change_accounts(Tenant::B, |rows| *rows = accounts.to_vec());
    let Some((whole, id)) = some_cursor(&bench, list, made, place).await else { return };
    let mut bytes = whole.clone().into_bytes();
    let cursor = match mangling {
        Damage::Nothing => whole.clone(),
        Damage::FlipBit(place, bit) => {
            bytes[place.index(whole.len())] ^= 1 << bit;
            String::from_utf8_lossy(&bytes).into_owned()
        }
        Damage::OtherLetter(place, letter) => {
            bytes[place.index(whole.len())] = u8::try_from(*letter).unwrap();
            String::from_utf8(bytes).unwrap()
        }
        Damage::Cut(place) => whole.chars().take(place.index(whole.len())).collect(),
        Damage::Longer(more) => format!("{whole}{more}"),
        Damage::OtherList(other) if other.is_the_same_as(list) => return,
        Damage::OtherList(other) => match some_cursor(&bench, other, made, place).await {
            Some((cursor, _)) => cursor,
            None => return,
        },
        Damage::OtherTenant => {
            let credential = Credential::new(Tenant::B.composio_key()).unwrap();
            bench.reader = Reader {
                is_prefetch: false,
                credential,
                view: View::FULL,
                stats: std::sync::Arc::new(switchboard::loaders::stats::OperationStats::new(
                    false,
                    crate::world::distant_deadline(),
                )),
            };
            whole.clone()
        }
        Damage::Text(text) => text.clone(),
    };
    let (after, before) = match asked {
        Direction::Forward => (Some(cursor.clone()), None),
        Direction::Backward => (None, Some(cursor.clone())),
    };
    let answer = bench.try_read(list, PageRequest { after, before, ..wanted(asked, 7) }).await;
    let is_whole = cursor == whole && !matches!(mangling, Damage::OtherTenant);
    match answer {
        Err(ListError::BadInput(refusal)) => {
            assert_eq!(refusal.reason, BadInputReason::BadCursor);
            assert!(!is_whole, "refused: {}", refusal.message);
        }
        Err(error) => panic!("{error:?}"),
        Ok(slice) => {
            assert!(is_whole, "{cursor} was taken for {whole}");
            let read_direction =
                if made == Direction::Forward { ReadDirection::Own } else { ReadDirection::Opposite };
            let rows = list.ids(accounts, scenario.ties, read_direction);
            let place = rows.iter().position(|row| *row == id).unwrap();
            let page = match asked {
                Direction::Forward => &rows[place + 1..rows.len().min(place + 8)],
                Direction::Backward => &rows[place.saturating_sub(7)..place],
            };
            assert_eq!(ids(&slice), page);
        }
    }
}

fn directions() -> impl Strategy<Value = Direction> {
    prop_oneof![Just(Direction::Forward), Just(Direction::Backward)]
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn damaged_and_foreign_cursors_are_refused(
        accounts in accounts(), scenario in scenario(), list in lists(),
        way in (directions(), directions(), any::<Index>()), mangling in damages(),
    ) {
        with_paused_clock(is_right_or_refused(&accounts, scenario, &list, way, &mangling));
    }
}
