//! `_entities` of a federation router: any mix of representations, each at its own index, in as few calls as
//! possible.

use serde_json::{Value, json};
use switchboard::domain::caller::Caller;
use switchboard::domain::role::{MemberId, Role};
use switchboard::operation::settings::LimitSettings;
use switchboard::sandbox::{EmulatedUpstream, Fault, Settings, Tenant};

use crate::limits::shipped;
use crate::world::{PROVIDERS, World, at, by_ids, global_id, only_error, strings_at, tenant_a};

const ENTITIES: &str = "query ($of: [_Any!]!) {
    _entities(representations: $of) {
        __typename
        ... on Provider { id name displayName }
        ... on ConnectedAccount { id connectedAccountId userId }
        ... on Toolkit { id slug }
        ... on User { id }
    }
}";

fn account(id: &str) -> Value {
    json!({ "__typename": "ConnectedAccount", "connectedAccountId": id })
}

fn user(id: &str) -> Value {
    json!({ "__typename": "User", "id": id })
}

/// Composio's ids of tenant A's accounts.
fn account_ids(world: &World) -> Vec<String> {
    world.sandbox.accounts(Tenant::A).into_iter().map(|account| account.id).collect()
}

async fn provider_ids(world: &World) -> Vec<String> {
    let ids = strings_at(&world.data("{ providers { nodes { id } } }").await, "providers.nodes.*.id");
    world.expire(&tenant_a());
    world.calls();
    ids
}

async fn entities(world: &World, of: &[Value]) -> Value {
    world.query_as(tenant_a(), ENTITIES, json!({ "of": of })).await
}

