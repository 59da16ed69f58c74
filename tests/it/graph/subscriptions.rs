//! Subscriptions to changes, with the exact upstream calls behind them.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use switchboard::domain::caller::Caller;
use switchboard::domain::role::{MemberId, Role};
use switchboard::operation::subscription::Subscription;
use switchboard::sandbox::{Account, EmulatedUpstream, Fault, Settings, Tenant};

use crate::world::{NOW, PROVIDERS, World, at, caller, global_id, tenant_a, tenant_b};

const PROVIDER_CHANGED: &str = "subscription { providerChanged {
    kind cause id previousStatus at provider { name status errorMessage health { state } }
} }";

const ACCOUNT_CHANGED: &str = "subscription { connectedAccountChanged {
    kind cause previousStatus connectedAccount { connectedAccountId status userId }
} }";

/// The call to Composio while a subscription is active.
const WATCHED: &str =
    "GET /api/v3/connected_accounts?account_type=ALL&order_by=updated_at&order_direction=desc&limit=100";

const PROVIDERS_TTL: Duration = Duration::from_secs(60);

fn timestamp(seconds: i64) -> Timestamp {
    NOW.parse::<Timestamp>().unwrap() + jiff::SignedDuration::from_secs(seconds)
}

fn member(id: &str) -> Caller {
    Caller { name: "Ann".into(), role: Role::Member(MemberId::new(id).unwrap()), ..tenant_a() }
}

fn account(id: &str, user: &str, changed: i64) -> Account {
    let mut account = Account::new(id, "gmail", user, timestamp(changed - 1_000));
    account.updated_at = timestamp(changed);
    account
}

/// A few accounts that change only when a test changes them.
fn world(accounts: Vec<Account>) -> World {
    World::with_accounts(accounts, 100)
}

/// The data of the next message, which must have no errors.
async fn next_data(subscription: &mut Subscription) -> Value {
    let message = subscription.next().await.expect("the subscription is open");
    let mut answer: Value = serde_json::from_slice(&message.response.body).unwrap();
    assert_eq!(answer.get("errors"), None);
    answer["data"].take()
}

fn change(world: &World, id: &str, status: &'static str, changed: i64) {
    world.sandbox.change_accounts(Tenant::A, |rows| {
        let row = rows.iter_mut().find(|row| row.id == id).unwrap();
        row.status = status;
        row.updated_at = timestamp(changed);
    });
}

#[tokio::test(start_paused = true)]
async fn added_changed_and_removed_providers_are_sent_at_the_next_check() {
    let world = World::new();
    let rows = world.sandbox.providers(Tenant::A);
    let mut subscription = world.subscribe(tenant_a(), PROVIDER_CHANGED).await;
    assert_eq!(world.calls(), [PROVIDERS]);
    world.sandbox.change_providers(Tenant::A, |held| {
        held[0]["status"] = json!("needs_reauth");
        held[0]["error_message"] = json!("sign in again");
        held.remove(1);
        held.push(
            json!({ "category": "email", "name": "brand_new", "connected": true, "status": "healthy" }),
        );
    });
    let changed = next_data(&mut subscription).await;
    let changed = at(&changed, "providerChanged");
    assert_eq!(
        (&changed["kind"], &changed["cause"], &changed["previousStatus"]),
        (&json!("UPDATED"), &json!("POLL"), &json!("HEALTHY"))
    );
    assert_eq!(changed["at"], json!(timestamp(60).to_string()));
    assert_eq!(
        changed["provider"],
        json!({ "name": rows[0]["name"], "status": "NEEDS_REAUTH", "errorMessage": "sign in again", "health": { "state": "NEEDS_REAUTH" } })
    );
    let added = at(&next_data(&mut subscription).await, "providerChanged");
    assert_eq!((&added["kind"], &added["previousStatus"]), (&json!("ADDED"), &Value::Null));
    assert_eq!(added["provider"]["name"], "brand_new");
    let removed = at(&next_data(&mut subscription).await, "providerChanged");
    assert_eq!((&removed["kind"], &removed["provider"]), (&json!("REMOVED"), &Value::Null));
    assert_eq!(removed["previousStatus"], "HEALTHY");
    assert_eq!(world.calls(), [PROVIDERS]);
}

