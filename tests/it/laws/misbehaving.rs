//! Property 12: a list is read to its end, or says that it is not, however its upstream behaves.
//!
//! The upstream sends pages of any number of rows, empty ones included, repeats rows, orders otherwise than asked,
//! gives wrong totals, and lets cursors expire with any status (docs/upstreams.md#composio-paging).

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use jiff::{SignedDuration, Timestamp};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};
use switchboard::domain::filters::{AccountFilter, AccountOrder};
use switchboard::domain::page::Direction;
use switchboard::loaders::lists::account_lists::ListError;
use switchboard::loaders::lists::parent::Parent;
use switchboard::loaders::settings::ListSettings;
use switchboard::sandbox::{CursorKind, Ties};
use switchboard::upstream::transport::Network;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, service_fn};

use super::bench::{Bench, List, ids, wanted};
use super::expected_lists::Scenario;
use super::{cases, one_tenth, with_paused_clock};

/// Transport attempts of one call, and walks of one read.
const ATTEMPTS: usize = 3;
const WALKS: usize = 3;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Order {
    Asked,
    Opposite,
    Shuffled(u64),
    /// All rows have one time.
    Tied,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Total {
    Exact,
    Missing,
    Wrong(u64),
}

/// The behaviour of an upstream.
#[derive(Debug, Clone)]
struct Behaviour {
    rows: usize,
    order: Order,
    /// The number of new rows of each page, and of the rows before them that it repeats.
    pages: Vec<(usize, usize)>,
    /// The same for all further pages.
    further_pages: (usize, usize),
    /// Shuffles the rows within each page.
    page_shuffle: Option<u64>,
    total: Total,
    /// The calls with a cursor at which all cursors expire, and with which status.
    expiries: Vec<(usize, u16)>,
}

impl Behaviour {
    /// An upstream with pages of these new and repeated rows, and a right total.
    fn new(rows: usize, order: Order, pages: Vec<(usize, usize)>, further_pages: (usize, usize)) -> Self {
        let (page_shuffle, total, expiries) = (None, Total::Exact, Vec::new());
        Self { rows, order, pages, further_pages, page_shuffle, total, expiries }
    }
}

/// The upstream: its pages, and the cursors that it takes.
struct Misbehaving {
    pages: Vec<Vec<Value>>,
    total: Option<u64>,
    expiries: Mutex<Vec<(usize, u16)>>,
    /// The cursors of all calls.
    calls: Mutex<Vec<Option<String>>>,
    /// Calls with a cursor, and the generation of the cursors that are taken.
    continued: AtomicUsize,
    generation: AtomicUsize,
    last_status: Mutex<u16>,
}

fn row(number: usize, time: usize) -> Value {
    let base: Timestamp = "2026-03-01T00:00:00Z".parse().unwrap();
    let created_at = base + SignedDuration::from_mins(i64::try_from(time).unwrap());
    json!({
        "id": format!("ca_{number:03}"), "toolkit": { "slug": "gmail" }, "auth_config": { "id": "ac_1" },
        "status": "ACTIVE", "user_id": "user_1", "created_at": created_at.to_string(),
    })
}

/// Sorts numbers in an order that depends on the seed.
fn shuffle<T>(items: &mut [T], seed: u64, number: impl Fn(&T) -> u64) {
    items.sort_by_key(|item| (number(item) + 1).wrapping_mul(seed | 1).rotate_left(17));
}

impl Misbehaving {
    fn new(behaviour: &Behaviour) -> Self {
        // The newest first, as the test asks.
        let mut times: Vec<usize> = (0..behaviour.rows).rev().collect();
        match behaviour.order {
            Order::Asked => {}
            Order::Opposite => times.reverse(),
            Order::Shuffled(seed) => shuffle(&mut times, seed, |time| *time as u64),
            Order::Tied => times.fill(0),
        }
        let rows: Vec<_> = times.iter().enumerate().map(|(number, time)| row(number, *time)).collect();
        let (mut pages, mut at) = (Vec::new(), 0);
        let sizes = behaviour.pages.iter().copied().chain(std::iter::repeat(behaviour.further_pages));
        for (size, repeated) in sizes {
            let end = (at + size).min(rows.len());
            let mut page: Vec<_> = (at.saturating_sub(repeated)..end).collect();
            if let Some(seed) = behaviour.page_shuffle {
                shuffle(&mut page, seed, |number| *number as u64);
            }
            pages.push(page.into_iter().map(|number| rows[number].clone()).collect());
            at = end;
            if at == rows.len() {
                break;
            }
        }
        let total = match behaviour.total {
            Total::Exact => Some(rows.len() as u64),
            Total::Missing => None,
            Total::Wrong(total) => Some(total),
        };
        Self {
            pages,
            total,
            expiries: Mutex::new(behaviour.expiries.clone()),
            calls: Mutex::default(),
            continued: AtomicUsize::new(0),
            generation: AtomicUsize::new(0),
            last_status: Mutex::new(400),
        }
    }

    fn respond(&self, query: &str) -> (u16, Value) {
        let cursor = query.split('&').find_map(|pair| pair.strip_prefix("cursor="));
        self.calls.lock().unwrap().push(cursor.map(str::to_owned));
        let mut page = 0;
        if let Some((generation, number)) = cursor.and_then(|cursor| cursor.split_once('-')) {
            let continued = self.continued.fetch_add(1, Ordering::Relaxed);
            let mut expiries = self.expiries.lock().unwrap();
            if let Some(due) = expiries.iter().position(|(at, _)| *at <= continued) {
                *self.last_status.lock().unwrap() = expiries.remove(due).1;
                self.generation.fetch_add(1, Ordering::Relaxed);
            }
            if generation.parse() != Ok(self.generation.load(Ordering::Relaxed)) {
                return (*self.last_status.lock().unwrap(), json!({ "error": { "message": "no" } }));
            }
            page = number.parse().unwrap();
        }
        let next = (page + 1 < self.pages.len())
            .then(|| format!("{}-{}", self.generation.load(Ordering::Relaxed), page + 1));
        let total = self.total;
        (200, json!({ "items": self.pages[page], "next_cursor": next, "total_items": total }))
    }

    fn network(self: Arc<Self>) -> Network {
        BoxCloneSyncService::new(service_fn(move |request: http::Request<Bytes>| {
            let (status, body) = self.respond(request.uri().query().unwrap_or_default());
            let body = Full::new(Bytes::from(body.to_string())).map_err(BoxError::from).boxed_unsync();
            async move { Ok(http::Response::builder().status(status).body(body)?) }
        }))
    }
}

fn behaviours() -> impl Strategy<Value = Behaviour> {
    let order = prop_oneof![
        3 => Just(Order::Asked),
        1 => Just(Order::Opposite),
        2 => any::<u64>().prop_map(Order::Shuffled),
    ];
    let total = prop_oneof![
        3 => Just(Total::Exact),
        1 => Just(Total::Missing),
        2 => (0..60_u64).prop_map(Total::Wrong),
    ];
    let status = prop_oneof![Just(400_u16), Just(404), Just(410), Just(422), Just(500)];
    let page =
        (prop_oneof![1 => Just(0_usize), 6 => 1..9_usize], prop_oneof![2 => 0..3_usize, 1 => 0..9_usize]);
    (0..40_usize, order, vec(page, 0..8), total, vec((0..12_usize, status), 0..4)).prop_map(
        |(rows, order, pages, total, expiries)| Behaviour {
            total,
            expiries,
            ..Behaviour::new(rows, order, pages, (5, 0))
        },
    )
}

/// Long pages, most of which repeat more rows than a cursor remembers, and often more than the page before them has.
fn wide_overlaps() -> impl Strategy<Value = Behaviour> {
    let order = prop_oneof![
        Just(Order::Asked),
        Just(Order::Opposite),
        any::<u64>().prop_map(Order::Shuffled),
        Just(Order::Tied),
    ];
    let page = (prop_oneof![1..5_usize, 5..50_usize], prop_oneof![Just(0), 0..100_usize]);
    let further_pages = (20..50_usize, prop_oneof![Just(0), 0..100_usize]);
    (0..160_usize, order, vec(page, 0..6), further_pages, proptest::option::of(any::<u64>())).prop_map(
        |(rows, order, pages, further_pages, page_shuffle)| Behaviour {
            page_shuffle,
            ..Behaviour::new(rows, order, pages, further_pages)
        },
    )
}

fn bench(behaviour: &Behaviour) -> (Arc<Misbehaving>, Bench, List) {
    let upstream = Arc::new(Misbehaving::new(behaviour));
    let scenario = Scenario { cursor: CursorKind::Page, ties: Ties::Mirrored, page_rows: 5 };
    let settings = ListSettings { page_rows: 5, pages_max: 60, count_calls_max: 40 };
    let bench = Bench::with_network(&[], scenario, settings, |_| Arc::clone(&upstream).network());
    let filter = AccountFilter::default();
    (upstream, bench, List { parent: Parent::Project, filter, order: AccountOrder::NEWEST_FIRST })
}

/// Reads the list page by page and checks what each page says.
async fn check(behaviour: &Behaviour, size: usize, has_more_selected: bool, is_slow: bool) {
    let (upstream, bench, list) = bench(behaviour);
    let (mut shown, mut is_complete) = (Vec::new(), true);
    let mut request = wanted(Direction::Forward, size);
    request.has_more_selected = has_more_selected;
    let mut last_cursor = None;
    loop {
        let before = upstream.calls.lock().unwrap().len();
        let slice = match bench.try_read(&list, request.clone()).await {
            Ok(slice) => slice,
            // No row could be reached: the cursors expired more often than a read restarts.
            Err(ListError::Upstream(error)) if behaviour.expiries.len() > 2 => {
                assert!(matches!(error.status, Some(400..=500)), "{error:?}");
                return;
            }
            Err(error) => panic!("{error:?}"),
        };
        let calls = upstream.calls.lock().unwrap().len() - before;
        assert!(calls <= ATTEMPTS * WALKS * (upstream.pages.len() + 1), "{calls} calls");
        let page = ids(&slice);
        assert!(page.len() <= size);
        is_complete &= slice.is_complete;
        shown.extend(page.iter().cloned());
        assert!(slice.total_items.is_none_or(|total| total >= page.len() as u64));
        if behaviour.order == Order::Asked && behaviour.total == Total::Exact {
            assert!(slice.total_items.is_none_or(|total| total == behaviour.rows as u64));
        }
        assert!(!slice.has_next || !page.is_empty(), "`hasNextPage` is true after an empty page");
        assert!(shown.len() <= behaviour.rows + 200, "paging does not end");
        last_cursor = page.len().checked_sub(1).and_then(|last| slice.cursor(last)).or(last_cursor);
        if !slice.has_next {
            break;
        }
        request.after.clone_from(&last_cursor);
        if is_slow {
            bench.expire_pages().await;
        }
    }
    let mut distinct = shown.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), shown.len(), "a row is returned twice: {shown:?}");
    let is_all = shown.len() == behaviour.rows;
    assert!(is_all || !is_complete, "{} of {} rows, as if complete", shown.len(), behaviour.rows);
    // Three pages in a row without a new row end a walk, and three expiries in one read.
    let is_empty = |(size, _): &(usize, usize)| *size == 0;
    let has_few_empty_pages = !behaviour.pages.windows(3).any(|pages| pages.iter().all(is_empty));
    if has_few_empty_pages && behaviour.expiries.len() <= 1 {
        assert!(is_all, "{} of {} rows: {shown:?}", shown.len(), behaviour.rows);
        let is_total_wrong = matches!(behaviour.total, Total::Wrong(total) if total > behaviour.rows as u64);
        assert!(is_complete || is_total_wrong, "the list is complete");
    }
    if is_all && behaviour.expiries.is_empty() {
        check_way_back(&bench, &list, last_cursor, &shown, size).await;
    }
}

