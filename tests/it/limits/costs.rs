//! Cost estimates: an expensive operation is refused, and no operation costs more than its estimate.

use serde_json::{Value, json};
use switchboard::operation::settings::LimitSettings;
use switchboard::sandbox::{Scenario, Settings, Tenant};

use super::{refused, shipped, world};
use crate::world::{World, at, only_error};

const EVERYTHING: &str = "query ($p: Int, $a: Int) { providers(first: $p) { nodes { connectedAccounts(first: $a) { nodes { id } } } } }";

#[tokio::test(start_paused = true)]
async fn complexity_is_fields_times_page_sizes() {
    let world = world();
    let (reason, sentence, at) =
        refused(&world, "{ providers { nodes { connectedAccounts(first: 100) { nodes { id userId status createdAt rawStatus } } } } }", json!({})).await;
    assert_eq!(reason, "COMPLEXITY");
    // 1 connection, `nodes`, 100 × a connection with its `nodes`, 100 × 100 × 5.
    assert_eq!(
        sentence,
        "The operation could return 50202 fields; 50000 are allowed. Lower `first`, or select fewer fields. `providers` has 50202 of them."
    );
    assert_eq!(at, json!([{ "line": 1, "column": 3 }]));
}

#[tokio::test(start_paused = true)]
async fn cost_depends_on_the_variables() {
    let world = World::new().with_limits(LimitSettings { complexity: 1_000, ..shipped() });
    let (answer, _) = world.outcome(json!({ "query": EVERYTHING, "variables": { "p": 10, "a": 10 } })).await;
    assert_eq!(answer.get("errors"), None);
    world.calls();
    for variables in
        [json!({ "p": 100, "a": 10 }), json!({ "p": 10, "a": 100 }), json!({}), json!({ "p": null })]
    {
        let (reason, _, _) = refused(&world, EVERYTHING, variables).await;
        assert_eq!(reason, "COMPLEXITY");
    }
    let ids: Vec<_> = (0..600).map(|i| format!("ca_{i}")).collect();
    let by_ids = "query ($ids: [ID!]!) { connectedAccountsByIds(ids: $ids) { id userId } }";
    assert_eq!(refused(&world, by_ids, json!({ "ids": ids })).await.0, "COMPLEXITY");
}

#[tokio::test(start_paused = true)]
async fn skipped_fields_have_no_cost() {
    let world = World::new().with_limits(LimitSettings { complexity: 10, ..shipped() });
    let query = "query ($with: Boolean!) { __typename providers @include(if: $with) { nodes { id name } } }";
    let (answer, _) = world.outcome(json!({ "query": query, "variables": { "with": false } })).await;
    assert_eq!(answer["data"]["__typename"], "Query");
    assert_eq!(refused(&world, query, json!({ "with": true })).await.0, "COMPLEXITY");
}

#[tokio::test(start_paused = true)]
async fn upstream_calls_are_estimated_before_the_first_call() {
    let world = World::new().with_limits(LimitSettings { upstream_calls: 20, ..shipped() });
    let expensive = "{ user(id: \"user_1\") { connectedAccounts { nodes { toolkit { connectedAccounts(first: 3) { nodes { id } } } } } } }";
    let (reason, sentence, at) = refused(&world, expensive, json!({})).await;
    assert_eq!(reason, "UPSTREAM_CALLS");
    assert_eq!(
        sentence,
        "The operation could cause 22 upstream calls; 20 are allowed. Lower `first`, or request fewer lists. `connectedAccounts` has 21 of them."
    );
    assert_eq!(at, json!([{ "line": 1, "column": 62 }]));
}

#[tokio::test(start_paused = true)]
async fn trace_has_the_cost_and_the_limits() {
    let request = json!({
        "query": "{ providers(first: 20) { nodes { connectedAccounts(first: 10) { nodes { id } } } } }",
        "extensions": { "switchboard": { "trace": true } },
    });
    let (answer, _) = world().outcome(request).await;
    assert_eq!(
        answer["extensions"]["cost"],
        json!({ "complexity": 242, "upstreamCalls": 23, "complexityMax": 50_000, "upstreamCallsMax": 300 })
    );
}