#[tokio::test(start_paused = true)]
async fn account_changes_are_read_from_the_newest_page_only() {
    let world = world((0..250).map(|n| account(&format!("ca_{n}"), "user_1", -n)).collect());
    let mut subscription = world.subscribe(tenant_a(), ACCOUNT_CHANGED).await;
    // The first state: page one through the cache, then all three pages again.
    assert_eq!(world.calls().len(), 4);
    change(&world, "ca_200", "EXPIRED", 5);
    world.sandbox.change_accounts(Tenant::A, |rows| {
        let mut new = account("ca_new", "user_2", 7);
        new.created_at = timestamp(6);
        rows.push(new);
    });
    assert_eq!(
        at(&next_data(&mut subscription).await, "connectedAccountChanged"),
        json!({
            "kind": "UPDATED", "cause": "POLL", "previousStatus": "ACTIVE",
            "connectedAccount": { "connectedAccountId": "ca_200", "status": "EXPIRED", "userId": "user_1" },
        })
    );
    assert_eq!(
        at(&next_data(&mut subscription).await, "connectedAccountChanged"),
        json!({
            "kind": "ADDED", "cause": "POLL", "previousStatus": null,
            "connectedAccount": { "connectedAccountId": "ca_new", "status": "ACTIVE", "userId": "user_2" },
        })
    );
    assert_eq!(world.calls(), [WATCHED]);
}

#[tokio::test(start_paused = true)]
async fn more_changes_than_a_page_are_all_sent() {
    let world = world((0..250).map(|n| account(&format!("ca_{n}"), "user_1", -n)).collect());
    let mut subscription = world.subscribe(tenant_a(), ACCOUNT_CHANGED).await;
    for n in 0..150 {
        change(&world, &format!("ca_{n}"), "EXPIRED", n);
    }
    for n in 0..150 {
        let event = at(&next_data(&mut subscription).await, "connectedAccountChanged.connectedAccount");
        assert_eq!(event["connectedAccountId"], json!(format!("ca_{n}")));
    }
}

#[tokio::test(start_paused = true)]
async fn deleted_account_is_found_by_a_lower_total_and_a_full_scan() {
    let world = world((0..150).map(|n| account(&format!("ca_{n}"), "user_1", -n)).collect());
    let mut subscription = world.subscribe(tenant_a(), ACCOUNT_CHANGED).await;
    world.calls();
    world.sandbox.change_accounts(Tenant::A, |rows| rows.retain(|row| row.id != "ca_120"));
    let gone = at(&next_data(&mut subscription).await, "connectedAccountChanged");
    assert_eq!(
        gone,
        json!({ "kind": "REMOVED", "cause": "POLL", "previousStatus": "ACTIVE", "connectedAccount": null })
    );
    assert_eq!(world.calls().len(), 3, "the first page, then both pages again");
}

#[tokio::test(start_paused = true)]
async fn member_receives_only_its_accounts_and_no_personal_data() {
    let world = world(vec![account("ca_1", "user_1", -10), account("ca_2", "user_2", -20)]);
    let mut accounts = world.subscribe(member("user_2"), ACCOUNT_CHANGED).await;
    let mut providers = world.subscribe(member("user_2"), PROVIDER_CHANGED).await;
    change(&world, "ca_1", "EXPIRED", 1);
    change(&world, "ca_2", "EXPIRED", 2);
    let event = at(&next_data(&mut accounts).await, "connectedAccountChanged.connectedAccount");
    assert_eq!(event["connectedAccountId"], "ca_2");
    // A change that a member cannot see is no change for it.
    world.sandbox.change_providers(Tenant::A, |rows| rows[0]["error_message"] = json!("ann@example.com"));
    world.advance(PROVIDERS_TTL).await;
    world.settle().await;
    world.sandbox.change_providers(Tenant::A, |rows| {
        rows[0]["error_message"] = json!("bob@example.com");
        rows[0]["status"] = json!("degraded");
    });
    let event = at(&next_data(&mut providers).await, "providerChanged");
    assert_eq!(
        (&event["provider"]["status"], &event["provider"]["errorMessage"]),
        (&json!("DEGRADED"), &Value::Null)
    );
}

#[tokio::test(start_paused = true)]
async fn account_that_moves_is_removed_for_its_old_user_and_added_for_its_new_one() {
    let world = world(vec![account("ca_1", "user_1", -10), account("ca_2", "user_2", -20)]);
    let query = "subscription { connectedAccountChanged {
        kind id previousStatus connectedAccount { connectedAccountId userId } } }";
    let mut old = world.subscribe(member("user_1"), query).await;
    let mut new = world.subscribe(member("user_2"), query).await;
    let other = world.subscribe(member("user_3"), query).await;
    let mut admin = world.subscribe(tenant_a(), query).await;
    let before = other.position();
    world.sandbox.change_accounts(Tenant::A, |rows| {
        rows[0].user_id = "user_2".to_owned();
        rows[0].updated_at = timestamp(5);
    });
    let id = json!(global_id("ConnectedAccount", "ca_1"));
    let moved = json!({ "connectedAccountId": "ca_1", "userId": "user_2" });
    for (subscription, kind, previous, account) in [
        (&mut old, "REMOVED", json!("ACTIVE"), Value::Null),
        (&mut new, "ADDED", Value::Null, moved.clone()),
        (&mut admin, "UPDATED", json!("ACTIVE"), moved),
    ] {
        assert_eq!(
            next_data(subscription).await["connectedAccountChanged"],
            json!({ "kind": kind, "id": id, "previousStatus": previous, "connectedAccount": account })
        );
    }
    assert_eq!(other.position(), before);
}

