//! Changes as those who subscribe hear of them, and the exact upstream calls behind them.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use switchboard::domain::caller::Caller;
use switchboard::domain::role::{MemberId, Role};
use switchboard::operation::subscription::Subscription;
use switchboard::sandbox::{Account, EmulatedUpstream, Fault, Settings, Tenant};

use crate::world::{NOW, PROVIDERS, World, at, caller, tenant_a, tenant_b};

const PROVIDER_CHANGED: &str = "subscription { providerChanged {
    kind cause id previousStatus at provider { name status errorMessage health { state } }
} }";

const ACCOUNT_CHANGED: &str = "subscription { connectedAccountChanged {
    kind cause previousStatus connectedAccount { connectedAccountId status userId }
} }";

/// What is asked of Composio while somebody listens.
const WATCHED: &str =
    "GET /api/v3/connected_accounts?account_type=ALL&order_by=updated_at&order_direction=desc&limit=100";

const PROVIDERS_TTL: Duration = Duration::from_secs(60);

fn moment(seconds: i64) -> Timestamp {
    NOW.parse::<Timestamp>().unwrap() + jiff::SignedDuration::from_secs(seconds)
}

fn member(id: &str) -> Caller {
    Caller { name: "Ann".into(), role: Role::Member(MemberId::new(id).unwrap()), ..tenant_a() }
}

fn account(id: &str, user: &str, changed: i64) -> Account {
    let mut account = Account::new(id, "gmail", user, moment(changed - 1_000));
    account.updated_at = moment(changed);
    account
}

/// A world of few accounts that do not change by themselves.
fn world(accounts: Vec<Account>) -> World {
    World::with_accounts(accounts, 100)
}

/// The data of the next message, which has no errors.
async fn heard(subscription: &mut Subscription) -> Value {
    let message = subscription.next().await.expect("it goes on");
    let mut answer: Value = serde_json::from_slice(&message.response.body).unwrap();
    assert_eq!(answer.get("errors"), None);
    answer["data"].take()
}

fn change(world: &World, id: &str, status: &'static str, changed: i64) {
    world.sandbox.change_accounts(Tenant::A, |rows| {
        let row = rows.iter_mut().find(|row| row.id == id).unwrap();
        row.status = status;
        row.updated_at = moment(changed);
    });
}

#[tokio::test(start_paused = true)]
async fn an_integration_that_comes_changes_or_goes_is_told_at_the_next_look() {
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
    let changed = heard(&mut subscription).await;
    let changed = at(&changed, "providerChanged");
    assert_eq!(
        (&changed["kind"], &changed["cause"], &changed["previousStatus"]),
        (&json!("UPDATED"), &json!("POLL"), &json!("HEALTHY"))
    );
    assert_eq!(changed["at"], json!(moment(60).to_string()));
    assert_eq!(
        changed["provider"],
        json!({ "name": rows[0]["name"], "status": "NEEDS_REAUTH", "errorMessage": "sign in again", "health": { "state": "NEEDS_REAUTH" } })
    );
    let added = at(&heard(&mut subscription).await, "providerChanged");
    assert_eq!((&added["kind"], &added["previousStatus"]), (&json!("ADDED"), &Value::Null));
    assert_eq!(added["provider"]["name"], "brand_new");
    let removed = at(&heard(&mut subscription).await, "providerChanged");
    assert_eq!((&removed["kind"], &removed["provider"]), (&json!("REMOVED"), &Value::Null));
    assert_eq!(removed["previousStatus"], "HEALTHY");
    assert_eq!(world.calls(), [PROVIDERS]);
}

#[tokio::test(start_paused = true)]
async fn an_account_that_comes_or_changes_is_read_off_the_newest_changes_alone() {
    let world = world((0..250).map(|n| account(&format!("ca_{n}"), "user_1", -n)).collect());
    let mut subscription = world.subscribe(tenant_a(), ACCOUNT_CHANGED).await;
    // What there is to begin with: the first page, through the cache, and then all three anew.
    assert_eq!(world.calls().len(), 4);
    change(&world, "ca_200", "EXPIRED", 5);
    world.sandbox.change_accounts(Tenant::A, |rows| {
        let mut new = account("ca_new", "user_2", 7);
        new.created_at = moment(6);
        rows.push(new);
    });
    assert_eq!(
        at(&heard(&mut subscription).await, "connectedAccountChanged"),
        json!({
            "kind": "UPDATED", "cause": "POLL", "previousStatus": "ACTIVE",
            "connectedAccount": { "connectedAccountId": "ca_200", "status": "EXPIRED", "userId": "user_1" },
        })
    );
    assert_eq!(
        at(&heard(&mut subscription).await, "connectedAccountChanged"),
        json!({
            "kind": "ADDED", "cause": "POLL", "previousStatus": null,
            "connectedAccount": { "connectedAccountId": "ca_new", "status": "ACTIVE", "userId": "user_2" },
        })
    );
    assert_eq!(world.calls(), [WATCHED]);
}

