//! The request parameter `onError`: the effect of a field error on the response.

use std::fs;

use serde_json::{Value, json};
use switchboard::domain::caller::Caller;
use switchboard::domain::role::MemberId;
use switchboard::sandbox::{EmulatedUpstream, Fault, Tenant};

use crate::world::{Setup, World, only_error, tenant_a};

async fn run(world: &World, caller: Caller, query: &str, on_error: &str) -> Value {
    let response = world.run(caller, &json!({ "query": query, "onError": on_error })).await;
    serde_json::from_slice(&response.body).unwrap()
}

fn composio_down() -> World {
    let world = World::new();
    world.sandbox.emulate(EmulatedUpstream::Composio, Some(Fault::parse("status=503").unwrap()));
    world
}

/// Too many ids for a field whose type is non-null.
fn too_many_ids() -> String {
    let ids = vec!["\"gmail\""; 1_001].join(",");
    format!("{{ toolkitsBySlugs(slugs: [{ids}]) {{ slug }} providers(first: 1) {{ nodes {{ name }} }} }}")
}

#[tokio::test(start_paused = true)]
async fn errors_at_nullable_fields_have_the_same_effect_for_null_and_propagate() {
    let query = "{ providers(first: 2) { nodes { name connectedAccounts { nodes { id } } } } connectedAccounts { nodes { id } } }";
    let world = composio_down();
    let default = world.query(query).await;
    assert!(default["data"]["providers"]["nodes"][0]["connectedAccounts"].is_null(), "{default}");
    for on_error in ["NULL", "PROPAGATE"] {
        let answer = run(&world, tenant_a(), query, on_error).await;
        assert_eq!(answer["data"], default["data"]);
        assert_eq!(only_error(&answer)["extensions"]["paths"], only_error(&default)["extensions"]["paths"]);
    }
}

#[tokio::test(start_paused = true)]
async fn null_keeps_the_siblings_of_a_failed_non_null_field() {
    let world = World::new();
    let answer = run(&world, tenant_a(), &too_many_ids(), "NULL").await;
    assert_eq!(answer["data"]["toolkitsBySlugs"], Value::Null);
    assert_eq!(answer["data"]["providers"]["nodes"].as_array().map(Vec::len), Some(1), "{answer}");
    assert_eq!(only_error(&answer)["path"], json!(["toolkitsBySlugs"]));
    let answer = run(&world, tenant_a(), &too_many_ids(), "PROPAGATE").await;
    assert_eq!(answer["data"], Value::Null);
    assert_eq!(only_error(&answer)["path"], json!(["toolkitsBySlugs"]));
}

#[tokio::test(start_paused = true)]
async fn halt_returns_the_first_error_and_no_data() {
    let query = "{ connectedAccounts(first: -1) { nodes { id } } users: usersByIds(ids: [\"\"]) { id } providers(first: 1) { nodes { name } } }";
    let world = World::new();
    assert_eq!(world.query(query).await["errors"].as_array().map(Vec::len), Some(2));
    let answer = run(&world, tenant_a(), query, "HALT").await;
    assert_eq!(answer["data"], Value::Null);
    assert_eq!(only_error(&answer)["path"], json!(["connectedAccounts"]));
    let whole = run(&world, tenant_a(), "{ providers(first: 1) { nodes { name } } }", "HALT").await;
    assert!(whole["data"]["providers"].is_object(), "{whole}");
}

#[tokio::test(start_paused = true)]
async fn halt_executes_no_mutation_after_an_error() {
    let mut setup = Setup::as_shipped();
    setup.config.actions.enabled = true;
    let world = World::new_with(setup);
    let accounts = world.sandbox.accounts(Tenant::A);
    let id = &accounts.iter().find(|account| account.status == "ACTIVE" && !account.shared).unwrap().id;
    let rename =
        |selected: &str| format!("renameAccount(input: {{ id: \"{id}\", alias: \"New\" }}) {{ {selected} }}");
    let good = rename("userErrors { code }");
    let bad = rename("connectedAccount { toolkit { connectedAccounts(first: -1) { nodes { id } } } }");
    let query = format!("mutation {{ a: {bad} b: {good} }}");
    let writes = || world.calls().iter().filter(|call| !call.starts_with("GET ")).count();
    let answer = run(&world, tenant_a(), &query, "PROPAGATE").await;
    assert!(answer["data"]["b"].is_object() && answer.get("errors").is_some(), "{answer}");
    assert_eq!(writes(), 2);
    let answer = run(&world, tenant_a(), &query, "HALT").await;
    assert_eq!(answer["data"], Value::Null, "{answer}");
    assert_eq!(writes(), 1);

    let member = Caller::member("Ann", MemberId::new("user_1").unwrap(), tenant_a().tenant);
    let query = "mutation { a: refresh { retryAt } b: refresh { retryAt } }";
    let answer = run(&world, member.clone(), query, "NULL").await;
    assert_eq!(answer["data"], json!({ "a": null, "b": null }));
    assert_eq!(only_error(&answer)["extensions"]["count"], 2);
    let answer = run(&world, member, query, "HALT").await;
    assert_eq!((&answer["data"], &only_error(&answer)["extensions"].get("count")), (&Value::Null, &None));
}

#[tokio::test(start_paused = true)]
async fn cached_responses_are_those_of_the_same_behavior() {
    let world = World::new();
    let query = "{ providers(first: 1) { nodes { name } } }";
    world.query(query).await;
    world.query(query).await;
    world.executions();
    world.query(query).await;
    assert_eq!(world.executions(), 0);
    run(&world, tenant_a(), query, "HALT").await;
    assert_eq!(world.executions(), 1);
}

/// `NULL` needs no more than this: all other fields that can fail are nullable.
#[test]
fn resolvers_that_can_fail_are_nullable_or_non_null_types_that_know_on_error() {
    let files = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/graphql")).unwrap();
    let mut resolvers = 0;
    for file in files {
        let path = file.unwrap().path();
        let Ok(text) = fs::read_to_string(&path) else { continue };
        for signature in text.split("\n    async fn ").skip(1).filter_map(|rest| rest.split(" {\n").next()) {
            let Some((head, output)) = signature.rsplit_once("-> ") else { continue };
            // A subscription that cannot start has no data.
            let is_subscription = path.ends_with("subscription.rs");
            if is_subscription || !head.contains("&self") || !output.contains("FieldError>") {
                continue;
            }
            resolvers += 1;
            assert!(!output.starts_with("Result<"), "{}: {signature}", path.display());
        }
    }
    assert!(resolvers > 10, "{resolvers}");
}
