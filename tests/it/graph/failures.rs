//! One upstream fails: its fields are null, the other upstream's data is complete, and one error says what a
//! client can do. No text of the upstream is exposed.

use std::time::Duration;

use serde_json::{Value, json};
use switchboard::sandbox::{EmulatedUpstream, Fault, Scenario, Settings};

use crate::world::{PROVIDERS, Setup, World, at, caller, list, only_error, strings_at, tenant_a};

/// Fields of both upstreams, and fields nested under each.
const BOTH: &str = "{
    providers(first: 20) { nodes { name connectedAccounts(first: 3) { nodes { id } } } }
    connectedAccounts(first: 2) { nodes { userId } }
}";

const COMPOSIO: &str = "The connected-accounts API (Composio)";
const LEADLEX: &str = "The workspace API (LeadLex)";

fn inject_fault(world: &World, upstream: EmulatedUpstream, fault: &str) {
    world.sandbox.emulate(upstream, Some(Fault::parse(fault).unwrap()));
}

/// Asserts that no secret is in a response.
fn assert_no_secrets(answer: &Value) {
    let text = answer.to_string();
    for secret in [
        "sandbox.invalid",
        "http",
        "api-gateway",
        "CANARY-",
        "wbk_sandbox",
        "ak_sandbox",
        "Emulated",
        "DOCTYPE",
    ] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}

