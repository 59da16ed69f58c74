//! The exact upstream calls of some list queries.

use std::time::Duration;

use serde_json::{Value, json};
use switchboard::operation::TransportRules;
use switchboard::operation::request::OperationRequest;
use switchboard::sandbox::{Account, EmulatedUpstream, Settings, Tenant};

use crate::world::{World, at, strings_at, tenant_a};

const PAGE: &str = "query ($first: Int, $last: Int, $after: String, $before: String) {
    connectedAccounts(first: $first, last: $last, after: $after, before: $before) {
        edges { cursor node { connectedAccountId } }
        pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
        isComplete
    }
}";

async fn page(world: &World, variables: Value) -> Value {
    world.data_with(PAGE, variables).await["connectedAccounts"].take()
}

fn ids(page: &Value) -> Vec<String> {
    strings_at(page, "edges.*.node.connectedAccountId")
}

/// Thirty accounts, listed newest first: `ca_29` to `ca_0`, in pages of five.
fn thirty_accounts() -> World {
    let account = |number: i64| {
        Account::new(&format!("ca_{number}"), "gmail", "user_0", super::expected_lists::moment(number))
    };
    World::with_accounts((0..30).map(account).collect(), 5)
}

#[tokio::test(start_paused = true)]
async fn backward_page_inside_a_cached_page_costs_no_call() {
    let world = World::new();
    let first = page(&world, json!({ "first": 10 })).await;
    assert_eq!(world.calls().len(), 1);
    let before = first["edges"][6]["cursor"].clone();
    let back = page(&world, json!({ "last": 3, "before": before })).await;
    assert_eq!(ids(&back), ids(&first)[3..6]);
    assert_eq!(back["pageInfo"]["hasPreviousPage"], json!(true));
    assert_eq!(back["pageInfo"]["hasNextPage"], json!(true));
    assert_eq!(world.calls(), [] as [&str; 0]);
}

#[tokio::test(start_paused = true)]
async fn backward_page_reuses_known_cursors_and_reads_only_what_it_needs() {
    let world = thirty_accounts();
    let seven = page(&world, json!({ "first": 7 })).await;
    world.advance(Duration::from_secs(20)).await;
    let after = seven["pageInfo"]["endCursor"].clone();
    let five = page(&world, json!({ "first": 5, "after": after })).await;
    assert_eq!(ids(&five), ["ca_22", "ca_21", "ca_20", "ca_19", "ca_18"]);
    let forward = world.calls();
    assert_eq!(forward.len(), 3, "{forward:#?}");
    // The first two pages have expired, the third has not.
    world.advance(Duration::from_secs(15)).await;
    let before = five["pageInfo"]["endCursor"].clone();
    let back = page(&world, json!({ "last": 4, "before": before })).await;
    assert_eq!(ids(&back), ["ca_22", "ca_21", "ca_20", "ca_19"]);
    assert_eq!(world.calls(), [forward[1].clone()]);
}

#[tokio::test(start_paused = true)]
async fn page_of_zero_items_costs_no_call() {
    let world = World::new();
    for size in ["first", "last"] {
        let none = page(&world, json!({ size: 0 })).await;
        assert_eq!(none["edges"], json!([]));
        assert_eq!(none["isComplete"], json!(true));
    }
    assert_eq!(world.calls(), [] as [&str; 0]);
}