/// Reads the list back to its beginning from the cursor of its last row.
async fn check_way_back(bench: &Bench, list: &List, last: Option<String>, shown: &[String], size: usize) {
    let mut request = wanted(Direction::Backward, size);
    let mut rest = &shown[..shown.len().saturating_sub(1)];
    request.before = last;
    while request.before.is_some() {
        let slice = bench.read(list, request.clone()).await;
        let page = ids(&slice);
        assert!(page.len() == rest.len().min(size) && rest.ends_with(&page), "{page:?} ends {rest:?}");
        rest = &rest[..rest.len() - page.len()];
        assert!(slice.is_complete);
        if !slice.has_previous {
            break;
        }
        request.before = slice.cursor(0);
    }
    assert!(rest.is_empty(), "not returned: {rest:?}");
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn a_misbehaving_list_is_read_to_its_end_or_says_that_it_is_not(
        behaviour in behaviours(), size in 1..12_usize, has_more_selected: bool, is_slow: bool,
    ) {
        with_paused_clock(check(&behaviour, size, has_more_selected, is_slow));
    }
}

proptest! {
    #![proptest_config(one_tenth(cases()))]

    #[test]
    fn pages_that_overlap_widely_repeat_no_row(
        behaviour in wide_overlaps(), size in 5..60_usize, has_more_selected: bool, is_slow: bool,
    ) {
        with_paused_clock(check(&behaviour, size, has_more_selected, is_slow));
    }
}

