//! Drift: what of an upstream's answer cannot be read, or was not asked for, is told by its place and never by its value.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use switchboard::domain::caller::Caller;
use switchboard::domain::role::{MemberId, Role};
use switchboard::sandbox::{Account, Scenario, Settings, Tenant};
use switchboard::upstream::transport::Network;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, ServiceExt, service_fn};

use crate::world::{LONGEST_TTL, NOW, PAGE_ROWS, PROVIDERS, World, at, by_ids, list, strings_at, tenant_a};

fn drifting() -> World {
    let world = World::new();
    Scenario::Drift.arrange(&world.sandbox);
    world
}

fn member(id: &str) -> Caller {
    Caller { role: Role::Member(MemberId::new(id).unwrap()), ..tenant_a() }
}

/// What an answer tells of problems: a line each.
#[track_caller]
fn told(answer: &Value) -> Vec<String> {
    assert_eq!(answer.get("errors"), None);
    let line = |problem: &Value| {
        let text = |name: &str| problem[name].as_str().unwrap().to_owned();
        format!("{} {} {} {}", text("upstream"), text("path"), text("rule"), problem["count"])
    };
    match answer.pointer("/extensions/switchboard/problems") {
        Some(problems) => problems.as_array().unwrap().iter().map(line).collect(),
        None => {
            assert_eq!(answer.get("extensions"), None);
            vec![]
        }
    }
}

async fn ask_as(world: &World, caller: Caller, query: &str) -> Value {
    world.query_as(caller, query, json!({})).await
}

/// A world in which one upstream always answers so, the other as the sandbox does.
fn answering(of: &'static str, body: Value) -> World {
    let body = Bytes::from(body.to_string());
    World::with_network(Settings::default(), PAGE_ROWS, move |sandbox: Network| {
        BoxCloneSyncService::new(service_fn(move |request: http::Request<Bytes>| {
            let (sandbox, body) = (sandbox.clone(), Full::new(body.clone()).map_err(BoxError::from));
            async move {
                match request.uri().path().ends_with(of) {
                    true => Ok(http::Response::new(body.boxed_unsync())),
                    false => sandbox.oneshot(request).await,
                }
            }
        }))
    })
}

fn item(id: &str, more: Value) -> Value {
    let mut item = json!({
        "id": id, "toolkit": { "slug": "gmail" }, "auth_config": { "id": "ac_1" }, "status": "ACTIVE",
        "user_id": "user_1", "created_at": NOW, "updated_at": NOW,
    });
    item.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    item
}

/// What the drifting sandbox has wrong in its list of providers, and in each page of two accounts or of more.
const PROVIDER_PROBLEMS: [&str; 3] = [
    "LEADLEX data.providers[1].category wrong_type 1",
    "LEADLEX data.providers[6].last_sync_at unreadable_timestamp 1",
    "LEADLEX data.providers[6].scopes unreadable_scope 2",
];
const ACCOUNT_PROBLEMS: [&str; 2] =
    ["COMPOSIO items[1].id wrong_type 1", "COMPOSIO items[4].updated_at unreadable_timestamp 1"];

#[tokio::test(start_paused = true)]
async fn the_rows_that_can_be_read_are_there_and_the_others_located() {
    let (healthy, world) = (World::new(), drifting());
    let query = "{ providers { totalCount nodes { name category status } } connectedAccounts(first: 5) { nodes { connectedAccountId } isComplete } }";
    let all = ask_as(&healthy, tenant_a(), query).await;
    assert_eq!(told(&all), [""; 0], "all is well");
    let seen = ask_as(&world, tenant_a(), query).await;
    let problems = json!({ "switchboard": { "problems": [
        { "upstream": "LEADLEX", "path": "data.providers[1].category", "rule": "wrong_type", "count": 1 },
        { "upstream": "LEADLEX", "path": "data.providers[6].last_sync_at", "rule": "unreadable_timestamp", "count": 1 },
        { "upstream": "LEADLEX", "path": "data.providers[6].scopes", "rule": "unreadable_scope", "count": 2 },
        { "upstream": "COMPOSIO", "path": "items[1].id", "rule": "wrong_type", "count": 1 },
        { "upstream": "COMPOSIO", "path": "items[4].updated_at", "rule": "unreadable_timestamp", "count": 1 },
    ] } });
    assert_eq!(seen["extensions"], problems);
    assert_eq!(seen.get("errors"), None);
    let names = |answer: &Value| strings_at(answer, "data.providers.nodes.*.name");
    let mut expected = names(&all);
    expected.remove(1);
    assert_eq!(names(&seen), expected);
    let ids = |answer: &Value| strings_at(answer, "data.connectedAccounts.nodes.*.connectedAccountId");
    let (expected, seen_ids) = (ids(&all), ids(&seen));
    assert_eq!((&seen_ids[0], &seen_ids[1..4]), (&expected[0], &expected[2..5]));
    assert_eq!(world.calls_sorted(), [list(&[]), PROVIDERS.to_owned()]);
}