#[tokio::test(start_paused = true)]
async fn every_entity_is_found_by_each_key() {
    let world = World::new();
    let provider = provider_ids(&world).await.remove(2);
    let own = world.sandbox.accounts(Tenant::A).swap_remove(7);
    let global = global_id("ConnectedAccount", &own.id);
    let of = [
        user("user_7"),
        account(&own.id),
        json!({ "__typename": "Toolkit", "slug": "Gmail" }),
        json!({ "__typename": "Provider", "id": provider }),
        json!({ "__typename": "ConnectedAccount", "id": global, "connectedAccountId": "a value that a router adds" }),
        json!({ "__typename": "Toolkit", "id": global_id("Toolkit", "slack") }),
        json!({ "__typename": "User", "id": 7 }),
    ];
    let response = entities(&world, &of).await;
    assert_eq!(response.get("errors"), None, "{response}");
    let account = json!({
        "__typename": "ConnectedAccount", "id": global, "connectedAccountId": own.id, "userId": own.user_id,
    });
    let toolkit = |slug| json!({ "__typename": "Toolkit", "id": global_id("Toolkit", slug), "slug": slug });
    let entities = &response["data"]["_entities"];
    assert_eq!(entities[3]["name"], "slack");
    assert_eq!(entities[3]["id"], provider.as_str());
    for (place, expected) in [
        (0, json!({ "__typename": "User", "id": "user_7" })),
        (1, account.clone()),
        (2, toolkit("gmail")),
        (4, account),
        (5, toolkit("slack")),
        (6, json!({ "__typename": "User", "id": "7" })),
    ] {
        assert_eq!(entities[place], expected, "{place}");
    }
    assert_eq!(world.calls_sorted(), [by_ids([own.id.as_str()]), PROVIDERS.to_owned()]);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_representations_are_batched_by_hundred_accounts() {
    let world =
        World::with_sandbox(Settings { accounts: 1_000, ..Settings::default() }).with_limits(shipped());
    let providers = provider_ids(&world).await;
    let accounts = account_ids(&world);
    let of: Vec<_> = (0..1_000)
        .map(|place| match place % 4 {
            0 => json!({ "__typename": "Provider", "id": providers[place % providers.len()] }),
            1 => account(&accounts[place]),
            2 => user(&format!("user_{place}")),
            _ => json!({ "__typename": "Toolkit", "slug": format!("toolkit_{place}") }),
        })
        .collect();
    let response = entities(&world, &of).await;
    assert_eq!(response.get("errors"), None, "{response}");
    let entities = response["data"]["_entities"].as_array().unwrap();
    assert_eq!(entities.len(), 1_000);
    assert!(entities.iter().zip(&of).all(|(entity, asked)| entity["__typename"] == asked["__typename"]));
    let calls = world.calls_sorted();
    assert_eq!(calls.len(), 3 + 1, "{calls:?}");
    assert_eq!(calls.iter().filter(|call| *call == PROVIDERS).count(), 1);

    let of: Vec<_> = accounts.iter().map(|id| account(id)).collect();
    let query =
        "query ($of: [_Any!]!) { _entities(representations: $of) { ... on ConnectedAccount { id } } }";
    let response = world.data_with(query, json!({ "of": of })).await;
    assert!(response["_entities"].as_array().unwrap().iter().all(|entity| entity["id"].is_string()));
    // Some of them were read just before.
    assert_eq!(world.calls().len(), 8);
}

#[tokio::test(start_paused = true)]
async fn invalid_or_missing_entity_nulls_only_itself() {
    let world = World::new();
    let provider = provider_ids(&world).await.remove(0);
    let toolkit = global_id("Toolkit", "gmail");
    // The reason for the null. Empty if the object does not exist.
    let wrong = [
        (json!("ca_1"), Some("BAD_REPRESENTATION")),
        (json!([]), Some("BAD_REPRESENTATION")),
        (json!({}), Some("BAD_REPRESENTATION")),
        (json!({ "id": provider }), Some("BAD_REPRESENTATION")),
        (json!({ "__typename": 3, "id": provider }), Some("BAD_REPRESENTATION")),
        (json!({ "__typename": "Viewer", "id": "1" }), Some("BAD_REPRESENTATION")),
        (json!({ "__typename": "provider", "id": provider }), Some("BAD_REPRESENTATION")),
        (json!({ "__typename": "Provider" }), Some("BAD_REPRESENTATION")),
        (json!({ "__typename": "Provider", "id": null }), Some("BAD_REPRESENTATION")),
        (json!({ "__typename": "Provider", "id": [provider] }), Some("BAD_REPRESENTATION")),
        (json!({ "__typename": "Provider", "id": 1.5 }), Some("BAD_REPRESENTATION")),
        (json!({ "__typename": "User", "name": "Ann" }), Some("BAD_REPRESENTATION")),
        (json!({ "__typename": "Provider", "id": "x" }), Some("BAD_ID")),
        (json!({ "__typename": "Provider", "id": toolkit }), Some("BAD_ID")),
        (json!({ "__typename": "Toolkit", "id": provider }), Some("BAD_ID")),
        (json!({ "__typename": "Toolkit", "slug": "a b" }), Some("BAD_SLUG")),
        (json!({ "__typename": "ConnectedAccount", "id": "ca_1" }), Some("BAD_ID")),
        (account("1"), Some("BAD_ID")),
        (account(&global_id("ConnectedAccount", "ca_1")), Some("BAD_ID")),
        (account("ca_1,ca_2"), Some("BAD_ID")),
        (user(""), Some("BAD_ID")),
        (account("ca_there_is_none"), None),
        (json!({ "__typename": "Provider", "id": global_id("Provider", "0123456789abcdef") }), None),
    ];
    let right = account_ids(&world).remove(0);
    for (representation, reason) in &wrong {
        let response = entities(&world, &[account(&right), representation.clone(), user("user_1")]).await;
        let entities = &response["data"]["_entities"];
        assert_eq!(entities[0]["connectedAccountId"], right.as_str(), "{representation}: {response}");
        assert_eq!((&entities[1], &entities[2]["id"]), (&Value::Null, &json!("user_1")), "{representation}");
        let Some(reason) = reason else {
            assert_eq!(response.get("errors"), None, "{representation}");
            continue;
        };
        let error = only_error(&response);
        let expected = json!({ "code": "BAD_USER_INPUT", "reason": reason, "representations": [1] });
        assert_eq!(error["extensions"], expected, "{representation}");
        assert_eq!(error["path"], json!(["_entities", 1]));
    }
    // All of them in one request: one error for each kind of mistake, with all paths.
    let all: Vec<_> = wrong.iter().map(|(representation, _)| representation.clone()).collect();
    let response = entities(&world, &all).await;
    assert!(response["data"]["_entities"].as_array().unwrap().iter().all(Value::is_null));
    let errors = response["errors"].as_array().unwrap();
    let mut places: Vec<_> = errors
        .iter()
        .flat_map(|error| error["extensions"]["representations"].as_array().unwrap())
        .map(|place| place.as_u64().unwrap())
        .collect();
    places.sort_unstable();
    assert_eq!(places, (0..21).collect::<Vec<_>>(), "{errors:?}");
    assert!(errors.len() < 12, "{errors:?}");
}

#[tokio::test(start_paused = true)]
async fn failing_upstream_nulls_its_entities_with_one_error() {
    let world = World::new();
    let provider = provider_ids(&world).await.remove(0);
    let accounts = account_ids(&world);
    world.sandbox.emulate(EmulatedUpstream::Composio, Some(Fault::parse("status=503").unwrap()));
    let of = [
        account(&accounts[0]),
        json!({ "__typename": "Provider", "id": provider }),
        user("user_1"),
        account(&accounts[1]),
    ];
    let response = entities(&world, &of).await;
    let entities = &response["data"]["_entities"];
    assert_eq!((&entities[0], &entities[3]), (&Value::Null, &Value::Null), "{response}");
    assert_eq!((&entities[1]["id"], &entities[2]["id"]), (&json!(provider), &json!("user_1")));
    let error = only_error(&response);
    assert_eq!(error["extensions"]["code"], "UPSTREAM_UNAVAILABLE");
    assert_eq!(error["extensions"]["paths"], json!([["_entities", 0], ["_entities", 3]]));
}

#[tokio::test(start_paused = true)]
async fn fields_of_entities_share_calls() {
    let world = World::new().with_limits(shipped());
    let of: Vec<_> =
        (0..20).map(|user| json!({ "__typename": "User", "id": format!("user_{user}") })).collect();
    let query = "query ($of: [_Any!]!) {
        _entities(representations: $of) { ... on User { id connectedAccounts(first: 5) { nodes { id userId } } } }
    }";
    let response = world.data_with(query, json!({ "of": of })).await;
    for entity in response["_entities"].as_array().unwrap() {
        let users = strings_at(entity, "connectedAccounts.nodes.*.userId");
        assert!(users.iter().all(|user| entity["id"] == user.as_str()));
    }
    assert!(world.calls().len() < 20);
}