/// Rows of one time, in pages of 100. A page of 10 is shorter than what the page after it repeats.
#[tokio::test(start_paused = true)]
async fn a_page_that_repeats_rows_before_the_cursors_page_is_recognized() {
    for order in [Order::Asked, Order::Opposite, Order::Shuffled(7), Order::Tied] {
        let pages = vec![(100, 0), (100, 0), (10, 0)];
        let behaviour = Behaviour::new(300, order, pages, (50, 50));
        check(&behaviour, 40, true, false).await;
    }
}

#[tokio::test(start_paused = true)]
async fn rows_that_are_read_again_do_not_displace_the_remembered_ones() {
    let pages = vec![(6, 0), (2, 0), (0, 4)];
    let expiries = vec![(0, 400), (7, 400)];
    let behaviour = Behaviour { expiries, ..Behaviour::new(30, Order::Opposite, pages, (5, 0)) };
    check(&behaviour, 4, false, false).await;
}

#[tokio::test(start_paused = true)]
async fn rows_that_are_read_again_are_remembered_in_the_order_of_the_list() {
    let pages = vec![(0, 0), (8, 0), (4, 0), (4, 0)];
    let (order, expiries) = (Order::Shuffled(630_327_020_703_651_314), vec![(9, 400)]);
    let behaviour = Behaviour { expiries, ..Behaviour::new(38, order, pages, (5, 0)) };
    check(&behaviour, 1, false, false).await;
}