#[tokio::test(start_paused = true)]
async fn status_counts_of_twenty_providers_cost_one_scan() {
    let world = World::new();
    let query = "{ providers(first: 20) { nodes { name toolkits { slug } connectedAccounts(first: 3) {
        totalCount statusCounts { status count } nodes { connectedAccountId }
    } } } }";
    let data = world.data(query).await;
    // 384 PRIVATE accounts: one LeadLex call and four pages of a hundred.
    let calls = world.calls();
    assert_eq!(calls.len(), 1 + 4, "{calls:#?}");
    let accounts = world.sandbox.accounts(Tenant::A);
    for provider in at(&data, "providers.nodes").as_array().unwrap() {
        let slugs = strings_at(provider, "toolkits.*.slug");
        let own = |row: &&Account| !row.shared && slugs.iter().any(|slug| slug == row.toolkit);
        let own: Vec<_> = accounts.iter().filter(own).collect();
        let connection = &provider["connectedAccounts"];
        assert_eq!(connection["totalCount"], json!(own.len()), "{slugs:?}");
        for status_count in connection["statusCounts"].as_array().unwrap() {
            let word = if status_count["status"] == "UNKNOWN" {
                "QUARANTINED"
            } else {
                status_count["status"].as_str().unwrap()
            };
            let count = own.iter().filter(|row| row.status == word).count();
            assert_eq!(status_count["count"], json!(count), "{word} of {slugs:?}");
        }
    }
}

const JOINED: &str =
    "{ providers { nodes { name connectedAccounts(first: 3) { nodes { connectedAccountId } } } } }";

/// A world with 50 ms of latency that has read its providers once. They have expired.
async fn with_expired_providers() -> World {
    let world = World::with_sandbox(Settings { latency_ms: 50, ..Settings::default() });
    world.data(JOINED).await;
    world.calls();
    world.advance(Duration::from_secs(61)).await;
    world
}

#[tokio::test(start_paused = true)]
async fn accounts_are_prefetched_if_the_providers_were_known() {
    let world = with_expired_providers().await;
    let started = tokio::time::Instant::now();
    let again = world.data(JOINED).await;
    assert_eq!(started.elapsed(), Duration::from_millis(50));
    let sent = world.sandbox.requests();
    assert_eq!(sent.len(), 2);
    assert_eq!(sent[0].time, sent[1].time);
    assert_eq!(again, World::new().data(JOINED).await);
}

#[tokio::test(start_paused = true)]
async fn wrong_prefetch_does_not_change_the_response() {
    let world = with_expired_providers().await;
    let change = |rows: &mut Vec<Value>| {
        rows.truncate(3);
        rows.push(json!({ "category": "storage", "name": "box", "connected": true, "status": "healthy" }));
    };
    world.sandbox.change_providers(Tenant::A, change);
    let fresh = World::new();
    fresh.sandbox.change_providers(Tenant::A, change);
    assert_eq!(world.data(JOINED).await, fresh.data(JOINED).await);
    let leadlex = world.sandbox.requests();
    let leadlex = leadlex.iter().filter(|call| call.upstream == EmulatedUpstream::Leadlex).count();
    assert_eq!(leadlex, 1);
}

#[tokio::test(start_paused = true)]
async fn trace_lists_calls_and_savings() {
    let world = World::with_sandbox(Settings { latency_ms: 50, ..Settings::default() });
    let trace = async || {
        let request = json!({ "query": JOINED, "extensions": { "switchboard": { "trace": true } } });
        let request = OperationRequest::from_json(request.to_string().as_bytes()).unwrap();
        let rules = TransportRules { mutations: true };
        let answer = world.operations.run(request, rules, tenant_a()).await;
        let mut answer: Value = serde_json::from_slice(&answer.body).unwrap();
        answer["extensions"]["switchboard"]["trace"].take()
    };
    let cold = trace().await;
    assert_eq!(strings_at(&cold, "calls.*.upstream"), ["LEADLEX", "COMPOSIO"]);
    assert_eq!(strings_at(&cold, "calls.*.outcome"), ["OK", "OK"]);
    assert_eq!(at(&cold, "calls.*.tookMs"), json!([50.0, 50.0]));
    assert_eq!(at(&cold, "calls.*.startedAtMs"), json!([0.0, 50.0]));
    assert_eq!(cold["tookMs"], json!(100.0));
    assert!(cold["saved"]["byBatching"].as_u64().unwrap() >= 15, "{cold}");
    let warm = trace().await;
    assert_eq!(warm["calls"], json!([]));
    assert!(warm["saved"]["byCache"].as_u64().unwrap() >= 2, "{warm}");
    assert_eq!(world.calls().len(), 2);
}
