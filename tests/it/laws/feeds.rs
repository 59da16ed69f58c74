//! Law 6: whatever the upstream's feed does, an answer comes, within the page cap, repeats no account, and says so
//! where accounts may be missing.

use std::collections::HashSet;
use std::sync::Mutex;

use http::StatusCode;
use proptest::prelude::*;
use serde_json::{Value, json};
use switchboard::domain::page::{Direction, PageRequest};
use switchboard::loaders::lists::account_lists::ListError;
use switchboard::loaders::settings::ListSettings;
use switchboard::upstream::error::UpstreamFailure;
use switchboard::upstream::transport::Network;

use super::bench::{Bench, List, ids, wanted};
use super::truth::{Accounts, Course, Manners, accounts, manners};
use super::walking::lists;
use super::wire::{Told, between};
use super::{cases, on_a_paused_clock};

const PAGES_MAX: usize = 8;

/// What the feed does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Feed {
    /// From the second page on, every next cursor is the page's own.
    RepeatsItsCursor,
    /// From the third page on, the next cursor is that of the second page.
    LeadsInACircle,
    /// After the last page comes the same once more, for ever, with new cursors.
    NeverEnds,
    /// After the last page come accounts that nobody knows, for ever.
    GrowsForEver,
    /// Every page holds the accounts of the first.
    IgnoresTheCursor,
    /// Every page but the first lacks its last accounts.
    Shrinks(usize),
    /// The second page is empty and has a cursor.
    HoldsAnEmptyPage,
    /// Every page is empty and has a cursor.
    IsEmptyAndGoesOn,
    /// No cursor is taken.
    RefusesItsCursors(u16),
    /// It ends after its first page, though its total is true: a limit clamped in silence (UPSTREAMS.md A2).
    EndsEarly,
    /// The total is another number, or none, and everything else is right.
    LiesAboutItsTotal(Option<i64>),
    /// No account has a time.
    TellsNoTimes,
}

impl Feed {
    /// Whether an honest reader of all pages could tell that accounts are missing.
    fn can_be_seen_through(self) -> bool {
        !matches!(self, Self::LiesAboutItsTotal(_))
    }

    fn on(self, network: Network) -> Network {
        let second = Mutex::new(Value::Null);
        let first_items = Mutex::new(Value::Null);
        let endless = Mutex::new(0_u32);
        between(network, move |query, told| {
            let cursor = query.split('&').find_map(|pair| pair.strip_prefix("cursor="));
            if query.contains("limit=1&") || query.ends_with("limit=1") {
                return told;
            }
            self.answer(cursor, told, &second, &first_items, &endless)
        })
    }

    fn answer(
        self,
        cursor: Option<&str>,
        (status, mut page): Told,
        second: &Mutex<Value>,
        first_items: &Mutex<Value>,
        endless: &Mutex<u32>,
    ) -> Told {
        if cursor.is_none() {
            *second.lock().unwrap() = page["next_cursor"].clone();
            *first_items.lock().unwrap() = page["items"].clone();
        }
        match self {
            Self::RepeatsItsCursor => {
                if let Some(own) = cursor {
                    let own = url::form_urlencoded::parse(own.as_bytes()).next().unwrap().0;
                    page["next_cursor"] = json!(own);
                }
            }
            Self::LeadsInACircle if cursor.is_some() => page["next_cursor"] = second.lock().unwrap().clone(),
            Self::NeverEnds | Self::GrowsForEver => {
                let is_beyond = cursor.is_some_and(|cursor| cursor.starts_with("beyond"));
                if is_beyond {
                    let mut items = first_items.lock().unwrap().clone();
                    let number = *endless.lock().unwrap();
                    for (place, item) in items.as_array_mut().unwrap().iter_mut().enumerate() {
                        if self == Self::GrowsForEver {
                            item["id"] = json!(format!("ca_beyond_{number}_{place}"));
                        }
                    }
                    page = json!({ "items": items, "total_items": 10_000 });
                }
                if is_beyond || page["next_cursor"].is_null() {
                    let mut number = endless.lock().unwrap();
                    *number += 1;
                    page["next_cursor"] = json!(format!("beyond{number}"));
                }
                return (StatusCode::OK, page);
            }
            Self::IgnoresTheCursor => page["items"] = first_items.lock().unwrap().clone(),
            Self::Shrinks(lost) if cursor.is_some() => {
                let items = page["items"].as_array_mut().unwrap();
                items.truncate(items.len().saturating_sub(lost));
            }
            Self::HoldsAnEmptyPage if cursor.is_some() => page["items"] = json!([]),
            Self::IsEmptyAndGoesOn => {
                page["items"] = json!([]);
                page["next_cursor"] = json!("on");
                return (StatusCode::OK, page);
            }
            Self::RefusesItsCursors(status) if cursor.is_some() => {
                return (StatusCode::from_u16(status).unwrap(), json!({ "error": { "message": "no" } }));
            }
            Self::EndsEarly => page["next_cursor"] = Value::Null,
            Self::LiesAboutItsTotal(total) => page["total_items"] = json!(total),
            Self::TellsNoTimes => {
                for item in page["items"].as_array_mut().unwrap() {
                    item["created_at"] = json!("yesterday");
                    item["updated_at"] = json!("just now");
                }
            }
            _ => {}
        }
        (status, page)
    }
}

