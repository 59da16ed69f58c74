//! Lists that change between two pages: no item is repeated or skipped, whether items were added, removed or
//! moved.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::{Timestamp, ToSpan};
use serde_json::{Value, json};
use switchboard::sandbox::{Account, CursorKind, Settings, Tenant};
use switchboard::upstream::transport::Network;
use tower::util::BoxCloneSyncService;
use tower::{ServiceExt, service_fn};

use super::accounts_paging::page;
use crate::world::{LONGEST_TTL, PAGE_ROWS, World, only_error, strings_at, tenant_a};

/// `count` accounts, newest first, at equal intervals. With an interval of 0, ids decide the order.
fn spaced(count: usize, seconds: i64) -> Vec<Account> {
    let newest: Timestamp = "2026-11-01T00:00:00Z".parse().unwrap();
    let made = |place: usize| newest - (place as i64 * seconds).seconds();
    (0..count).map(|place| Account::new(&format!("ca_{place}"), "gmail", "user_1", made(place))).collect()
}

fn change(world: &World, change: impl FnOnce(&mut Vec<Account>)) {
    world.sandbox.change_accounts(Tenant::A, change);
}

/// The complete current list in the upstream's order.
async fn current_list(world: &World, order: &Value) -> Vec<String> {
    let (mut all, mut after) = (Vec::new(), Value::Null);
    world.advance(LONGEST_TTL).await;
    loop {
        let page = page(world, json!({ "first": 100, "after": after, "orderBy": order })).await;
        all.extend(strings_at(&page, "nodes.*.connectedAccountId"));
        if page["pageInfo"]["hasNextPage"] == false {
            return all;
        }
        after = page["pageInfo"]["endCursor"].clone();
    }
}

/// Reads the first `places` accounts and returns the cursor after them, and their ids.
async fn read_first(world: &World, places: usize, order: &Value) -> (Value, Vec<String>) {
    let (mut held, mut after) = (Vec::new(), Value::Null);
    while held.len() < places {
        let first = (places - held.len()).min(100);
        let page = page(world, json!({ "first": first, "after": after, "orderBy": order })).await;
        held.extend(strings_at(&page, "nodes.*.connectedAccountId"));
        after = page["pageInfo"]["endCursor"].clone();
    }
    (after, held)
}

/// All items after a cursor.
async fn read_rest(world: &World, mut after: Value, order: &Value) -> Vec<String> {
    let mut read_rest = Vec::new();
    loop {
        let page = page(world, json!({ "first": 12, "after": after, "orderBy": order })).await;
        read_rest.extend(strings_at(&page, "nodes.*.connectedAccountId"));
        if page["pageInfo"]["hasNextPage"] == false {
            return read_rest;
        }
        after = page["pageInfo"]["endCursor"].clone();
    }
}

#[tokio::test(start_paused = true)]
async fn paging_continues_at_its_position_after_inserts_and_deletes() {
    type Change = fn(&mut Vec<Account>);
    let changes: [(&str, Change); 8] = [
        ("its item was deleted", |rows| rows.retain(|row| row.id != "ca_14")),
        ("its item and the neighbours were deleted", |rows| drop(rows.drain(14..16))),
        ("a few before it were deleted", |rows| drop(rows.drain(0..2))),
        ("more than a page's part before it was deleted", |rows| drop(rows.drain(0..6))),
        ("its item and most before it were deleted", |rows| drop(rows.drain(0..15))),
        ("a few were added before it", |rows| add(rows, 2)),
        ("a page was added before it", |rows| add(rows, 13)),
        ("many pages were added before it", |rows| add(rows, 45)),
    ];
    for (what, changed) in changes {
        for cursor in [CursorKind::Page, CursorKind::Keyset] {
            // A minute apart, and all at the same time. In the second case only the ids give the position.
            for seconds in [60, 0] {
                let world = World::with_network(
                    Settings { accounts: 0, cursor, ..Settings::default() },
                    10,
                    |network| network,
                );
                change(&world, |rows| *rows = spaced(40, seconds));
                let (after, seen) = read_first(&world, 15, &Value::Null).await;
                let unseen: Vec<_> = current_list(&world, &Value::Null)
                    .await
                    .into_iter()
                    .filter(|id| !seen.contains(id))
                    .collect();
                let itself = seen.last().unwrap().clone();
                // The positions above refer to the upstream's order, which is arbitrary among equal times.
                change(&world, |rows| {
                    let order = [&seen[..], &unseen[..]].concat();
                    rows.sort_by_key(|row| order.iter().position(|id| *id == row.id));
                    changed(rows);
                });
                let left = current_list(&world, &Value::Null).await;
                let expected: Vec<_> =
                    unseen.iter().filter(|id| left.contains(id)).map(String::as_str).collect();
                if seconds == 0 && !left.contains(&itself) {
                    continue; // No remaining item gives the position.
                }
                let got: Vec<_> = read_rest(&world, after, &Value::Null).await;
                let came: Vec<_> = got.iter().filter(|id| !id.starts_with("ca_new")).collect();
                assert!(
                    came == expected,
                    "{what}, {cursor:?}, {seconds} s apart: {} of {}",
                    came.len(),
                    expected.len()
                );
            }
        }
    }
}

