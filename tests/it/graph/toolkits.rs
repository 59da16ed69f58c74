//! Names, logos, categories and descriptions of toolkits: exact calls, caching, and failures.

use std::time::Duration;

use serde_json::{Value, json};
use switchboard::sandbox::{Account, EmulatedUpstream, Fault, Settings};
use switchboard::upstream::transport::Network;
use tower::util::BoxCloneSyncService;
use tower::{ServiceExt, service_fn};

use crate::world::{PROVIDERS, Setup, World, at, list, only_error, strings_at, tenant_a, tenant_b};

const MULTI: &str = "POST /api/v3.1/toolkits/multi";
const HOUR: Duration = Duration::from_secs(3_600);

const GMAIL: &str = r#"{ toolkit(slug: "GMAIL") { name logoUrl categories description } }"#;

fn fail(world: &World, fault: &str) {
    world.sandbox.emulate(EmulatedUpstream::Composio, Some(Fault::parse(fault).unwrap()));
}

fn recover(world: &World) {
    world.sandbox.emulate(EmulatedUpstream::Composio, None);
}

/// The bodies of the calls for toolkits since the last look.
fn requested(world: &World) -> Vec<Value> {
    let requests = world.sandbox.requests();
    let multi = requests.iter().filter(|call| call.target.ends_with("/toolkits/multi"));
    let bodies = multi.map(|call| serde_json::from_str(&call.body).unwrap()).collect();
    world.sandbox.clear_requests();
    bodies
}

#[tokio::test(start_paused = true)]
async fn a_toolkit_has_the_catalogues_texts() {
    let world = World::new();
    let gmail = json!({
        "name": "Gmail",
        "logoUrl": "https://logos.composio.dev/api/gmail",
        "categories": ["email"],
        "description": "Gmail is a service for email.",
    });
    assert_eq!(world.data(GMAIL).await["toolkit"], gmail);
    assert_eq!(requested(&world), [json!({ "toolkits": ["gmail"], "limit": 1 })]);
}

#[tokio::test(start_paused = true)]
async fn the_toolkits_of_many_accounts_take_one_call() {
    let world = World::new();
    let data = world.data("{ connectedAccounts(first: 60) { nodes { toolkit { slug name } } } }").await;
    assert_eq!(world.sandbox.requests().len(), 2);
    let body = &requested(&world)[0];
    let slugs = strings_at(body, "toolkits");
    assert_eq!((slugs.len(), &body["limit"]), (20, &json!(20)));
    assert!(slugs.is_sorted(), "{slugs:?}");
    for toolkit in at(&data, "connectedAccounts.nodes.*.toolkit").as_array().unwrap() {
        assert!(toolkit["name"].is_string(), "{toolkit}");
    }
    // Only what is missing is requested, and nothing twice.
    let more = r#"{ a: toolkitsBySlugs(slugs: ["gmail", "slackbot"]) { name } b: toolkit(slug: "slackbot") { logoUrl } }"#;
    world.data(more).await;
    assert_eq!(requested(&world), [json!({ "toolkits": ["slackbot"], "limit": 1 })]);
    world.data(more).await;
    assert_eq!(world.calls(), [] as [&str; 0]);
}

#[tokio::test(start_paused = true)]
async fn providers_have_the_texts_of_their_toolkits() {
    let world = World::new();
    let data = world.data("{ providers { nodes { name toolkits { slug name } } } }").await;
    assert_eq!(world.calls(), [PROVIDERS, MULTI]);
    let providers = at(&data, "providers.nodes");
    let slack = providers.as_array().unwrap().iter().find(|provider| provider["name"] == "slack").unwrap();
    assert_eq!(strings_at(slack, "toolkits.*.name"), ["Slack", "Slackbot"]);
}