#[tokio::test(start_paused = true)]
async fn member_finds_only_its_own_user() {
    let world = World::new();
    let provider = provider_ids(&world).await.remove(0);
    let member = || Caller { role: Role::Member(MemberId::new("user_1").unwrap()), ..tenant_a() };
    let accounts = world.sandbox.accounts(Tenant::A);
    let of_user = |own: bool| {
        let account = accounts.iter().find(|account| (account.user_id == "user_1") == own).unwrap();
        account.id.clone()
    };
    let (own, other) = (of_user(true), of_user(false));
    let global =
        |id: &str| json!({ "__typename": "ConnectedAccount", "id": global_id("ConnectedAccount", id) });
    let of = [
        account(&own),
        account(&other),
        global(&other),
        account("ca_there_is_none"),
        user("user_1"),
        user("user_2"),
        json!({ "__typename": "Provider", "id": provider }),
    ];
    // An ADMIN read them just before.
    let all = entities(&world, &of).await;
    assert_eq!(all["data"]["_entities"][1]["connectedAccountId"], other.as_str());
    let personal = all["data"]["_entities"][6]["displayName"].clone();
    assert!(personal.is_string(), "the ADMIN sees data that a member must not see: {all}");

    let response = world.query_as(member(), ENTITIES, json!({ "of": of })).await;
    assert_eq!(response.get("errors"), None, "{response}");
    let entities = &response["data"]["_entities"];
    assert_eq!(at(entities, "0.userId"), "user_1");
    for place in [1, 2, 3, 5] {
        assert_eq!(entities[place], Value::Null, "{place}");
    }
    assert_eq!(at(entities, "4.id"), "user_1");
    assert_eq!(entities[6]["name"], all["data"]["_entities"][6]["name"]);
    assert_eq!(entities[6]["displayName"], Value::Null);
}

