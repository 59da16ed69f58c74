//! Health of integrations and who has to act. Each response is asserted with the upstream calls behind it.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use switchboard::domain::caller::Caller;
use switchboard::domain::role::{MemberId, Role};
use switchboard::sandbox::{Account, EmulatedUpstream, Fault, Tenant};

use crate::world::{NOW, PROVIDERS, Setup, World, at, list, only_error, strings_at, tenant_a};

const ATTENTION: &str = "GET /api/v3/connected_accounts?statuses=EXPIRED%2CFAILED%2CINITIALIZING%2CINITIATED\
                         &order_by=updated_at&order_direction=desc&limit=100";

fn ago(seconds: u64) -> Timestamp {
    NOW.parse::<Timestamp>().unwrap() - Duration::from_secs(seconds)
}

/// An account with this status and last change.
fn account(id: &str, toolkit: &'static str, status: &'static str, changed_ago_s: u64) -> Account {
    let mut account = Account::new(id, toolkit, "user_1", ago(changed_ago_s + 1_000));
    account.updated_at = ago(changed_ago_s);
    account.status = status;
    account
}

/// Tenant A's providers and a few accounts with chosen statuses.
fn world(statuses: &[(&str, &str)], accounts: Vec<Account>) -> World {
    let world = World::with_accounts(accounts, 100);
    let rows = statuses.iter().map(|(name, status)| {
        json!({ "category": "email", "name": name, "connected": true, "status": status, "last_sync_at": NOW })
    });
    let rows: Vec<Value> = rows.collect();
    world.sandbox.change_providers(Tenant::A, |held| *held = rows);
    world
}

#[tokio::test(start_paused = true)]
async fn health_takes_no_additional_call() {
    let world = world(
        &[("gmail", "healthy"), ("sendgrid", "needs_reauth"), ("resend", "paused")],
        vec![account("ca_new", "gmail", "INITIATED", 60), account("ca_old", "gmail", "INITIATED", 601)],
    );
    let health = "health { state needsAttention reasons { code message source since } }";
    let query = format!(
        "{{ providers {{ nodes {{ name {health} }} }} connectedAccounts {{ nodes {{ connectedAccountId {health} }} }} }}"
    );
    let data = world.data(&query).await;
    assert_eq!(strings_at(&data, "providers.nodes.*.health.state"), ["HEALTHY", "NEEDS_REAUTH", "UNKNOWN"]);
    assert_eq!(
        at(&data, "providers.nodes.1.health"),
        json!({
            "state": "NEEDS_REAUTH",
            "needsAttention": true,
            "reasons": [{
                "code": "REAUTH_REQUIRED",
                "message": "The sign-in to this integration is no longer accepted. A workspace member must sign in again.",
                "source": "LEADLEX",
                "since": null,
            }],
        })
    );
    assert_eq!(strings_at(&data, "connectedAccounts.nodes.*.connectedAccountId"), ["ca_new", "ca_old"]);
    let first_reason = |place: usize| at(&data, &format!("connectedAccounts.nodes.{place}.health.reasons.0"));
    assert_eq!(first_reason(0)["code"], "PENDING");
    assert_eq!(first_reason(1)["code"], "ABANDONED");
    assert_eq!(first_reason(1)["since"], json!(ago(601).to_string()));
    assert_eq!(world.calls_sorted(), [list(&[]), PROVIDERS.to_owned()]);
}

#[tokio::test(start_paused = true)]
async fn health_that_depends_on_time_limits_the_cached_response() {
    let mut setup = Setup::as_shipped();
    setup.config.cache.accounts_ttl_ms = 3_600_000;
    let world = World::new_with(setup);
    world.sandbox.change_accounts(Tenant::A, |held| *held = vec![account("ca_1", "gmail", "INITIATED", 540)]);
    let query = "{ connectedAccounts { nodes { health { needsAttention reasons { code } } } } }";
    let codes =
        async || strings_at(&world.data(query).await, "connectedAccounts.nodes.*.health.reasons.0.code");
    assert_eq!(codes().await, ["PENDING"]);
    assert_eq!(codes().await, ["PENDING"]);
    world.executions();
    assert_eq!(codes().await, ["PENDING"]);
    assert_eq!(world.executions(), 0, "the response is cached");
    world.advance(Duration::from_secs(61)).await;
    assert_eq!(codes().await, ["ABANDONED"]);
    assert_eq!(world.calls(), [list(&[])]);
}