#[tokio::test(start_paused = true)]
async fn member_position_ignores_changes_of_other_users() {
    let mut accounts: Vec<_> = (0..10).map(|n| account(&format!("ca_{n}"), "user_2", -n)).collect();
    accounts.push(account("ca_own", "user_1", -100));
    let world = world(accounts);
    let mut own = world.subscribe(member("user_1"), ACCOUNT_CHANGED).await;
    let mut admin = world.subscribe(tenant_a(), ACCOUNT_CHANGED).await;
    let (start, admins) = (own.position(), admin.position());
    for n in 0..10 {
        change(&world, &format!("ca_{n}"), "EXPIRED", n);
    }
    for _ in 0..10 {
        next_data(&mut admin).await;
    }
    let fresh = world.subscribe(member("user_1"), ACCOUNT_CHANGED).await;
    assert_eq!((own.position(), fresh.position()), (start.clone(), start.clone()));
    // A guessed position, one of another view and one of another user are refused alike.
    let resume = |position: &str| json!({ "query": ACCOUNT_CHANGED, "extensions": { "switchboard": { "after": position } } });
    let guessed = format!("{:032x}", u128::from_str_radix(&start, 16).unwrap() + 1);
    let another = world.subscribe(member("user_2"), ACCOUNT_CHANGED).await.position();
    for position in [&guessed, &admins, &another, &admin.position()] {
        let refused = world.open(member("user_1"), resume(position)).await.err().unwrap();
        assert_eq!(refused["errors"][0]["extensions"]["reason"], "BAD_POSITION", "{refused}");
    }
    change(&world, "ca_own", "EXPIRED", 100);
    next_data(&mut own).await;
    assert_ne!(own.position(), start);
    let mut resumed = world.open(member("user_1"), resume(&start)).await.ok().unwrap();
    let event = at(&next_data(&mut resumed).await, "connectedAccountChanged.connectedAccount");
    assert_eq!(event["connectedAccountId"], "ca_own");
    assert_eq!(resumed.position(), own.position());
}

#[tokio::test(start_paused = true)]
async fn a_thousand_subscribers_share_the_calls_of_one() {
    let world = World::with_sandbox(Settings { accounts: 80, ..Settings::default() });
    let mut listeners = Vec::new();
    for number in 0..1_000 {
        let who = if number % 2 == 0 { tenant_a() } else { member(&format!("user_{}", number % 7)) };
        let query = if number % 3 == 0 { PROVIDER_CHANGED } else { ACCOUNT_CHANGED };
        listeners.push(world.open(who, json!({ "query": query })).await.ok().unwrap());
    }
    world.settle().await;
    assert_eq!(world.calls_sorted(), [WATCHED, PROVIDERS]);
    for _ in 0..4 {
        world.advance(Duration::from_secs(30)).await;
        world.settle().await;
    }
    // Two minutes: accounts are read every 30 s, integrations every 60 s.
    assert_eq!(world.calls_sorted(), [WATCHED, WATCHED, WATCHED, WATCHED, PROVIDERS, PROVIDERS]);
    drop(listeners);
}

