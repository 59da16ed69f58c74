//! Removed accounts of a subscription: none is reported that is still there, and none is lost if one walk fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use jiff::SignedDuration;
use serde_json::{Value, json};
use switchboard::operation::subscription::Subscription;
use switchboard::sandbox::{Account, Settings, Tenant};
use switchboard::upstream::transport::Network;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, ServiceExt, service_fn};

use crate::world::{NOW, World, tenant_a};

const CHANGED: &str =
    "subscription { connectedAccountChanged { kind id connectedAccount { connectedAccountId status } } }";

fn account(id: &str, age: i64) -> Account {
    let newest: jiff::Timestamp = NOW.parse().unwrap();
    Account::new(id, "gmail", "user_1", newest - SignedDuration::from_secs(age))
}

/// A world whose responses of Composio are replaced by `respond`, which gets the query and the status and JSON.
fn world(
    page_rows: usize,
    accounts: Vec<Account>,
    respond: impl Fn(&str, u16, &mut Value) -> u16 + Clone + Send + Sync + 'static,
) -> World {
    let wrap = move |network: Network| -> Network {
        BoxCloneSyncService::new(service_fn(move |request: http::Request<Bytes>| {
            let (network, respond) = (network.clone(), respond.clone());
            async move {
                let query = request.uri().query().unwrap_or_default().to_owned();
                let (mut head, body) = network.oneshot(request).await?.into_parts();
                let mut json: Value = serde_json::from_slice(&body.collect().await?.to_bytes())?;
                head.status = respond(&query, head.status.as_u16(), &mut json).try_into()?;
                head.headers.remove(http::header::CONTENT_LENGTH);
                let body = Full::new(Bytes::from(json.to_string())).map_err(BoxError::from).boxed_unsync();
                Ok::<_, BoxError>(http::Response::from_parts(head, body))
            }
        }))
    };
    let world = World::with_network(Settings { accounts: 0, ..Settings::default() }, page_rows, wrap);
    world.sandbox.change_accounts(Tenant::A, |rows| *rows = accounts);
    world
}

async fn next_change(subscription: &mut Subscription) -> (String, Value) {
    let next = tokio::time::timeout(Duration::from_secs(3_600), subscription.next()).await;
    let message = next.expect("a change is reported").expect("the subscription is open");
    let answer: Value = serde_json::from_slice(&message.response.body).unwrap();
    assert_eq!(answer.get("errors"), None, "{answer}");
    let change = &answer["data"]["connectedAccountChanged"];
    (change["kind"].as_str().unwrap().to_owned(), change["connectedAccount"]["connectedAccountId"].clone())
}

fn expire(world: &World, id: &str, seconds: i64) {
    world.sandbox.change_accounts(Tenant::A, |rows| {
        let row = rows.iter_mut().find(|row| row.id == id).unwrap();
        row.status = "EXPIRED";
        row.updated_at += SignedDuration::from_secs(seconds);
    });
}

#[tokio::test(start_paused = true)]
async fn shared_accounts_are_not_removed_if_their_type_is_refused_later() {
    let is_refused = Arc::new(AtomicBool::new(false));
    let refused = Arc::clone(&is_refused);
    let mut shared = account("ca_shared", 2);
    shared.shared = true;
    let accounts = vec![account("ca_1", 1), shared, account("ca_3", 3)];
    let world = world(100, accounts, move |query, status, json| {
        if refused.load(Ordering::Relaxed) && query.contains("account_type") {
            *json = json!({ "error": { "message": "unknown parameter" } });
            return 400;
        }
        status
    });
    let mut subscription = world.subscribe(tenant_a(), CHANGED).await;
    world.settle().await;
    is_refused.store(true, Ordering::Relaxed);
    for (id, seconds) in [("ca_1", 100), ("ca_3", 200), ("ca_1", 300)] {
        expire(&world, id, seconds);
        assert_eq!(next_change(&mut subscription).await, ("UPDATED".to_owned(), json!(id)));
    }
    // A private account is still reported as removed.
    world.sandbox.change_accounts(Tenant::A, |rows| rows.retain(|row| row.id != "ca_3"));
    assert_eq!(next_change(&mut subscription).await, ("REMOVED".to_owned(), Value::Null));
}

#[tokio::test(start_paused = true)]
async fn a_removal_is_reported_by_a_later_check_if_the_list_cannot_be_read_whole() {
    let fails = Arc::new(AtomicBool::new(false));
    let failing = Arc::clone(&fails);
    let accounts = (1..6).map(|n| account(&format!("ca_{n}"), n)).collect();
    let world = world(2, accounts, move |query, status, json| {
        // The total of one walk contradicts its rows.
        if query.contains("cursor=")
            && json["next_cursor"].is_null()
            && failing.swap(false, Ordering::Relaxed)
        {
            json["total_items"] = json!(40);
        }
        status
    });
    let mut subscription = world.subscribe(tenant_a(), CHANGED).await;
    world.settle().await;
    fails.store(true, Ordering::Relaxed);
    world.sandbox.change_accounts(Tenant::A, |rows| rows.retain(|row| row.id != "ca_4"));
    assert_eq!(next_change(&mut subscription).await, ("REMOVED".to_owned(), Value::Null));
    assert!(!fails.load(Ordering::Relaxed), "one walk failed");
}

#[tokio::test(start_paused = true)]
async fn an_account_that_moves_to_another_page_during_a_check_is_not_removed() {
    let moves = Arc::new(AtomicBool::new(false));
    let moving = Arc::clone(&moves);
    let accounts = (1..6).map(|n| account(&format!("ca_{n}"), n)).collect();
    let world = world(2, accounts, move |query, status, json| {
        // As if an account of the first page had been deleted after that page was read: the others move up by one.
        let rows = json["items"].as_array_mut().unwrap();
        if query.contains("cursor=") && moving.load(Ordering::Relaxed) {
            rows.retain(|row| row["id"] != "ca_3");
            if json["next_cursor"].is_null() {
                moving.store(false, Ordering::Relaxed);
            }
            json["total_items"] = json!(3);
        }
        status
    });
    let mut subscription = world.subscribe(tenant_a(), CHANGED).await;
    world.settle().await;
    moves.store(true, Ordering::Relaxed);
    world.sandbox.change_accounts(Tenant::A, |rows| rows.retain(|row| row.id != "ca_5"));
    let message = subscription.next().await.unwrap();
    let answer: Value = serde_json::from_slice(&message.response.body).unwrap();
    let change = &answer["data"]["connectedAccountChanged"];
    assert_eq!((&change["kind"], &change["id"]), (&json!("REMOVED"), &json!("Q29ubmVjdGVkQWNjb3VudDpjYV81")));
    assert!(!moves.load(Ordering::Relaxed), "one check saw the move");
    expire(&world, "ca_3", 100);
    assert_eq!(next_change(&mut subscription).await, ("UPDATED".to_owned(), json!("ca_3")));
}