fn feeds() -> impl Strategy<Value = Feed> {
    prop_oneof![
        Just(Feed::RepeatsItsCursor),
        Just(Feed::LeadsInACircle),
        Just(Feed::NeverEnds),
        Just(Feed::GrowsForEver),
        Just(Feed::IgnoresTheCursor),
        (1..4_usize).prop_map(Feed::Shrinks),
        Just(Feed::HoldsAnEmptyPage),
        Just(Feed::IsEmptyAndGoesOn),
        prop_oneof![Just(400_u16), Just(422)].prop_map(Feed::RefusesItsCursors),
        Just(Feed::EndsEarly),
        proptest::option::of(-5..300_i64).prop_map(Feed::LiesAboutItsTotal),
        Just(Feed::TellsNoTimes),
    ]
}

/// Walks to the end, or a while where there is none; what was shown, and whether every answer said that it is whole.
async fn ends(
    accounts: &Accounts,
    manners: Manners,
    list: &List,
    feed: Feed,
    (direction, size): (Direction, usize),
    is_late: bool,
) {
    let settings = ListSettings { page_rows: manners.page_rows, pages_max: PAGES_MAX, count_calls_max: 40 };
    let bench = Bench::wired(accounts, manners, settings, |network| feed.on(network));
    let mut wanted = wanted(direction, size);
    let (mut shown, mut is_complete, mut is_over) = (HashSet::new(), true, false);
    for _ in 0..60 {
        let answer = bench.try_ask(list, wanted.clone()).await;
        let calls = bench.calls().len();
        assert!(calls <= 2 * PAGES_MAX + 2, "{calls} calls for one answer");
        let slice = match answer {
            Ok(slice) => slice,
            Err(ListError::Upstream(error)) if matches!(feed, Feed::RefusesItsCursors(_)) => {
                assert_eq!(error.failure, UpstreamFailure::Rejected);
                return;
            }
            Err(error) => panic!("{error:?}"),
        };
        let page = ids(&slice);
        assert_eq!(page.iter().collect::<HashSet<_>>().len(), page.len(), "a repeated account: {page:?}");
        is_complete &= slice.is_complete;
        let last = page.len().checked_sub(1);
        let is_more = match direction {
            Direction::Forward => {
                wanted.after = last.and_then(|last| slice.cursor(last)).or(wanted.after);
                slice.has_next
            }
            Direction::Backward => {
                wanted.before = slice.cursor(0).or(wanted.before);
                slice.has_previous
            }
        };
        assert!(!is_more || !page.is_empty(), "more is promised and nothing is shown");
        if is_late {
            bench.forget().await;
        }
        turns_round(&bench, list, &wanted, feed).await;
        shown.extend(page);
        if !is_more {
            is_over = true;
            break;
        }
    }
    let truth = list.ids(accounts, manners.ties, Course::Own);
    let missing: Vec<_> = truth.iter().filter(|id| !shown.contains(*id)).collect();
    if is_over && feed.can_be_seen_through() && !missing.is_empty() {
        assert!(!is_complete, "whole, it is said, without {missing:?}");
    }
    if matches!(feed, Feed::LiesAboutItsTotal(_) | Feed::TellsNoTimes) && is_over {
        assert!(missing.is_empty(), "{missing:?} were not shown");
    }
}

/// Reads from the walk's own cursor against its way.
async fn turns_round(bench: &Bench, list: &List, wanted: &PageRequest, feed: Feed) {
    let (direction, after, before) = match wanted.direction {
        Direction::Forward => (Direction::Backward, None, wanted.after.clone()),
        Direction::Backward => (Direction::Forward, wanted.before.clone(), None),
    };
    let back = PageRequest { direction, after, before, ..wanted.clone() };
    match bench.try_ask(list, back).await {
        Ok(slice) => {
            let page = ids(&slice);
            assert_eq!(page.iter().collect::<HashSet<_>>().len(), page.len(), "a repeated account: {page:?}");
        }
        Err(ListError::Upstream(error)) if matches!(feed, Feed::RefusesItsCursors(_)) => {
            assert_eq!(error.failure, UpstreamFailure::Rejected);
        }
        Err(error) => panic!("{error:?}"),
    }
    let calls = bench.calls().len();
    assert!(calls <= 2 * PAGES_MAX + 2, "{calls} calls for one answer");
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn no_feed_hangs_a_walk_or_repeats_an_account_in_an_answer(
        accounts in accounts(), manners in manners(), list in lists(), feed in feeds(),
        direction in prop_oneof![Just(Direction::Forward), Just(Direction::Backward)], size in 1..40_usize,
        is_late: bool,
    ) {
        on_a_paused_clock(ends(&accounts, manners, &list, feed, (direction, size), is_late));
    }
}