/// Queries with every kind of field that makes upstream calls.
const QUERIES: [&str; 32] = [
    include_str!("introspection_of_graphiql.graphql"),
    "{ providers { totalCount } }",
    "{ providers { nodes { name toolkits { slug } } } }",
    "{ providers(first: 20) { nodes { connectedAccounts(first: 3) { nodes { id } } } } }",
    "{ providers(first: 20) { nodes { connectedAccounts(first: 10) { nodes { id } pageInfo { hasNextPage } } } } }",
    "{ providers { edges { node { connectedAccounts(last: 100) { edges { cursor node { id } } pageInfo { hasPreviousPage } } } } } }",
    "{ providers { nodes { connectedAccounts(first: 0) { totalCount statusCounts { status count } } } } }",
    "{ providers(first: 3) { nodes { connectedAccounts(first: 5) { totalCount statusCounts { count } nodes { id } } } } }",
    "{ connectedAccounts { nodes { id } } }",
    "{ connectedAccounts(first: 100) { nodes { id } pageInfo { hasNextPage } } }",
    "{ connectedAccounts(last: 100) { nodes { id } pageInfo { hasNextPage hasPreviousPage } totalCount statusCounts { count } } }",
    "{ a: connectedAccounts(first: 5) { nodes { id } } b: connectedAccounts(first: 5, filter: { statuses: [ACTIVE] }) { nodes { id } } }",
    "{ connectedAccounts(first: 20) { nodes { toolkit { connectedAccounts(first: 5) { nodes { id } } } } } }",
    "{ connectedAccounts(first: 20) { nodes { user { connectedAccounts(first: 5) { nodes { id } totalCount } } } } }",
    "{ connectedAccounts(first: 20) { nodes { authConfig { connectedAccounts(first: 5) { nodes { id } } } providers { name } } } }",
    "{ toolkit(slug: \"gmail\") { providers { name } connectedAccounts { nodes { id } } } }",
    "{ toolkitsBySlugs(slugs: [\"gmail\", \"slack\", \"notion\"]) { connectedAccounts(first: 100) { nodes { id } statusCounts { count } } } }",
    "{ providers { nodes { toolkits { name logoUrl } } } }",
    "{ connectedAccounts { nodes { toolkit { ...T } } } } fragment T on Toolkit { slug name categories }",
    "{ _entities(representations: [{ __typename: \"User\", id: \"u\" }, { __typename: \"Toolkit\", slug: \"gmail\" }]) { ... on Toolkit { description } } }",
    "{ usersByIds(ids: [\"user_1\", \"user_2\"]) { connectedAccounts { nodes { id } totalCount } } }",
    "{ connectedAccount(id: \"ca_1\") { id } b: connectedAccount(id: \"ca_2\") { id } }",
    "{ connectedAccountsByIds(ids: [\"ca_1\", \"ca_2\", \"ca_3\"]) { id providers { name } } }",
    "{ node(id: \"Q29ubmVjdGVkQWNjb3VudDpjYV8x\") { id } }",
    "{ nodes(ids: [\"Q29ubmVjdGVkQWNjb3VudDpjYV8x\", \"VG9vbGtpdDpnbWFpbA\"]) { id ... on Toolkit { connectedAccounts(first: 1) { nodes { id } } } } }",
    "{ _entities(representations: [{ __typename: \"Provider\", id: \"UHJvdmlkZXI6MDEyMzQ1Njc4OWFiY2RlZg\" }, { __typename: \"User\", id: \"user_1\" }]) { ... on Provider { name } } }",
    "{ _entities(representations: [{ __typename: \"ConnectedAccount\", connectedAccountId: \"ca_1\" }, { __typename: \"Toolkit\", slug: \"gmail\" }]) { ... on Toolkit { connectedAccounts(first: 5) { nodes { id } totalCount } providers { name } } } }",
    "{ _entities(representations: [{ __typename: \"User\", id: \"user_1\" }, { __typename: \"User\", id: \"user_2\" }]) { ... on User { id } ... on Provider { connectedAccounts { nodes { id } } } } }",
    "{ _service { sdl } _sdl }",
    "{ __typename }",
    "mutation { refresh { retryAt } }",
    "mutation { a: refresh { retryAt } b: refresh(upstream: LEADLEX) { retryAt } c: refresh { retryAt } }",
];