#[tokio::test(start_paused = true)]
async fn more_changes_than_a_page_holds_are_all_told() {
    let world = world((0..250).map(|n| account(&format!("ca_{n}"), "user_1", -n)).collect());
    let mut subscription = world.subscribe(tenant_a(), ACCOUNT_CHANGED).await;
    for n in 0..150 {
        change(&world, &format!("ca_{n}"), "EXPIRED", n);
    }
    for n in 0..150 {
        let told = at(&heard(&mut subscription).await, "connectedAccountChanged.connectedAccount");
        assert_eq!(told["connectedAccountId"], json!(format!("ca_{n}")));
    }
}

#[tokio::test(start_paused = true)]
async fn that_an_account_went_is_told_where_the_total_fell_and_a_whole_walk_missed_it() {
    let world = world((0..150).map(|n| account(&format!("ca_{n}"), "user_1", -n)).collect());
    let mut subscription = world.subscribe(tenant_a(), ACCOUNT_CHANGED).await;
    world.calls();
    world.sandbox.change_accounts(Tenant::A, |rows| rows.retain(|row| row.id != "ca_120"));
    let gone = at(&heard(&mut subscription).await, "connectedAccountChanged");
    assert_eq!(
        gone,
        json!({ "kind": "REMOVED", "cause": "POLL", "previousStatus": "ACTIVE", "connectedAccount": null })
    );
    assert_eq!(world.calls().len(), 3, "the first page, and both pages anew");
}