#[tokio::test(start_paused = true)]
async fn without_subscribers_no_calls_are_made() {
    let world = World::new();
    let subscription = world.subscribe(tenant_a(), PROVIDER_CHANGED).await;
    drop(subscription);
    world.advance(Duration::from_secs(61)).await;
    world.settle().await;
    world.calls();
    for _ in 0..10 {
        world.advance(PROVIDERS_TTL).await;
        world.settle().await;
    }
    assert_eq!(world.calls(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn refresh_triggers_an_immediate_check() {
    let world = World::new();
    let mut subscription = world.subscribe(tenant_a(), PROVIDER_CHANGED).await;
    world.sandbox.change_providers(Tenant::A, |rows| rows[0]["status"] = json!("degraded"));
    world.data("mutation { refresh(upstream: LEADLEX) { retryAt } }").await;
    let event = at(&next_data(&mut subscription).await, "providerChanged");
    assert_eq!((&event["cause"], &event["at"]), (&json!("REFRESH"), &json!(NOW)));
    assert_eq!(world.calls(), [PROVIDERS, PROVIDERS], "the check and the mutation share the read");
}

#[tokio::test(start_paused = true)]
async fn reconnecting_in_time_misses_no_change() {
    let world = world(vec![account("ca_1", "user_1", -10), account("ca_2", "user_2", -20)]);
    let mut subscription = world.subscribe(tenant_a(), ACCOUNT_CHANGED).await;
    change(&world, "ca_1", "EXPIRED", 1);
    next_data(&mut subscription).await;
    let position = subscription.position();
    drop(subscription);
    change(&world, "ca_2", "FAILED", 40);
    world.advance(Duration::from_secs(35)).await;
    world.settle().await;
    let resume = |position: &str| json!({ "query": ACCOUNT_CHANGED, "extensions": { "switchboard": { "after": position } } });
    let mut again = world.open(tenant_a(), resume(&position)).await.ok().unwrap();
    assert_eq!(
        at(&next_data(&mut again).await, "connectedAccountChanged.connectedAccount.connectedAccountId"),
        "ca_2"
    );
    // Another tenant has its own feed.
    for (who, position) in
        [(tenant_b(), position.as_str()), (tenant_a(), "never-1"), (tenant_a(), "0000000000000000-0")]
    {
        let refused = world.open(who, resume(position)).await.err().unwrap();
        assert_eq!(refused["errors"][0]["extensions"]["reason"], "BAD_POSITION", "{refused}");
    }
}

#[tokio::test(start_paused = true)]
async fn filter_applies_to_old_and_new_state() {
    let world = world(vec![account("ca_1", "user_1", -10), account("ca_2", "user_2", -20)]);
    let query = "subscription { connectedAccountChanged(filter: { statuses: [EXPIRED] }) {
        connectedAccount { connectedAccountId status } } }";
    let mut subscription = world.subscribe(tenant_a(), query).await;
    change(&world, "ca_2", "FAILED", 1);
    change(&world, "ca_1", "EXPIRED", 2);
    let event = async |subscription: &mut Subscription| {
        at(&next_data(subscription).await, "connectedAccountChanged.connectedAccount")
    };
    assert_eq!(event(&mut subscription).await, json!({ "connectedAccountId": "ca_1", "status": "EXPIRED" }));
    change(&world, "ca_1", "ACTIVE", 50);
    assert_eq!(event(&mut subscription).await, json!({ "connectedAccountId": "ca_1", "status": "ACTIVE" }));
}

#[tokio::test(start_paused = true)]
async fn invalid_subscriptions_are_refused_immediately() {
    let world = World::new();
    for (who, query, code, reason) in [
        (
            tenant_a(),
            "subscription { connectedAccountChanged(filter: { userIds: [\"a,b\"] }) { kind } }",
            "BAD_USER_INPUT",
            json!("BAD_FILTER"),
        ),
        (
            tenant_a(),
            "subscription { providerChanged { nothing } }",
            "GRAPHQL_VALIDATION_FAILED",
            Value::Null,
        ),
        (
            tenant_a(),
            "subscription { a: providerChanged { kind } b: providerChanged { kind } }",
            "GRAPHQL_VALIDATION_FAILED",
            Value::Null,
        ),
        (caller(None, Some("ak_sandbox_a")), PROVIDER_CHANGED, "UNAUTHENTICATED", Value::Null),
    ] {
        let refused = world.open(who, json!({ "query": query })).await.err().unwrap();
        let extensions = &refused["errors"][0]["extensions"];
        assert_eq!((&extensions["code"], &extensions["reason"]), (&json!(code), &reason), "{refused}");
    }
    let answered = world.open(tenant_a(), json!({ "query": "{ viewer { name } }" })).await.err().unwrap();
    assert_eq!(at(&answered, "data.viewer.name"), "test");
}

#[tokio::test(start_paused = true)]
async fn failing_upstream_is_retried_and_refused_key_ends_the_subscription() {
    let world = World::new();
    let mut subscription = world.subscribe(tenant_a(), PROVIDER_CHANGED).await;
    world.sandbox.emulate(EmulatedUpstream::Leadlex, Some(Fault::parse("status=503").unwrap()));
    world.advance(PROVIDERS_TTL).await;
    world.settle().await;
    world.sandbox.emulate(EmulatedUpstream::Leadlex, None);
    world.sandbox.change_providers(Tenant::A, |rows| rows[0]["status"] = json!("degraded"));
    assert_eq!(at(&next_data(&mut subscription).await, "providerChanged.provider.status"), "DEGRADED");
    world.sandbox.emulate(EmulatedUpstream::Leadlex, Some(Fault::parse("status=401").unwrap()));
    let message = subscription.next().await.unwrap();
    let answer: Value = serde_json::from_slice(&message.response.body).unwrap();
    assert_eq!(answer["errors"][0]["extensions"]["code"], "UPSTREAM_UNAUTHORIZED");
    assert!(subscription.next().await.is_none());
}
