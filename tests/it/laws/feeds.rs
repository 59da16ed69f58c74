//! Property 6: with any defect of the upstream's paging, a response arrives within the page limit, repeats no
//! account, and says if accounts may be missing.

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
use super::expected_lists::{Accounts, ReadDirection, Scenario, accounts, scenario};
use super::network_recorder::{JsonResponse, intercept};
use super::paging::lists;
use super::{cases, with_paused_clock};

const PAGES_MAX: usize = 8;

/// A defect of the upstream's paging.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Feed {
    /// From the second page on, every next cursor is the page's own cursor.
    RepeatsItsCursor,
    /// From the third page on, the next cursor leads to the second page.
    LeadsInACircle,
    /// After the last page the same pages repeat without end, with new cursors.
    NeverEnds,
    /// After the last page come unknown accounts without end.
    GrowsForEver,
    /// Every page has the accounts of the first.
    IgnoresTheCursor,
    /// Every page but the first lacks its last accounts.
    Shrinks(usize),
    /// The second page is empty and has a next cursor.
    HoldsAnEmptyPage,
    /// Every page is empty and has a next cursor.
    IsEmptyAndGoesOn,
    /// Every cursor is refused.
    RefusesItsCursors(u16),
    /// The list ends after its first page, although the total is right: a silently clamped limit
    /// (docs/upstreams.md#composio-list-request).
    EndsEarly,
    /// The total is wrong or missing, and everything else is right.
    LiesAboutItsTotal(Option<i64>),
    /// No account has a time.
    TellsNoTimes,
}

impl Feed {
    /// Whether a reader of all pages could notice that accounts are missing.
    fn is_detectable(self) -> bool {
        !matches!(self, Self::LiesAboutItsTotal(_))
    }

    fn on(self, network: Network) -> Network {
        let second = Mutex::new(Value::Null);
        let first_items = Mutex::new(Value::Null);
        let endless = Mutex::new(0_u32);
        intercept(network, move |query, response| {
            let cursor = query.split('&').find_map(|pair| pair.strip_prefix("cursor="));
            if query.contains("limit=1&") || query.ends_with("limit=1") {
                return response;
            }
            self.answer(cursor, response, &second, &first_items, &endless)
        })
    }

    fn answer(
        self,
        cursor: Option<&str>,
        (status, mut page): JsonResponse,
        second: &Mutex<Value>,
        first_items: &Mutex<Value>,
        endless: &Mutex<u32>,
    ) -> JsonResponse {
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
        prop_oneof![Just(400_u16), Just(404), Just(410), Just(422)].prop_map(Feed::RefusesItsCursors),
        Just(Feed::EndsEarly),
        proptest::option::of(-5..300_i64).prop_map(Feed::LiesAboutItsTotal),
        Just(Feed::TellsNoTimes),
    ]
}

/// Reads to the end, or for a while if the list is endless. Returns the accounts, and whether every response
/// claimed to be complete.
async fn check_to_the_end(
    accounts: &Accounts,
    scenario: Scenario,
    list: &List,
    feed: Feed,
    (direction, size): (Direction, usize),
    is_late: bool,
) {
    let settings = ListSettings { page_rows: scenario.page_rows, pages_max: PAGES_MAX, count_calls_max: 40 };
    let bench = Bench::with_network(accounts, scenario, settings, |network| feed.on(network));
    let mut wanted = wanted(direction, size);
    let (mut shown, mut is_complete, mut is_over) = (HashSet::new(), true, false);
    for _ in 0..60 {
        let answer = bench.try_read(list, wanted.clone()).await;
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
        assert!(!is_more || !page.is_empty(), "`hasNextPage` is true after an empty page");
        if is_late {
            bench.expire_pages().await;
        }
        check_other_direction(&bench, list, &wanted, feed).await;
        shown.extend(page);
        if !is_more {
            is_over = true;
            break;
        }
    }
    let truth = list.ids(accounts, scenario.ties, ReadDirection::Own);
    let missing: Vec<_> = truth.iter().filter(|id| !shown.contains(*id)).collect();
    if is_over && feed.is_detectable() && !missing.is_empty() {
        assert!(!is_complete, "the list claims to be complete without {missing:?}");
    }
    if matches!(feed, Feed::LiesAboutItsTotal(_) | Feed::TellsNoTimes) && is_over {
        assert!(missing.is_empty(), "{missing:?} were not shown");
    }
}

/// Reads from the scan's own cursor in the other direction.
async fn check_other_direction(bench: &Bench, list: &List, wanted: &PageRequest, feed: Feed) {
    let (direction, after, before) = match wanted.direction {
        Direction::Forward => (Direction::Backward, None, wanted.after.clone()),
        Direction::Backward => (Direction::Forward, wanted.before.clone(), None),
    };
    let back = PageRequest { direction, after, before, ..wanted.clone() };
    match bench.try_read(list, back).await {
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
    fn defective_paging_neither_hangs_nor_repeats_accounts(
        accounts in accounts(), scenario in scenario(), list in lists(), feed in feeds(),
        direction in prop_oneof![Just(Direction::Forward), Just(Direction::Backward)], size in 1..40_usize,
        is_late: bool,
    ) {
        with_paused_clock(check_to_the_end(&accounts, scenario, &list, feed, (direction, size), is_late));
    }
}
