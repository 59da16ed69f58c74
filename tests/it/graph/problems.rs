//! Drift: unreadable and unrequested parts of upstream responses are reported by location, never by value.

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

/// The problems of a response, one line each.
#[track_caller]
fn problem_lines(answer: &Value) -> Vec<String> {
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

async fn response_as(world: &World, caller: Caller, query: &str) -> Value {
    world.query_as(caller, query, json!({})).await
}

/// A world in which one upstream always returns this body.
fn with_response(of: &'static str, body: Value) -> World {
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

/// The defects of the drifting sandbox's provider list, and of account pages with two or more rows.
const PROVIDER_PROBLEMS: [&str; 3] = [
    "LEADLEX data.providers[1].category wrong_type 1",
    "LEADLEX data.providers[6].last_sync_at unreadable_timestamp 1",
    "LEADLEX data.providers[6].scopes unreadable_scope 2",
];
const ACCOUNT_PROBLEMS: [&str; 2] =
    ["COMPOSIO items[1].id wrong_type 1", "COMPOSIO items[4].updated_at unreadable_timestamp 1"];

#[tokio::test(start_paused = true)]
async fn readable_rows_are_returned_and_others_reported() {
    let (healthy, world) = (World::new(), drifting());
    let query = "{ providers { totalCount nodes { name category status } } connectedAccounts(first: 5) { nodes { connectedAccountId } isComplete } }";
    let all = response_as(&healthy, tenant_a(), query).await;
    assert_eq!(problem_lines(&all), [""; 0], "no problems");
    let seen = response_as(&world, tenant_a(), query).await;
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
async fn only_problems_of_the_operations_own_data_are_reported() {
    let world = drifting();
    for (query, problems) in [
        ("{ providers { nodes { name } } }", &PROVIDER_PROBLEMS[..]),
        ("{ connectedAccounts { nodes { id } } }", &ACCOUNT_PROBLEMS),
        ("{ connectedAccounts { totalCount } }", &ACCOUNT_PROBLEMS),
        ("{ toolkit(slug: \"gmail\") { slug } }", &[]),
        ("{ __typename }", &[]),
        // Each page has one. The same problem on two pages is one line.
        (
            "{ a: toolkit(slug: \"gmail\") { connectedAccounts(first: 1) { nodes { id } } }
               b: connectedAccounts(first: 1) { nodes { id } } c: connectedAccounts(first: 2) { nodes { id } } }",
            &["COMPOSIO items[1].id wrong_type 2", "COMPOSIO items[4].updated_at unreadable_timestamp 2"],
        ),
    ] {
        // From the upstream, from the cache, and from the cached response.
        for _ in 0..3 {
            assert_eq!(problem_lines(&response_as(&world, tenant_a(), query).await), problems, "{query}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn problems_of_unused_prefetched_pages_are_not_reported() {
    let accounts = json!({ "items": [item("ca_1", json!({ "alias": {} }))], "total_items": 1 });
    let world = with_response("connected_accounts", accounts);
    let joined = "{ providers(filter: { categories: [EMAIL] }) { nodes { name connectedAccounts { nodes { id } } } } }";
    let cold = response_as(&world, tenant_a(), joined).await;
    assert_eq!(problem_lines(&cold), ["COMPOSIO items[0].alias unreadable_value 1"]);
    world.settle().await;
    world.advance(LONGEST_TTL).await;
    let none = "{ providers(filter: { categories: [EMAIL], search: \"no such name\" }) { nodes { connectedAccounts(first: 1) { nodes { id } } } } }";
    assert_eq!(problem_lines(&response_as(&world, tenant_a(), none).await), [""; 0]);
    world.settle().await;
    assert_eq!(problem_lines(&response_as(&world, tenant_a(), none).await), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn cached_accounts_and_batched_pages_report_problems() {
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
        let world = with_response("connected_accounts", accounts.clone());
        for _ in 0..3 {
            let answer = response_as(&world, tenant_a(), query).await;
            let counted: Vec<_> = problem_lines(&answer);
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
async fn unrequested_rows_are_reported_as_a_count() {
    let mut rows: Vec<_> = (0..3).map(|nth| item(&format!("ca_{nth}"), json!({}))).collect();
    rows.push(item("ca_s", json!({ "toolkit": { "slug": "slack" } })));
    let world = with_response("connected_accounts", json!({ "items": rows, "total_items": 4 }));
    let query = "{ connectedAccounts(filter: { toolkits: [\"slack\"] }) { totalCount nodes { connectedAccountId } } }";
    let answer = response_as(&world, tenant_a(), query).await;
    assert_eq!(problem_lines(&answer), ["COMPOSIO items not_in_filter 3"]);
    let list = at(&answer, "data.connectedAccounts");
    assert_eq!(list, json!({ "totalCount": null, "nodes": [{ "connectedAccountId": "ca_s" }] }));
}

#[tokio::test(start_paused = true)]
async fn at_most_twenty_problems_are_listed() {
    let mut rows: Vec<_> = (0..70).map(|_| json!({ "id": "ca_bad" })).collect();
    rows.push(item("ca_1", json!({})));
    let world = with_response("connected_accounts", json!({ "items": rows, "total_items": 71 }));
    let answer = response_as(&world, tenant_a(), "{ connectedAccounts { nodes { id } } }").await;
    let lines = problem_lines(&answer);
    assert_eq!((lines.len(), &*lines[19]), (20, "COMPOSIO items[19].toolkit missing 1"));
    assert_eq!(at(&answer, "extensions.switchboard.moreProblems"), 50);
}

#[tokio::test(start_paused = true)]
async fn member_sees_workspace_problems_only() {
    let both = "{ providers { nodes { name } } connectedAccounts { nodes { id } } connectedAccountsByIds(ids: [\"ca_1\", \"ca_2\"]) { id } }";
    let world = drifting();
    for _ in 0..3 {
        let answer = response_as(&world, member("user_1"), both).await;
        assert_eq!(problem_lines(&answer), PROVIDER_PROBLEMS);
        assert!(!answer.to_string().contains("COMPOSIO"), "{answer}");
    }
    assert!(problem_lines(&response_as(&world, tenant_a(), both).await).len() > PROVIDER_PROBLEMS.len());

    // Rows of other users are hidden from a member, and so is the fact that they were returned.
    let others = json!({ "items": [item("ca_1", json!({ "user_id": "user_2" }))], "total_items": 1 });
    let world = with_response("connected_accounts", others);
    let query = "{ connectedAccounts { nodes { id } } }";
    assert_eq!(problem_lines(&response_as(&world, member("user_1"), query).await), [""; 0]);

    // "The error text is unreadable" would reveal that an error exists.
    let row = json!({ "category": "email", "name": "gmail", "error_message": {}, "account_id": [], "scopes": [{}] });
    let world = with_response("settings/providers", json!({ "data": { "providers": [row] } }));
    let query = "{ providers { nodes { name } } }";
    let of_member = "LEADLEX data.providers[0].scopes unreadable_scope 1";
    assert_eq!(problem_lines(&response_as(&world, member("user_1"), query).await), [of_member]);
    assert_eq!(
        problem_lines(&response_as(&world, tenant_a(), query).await),
        [
            "LEADLEX data.providers[0].account_id unreadable_value 1",
            "LEADLEX data.providers[0].error_message unreadable_value 1",
            of_member,
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn cached_response_has_the_same_problems() {
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
        assert!(problem_lines(&finished).contains(&PROVIDER_PROBLEMS[2].to_owned()));
    }
}

#[tokio::test(start_paused = true)]
async fn recovered_page_has_no_problems() {
    let world = drifting();
    let query = "{ connectedAccounts(first: 1) { nodes { id } } }";
    assert_eq!(problem_lines(&response_as(&world, tenant_a(), query).await), ACCOUNT_PROBLEMS);
    world.sandbox.set_drift(false);
    assert_eq!(
        problem_lines(&response_as(&world, tenant_a(), query).await),
        ACCOUNT_PROBLEMS,
        "the cached page is used"
    );
    world.advance(LONGEST_TTL).await;
    assert_eq!(problem_lines(&response_as(&world, tenant_a(), query).await), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn trace_and_problems_coexist() {
    let world = drifting();
    let traced = world.query_traced(tenant_a(), "{ connectedAccounts { nodes { id } } }", true).await;
    assert!(at(&traced, "extensions.switchboard.trace").is_object());
    assert_eq!(at(&traced, "extensions.switchboard.problems.0.path"), "items[1].id");
    let keyless = Caller {
        tenant: switchboard::domain::caller::Tenant { leadlex: None, ..tenant_a().tenant },
        ..tenant_a()
    };
    let half =
        response_as(&world, keyless, "{ providers { nodes { id } } connectedAccounts { nodes { id } } }")
            .await;
    assert_eq!(half["errors"].as_array().unwrap().len(), 1);
    assert_eq!(at(&half, "extensions.switchboard.problems.*.upstream"), json!(["COMPOSIO", "COMPOSIO"]));
}

#[tokio::test(start_paused = true)]
async fn account_with_an_unreadable_row_is_explained() {
    let world = drifting();
    world.sandbox.change_accounts(Tenant::A, |rows| {
        let account = |id: &str| Account::new(id, "gmail", "user_1", NOW.parse().unwrap());
        *rows = vec![account("ca_1"), account("ca_2")];
    });
    let query = "{ connectedAccountsByIds(ids: [\"ca_1\", \"ca_2\"]) { connectedAccountId } }";
    for _ in 0..2 {
        let answer = response_as(&world, tenant_a(), query).await;
        let nulls = at(&answer, "data.connectedAccountsByIds")
            .as_array()
            .unwrap()
            .iter()
            .filter(|a| a.is_null())
            .count();
        assert_eq!((nulls, problem_lines(&answer)), (1, vec![ACCOUNT_PROBLEMS[0].to_owned()]));
    }
    assert_eq!(world.calls(), [by_ids(["ca_1", "ca_2"])]);
}