/// A fault, the expected code, the rest of the message, and the expected `retryAfterMs`.
type Case = (&'static str, &'static str, &'static str, Option<u64>);

const CASES: [Case; 18] = [
    ("status=400", "UPSTREAM_REJECTED", "did not accept the request.", None),
    ("status=401", "UPSTREAM_UNAUTHORIZED", "did not accept the key.", None),
    ("status=403", "UPSTREAM_FORBIDDEN", "does not permit this with the key in use.", None),
    ("status=404", "UPSTREAM_REJECTED", "did not accept the request.", None),
    ("status=422", "UPSTREAM_REJECTED", "did not accept the request.", None),
    ("status=429; retry-after=7", "UPSTREAM_RATE_LIMITED", "has reached its rate limit.", Some(7_000)),
    (
        "shape=documented; retry-after=30",
        "UPSTREAM_RATE_LIMITED",
        "has reached its rate limit.",
        Some(30_000),
    ),
    ("status=429", "UPSTREAM_RATE_LIMITED", "has reached its rate limit.", Some(1_000)),
    ("status=500", "UPSTREAM_UNAVAILABLE", "is unavailable.", None),
    ("status=503; retry-after=2", "UPSTREAM_UNAVAILABLE", "is unavailable.", Some(2_000)),
    ("status=546", "UPSTREAM_UNAVAILABLE", "is unavailable.", None),
    ("status=302", "UPSTREAM_BAD_RESPONSE", "returned a response that cannot be read.", None),
    ("garbage=1", "UPSTREAM_BAD_RESPONSE", "returned a response that cannot be read.", None),
    ("empty=1", "UPSTREAM_BAD_RESPONSE", "returned a response that cannot be read.", None),
    ("cut=1", "UPSTREAM_BAD_RESPONSE", "returned a response that cannot be read.", None),
    ("size=10485760", "UPSTREAM_BAD_RESPONSE", "returned a response that cannot be read.", None),
    ("shape=list", "UPSTREAM_BAD_RESPONSE", "returned a response that cannot be read.", None),
    ("latency-ms=5001", "UPSTREAM_TIMEOUT", "did not answer in time.", None),
];

fn assert_error(answer: &Value, name: &str, upstream: &str, (fault, code, sentence, retry): Case) {
    let error = only_error(answer);
    let extensions = &error["extensions"];
    assert_eq!(error["message"], format!("{name} {sentence}"), "{fault}");
    assert_eq!(extensions["code"], code, "{fault}");
    assert_eq!(extensions["upstream"], upstream, "{fault}");
    let retryable =
        ["UPSTREAM_TIMEOUT", "UPSTREAM_UNAVAILABLE", "UPSTREAM_RATE_LIMITED", "UPSTREAM_BAD_RESPONSE"];
    assert_eq!(extensions["retryable"], retryable.contains(&code), "{fault}");
    assert_eq!(extensions["retryAfterMs"], json!(retry), "{fault}");
    assert_no_secrets(answer);
}

#[tokio::test(start_paused = true)]
async fn failing_composio_keeps_providers_and_is_one_error() {
    let world = World::new();
    world.data(BOTH).await;
    let all = world.calls_sorted();
    assert_eq!(all.len(), 3, "the providers, their accounts, and the complete list");
    for case in CASES {
        let world = World::new();
        inject_fault(&world, EmulatedUpstream::Composio, case.0);
        let answer = world.query(BOTH).await;
        assert_error(&answer, COMPOSIO, "COMPOSIO", case);
        let error = only_error(&answer);
        assert_eq!(error["path"], json!(["providers", "nodes", 0, "connectedAccounts"]));
        assert_eq!(error["extensions"]["count"], 21);
        let paths = error["extensions"]["paths"].as_array().unwrap();
        assert_eq!((paths.len(), &paths[20]), (21, &json!(["connectedAccounts"])));
        let data = &answer["data"];
        assert_eq!(strings_at(data, "providers.nodes.*.name").len(), 20);
        assert_eq!(at(data, "providers.nodes.*.connectedAccounts"), json!(vec![Value::Null; 20]));
        assert_eq!(data["connectedAccounts"], Value::Null);
        let mut calls = all.clone();
        calls.retain(|call| !(pauses_the_key(case) && call.contains("toolkit_slugs=")));
        assert_eq!(world.calls_sorted(), calls, "{}", case.0);

        // A failure is not cached. The next allowed request calls again and succeeds.
        world.sandbox.emulate(EmulatedUpstream::Composio, None);
        world.advance(retry_delay(case)).await;
        let answer = world.query(BOTH).await;
        assert_eq!(answer.get("errors"), None, "after {}", case.0);
        assert_eq!(world.calls().len(), 2, "both lists are read again, the providers are cached");
    }
}

#[tokio::test(start_paused = true)]
async fn failing_leadlex_keeps_accounts() {
    for case in CASES.into_iter().chain([(
        "shape=wrong-types",
        "UPSTREAM_BAD_RESPONSE",
        "returned a response that cannot be read.",
        None,
    )]) {
        let world = World::new();
        inject_fault(&world, EmulatedUpstream::Leadlex, case.0);
        let query = "{ providers { totalCount } connectedAccounts(first: 2) { nodes { userId providers { name } } } }";
        let answer = world.query(query).await;
        assert_error(&answer, LEADLEX, "LEADLEX", case);
        assert_eq!(only_error(&answer)["extensions"]["count"], 3);
        assert_eq!(answer["data"]["providers"], Value::Null);
        let nodes = &answer["data"]["connectedAccounts"]["nodes"];
        assert_eq!(strings_at(nodes, "*.userId").len(), 2);
        assert_eq!(at(nodes, "*.providers"), json!([null, null]));
        let mut calls = world.calls_sorted();
        if !pauses_the_key(case) {
            // The accounts' providers are read after the failure, or share the call that is about to fail.
            calls.dedup();
        }
        assert_eq!(calls, [list(&[]), PROVIDERS.to_owned()], "{}", case.0);

        world.sandbox.emulate(EmulatedUpstream::Leadlex, None);
        world.advance(retry_delay(case)).await;
        assert_eq!(world.query(query).await.get("errors"), None, "after {}", case.0);
    }
}

/// The time for which a refused key is not used again.
const REFUSED_KEY_PAUSE: Duration = Duration::from_secs(5);

/// Whether this failure stops further calls with the same key within the same response.
fn pauses_the_key((_, code, ..): Case) -> bool {
    ["UPSTREAM_UNAUTHORIZED", "UPSTREAM_RATE_LIMITED"].contains(&code)
}

fn retry_delay((.., retry_after_ms): Case) -> Duration {
    REFUSED_KEY_PAUSE.max(Duration::from_millis(retry_after_ms.unwrap_or(0)))
}

#[tokio::test(start_paused = true)]
async fn refused_key_pauses_only_itself() {
    let world = World::new();
    let wrong = || caller(Some("wbk_nobody_knows"), Some("ak_sandbox_a"));
    let query = "{ providers { totalCount } connectedAccounts(first: 1) { nodes { id } } }";
    for _ in 0..3 {
        let answer = world.query_as(wrong(), query, json!({})).await;
        assert_eq!(only_error(&answer)["extensions"]["code"], "UPSTREAM_UNAUTHORIZED");
        assert_ne!(answer["data"]["connectedAccounts"], Value::Null);
    }
    assert_eq!(world.calls().len(), 2, "one to LeadLex, one to Composio");
    assert_eq!(world.query("{ providers { totalCount } }").await["data"]["providers"]["totalCount"], 25);
    assert_eq!(world.calls().len(), 1);
    tokio::time::advance(REFUSED_KEY_PAUSE).await;
    world.query_as(wrong(), "{ providers { totalCount } }", json!({})).await;
    assert_eq!(world.calls().len(), 1, "the key may work again");
}

#[tokio::test(start_paused = true)]
async fn refused_request_is_sent_again_after_a_refresh() {
    for (fault, code) in [
        ("status=403", "UPSTREAM_FORBIDDEN"),
        ("status=404", "UPSTREAM_REJECTED"),
        ("status=422", "UPSTREAM_REJECTED"),
    ] {
        let world = World::new();
        let query = "{ connectedAccounts(first: 1) { nodes { id } } }";
        inject_fault(&world, EmulatedUpstream::Composio, fault);
        for _ in 0..10 {
            let answer = world.query(query).await;
            assert_eq!(only_error(&answer)["extensions"]["code"], code);
        }
        assert_eq!(world.calls(), [list(&[])], "{fault}");
        world.sandbox.emulate(EmulatedUpstream::Composio, None);
        world.data("mutation { refresh(upstream: COMPOSIO) { retryAt } }").await;
        assert_eq!(world.calls(), [list(&[])], "{fault}");
        assert_eq!(world.query(query).await.get("errors"), None);
    }
}

#[tokio::test(start_paused = true)]
async fn page_of_wrong_types_is_a_bad_response() {
    let world = World::new();
    inject_fault(&world, EmulatedUpstream::Composio, "shape=wrong-types");
    let answer = world.query(BOTH).await;
    assert_error(
        &answer,
        COMPOSIO,
        "COMPOSIO",
        ("shape=wrong-types", "UPSTREAM_BAD_RESPONSE", "returned a response that cannot be read.", None),
    );
}

#[tokio::test(start_paused = true)]
async fn two_failing_upstreams_are_two_errors() {
    let world = World::new();
    inject_fault(&world, EmulatedUpstream::Leadlex, "status=401");
    inject_fault(&world, EmulatedUpstream::Composio, "status=500");
    let answer = world.query(BOTH).await;
    assert_eq!(
        strings_at(&answer, "errors.*.extensions.code"),
        ["UPSTREAM_UNAUTHORIZED", "UPSTREAM_UNAVAILABLE"]
    );
    assert_eq!(answer["data"], json!({ "providers": null, "connectedAccounts": null }));
    assert_no_secrets(&answer);
}

#[tokio::test(start_paused = true)]
async fn every_failed_root_field_is_null_at_its_path() {
    let world = World::new();
    let id =
        strings_at(&world.data("{ providers(first: 1) { nodes { id } } }").await, "providers.nodes.*.id")
            .remove(0);
    world.advance(crate::world::LONGEST_TTL).await;
    inject_fault(&world, EmulatedUpstream::Leadlex, "status=500");
    inject_fault(&world, EmulatedUpstream::Composio, "status=500");
    let query = r#"query ($id: ID!) {
        node(id: $id) { id } nodes(ids: [$id, "VG9vbGtpdDpnbWFpbA"]) { id }
        provider(id: $id) { id } providersByIds(ids: [$id]) { id } providers { totalCount }
        connectedAccount(id: "ca_1") { id } connectedAccountsByIds(ids: ["ca_1", "ca_2"]) { id } connectedAccounts { totalCount }
        counted: connectedAccounts(first: 0) { nodes { id } totalCount }
        toolkit(slug: "gmail") { slug providers { id } connectedAccounts { totalCount } }
        user(id: "u") { id connectedAccounts { totalCount } }
    }"#;
    let answer = world.query_as(tenant_a(), query, json!({ "id": id })).await;
    assert_eq!(
        answer["data"],
        json!({
            "node": null, "nodes": [null, { "id": "VG9vbGtpdDpnbWFpbA" }],
            "provider": null, "providersByIds": [null], "providers": null,
            "connectedAccount": null, "connectedAccountsByIds": [null, null], "connectedAccounts": null,
            "counted": { "nodes": [], "totalCount": null },
            "toolkit": { "slug": "gmail", "providers": null, "connectedAccounts": null },
            "user": { "id": "u", "connectedAccounts": null },
        })
    );
    assert_eq!(strings_at(&answer, "errors.*.extensions.upstream"), ["LEADLEX", "COMPOSIO"]);
    assert_eq!(at(&answer, "errors.*.extensions.count"), json!([6, 7]));
}