#[tokio::test(start_paused = true)]
async fn providers_are_filtered_by_health() {
    let world = world(
        &[
            ("gmail", "healthy"),
            ("sendgrid", "needs_reauth"),
            ("resend", "degraded"),
            ("brevo", "disconnected"),
        ],
        Vec::new(),
    );
    world.sandbox.change_providers(Tenant::A, |rows| {
        rows.push(json!({
            "category": "email", "name": "postmark", "connected": true, "status": "healthy", "last_sync_at": ago(90_000).to_string(),
        }));
    });
    for (filter, names) in [
        ("needsAttention: true", vec!["sendgrid"]),
        ("needsAttention: false", vec!["gmail", "resend", "brevo", "postmark"]),
        ("healthStates: [DEGRADED]", vec!["resend", "postmark"]),
        ("healthStates: [DEGRADED, NEEDS_REAUTH], needsAttention: true", vec!["sendgrid"]),
        ("healthStates: []", vec![]),
        ("healthStates: null, needsAttention: null, names: [\"gmail\"]", vec!["gmail"]),
    ] {
        let data = world
            .data(&format!("{{ providers(filter: {{ {filter} }}) {{ totalCount nodes {{ name }} }} }}"))
            .await;
        assert_eq!(strings_at(&data, "providers.nodes.*.name"), names, "{filter}");
        assert_eq!(at(&data, "providers.totalCount"), json!(names.len()));
    }
    assert_eq!(world.calls(), [PROVIDERS]);
}

const DISAGREEMENT: &str = "{ providers { nodes { name disagreement { code source } } } }";

fn accounts_call(slugs: &str, statuses: &str) -> String {
    list(&[&format!("toolkit_slugs={slugs}"), &format!("statuses={statuses}")])
}

#[tokio::test(start_paused = true)]
async fn disagreement_of_the_upstreams_is_found_in_few_calls() {
    let world = world(
        &[
            ("gmail", "healthy"),
            ("sendgrid", "needs_reauth"),
            ("resend", "healthy"),
            ("brevo", "disconnected"),
            ("yandex", "healthy"),
        ],
        vec![
            // All expired, under a provider with a healthy status.
            account("ca_1", "gmail", "EXPIRED", 60),
            account("ca_2", "gmail", "EXPIRED", 70),
            // All active, under a provider with a broken status.
            account("ca_3", "sendgrid", "ACTIVE", 60),
            // Mixed.
            account("ca_4", "resend", "EXPIRED", 60),
            account("ca_5", "resend", "ACTIVE", 60),
        ],
    );
    let data = world.data(DISAGREEMENT).await;
    let found: Vec<(String, Value)> = at(&data, "providers.nodes")
        .as_array()
        .unwrap()
        .iter()
        .map(|node| (node["name"].as_str().unwrap().to_owned(), node["disagreement"]["code"].clone()))
        .collect();
    let expected = [
        ("gmail", "DISAGREEMENT"),
        ("sendgrid", "DISAGREEMENT"),
        ("resend", ""),
        ("brevo", ""),
        ("yandex", ""),
    ];
    for ((name, code), (expected_name, expected_code)) in found.iter().zip(expected) {
        assert_eq!(name, expected_name);
        assert_eq!(
            code,
            &if expected_code.is_empty() { Value::Null } else { json!(expected_code) },
            "{name}"
        );
    }
    let but_expired = "ACTIVE%2CFAILED%2CINACTIVE%2CINITIALIZING%2CINITIATED%2CREVOKED";
    let but_active = "EXPIRED%2CFAILED%2CINACTIVE%2CINITIALIZING%2CINITIATED%2CREVOKED";
    let mut expected = [
        PROVIDERS.to_owned(),
        accounts_call("gmail%2Cresend%2Cyandex", but_expired),
        accounts_call("brevo%2Csendgrid", but_active),
        // Only of those that have no account with another status.
        accounts_call("gmail%2Cyandex", "EXPIRED"),
        accounts_call("brevo%2Csendgrid", "ACTIVE"),
    ];
    expected.sort();
    assert_eq!(world.calls_sorted(), expected);
}

