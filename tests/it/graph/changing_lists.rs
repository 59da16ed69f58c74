//! Lists that change between two pages: nothing is repeated and nothing is hidden, whatever came, went or moved.

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

/// `count` accounts, newest first, so many seconds apart; of equal times, the earlier in the list is the one told first.
fn spaced(count: usize, seconds: i64) -> Vec<Account> {
    let newest: Timestamp = "2026-11-01T00:00:00Z".parse().unwrap();
    let made = |place: usize| newest - (place as i64 * seconds).seconds();
    (0..count).map(|place| Account::new(&format!("ca_{place}"), "gmail", "user_1", made(place))).collect()
}

fn change(world: &World, change: impl FnOnce(&mut Vec<Account>)) {
    world.sandbox.change_accounts(Tenant::A, change);
}

/// The whole list as it is now, in the upstream's own order.
async fn now(world: &World, order: &Value) -> Vec<String> {
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

/// The cursor that stands behind `places` accounts, and their ids.
async fn read(world: &World, places: usize, order: &Value) -> (Value, Vec<String>) {
    let (mut held, mut after) = (Vec::new(), Value::Null);
    while held.len() < places {
        let first = (places - held.len()).min(100);
        let page = page(world, json!({ "first": first, "after": after, "orderBy": order })).await;
        held.extend(strings_at(&page, "nodes.*.connectedAccountId"));
        after = page["pageInfo"]["endCursor"].clone();
    }
    (after, held)
}

/// What follows a cursor, to the end.
async fn rest(world: &World, mut after: Value, order: &Value) -> Vec<String> {
    let mut rest = Vec::new();
    loop {
        let page = page(world, json!({ "first": 12, "after": after, "orderBy": order })).await;
        rest.extend(strings_at(&page, "nodes.*.connectedAccountId"));
        if page["pageInfo"]["hasNextPage"] == false {
            return rest;
        }
        after = page["pageInfo"]["endCursor"].clone();
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_came_or_went_meanwhile_the_walk_goes_on_where_it_stood() {
    type Change = fn(&mut Vec<Account>);
    let changes: [(&str, Change); 8] = [
        ("its item went", |rows| rows.retain(|row| row.id != "ca_14")),
        ("its item and its neighbours went", |rows| drop(rows.drain(14..16))),
        ("few went before it", |rows| drop(rows.drain(0..2))),
        ("more than its page's part went before it", |rows| drop(rows.drain(0..6))),
        ("most of what was before it went, and itself", |rows| drop(rows.drain(0..15))),
        ("few came before it", |rows| add(rows, 2)),
        ("a page came before it", |rows| add(rows, 13)),
        ("many pages came before it", |rows| add(rows, 45)),
    ];
    for (what, changed) in changes {
        for cursor in [CursorKind::Page, CursorKind::Keyset] {
            // A minute apart, and all of one moment: then nothing but the ids tells where the walk stood.
            for seconds in [60, 0] {
                let world = World::with_network(
                    Settings { accounts: 0, cursor, ..Settings::default() },
                    10,
                    |network| network,
                );
                change(&world, |rows| *rows = spaced(40, seconds));
                let (after, seen) = read(&world, 15, &Value::Null).await;
                let unseen: Vec<_> =
                    now(&world, &Value::Null).await.into_iter().filter(|id| !seen.contains(id)).collect();
                let itself = seen.last().unwrap().clone();
                // The named places are those of the upstream's order, which is by chance where all moments are equal.
                change(&world, |rows| {
                    let order = [&seen[..], &unseen[..]].concat();
                    rows.sort_by_key(|row| order.iter().position(|id| *id == row.id));
                    changed(rows);
                });
                let left = now(&world, &Value::Null).await;
                let expected: Vec<_> =
                    unseen.iter().filter(|id| left.contains(id)).map(String::as_str).collect();
                if seconds == 0 && !left.contains(&itself) {
                    continue; // Nothing tells any more where it stood.
                }
                let got: Vec<_> = rest(&world, after, &Value::Null).await;
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
async fn an_item_that_moved_is_followed_by_what_followed_it() {
    for (order, what) in [
        (json!({ "field": "UPDATED_AT", "direction": "DESC" }), "to the front"),
        (json!({ "field": "UPDATED_AT", "direction": "ASC" }), "to the end"),
    ] {
        let world = World::with_accounts(spaced(250, 60), PAGE_ROWS);
        let whole = now(&world, &order).await;
        let (after, seen) = read(&world, 120, &order).await;
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
        assert_eq!(rest(&world, after, &order).await, expected, "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn rows_that_the_upstream_tells_twice_are_told_once() {
    let world = World::with_accounts(spaced(250, 60), PAGE_ROWS);
    let (after, seen) = read(&world, 100, &Value::Null).await;
    // Page one is kept; on page two, which is not, five of its rows stand again.
    change(&world, |rows| add(rows, 5));
    let rest = rest(&world, after, &Value::Null).await;
    assert!(rest.iter().all(|id| !seen.contains(id)), "told again: {:?}", &rest[..5]);
    assert_eq!(rest.len(), 150);
}

/// A network that breaks the cursor of the next `times` calls that bear one.
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
async fn an_upstream_that_refuses_its_own_cursor_is_walked_again_to_the_item() {
    let times = Arc::new(AtomicI64::new(0));
    let world = {
        let times = Arc::clone(&times);
        World::with_network(Settings::default(), PAGE_ROWS, |network| cursor_breaker(network, times))
    };
    let whole = now(&world, &Value::Null).await;
    let (after, _) = read(&world, 250, &Value::Null).await;
    world.advance(LONGEST_TTL).await;
    world.calls();
    times.store(1, Ordering::SeqCst);
    let page = page(&world, json!({ "first": 20, "after": after })).await;
    assert_eq!(strings_at(&page, "nodes.*.connectedAccountId"), whole[250..270]);
    let cursors: Vec<_> = world.calls().iter().map(|call| call.contains("nonsense")).collect();
    assert_eq!(cursors, [true, false, false, false], "refused, then pages one, two and three");

    // Never page one in its place: an upstream that refuses every cursor is an error.
    world.advance(LONGEST_TTL).await;
    times.store(i64::MAX, Ordering::SeqCst);
    let query = "query ($after: String) { connectedAccounts(first: 20, after: $after) { nodes { id } } }";
    let answer = world.query_as(tenant_a(), query, json!({ "after": after })).await;
    assert_eq!(answer["data"]["connectedAccounts"], Value::Null);
    assert_eq!(only_error(&answer)["extensions"]["code"], "UPSTREAM_REJECTED");
}