#[tokio::test(start_paused = true)]
async fn repeated_entities_request_is_a_cached_response() {
    let world = World::new();
    let of = [account("ca_1"), user("user_1"), account("ca_2")];
    let first = entities(&world, &of).await;
    entities(&world, &of).await;
    world.executions();
    assert_eq!(entities(&world, &of).await, first);
    assert_eq!(world.executions(), 0);
    // Other representations, and other callers, get their own response.
    entities(&world, &[account("ca_1"), user("user_1"), account("ca_3")]).await;
    assert_eq!(world.executions(), 1);
}

#[tokio::test(start_paused = true)]
async fn more_representations_than_the_limit_are_refused() {
    let world = World::new();
    let of: Vec<_> =
        (0..1_001).map(|user| json!({ "__typename": "User", "id": format!("u{user}") })).collect();
    let response = world.query_as(tenant_a(), ENTITIES, json!({ "of": of })).await;
    let error = only_error(&response);
    assert_eq!(error["extensions"]["reason"], "TOO_MANY_IDS");
    assert_eq!(
        error["message"],
        "`representations` holds 1001 values, but at most 1000 are allowed: request the others in another field."
    );
}

#[tokio::test(start_paused = true)]
async fn cost_depends_on_the_types_of_the_representations() {
    let world = World::new().with_limits(LimitSettings { complexity: 60, upstream_calls: 2, ..shipped() });
    let traced = async |of: Value, query: &str| {
        let (entities, _) = world
            .outcome(json!({
                "query": query, "variables": { "of": of, "one": of[0] },
                "extensions": { "switchboard": { "trace": true } },
            }))
            .await;
        entities
    };
    let query = "query ($of: [_Any!]!) { _entities(representations: $of) { ...A ... on User { id } ... on Toolkit { id slug } } }
        fragment A on ConnectedAccount { id userId status }";
    let of = json!([user("a"), account("ca_1"), user("b"), { "__typename": "Toolkit", "slug": "gmail" }]);
    let cost = |entities: &Value| {
        let cost = at(entities, "extensions.cost");
        (cost["complexity"].as_u64().unwrap(), cost["upstreamCalls"].as_u64().unwrap())
    };
    assert_eq!(cost(&traced(of, query).await), (1 + 3 + 2 + 2, 1));
    // The spelling of the representations does not matter.
    let written = "query ($of: [_Any!]!, $one: _Any!) {
        a: _entities(representations: $of) { ... on User { id } }
        b: _entities(representations: [$one, { __typename: \"User\", id: \"c\" }]) { ... on User { id } }
        c: _entities(representations: { __typename: \"Provider\", id: \"x\" }) { ... on Provider { name } }
    }";
    assert_eq!(cost(&traced(json!([user("a")]), written).await), (2 + 3 + 2, 1));
    // The keys identify users and toolkits. Fields that belong to other types cost nothing.
    let only_users = "query ($of: [_Any!]!) { _entities(representations: $of) { ... on User { id } ... on Toolkit { providers { name } } } }";
    assert_eq!(cost(&traced(json!([user("a"), user("b")]), only_users).await), (1 + 2, 0));

    let many: Vec<_> =
        (0..31).map(|user| json!({ "__typename": "User", "id": format!("u{user}") })).collect();
    let expensive =
        "query ($of: [_Any!]!) { _entities(representations: $of) { ... on User { a: id b: id } } }";
    let refused = traced(json!(many), expensive).await;
    assert_eq!(only_error(&refused)["extensions"]["reason"], "COMPLEXITY", "{refused}");
    let accounts: Vec<_> = (0..201).map(|id| account(&format!("ca_{id}"))).collect();
    let refused =
        traced(json!(accounts), "query ($of: [_Any!]!) { _entities(representations: $of) { __typename } }")
            .await;
    let reasons: Vec<_> =
        refused["errors"].as_array().unwrap().iter().map(|error| &error["extensions"]["reason"]).collect();
    assert!(reasons.contains(&&json!("UPSTREAM_CALLS")), "{refused}");
}