#[tokio::test(start_paused = true)]
async fn failing_upstream_nulls_only_the_disagreement() {
    let world = world(&[("gmail", "healthy"), ("sendgrid", "needs_reauth")], Vec::new());
    world.sandbox.emulate(EmulatedUpstream::Composio, Some(Fault::parse("status=503").unwrap()));
    let answer = world.query("{ providers { nodes { name health { state } disagreement { code } } } }").await;
    assert_eq!(strings_at(&answer["data"], "providers.nodes.*.health.state"), ["HEALTHY", "NEEDS_REAUTH"]);
    assert_eq!(at(&answer["data"], "providers.nodes.*.disagreement"), json!([null, null]));
    let error = only_error(&answer);
    assert_eq!(
        (&error["extensions"]["code"], &error["extensions"]["count"]),
        (&json!("UPSTREAM_UNAVAILABLE"), &json!(2))
    );
}

const GLANCE: &str = "{ integrationHealth {
    providerCounts { status count }
    accountCounts { status count }
    providersNeedingAttention { name }
    accountsNeedingAttention(first: 2) {
        totalCount isComplete pageInfo { hasNextPage endCursor } nodes { connectedAccountId health { needsAttention } }
    }
} }";

fn some_accounts() -> Vec<Account> {
    vec![
        account("ca_failed", "gmail", "FAILED", 400),
        account("ca_expired", "slack", "EXPIRED", 300),
        account("ca_young", "gmail", "INITIATED", 100),
        account("ca_left", "gmail", "INITIALIZING", 700),
        account("ca_fine", "gmail", "ACTIVE", 10),
        account("ca_gone", "gmail", "REVOKED", 10),
    ]
}

fn counts_of(list: &Value) -> Vec<(String, i64)> {
    let counts = list.as_array().unwrap().iter();
    let counts =
        counts.map(|row| (row["status"].as_str().unwrap().to_owned(), row["count"].as_i64().unwrap()));
    counts.filter(|(_, count)| *count > 0).collect()
}

#[tokio::test(start_paused = true)]
async fn a_long_list_of_failing_providers_is_bounded() {
    let names: Vec<String> = (0..2_000).map(|n| format!("mail_{n}")).collect();
    let rows: Vec<_> = names.iter().map(|name| (name.as_str(), "needs_reauth")).collect();
    let world = world(&rows, Vec::new());
    let query = "{
        integrationHealth { providersNeedingAttention { name } providerCounts { count } }
        providers(first: 1, filter: { needsAttention: true }) { totalCount }
    }";
    let data = world.data(query).await;
    assert_eq!(strings_at(&data, "integrationHealth.providersNeedingAttention.*.name"), names[..100]);
    assert_eq!(at(&data, "providers.totalCount"), 2_000);
    assert_eq!(at(&data, "integrationHealth.providerCounts.2.count"), 2_000);
}