#[tokio::test(start_paused = true)]
async fn only_what_the_operation_itself_was_made_of_is_told() {
    let world = drifting();
    for (query, problems) in [
        ("{ providers { nodes { name } } }", &PROVIDER_PROBLEMS[..]),
        ("{ connectedAccounts { nodes { id } } }", &ACCOUNT_PROBLEMS),
        ("{ connectedAccounts { totalCount } }", &ACCOUNT_PROBLEMS),
        ("{ toolkit(slug: \"gmail\") { slug } }", &[]),
        ("{ __typename }", &[]),
        // Each page has one, and what is met on two pages is one line.
        (
            "{ a: toolkit(slug: \"gmail\") { connectedAccounts(first: 1) { nodes { id } } }
               b: connectedAccounts(first: 1) { nodes { id } } c: connectedAccounts(first: 2) { nodes { id } } }",
            &["COMPOSIO items[1].id wrong_type 2", "COMPOSIO items[4].updated_at unreadable_timestamp 2"],
        ),
    ] {
        // From the upstream, from the cache, and finished.
        for _ in 0..3 {
            assert_eq!(told(&ask_as(&world, tenant_a(), query).await), problems, "{query}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_read_ahead_and_not_needed_is_not_told() {
    let accounts = json!({ "items": [item("ca_1", json!({ "alias": {} }))], "total_items": 1 });
    let world = answering("connected_accounts", accounts);
    let joined = "{ providers(filter: { categories: [EMAIL] }) { nodes { name connectedAccounts { nodes { id } } } } }";
    let cold = ask_as(&world, tenant_a(), joined).await;
    assert_eq!(told(&cold), ["COMPOSIO items[0].alias unreadable_value 1"]);
    world.settle().await;
    world.advance(LONGEST_TTL).await;
    let none = "{ providers(filter: { categories: [EMAIL], search: \"there is none\" }) { nodes { connectedAccounts(first: 1) { nodes { id } } } } }";
    assert_eq!(told(&ask_as(&world, tenant_a(), none).await), [""; 0]);
    world.settle().await;
    assert_eq!(told(&ask_as(&world, tenant_a(), none).await), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn accounts_by_id_and_parts_of_joined_pages_tell_it_from_the_cache_too() {
    let odd =
        json!({ "created_at": "yesterday", "state": { "val": { "scope": ["a", { "hush": "hush" }, {}] } } });
    let accounts = json!({ "items": [item("ca_1", odd), item("ca_2", json!({}))], "total_items": 2 });
    let problems = [
        "COMPOSIO items[0].created_at unreadable_timestamp 1",
        "COMPOSIO items[0].state.val.scope unreadable_scope 2",
    ];
    for query in [
        "{ connectedAccountsByIds(ids: [\"ca_1\", \"ca_2\"]) { createdAt state { scopes } } }",
        "{ providers { nodes { connectedAccounts(first: 2) { totalCount nodes { createdAt state { scopes } } } } } }",
        "{ toolkitsBySlugs(slugs: [\"gmail\", \"slack\"]) { connectedAccounts(first: 2) { nodes { createdAt state { scopes } } } } }",
    ] {
        let world = answering("connected_accounts", accounts.clone());
        for _ in 0..3 {
            let answer = ask_as(&world, tenant_a(), query).await;
            let counted: Vec<_> = told(&answer);
            for problem in &problems {
                assert!(counted.contains(&(*problem).to_owned()), "{query}: {counted:?}");
            }
            let text = answer.to_string();
            assert!(text.contains("\"createdAt\":null") && text.contains("\"scopes\":[\"a\"]"), "{text}");
            assert!(!text.contains("hush") && !text.contains("yesterday"), "{text}");
            world.settle().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn rows_that_nobody_asked_for_are_told_as_a_number() {
    let mut rows: Vec<_> = (0..3).map(|nth| item(&format!("ca_{nth}"), json!({}))).collect();
    rows.push(item("ca_s", json!({ "toolkit": { "slug": "slack" } })));
    let world = answering("connected_accounts", json!({ "items": rows, "total_items": 4 }));
    let query = "{ connectedAccounts(filter: { toolkits: [\"slack\"] }) { totalCount nodes { connectedAccountId } } }";
    let answer = ask_as(&world, tenant_a(), query).await;
    assert_eq!(told(&answer), ["COMPOSIO items not_in_filter 3"]);
    let list = at(&answer, "data.connectedAccounts");
    assert_eq!(list, json!({ "totalCount": null, "nodes": [{ "connectedAccountId": "ca_s" }] }));
}

#[tokio::test(start_paused = true)]
async fn of_many_problems_twenty_are_told_and_the_others_counted() {
    let mut rows: Vec<_> = (0..70).map(|_| json!({ "id": "ca_bad" })).collect();
    rows.push(item("ca_1", json!({})));
    let world = answering("connected_accounts", json!({ "items": rows, "total_items": 71 }));
    let answer = ask_as(&world, tenant_a(), "{ connectedAccounts { nodes { id } } }").await;
    let lines = told(&answer);
    assert_eq!((lines.len(), &*lines[19]), (20, "COMPOSIO items[19].toolkit missing 1"));
    assert_eq!(at(&answer, "extensions.switchboard.moreProblems"), 50);
}

#[tokio::test(start_paused = true)]
async fn a_member_is_told_of_the_workspace_and_not_of_accounts() {
    let both = "{ providers { nodes { name } } connectedAccounts { nodes { id } } connectedAccountsByIds(ids: [\"ca_1\", \"ca_2\"]) { id } }";
    let world = drifting();
    for _ in 0..3 {
        let answer = ask_as(&world, member("user_1"), both).await;
        assert_eq!(told(&answer), PROVIDER_PROBLEMS);
        assert!(!answer.to_string().contains("COMPOSIO"), "{answer}");
    }
    assert!(told(&ask_as(&world, tenant_a(), both).await).len() > PROVIDER_PROBLEMS.len());

    // Another's rows are left out of what a member sees: that they came is nothing to tell it.
    let others = json!({ "items": [item("ca_1", json!({ "user_id": "user_2" }))], "total_items": 1 });
    let world = answering("connected_accounts", others);
    let query = "{ connectedAccounts { nodes { id } } }";
    assert_eq!(told(&ask_as(&world, member("user_1"), query).await), [""; 0]);

    // That the error's text cannot be read tells that there is one.
    let row = json!({ "category": "email", "name": "gmail", "error_message": {}, "account_id": [], "scopes": [{}] });
    let world = answering("settings/providers", json!({ "data": { "providers": [row] } }));
    let query = "{ providers { nodes { name } } }";
    let of_member = "LEADLEX data.providers[0].scopes unreadable_scope 1";
    assert_eq!(told(&ask_as(&world, member("user_1"), query).await), [of_member]);
    assert_eq!(
        told(&ask_as(&world, tenant_a(), query).await),
        [
            "LEADLEX data.providers[0].account_id unreadable_value 1",
            "LEADLEX data.providers[0].error_message unreadable_value 1",
            of_member,
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_finished_answer_tells_it_in_the_same_bytes() {
    let world = drifting();
    let request =
        json!({ "query": "{ providers { nodes { name connectedAccounts(first: 1) { nodes { id } } } } }" });
    world.run(tenant_a(), &request).await;
    world.settle().await;
    let executed = world.run(tenant_a(), &request).await;
    world.executions();
    for _ in 0..3 {
        let finished = world.run(tenant_a(), &request).await;
        assert_eq!((finished.body.clone(), world.executions()), (executed.body.clone(), 0));
        let finished: Value = serde_json::from_slice(&finished.body).unwrap();
        assert!(told(&finished).contains(&PROVIDER_PROBLEMS[2].to_owned()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_page_that_is_well_again_tells_nothing() {
    let world = drifting();
    let query = "{ connectedAccounts(first: 1) { nodes { id } } }";
    assert_eq!(told(&ask_as(&world, tenant_a(), query).await), ACCOUNT_PROBLEMS);
    world.sandbox.drift(false);
    assert_eq!(
        told(&ask_as(&world, tenant_a(), query).await),
        ACCOUNT_PROBLEMS,
        "it is the page that is kept"
    );
    world.advance(LONGEST_TTL).await;
    assert_eq!(told(&ask_as(&world, tenant_a(), query).await), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_trace_tells_problems_beside_it_and_a_failed_upstream_leaves_those_of_the_other() {
    let world = drifting();
    let traced = world.query_traced(tenant_a(), "{ connectedAccounts { nodes { id } } }", true).await;
    assert!(at(&traced, "extensions.switchboard.trace").is_object());
    assert_eq!(at(&traced, "extensions.switchboard.problems.0.path"), "items[1].id");
    let keyless = Caller {
        tenant: switchboard::domain::caller::Tenant { leadlex: None, ..tenant_a().tenant },
        ..tenant_a()
    };
    let half =
        ask_as(&world, keyless, "{ providers { nodes { id } } connectedAccounts { nodes { id } } }").await;
    assert_eq!(half["errors"].as_array().unwrap().len(), 1);
    assert_eq!(at(&half, "extensions.switchboard.problems.*.upstream"), json!(["COMPOSIO", "COMPOSIO"]));
}

#[tokio::test(start_paused = true)]
async fn the_account_that_is_missing_as_its_row_cannot_be_read_is_explained() {
    let world = drifting();
    world.sandbox.change_accounts(Tenant::A, |rows| {
        let account = |id: &str| Account::new(id, "gmail", "user_1", NOW.parse().unwrap());
        *rows = vec![account("ca_1"), account("ca_2")];
    });
    let query = "{ connectedAccountsByIds(ids: [\"ca_1\", \"ca_2\"]) { connectedAccountId } }";
    for _ in 0..2 {
        let answer = ask_as(&world, tenant_a(), query).await;
        let nulls = at(&answer, "data.connectedAccountsByIds")
            .as_array()
            .unwrap()
            .iter()
            .filter(|a| a.is_null())
            .count();
        assert_eq!((nulls, told(&answer)), (1, vec![ACCOUNT_PROBLEMS[0].to_owned()]));
    }
    assert_eq!(world.calls(), [by_ids(["ca_1", "ca_2"])]);
}