#[tokio::test(start_paused = true)]
async fn an_operation_without_these_fields_makes_no_further_call() {
    let world = World::new();
    world.data("{ connectedAccounts { nodes { id toolkit { id slug __typename } } } }").await;
    assert_eq!(world.calls(), [list(&[])]);
    world
        .data("query ($no: Boolean = false) { toolkit(slug: \"gmail\") { slug name @include(if: $no) } }")
        .await;
    assert_eq!(world.calls(), [] as [&str; 0]);
}

#[tokio::test(start_paused = true)]
async fn names_are_fresh_for_hours_and_stale_for_days() {
    let world = World::new_with(Setup::as_shipped());
    world.data(GMAIL).await;
    assert_eq!(world.calls(), [MULTI]);
    world.advance(5 * HOUR).await;
    world.data(GMAIL).await;
    world.accounts_changed();
    world.expire(&tenant_a());
    world.data(GMAIL).await;
    assert_eq!(world.calls(), [] as [&str; 0], "changes of accounts do not concern toolkits");

    world.advance(2 * HOUR).await;
    fail(&world, "status=503; path=toolkits");
    assert_eq!(at(&world.data(GMAIL).await, "toolkit.name"), "Gmail");
    world.settle().await;
    assert_eq!(world.calls(), [MULTI], "the refresh in the background");
    world.advance(70 * HOUR).await;
    assert_eq!(at(&world.data(GMAIL).await, "toolkit.name"), "Gmail");
    world.settle().await;
    world.advance(2 * HOUR).await;
    let failed = world.query(GMAIL).await;
    assert_eq!(failed["data"]["toolkit"]["name"], Value::Null);
    recover(&world);
    world.advance(HOUR).await;
    assert_eq!(at(&world.data(GMAIL).await, "toolkit.name"), "Gmail");
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_one_error_and_leaves_the_accounts_as_they_are() {
    let world = World::new();
    fail(&world, "status=500; path=toolkits");
    let query = "{ connectedAccounts { nodes { id toolkit { slug name logoUrl categories description } } } }";
    let answer = world.query(query).await;
    let error = only_error(&answer);
    assert_eq!(error["extensions"]["code"], "UPSTREAM_UNAVAILABLE");
    assert_eq!(error["extensions"]["count"], 80);
    assert_eq!(strings_at(&answer, "data.connectedAccounts.nodes.*.id").len(), 20);
    assert_eq!(world.calls(), [list(&[]).as_str(), MULTI]);
    let upstreams = world.data("{ upstreams { name state } }").await;
    assert_eq!(upstreams["upstreams"][1], json!({ "name": "COMPOSIO", "state": "UP" }));

    // The failing catalogue is not called by each operation, and does not open the breaker of the accounts.
    for _ in 0..10 {
        assert_eq!(only_error(&world.query(query).await)["extensions"]["code"], "UPSTREAM_UNAVAILABLE");
    }
    assert_eq!(world.calls(), [] as [&str; 0]);
    recover(&world);
    world.advance(Duration::from_secs(30)).await;
    world.data(query).await;
    assert_eq!(world.calls_sorted(), [list(&[]).as_str(), MULTI]);
}

#[tokio::test(start_paused = true)]
async fn a_key_without_the_permission_for_toolkits_still_reads_accounts() {
    let world = World::new();
    let query = "{ connectedAccounts { nodes { toolkit { name } } } }";
    fail(&world, "status=403; path=toolkits");
    let answer = world.query(query).await;
    assert_eq!(only_error(&answer)["extensions"]["code"], "UPSTREAM_FORBIDDEN");
    world.calls();
    world.query(query).await;
    world.data("{ connectedAccounts { nodes { id } } }").await;
    assert_eq!(world.calls(), [] as [&str; 0], "the accounts stay cached");
}

#[tokio::test(start_paused = true)]
async fn a_slug_that_the_catalogue_does_not_have_is_null_and_cached() {
    let world = World::new();
    let query = r#"{ toolkitsBySlugs(slugs: ["zoom", "of_our_own"]) { slug name categories } }"#;
    let expected = json!([
        { "slug": "zoom", "name": "Zoom", "categories": ["video conferencing"] },
        { "slug": "of_our_own", "name": null, "categories": null },
    ]);
    assert_eq!(world.data(query).await["toolkitsBySlugs"], expected);
    world.data(query).await;
    assert_eq!(world.calls(), [MULTI]);
    world.advance(Duration::from_secs(601)).await;
    world.data(query).await;
    assert_eq!(requested(&world), [json!({ "toolkits": ["of_our_own"], "limit": 1 })]);
}

#[tokio::test(start_paused = true)]
async fn a_malformed_slug_of_an_account_is_not_sent() {
    let at = "2026-11-20T10:00:00Z".parse().unwrap();
    let accounts =
        vec![Account::new("ca_1", "a b", "user_1", at), Account::new("ca_2", "zoom", "user_1", at)];
    let world = World::with_accounts(accounts, 100);
    let data = world.data("{ connectedAccounts { nodes { toolkit { name } } } }").await;
    assert_eq!(data["connectedAccounts"]["nodes"].as_array().unwrap().len(), 2);
    assert_eq!(requested(&world), [json!({ "toolkits": ["zoom"], "limit": 1 })]);
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_row_is_null_and_a_problem() {
    let world = World::new();
    world.sandbox.set_drift(true);
    let query = r#"{ toolkitsBySlugs(slugs: ["gmail", "slack", "zoom"]) { name } }"#;
    let answer = world.query(query).await;
    assert_eq!(
        answer["data"]["toolkitsBySlugs"],
        json!([{ "name": "Gmail" }, { "name": null }, { "name": "Zoom" }])
    );
    let problems = &answer["extensions"]["switchboard"]["problems"];
    assert!(problems.to_string().contains("items[1].slug"), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn tenants_do_not_share_toolkits() {
    let world = World::new();
    world.data(GMAIL).await;
    world.query_as(tenant_b(), GMAIL, json!({})).await;
    assert_eq!(world.calls(), [MULTI, MULTI]);
}

/// A network that lowers the limit of each call for toolkits to one, as an upstream may do silently.
fn clamped(network: Network) -> Network {
    BoxCloneSyncService::new(service_fn(move |request: http::Request<bytes::Bytes>| {
        let network = network.clone();
        let request = request.map(|body| {
            let text = String::from_utf8(body.to_vec()).unwrap();
            let Some((before, after)) = text.split_once("\"limit\":") else { return text.into() };
            let after = after.trim_start_matches(|digit: char| digit.is_ascii_digit());
            format!("{before}\"limit\":1{after}").into()
        });
        network.oneshot(request)
    }))
}

#[tokio::test(start_paused = true)]
async fn a_lower_limit_of_the_upstream_takes_further_pages() {
    let world = World::with_network(Settings::default(), 100, clamped);
    let query = r#"{ toolkitsBySlugs(slugs: ["gmail", "slack", "zoom"]) { name } }"#;
    let data = world.data(query).await;
    assert_eq!(strings_at(&data, "toolkitsBySlugs.*.name"), ["Gmail", "Slack", "Zoom"]);
    assert_eq!(world.calls(), [MULTI, MULTI, MULTI]);
}

#[tokio::test(start_paused = true)]
async fn the_cost_counts_one_call_for_each_selection_of_toolkits() {
    let config = Setup::default().config;
    let world = World::new().with_limits(config.limits);
    let cost = async |query: &str| {
        let answer = world.query_traced(tenant_a(), query, true).await;
        answer["extensions"]["cost"]["upstreamCalls"].as_u64().unwrap_or_else(|| panic!("{answer}"))
    };
    let slug = cost("{ providers { nodes { toolkits { slug } } } }").await;
    assert_eq!(cost("{ providers { nodes { toolkits { slug name logoUrl } } } }").await, slug + 1);
    assert_eq!(cost("{ toolkit(slug: \"a\") { slug } }").await, 0);
    assert_eq!(cost("{ toolkit(slug: \"a\") { ...T } } fragment T on Toolkit { categories }").await, 1);
}