/// Adds accounts newer than all others.
fn add(rows: &mut Vec<Account>, count: i64) {
    let newest: Timestamp = "2026-11-02T00:00:00Z".parse().unwrap();
    let new =
        |place: i64| Account::new(&format!("ca_new{place}"), "gmail", "user_1", newest + place.seconds());
    rows.extend((0..count).map(new));
}

#[tokio::test(start_paused = true)]
async fn paging_continues_after_a_moved_item() {
    for (order, what) in [
        (json!({ "field": "UPDATED_AT", "direction": "DESC" }), "to the front"),
        (json!({ "field": "UPDATED_AT", "direction": "ASC" }), "to the end"),
    ] {
        let world = World::with_accounts(spaced(250, 60), PAGE_ROWS);
        let whole = current_list(&world, &order).await;
        let (after, seen) = read_first(&world, 120, &order).await;
        let moved = seen[119].clone();
        change(&world, |rows| {
            let row = rows.iter_mut().find(|row| row.id == moved).unwrap();
            row.updated_at = "2026-11-20T00:00:00Z".parse().unwrap();
        });
        world.advance(LONGEST_TTL).await;
        let mut expected = whole[120..].to_vec();
        if what == "to the end" {
            expected.push(moved);
        }
        assert_eq!(read_rest(&world, after, &order).await, expected, "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn duplicate_upstream_rows_are_returned_once() {
    let world = World::with_accounts(spaced(250, 60), PAGE_ROWS);
    let (after, seen) = read_first(&world, 100, &Value::Null).await;
    // Page one is cached. Page two, which is not, repeats five of its rows.
    change(&world, |rows| add(rows, 5));
    let read_rest = read_rest(&world, after, &Value::Null).await;
    assert!(read_rest.iter().all(|id| !seen.contains(id)), "repeated: {:?}", &read_rest[..5]);
    assert_eq!(read_rest.len(), 150);
}

/// A network that breaks the cursor of the next `times` calls that have one.
fn cursor_breaker(network: Network, times: Arc<AtomicI64>) -> Network {
    BoxCloneSyncService::new(service_fn(move |mut request: http::Request<bytes::Bytes>| {
        let text = request.uri().to_string();
        if let Some((head, _)) = text.split_once("&cursor=")
            && times.fetch_sub(1, Ordering::SeqCst) > 0
        {
            *request.uri_mut() = format!("{head}&cursor=nonsense").parse().unwrap();
        }
        network.clone().oneshot(request)
    }))
}

#[tokio::test(start_paused = true)]
async fn refused_upstream_cursor_restarts_the_scan() {
    let times = Arc::new(AtomicI64::new(0));
    let world = {
        let times = Arc::clone(&times);
        World::with_network(Settings::default(), PAGE_ROWS, |network| cursor_breaker(network, times))
    };
    let whole = current_list(&world, &Value::Null).await;
    let (after, _) = read_first(&world, 250, &Value::Null).await;
    world.advance(LONGEST_TTL).await;
    world.calls();
    times.store(1, Ordering::SeqCst);
    let page = page(&world, json!({ "first": 20, "after": after })).await;
    assert_eq!(strings_at(&page, "nodes.*.connectedAccountId"), whole[250..270]);
    let cursors: Vec<_> = world.calls().iter().map(|call| call.contains("nonsense")).collect();
    assert_eq!(cursors, [true, false, false, false], "refused, then pages one, two and three");

    // Page one is never returned instead. An upstream that refuses every cursor is an error.
    world.advance(LONGEST_TTL).await;
    times.store(i64::MAX, Ordering::SeqCst);
    let query = "query ($after: String) { connectedAccounts(first: 20, after: $after) { nodes { id } } }";
    let answer = world.query_as(tenant_a(), query, json!({ "after": after })).await;
    assert_eq!(answer["data"]["connectedAccounts"], Value::Null);
    assert_eq!(only_error(&answer)["extensions"]["code"], "UPSTREAM_REJECTED");
}

#[tokio::test(start_paused = true)]
async fn after_a_clock_jump_a_refused_cursor_still_restarts_without_cached_pages() {
    let times = Arc::new(AtomicI64::new(0));
    let world = {
        let times = Arc::clone(&times);
        World::with_network(Settings::default(), PAGE_ROWS, |network| cursor_breaker(network, times))
    };
    world.clock().follow("2026-11-21T20:00:00Z".parse().unwrap());
    let (after, seen) = read_first(&world, 100, &Value::Null).await;
    world.calls();
    times.store(1, Ordering::SeqCst);
    let page = page(&world, json!({ "first": 20, "after": after })).await;
    assert!(strings_at(&page, "nodes.*.connectedAccountId").iter().all(|id| !seen.contains(id)));
    let cursors: Vec<_> = world.calls().iter().map(|call| call.contains("nonsense")).collect();
    assert_eq!(cursors, [true, false, false], "refused, then pages one and two");
}