#[tokio::test(start_paused = true)]
async fn upstream_request_id_is_in_the_error() {
    for upstream in [EmulatedUpstream::Leadlex, EmulatedUpstream::Composio] {
        let world = World::new();
        inject_fault(&world, upstream, "status=500");
        let answer = world.query("{ providers { totalCount } connectedAccounts { totalCount } }").await;
        let id = only_error(&answer)["extensions"]["requestId"].as_str().unwrap();
        assert!(id.len() >= 36, "{id}");
    }
}

#[tokio::test(start_paused = true)]
async fn some_batches_of_parents_fail_while_others_succeed() {
    let world = World::new();
    inject_fault(&world, EmulatedUpstream::Composio, "status=500; times=1");
    let query = "{ providers(first: 20) { nodes { connectedAccounts(first: 10) { nodes { id } } } } }";
    let answer = world.query(query).await;
    assert_eq!(only_error(&answer)["extensions"]["count"], 10);
    let connections = at(&answer["data"], "providers.nodes.*.connectedAccounts");
    let answered = connections.as_array().unwrap().iter().filter(|one| !one.is_null()).count();
    assert_eq!(answered, 10);
}

#[tokio::test(start_paused = true)]
async fn two_thousand_failed_parents_are_one_error() {
    let mut setup = Setup::default();
    setup.config.connections.ids_max = 2_000;
    let world = World::new_with(setup);
    inject_fault(&world, EmulatedUpstream::Composio, "status=500");
    let ids: Vec<String> = (0..2_000).map(|number| format!("user_{number}")).collect();
    let query =
        "query ($ids: [ID!]!) { usersByIds(ids: $ids) { connectedAccounts(first: 1) { nodes { id } } } }";
    let answer = world.query_as(tenant_a(), query, json!({ "ids": ids })).await;
    let extensions = &only_error(&answer)["extensions"];
    assert_eq!((&extensions["code"], &extensions["count"]), (&json!("UPSTREAM_UNAVAILABLE"), &json!(2_000)));
    assert_eq!(extensions["paths"].as_array().unwrap().len(), 100);
    assert_eq!(at(&answer["data"], "usersByIds.*.connectedAccounts"), json!(vec![Value::Null; 2_000]));
    assert_no_secrets(&answer);
}