/// The rows and calls of a read of 12 rows, if the cursors expire at these calls with a cursor.
async fn read_12(expiries: &[(usize, u16)]) -> (usize, bool, bool, Vec<Option<String>>) {
    let pages = vec![(5, 0), (0, 0), (5, 2), (5, 0)];
    let behaviour =
        Behaviour { expiries: expiries.to_vec(), ..Behaviour::new(15, Order::Asked, pages, (5, 0)) };
    let (upstream, bench, list) = bench(&behaviour);
    let slice = bench.read(&list, wanted(Direction::Forward, 12)).await;
    let calls = upstream.calls.lock().unwrap().clone();
    (ids(&slice).len(), slice.is_complete, slice.has_next, calls)
}

#[tokio::test(start_paused = true)]
async fn an_empty_page_with_a_cursor_does_not_end_a_list() {
    let (rows, is_complete, has_next, calls) = read_12(&[]).await;
    assert_eq!((rows, is_complete, has_next), (12, true, true));
    let calls: Vec<_> = calls.iter().map(|cursor| cursor.as_deref().unwrap_or("first")).collect();
    assert_eq!(calls, ["first", "0-1", "0-2", "0-3"]);
}

#[tokio::test(start_paused = true)]
async fn an_expired_cursor_restarts_the_list_twice_at_most() {
    for status in [400, 404, 410, 422] {
        let (rows, is_complete, has_next, calls) = read_12(&[(1, status)]).await;
        assert_eq!((rows, is_complete, has_next), (12, true, true));
        let calls: Vec<_> = calls.iter().map(|cursor| cursor.as_deref().unwrap_or("first")).collect();
        assert_eq!(calls, ["first", "0-1", "0-2", "first", "1-1", "1-2", "1-3"], "{status}");
    }
    let (rows, is_complete, has_next, calls) = read_12(&[(1, 404), (2, 404), (3, 404)]).await;
    assert_eq!((rows, is_complete, has_next), (5, false, true));
    let calls: Vec<_> = calls.iter().map(|cursor| cursor.as_deref().unwrap_or("first")).collect();
    assert_eq!(calls, ["first", "0-1", "0-2", "first", "1-1", "first", "2-1"]);
}