#[tokio::test(start_paused = true)]
async fn no_query_makes_more_calls_than_its_cost() {
    for scenario in [Scenario::Healthy, Scenario::Skewed] {
        for query in QUERIES {
            let limits = LimitSettings { complexity: 1_000_000, upstream_calls: 10_000, ..shipped() };
            let world = World::with_sandbox(scenario.settings(Settings::default())).with_limits(limits);
            scenario.arrange(&world.sandbox);
            let request = json!({ "query": query, "extensions": { "switchboard": { "trace": true } } });
            let (answer, _) = world.outcome(request).await;
            assert_eq!(answer.get("errors"), None, "{query}");
            let cost = at(&answer, "extensions.cost.upstreamCalls").as_u64().unwrap();
            let made = world.calls();
            assert!(
                made.len() as u64 <= cost,
                "{query}: {cost} was its computed cost, {} calls made",
                made.len()
            );
            assert_eq!(made.is_empty(), cost == 0, "{query}");
            assert!(leaves(&answer["data"]) <= at(&answer, "extensions.cost.complexity").as_u64().unwrap());
        }
    }
}

fn leaves(value: &Value) -> u64 {
    match value {
        Value::Object(fields) => fields.values().map(leaves).sum(),
        Value::Array(items) if items.iter().any(Value::is_object) => items.iter().map(leaves).sum(),
        _ => 1,
    }
}

/// Integrations with long texts.
fn with_long_texts(limits: LimitSettings, bytes: usize) -> World {
    let world = World::new().with_limits(limits);
    world.sandbox.change_providers(Tenant::A, |rows| {
        for row in rows.iter_mut() {
            row["display_name"] = json!("x".repeat(bytes));
            row["scopes"] = json!(vec!["y".repeat(bytes / 16); 4]);
        }
    });
    world
}

/// The error of a response that is too large.
fn of_too_large(allowed: u64) -> String {
    format!("The response is larger than {allowed} bytes. Select fewer fields, or lower `first`.")
}

#[tokio::test(start_paused = true)]
async fn a_response_that_is_too_large_ends_at_its_limit() {
    let limit = shipped().response_bytes;
    let world = with_long_texts(shipped(), 16_000);
    let name = |count: usize| (0..count).map(|i| format!("n{i}: displayName ")).collect::<String>();
    let scopes = |count: usize| (0..count).map(|i| format!("s{i}: scopes ")).collect::<String>();
    for (fits, nodes) in [
        (true, format!("nodes {{ {} }}", name(30))),
        (false, format!("nodes {{ {} }}", name(90))),
        (true, format!("nodes {{ {} }}", scopes(90))),
        (false, format!("edges {{ node {{ {} }} }}", name(90))),
        // The library resolves fields that are selected twice.
        (true, format!("nodes {{ id }} nodes {{ {} }}", name(30))),
        (false, format!("nodes {{ id }} nodes {{ {} }}", name(90))),
    ] {
        let query = format!("{{ __typename providers {{ totalCount {nodes} }} }}");
        let answer = world.query(&query).await;
        let bytes = answer.to_string().len() as u64;
        assert!(bytes <= limit + 1_000, "{nodes}: {bytes} bytes");
        if fits {
            assert_eq!(answer.get("errors"), None, "{nodes}");
            assert!(bytes > limit / 4, "{nodes}: {bytes} bytes");
            continue;
        }
        let error = only_error(&answer);
        assert_eq!(error["message"], of_too_large(limit));
        assert_eq!(error["extensions"], json!({ "code": "LIMIT_EXCEEDED", "reason": "RESPONSE_SIZE" }));
        assert_eq!(answer["data"], json!({ "__typename": "Query", "providers": null }), "{nodes}");
    }
}

#[tokio::test(start_paused = true)]
async fn all_fields_of_an_operation_share_the_limit_of_its_response() {
    let limits = LimitSettings { response_bytes: 1_000_000, ..shipped() };
    let world = with_long_texts(limits, 4_000);
    let fields: String = (0..40).map(|i| format!("p{i}: providers {{ nodes {{ displayName }} }} ")).collect();
    let answer = world.query(&format!("{{ {fields} }}")).await;
    assert!(answer.to_string().len() < 1_100_000, "{} bytes", answer.to_string().len());
    let served = answer["data"].as_object().unwrap().values().filter(|value| !value.is_null()).count();
    assert!((5..=10).contains(&served), "{served}");
    let error = only_error(&answer);
    assert_eq!(error["message"], of_too_large(1_000_000));
    assert_eq!(error["extensions"]["reason"], "RESPONSE_SIZE");
}