#[tokio::test(start_paused = true)]
async fn integration_health_summarizes_the_workspace() {
    let world =
        world(&[("gmail", "healthy"), ("sendgrid", "needs_reauth"), ("resend", "healthy")], some_accounts());
    let data = world.data(GLANCE).await;
    let glance = at(&data, "integrationHealth");
    assert_eq!(
        glance["providerCounts"],
        json!([
            { "status": "HEALTHY", "count": 2 }, { "status": "DEGRADED", "count": 0 },
            { "status": "NEEDS_REAUTH", "count": 1 }, { "status": "DISCONNECTED", "count": 0 },
            { "status": "UNKNOWN", "count": 0 },
        ])
    );
    let one = |status: &str| (status.to_owned(), 1);
    assert_eq!(
        counts_of(&glance["accountCounts"]),
        [one("INITIALIZING"), one("INITIATED"), one("ACTIVE"), one("FAILED"), one("EXPIRED"), one("REVOKED")]
    );
    assert_eq!(strings_at(&glance, "providersNeedingAttention.*.name"), ["sendgrid"]);
    let attention = &glance["accountsNeedingAttention"];
    // Newest change first. The account with a recent sign-in is still the user's task, so it is not counted.
    assert_eq!(strings_at(attention, "nodes.*.connectedAccountId"), ["ca_expired", "ca_failed"]);
    assert_eq!((&attention["totalCount"], &attention["isComplete"]), (&json!(3), &json!(true)));
    assert_eq!(attention["pageInfo"]["hasNextPage"], true);
    assert_eq!(world.calls_sorted(), [list(&[]), ATTENTION.to_owned(), PROVIDERS.to_owned()]);

    let query =
        "query ($after: String) { integrationHealth { accountsNeedingAttention(first: 2, after: $after) {
        pageInfo { hasNextPage } nodes { connectedAccountId } } } }";
    let next = world.data_with(query, json!({ "after": attention["pageInfo"]["endCursor"] })).await;
    let next = at(&next, "integrationHealth.accountsNeedingAttention");
    assert_eq!(strings_at(&next, "nodes.*.connectedAccountId"), ["ca_left"]);
    assert_eq!(next["pageInfo"]["hasNextPage"], false);
    assert_eq!(world.calls(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn page_is_full_without_accounts_whose_sign_in_is_in_progress() {
    let mut accounts: Vec<Account> =
        (0..150).map(|n| account(&format!("ca_young_{n}"), "gmail", "INITIATED", n)).collect();
    accounts.extend((0..5).map(|n| account(&format!("ca_expired_{n}"), "gmail", "EXPIRED", 300 + n)));
    let world = World::with_accounts(accounts, 100);
    let query = "{ integrationHealth { accountsNeedingAttention(first: 3) {
        totalCount isComplete pageInfo { hasNextPage } nodes { connectedAccountId } } } }";
    let data = at(&world.data(query).await, "integrationHealth.accountsNeedingAttention");
    assert_eq!(
        strings_at(&data, "nodes.*.connectedAccountId"),
        ["ca_expired_0", "ca_expired_1", "ca_expired_2"]
    );
    assert_eq!((&data["totalCount"], &data["isComplete"]), (&Value::Null, &json!(true)));
    assert_eq!(data["pageInfo"]["hasNextPage"], true);
}

#[tokio::test(start_paused = true)]
async fn failing_upstream_keeps_the_other_half() {
    let world = world(&[("sendgrid", "needs_reauth")], some_accounts());
    world.sandbox.emulate(EmulatedUpstream::Composio, Some(Fault::parse("status=503").unwrap()));
    let answer = world.query(GLANCE).await;
    let glance = &answer["data"]["integrationHealth"];
    assert_eq!(strings_at(glance, "providersNeedingAttention.*.name"), ["sendgrid"]);
    assert_eq!((&glance["accountCounts"], &glance["accountsNeedingAttention"]), (&Value::Null, &Value::Null));
    assert_eq!(only_error(&answer)["extensions"]["upstream"], "COMPOSIO");
}

#[tokio::test(start_paused = true)]
async fn member_sees_health_of_its_own_accounts() {
    let mut accounts = some_accounts();
    let mut own = account("ca_mine", "gmail", "EXPIRED", 50);
    own.user_id = "user_2".to_owned();
    accounts.push(own);
    let world = world(&[("gmail", "healthy"), ("sendgrid", "needs_reauth")], accounts);
    let role = Role::Member(MemberId::new("user_2").unwrap());
    let member = Caller { name: "Ann".into(), role, ..tenant_a() };
    let answer = world.query_as(member.clone(), GLANCE, json!({})).await;
    let glance = &answer["data"]["integrationHealth"];
    assert_eq!(strings_at(glance, "accountsNeedingAttention.nodes.*.connectedAccountId"), ["ca_mine"]);
    assert_eq!(counts_of(&glance["accountCounts"]), [("EXPIRED".to_owned(), 1)]);
    // All its gmail accounts are expired, even if other users' accounts are not.
    let answer = world.query_as(member, DISAGREEMENT, json!({})).await;
    assert_eq!(answer["data"]["providers"]["nodes"][0]["disagreement"]["code"], "DISAGREEMENT");
    let whole = world.data(DISAGREEMENT).await;
    assert_eq!(whole["providers"]["nodes"][0]["disagreement"], Value::Null);
}