#[tokio::test(start_paused = true)]
async fn unsupported_account_type_is_not_sent_again() {
    let world = World::new();
    let account = world.sandbox.accounts(switchboard::sandbox::Tenant::A).remove(0);
    inject_fault(&world, EmulatedUpstream::Composio, "status=422; times=1");
    let query = "query ($id: ID!) { connectedAccount(id: $id) { userId } }";
    let data = world.data_with(query, json!({ "id": account.id })).await;
    assert_eq!(data["connectedAccount"]["userId"], account.user_id);
    let calls = world.calls();
    assert_eq!(
        (calls.len(), calls[0].contains("account_type=ALL"), calls[1].contains("account_type")),
        (2, true, false)
    );
    world.data_with(query, json!({ "id": "ca_2" })).await;
    let calls = world.calls();
    assert!(calls.len() == 1 && !calls[0].contains("account_type"), "{calls:?}");
}

#[tokio::test(start_paused = true)]
async fn missing_key_nulls_only_its_own_upstream() {
    let no = |name: &str, header: &str| format!("{name} needs an API key: send it as {header}.");
    let world = World::new();
    let answer = world.query_as(caller(Some("wbk_sandbox_a"), None), BOTH, json!({})).await;
    let error = only_error(&answer);
    assert_eq!(error["message"], no(COMPOSIO, "`x-api-key`"));
    assert_eq!(error["extensions"]["code"], "UNAUTHENTICATED");
    assert_eq!(
        (&error["extensions"]["upstream"], &error["extensions"]["count"]),
        (&json!("COMPOSIO"), &json!(21))
    );
    assert_eq!(strings_at(&answer["data"], "providers.nodes.*.name").len(), 20);
    assert_eq!(world.calls().len(), 1);

    let answer = world.query_as(caller(None, Some("ak_sandbox_a")), BOTH, json!({})).await;
    let error = only_error(&answer);
    assert_eq!(error["message"], no(LEADLEX, "`Authorization: Bearer wbk_…`"));
    assert_eq!(
        (&error["extensions"]["code"], &error["path"]),
        (&json!("UNAUTHENTICATED"), &json!(["providers"]))
    );
    assert_eq!(strings_at(&answer["data"], "connectedAccounts.nodes.*.userId").len(), 2);
    assert_eq!(world.calls().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn refused_keys_are_reported() {
    let world = World::new();
    let answer = world.query_as(caller(Some("wbk_wrong"), Some("ak_wrong")), BOTH, json!({})).await;
    assert_eq!(strings_at(&answer, "errors.*.extensions.code"), ["UPSTREAM_UNAUTHORIZED"; 2]);
    let keys = caller(Some("wbk_sandbox_forbidden"), Some("ak_sandbox_forbidden"));
    let answer = world.query_as(keys, BOTH, json!({})).await;
    assert_eq!(strings_at(&answer, "errors.*.extensions.code"), ["UPSTREAM_FORBIDDEN"; 2]);
    assert_no_secrets(&answer);
}

#[tokio::test(start_paused = true)]
async fn unknown_upstream_additions_are_tolerated() {
    let world = World::with_sandbox(Scenario::Drift.settings(Settings::default()));
    Scenario::Drift.arrange(&world.sandbox);
    let query = "{
        providers { totalCount nodes { rawCategory category rawStatus status connected accountId scopes connectedAccounts(first: 2) { nodes { rawStatus status accountType userId state { rawAuthScheme authScheme withheld } } } } }
        connectedAccounts(first: 8) { totalCount nodes { rawStatus status accountType userId wordId state { rawAuthScheme authScheme withheld } } }
    }";
    let data = world.data(query).await;
    assert_eq!(data["providers"]["totalCount"], 24, "one of the 25 rows is unusable");
    let rows = &data["providers"]["nodes"];
    assert_eq!((&rows[1]["rawStatus"], &rows[1]["status"]), (&json!("hibernating"), &json!("UNKNOWN")));
    assert_eq!((&rows[2]["rawCategory"], &rows[2]["category"]), (&json!("telephony"), &json!("OTHER")));
    let accounts = data["connectedAccounts"]["nodes"].as_array().unwrap();
    assert_eq!(accounts.len(), 8);
    assert!(accounts.iter().any(|a| a["rawStatus"] == "HIBERNATING" && a["status"] == "UNKNOWN"));
    assert!(
        accounts
            .iter()
            .any(|a| a["state"]["rawAuthScheme"] == "PASSKEY" && a["state"]["authScheme"] == "OTHER")
    );
    assert!(accounts.iter().any(|a| a["userId"].is_null() && a["wordId"].is_null()));
    assert!(accounts.iter().all(|a| a["state"]["withheld"].as_array().unwrap().contains(&json!("passkey"))));
    assert!(!data.to_string().contains("CANARY-"));
}

#[tokio::test(start_paused = true)]
async fn slow_upstream_within_the_timeout_is_awaited() {
    let world = World::with_sandbox(Scenario::Slow.settings(Settings::default()));
    let start = tokio::time::Instant::now();
    world.data(BOTH).await;
    assert_eq!(start.elapsed().as_millis(), 3_000, "two sequential calls");
}