#[tokio::test(start_paused = true)]
async fn a_member_hears_of_its_own_accounts_alone_and_of_integrations_without_what_is_personal() {
    let world = world(vec![account("ca_1", "user_1", -10), account("ca_2", "user_2", -20)]);
    let mut accounts = world.subscribe(member("user_2"), ACCOUNT_CHANGED).await;
    let mut providers = world.subscribe(member("user_2"), PROVIDER_CHANGED).await;
    change(&world, "ca_1", "EXPIRED", 1);
    change(&world, "ca_2", "EXPIRED", 2);
    let told = at(&heard(&mut accounts).await, "connectedAccountChanged.connectedAccount");
    assert_eq!(told["connectedAccountId"], "ca_2");
    // What a member does not see has not changed for it.
    world.sandbox.change_providers(Tenant::A, |rows| rows[0]["error_message"] = json!("ann@example.com"));
    world.advance(PROVIDERS_TTL).await;
    world.settle().await;
    world.sandbox.change_providers(Tenant::A, |rows| {
        rows[0]["error_message"] = json!("bob@example.com");
        rows[0]["status"] = json!("degraded");
    });
    let told = at(&heard(&mut providers).await, "providerChanged");
    assert_eq!(
        (&told["provider"]["status"], &told["provider"]["errorMessage"]),
        (&json!("DEGRADED"), &Value::Null)
    );
    // An account that passes from one user to another is no event of either.
    world.sandbox.change_accounts(Tenant::A, |rows| {
        rows[0].user_id = "user_2".to_owned();
        rows[0].updated_at = moment(200);
    });
    world.advance(PROVIDERS_TTL).await;
    world.settle().await;
    change(&world, "ca_2", "ACTIVE", 300);
    let told = at(&heard(&mut accounts).await, "connectedAccountChanged");
    assert_eq!(
        (&told["connectedAccount"]["connectedAccountId"], &told["previousStatus"]),
        (&json!("ca_2"), &json!("EXPIRED"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_thousand_listeners_make_the_calls_of_one() {
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
    // Two minutes: accounts are read again each 30 s, integrations each 60 s.
    assert_eq!(world.calls_sorted(), [WATCHED, WATCHED, WATCHED, WATCHED, PROVIDERS, PROVIDERS]);
    drop(listeners);
}

#[tokio::test(start_paused = true)]
async fn when_nobody_listens_any_more_nobody_asks_any_more() {
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
async fn a_refresh_is_an_occasion_to_look_at_once() {
    let world = World::new();
    let mut subscription = world.subscribe(tenant_a(), PROVIDER_CHANGED).await;
    world.sandbox.change_providers(Tenant::A, |rows| rows[0]["status"] = json!("degraded"));
    world.data("mutation { refresh(upstream: LEADLEX) { retryAt } }").await;
    let told = at(&heard(&mut subscription).await, "providerChanged");
    assert_eq!((&told["cause"], &told["at"]), (&json!("REFRESH"), &json!(NOW)));
    assert_eq!(world.calls(), [PROVIDERS, PROVIDERS], "the look and the mutation read together");
}

#[tokio::test(start_paused = true)]
async fn whoever_comes_back_in_time_misses_nothing() {
    let world = world(vec![account("ca_1", "user_1", -10), account("ca_2", "user_2", -20)]);
    let mut subscription = world.subscribe(tenant_a(), ACCOUNT_CHANGED).await;
    change(&world, "ca_1", "EXPIRED", 1);
    heard(&mut subscription).await;
    let position = subscription.position();
    drop(subscription);
    change(&world, "ca_2", "FAILED", 40);
    world.advance(Duration::from_secs(35)).await;
    world.settle().await;
    let resume = |position: &str| json!({ "query": ACCOUNT_CHANGED, "extensions": { "switchboard": { "after": position } } });
    let mut again = world.open(tenant_a(), resume(&position)).await.ok().unwrap();
    assert_eq!(
        at(&heard(&mut again).await, "connectedAccountChanged.connectedAccount.connectedAccountId"),
        "ca_2"
    );
    // Another tenant's feed is another.
    for (who, position) in
        [(tenant_b(), position.as_str()), (tenant_a(), "never-1"), (tenant_a(), "0000000000000000-0")]
    {
        let refused = world.open(who, resume(position)).await.err().unwrap();
        assert_eq!(refused["errors"][0]["extensions"]["reason"], "BAD_POSITION", "{refused}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_filter_holds_for_what_was_and_for_what_is() {
    let world = world(vec![account("ca_1", "user_1", -10), account("ca_2", "user_2", -20)]);
    let query = "subscription { connectedAccountChanged(filter: { statuses: [EXPIRED] }) {
        connectedAccount { connectedAccountId status } } }";
    let mut subscription = world.subscribe(tenant_a(), query).await;
    change(&world, "ca_2", "FAILED", 1);
    change(&world, "ca_1", "EXPIRED", 2);
    let told = async |subscription: &mut Subscription| {
        at(&heard(subscription).await, "connectedAccountChanged.connectedAccount")
    };
    assert_eq!(told(&mut subscription).await, json!({ "connectedAccountId": "ca_1", "status": "EXPIRED" }));
    change(&world, "ca_1", "ACTIVE", 50);
    assert_eq!(told(&mut subscription).await, json!({ "connectedAccountId": "ca_1", "status": "ACTIVE" }));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_listened_with_is_refused_at_once() {
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
async fn an_upstream_that_fails_is_asked_again_later_and_a_refused_key_ends_it_with_a_word() {
    let world = World::new();
    let mut subscription = world.subscribe(tenant_a(), PROVIDER_CHANGED).await;
    world.sandbox.emulate(EmulatedUpstream::Leadlex, Some(Fault::parse("status=503").unwrap()));
    world.advance(PROVIDERS_TTL).await;
    world.settle().await;
    world.sandbox.emulate(EmulatedUpstream::Leadlex, None);
    world.sandbox.change_providers(Tenant::A, |rows| rows[0]["status"] = json!("degraded"));
    assert_eq!(at(&heard(&mut subscription).await, "providerChanged.provider.status"), "DEGRADED");
    world.sandbox.emulate(EmulatedUpstream::Leadlex, Some(Fault::parse("status=401").unwrap()));
    let message = subscription.next().await.unwrap();
    let answer: Value = serde_json::from_slice(&message.response.body).unwrap();
    assert_eq!(answer["errors"][0]["extensions"]["code"], "UPSTREAM_UNAUTHORIZED");
    assert!(subscription.next().await.is_none());
}
