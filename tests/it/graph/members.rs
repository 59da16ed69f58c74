//! A member's view, field by field. `laws::members` asserts the same over random queries.

use serde_json::{Value, json};
use switchboard::domain::caller::Caller;
use switchboard::domain::role::{MemberId, Role};
use switchboard::sandbox::Tenant;

use crate::world::{World, at, global_id, only_error, strings_at, tenant_a};

fn member(id: &str) -> Caller {
    Caller { name: "Ann".into(), role: Role::Member(MemberId::new(id).unwrap()), ..tenant_a() }
}

async fn data_as(world: &World, caller: Caller, query: &str, variables: Value) -> Value {
    let mut answer = world.query_as(caller, query, variables).await;
    assert_eq!(answer.get("errors"), None, "{query}");
    answer["data"].take()
}

/// The ids of the accounts that fit.
fn ids(world: &World, is_wanted: impl Fn(&str) -> bool) -> Vec<String> {
    let accounts = world.sandbox.accounts(Tenant::A).into_iter();
    accounts.filter(|account| is_wanted(&account.user_id)).map(|account| account.id).collect()
}

#[tokio::test(start_paused = true)]
async fn viewer_is_the_caller() {
    let world = World::new();
    let query = "{ viewer { name role user { id connectedAccounts { totalCount } } } }";
    let own = ids(&world, |user| user == "user_3").len();
    let seen = data_as(&world, member("user_3"), query, json!({})).await;
    assert_eq!(seen["viewer"]["name"], "Ann");
    assert_eq!(seen["viewer"]["role"], "MEMBER");
    assert_eq!(seen["viewer"]["user"]["id"], "user_3");
    let shared =
        world.sandbox.accounts(Tenant::A).iter().filter(|a| a.user_id == "user_3" && a.shared).count();
    assert_eq!(seen["viewer"]["user"]["connectedAccounts"]["totalCount"], json!(own - shared));
    let seen = data_as(&world, tenant_a(), query, json!({})).await;
    assert_eq!(seen["viewer"], json!({ "name": "test", "role": "ADMIN", "user": null }));
}

#[tokio::test(start_paused = true)]
async fn display_names_are_those_of_visible_accounts() {
    let world = World::new();
    let query = "{ connectedAccounts(first: 100) { nodes { userId toolkit { slug } displayName } } }";
    for (caller, user) in [(tenant_a(), None), (member("user_3"), Some("user_3"))] {
        let seen = data_as(&world, caller, query, json!({})).await;
        let nodes = seen["connectedAccounts"]["nodes"].as_array().unwrap();
        let mut named = 0;
        for node in nodes {
            assert!(user.is_none_or(|user| node["userId"] == user), "{node}");
            let expected = format!(
                "{} of {}",
                node["toolkit"]["slug"].as_str().unwrap(),
                node["userId"].as_str().unwrap()
            );
            named += usize::from(node["displayName"] == expected.as_str());
            assert!(node["displayName"].is_null() || node["displayName"] == expected.as_str(), "{node}");
        }
        assert!((1..nodes.len()).contains(&named), "{named} of {} accounts have a name", nodes.len());
    }
}

#[tokio::test(start_paused = true)]
async fn member_sees_providers_without_personal_data() {
    let world = World::new();
    let query = "query ($search: String) {
        providers(filter: { search: $search }) { totalCount nodes { id name status connected accountId displayName errorMessage } }
    }";
    let all = data_as(&world, tenant_a(), query, json!({})).await;
    let seen = data_as(&world, member("user_1"), query, json!({})).await;
    let mut expected = all.clone();
    for node in expected["providers"]["nodes"].as_array_mut().unwrap() {
        for hidden in ["accountId", "displayName", "errorMessage"] {
            node[hidden] = Value::Null;
        }
    }
    assert_eq!(seen, expected);
    assert_ne!(all, expected, "the ADMIN sees data that a member must not see");

    // `Team Mailbox` is the display name of `gmail`.
    for (search, as_admin, as_member) in [("mailbox", 1, 0), ("gmail", 1, 1), ("GOOGLE", 1, 1)] {
        let variables = json!({ "search": search });
        let of = async |caller| {
            data_as(&world, caller, query, variables.clone()).await["providers"]["totalCount"].clone()
        };
        let (admin, member) = (of(tenant_a()).await, of(member("user_1")).await);
        assert!(
            admin.as_i64() >= Some(as_admin) && member.as_i64() >= Some(as_member),
            "{search} {admin} {member}"
        );
        assert!(member.as_i64() <= admin.as_i64());
        if search == "mailbox" {
            assert_eq!(member, json!(0));
        }
    }
    let id = strings_at(&all, "providers.nodes.*.id").remove(0);
    let one = "query ($id: ID!) {
        provider(id: $id) { displayName } providersByIds(ids: [$id]) { accountId }
        node(id: $id) { ... on Provider { name displayName accountId errorMessage } }
        toolkit(slug: \"gmail\") { providers { displayName } }
    }";
    let seen = data_as(&world, member("user_1"), one, json!({ "id": id })).await.to_string();
    assert!(seen.contains("\"gmail\"") && !seen.contains("Team") && !seen.contains('@'), "{seen}");
}

#[tokio::test(start_paused = true)]
async fn another_users_account_is_not_found() {
    let world = World::new();
    let (own, others) = (ids(&world, |user| user == "user_1"), ids(&world, |user| user != "user_1"));
    let (own, other) = (own[0].as_str(), others[0].as_str());
    let query = "query ($a: ID!, $ca: ID!) {
        node(id: $a) { id } nodes(ids: [$a, $a]) { id } connectedAccount(id: $ca) { userId }
        connectedAccountsByIds(ids: [$ca, $a]) { userId }
        connectedAccounts(filter: { ids: [$ca] }) { totalCount isComplete nodes { id } }
    }";
    let variables = |id: &str| json!({ "a": global_id("ConnectedAccount", id), "ca": id });
    let nothing = json!({
        "node": null, "nodes": [null, null], "connectedAccount": null, "connectedAccountsByIds": [null, null],
        "connectedAccounts": { "totalCount": 0, "isComplete": true, "nodes": [] },
    });
    // An ADMIN read it just before. It is cached, but the member still does not find it.
    assert_eq!(
        data_as(&world, tenant_a(), query, variables(other)).await["nodes"].as_array().unwrap().len(),
        2
    );
    for id in [other, "ca_there_is_none"] {
        world.calls();
        assert_eq!(data_as(&world, member("user_1"), query, variables(id)).await, nothing, "{id}");
        assert_eq!(world.calls().len(), 2, "{id}");
        assert_eq!(data_as(&world, member("user_1"), query, variables(id)).await, nothing);
        assert_eq!(world.calls().len(), 0, "{id}");
    }
    let seen = data_as(&world, member("user_1"), query, variables(own)).await;
    assert_eq!(at(&seen, "connectedAccount.userId"), "user_1");
}

#[tokio::test(start_paused = true)]
async fn other_users_are_null_without_a_call() {
    let world = World::new();
    let query = "{
        user(id: \"user_2\") { id } usersByIds(ids: [\"user_1\", \"user_2\", \"unknown\"]) { id }
        connectedAccounts(filter: { userIds: [\"user_2\"] }) { totalCount isComplete statusCounts { count } nodes { id } }
        toolkit(slug: \"gmail\") { connectedAccounts(filter: { userIds: [\"user_2\"] }) { totalCount nodes { id } } }
    }";
    let seen = data_as(&world, member("user_1"), query, json!({})).await;
    assert_eq!(
        (&seen["user"], &seen["usersByIds"]),
        (&Value::Null, &json!([{ "id": "user_1" }, null, null]))
    );
    for path in ["connectedAccounts", "toolkit.connectedAccounts"] {
        assert_eq!(at(&seen, path)["totalCount"], json!(0));
        assert_eq!(at(&seen, path)["nodes"], json!([]));
    }
    assert_eq!(world.calls(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn cursor_is_refused_for_another_view() {
    let world = World::new();
    let accounts = "query ($after: String) {
        connectedAccounts(first: 1, after: $after, filter: { userIds: [\"user_1\"] }) { edges { cursor } nodes { id } }
    }";
    let providers =
        "query ($after: String) { providers(first: 1, after: $after) { edges { cursor } nodes { id } } }";
    for (query, path) in [(accounts, "connectedAccounts"), (providers, "providers")] {
        let cursor = async |caller| {
            let seen = data_as(&world, caller, query, json!({})).await;
            at(&seen, &format!("{path}.edges.0.cursor"))
        };
        let (admins, own) = (cursor(tenant_a()).await, cursor(member("user_1")).await);
        assert_ne!(admins, own);
        let again = data_as(&world, member("user_1"), query, json!({ "after": own.clone() })).await;
        assert_eq!(at(&again, path)["nodes"].as_array().unwrap().len(), 1);
        for (caller, cursor) in [
            (member("user_1"), &admins),
            (tenant_a(), &own),
            (member("user_2"), &own),
            (member("user_2"), &admins),
        ] {
            let answer = world.query_as(caller, query, json!({ "after": cursor })).await;
            assert_eq!(only_error(&answer)["extensions"]["reason"], "BAD_CURSOR", "{path}");
            assert_eq!(answer["data"][path], Value::Null);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn responses_and_in_flight_reads_are_separate_by_view() {
    let world = World::new();
    let other = ids(&world, |user| user == "user_2").remove(0);
    let query = format!(
        "{{ connectedAccount(id: \"{other}\") {{ userId }} providers(first: 1) {{ nodes {{ displayName }} }} }}"
    );
    for _ in 0..3 {
        let callers = [tenant_a(), member("user_1"), member("user_2"), tenant_a(), member("user_1")];
        let asked = callers.map(|caller| data_as(&world, caller, &query, json!({})));
        let data_as = futures_util::future::join_all(asked).await;
        let of = |user: Value, name: Value| {
            json!({
                "connectedAccount": user, "providers": { "nodes": [{ "displayName": name }] },
            })
        };
        let (all, own) = (
            of(json!({ "userId": "user_2" }), "Team Mailbox".into()),
            of(json!({ "userId": "user_2" }), Value::Null),
        );
        let none = of(Value::Null, Value::Null);
        assert_eq!(data_as, [all.clone(), none.clone(), own, all, none]);
    }
}

#[tokio::test(start_paused = true)]
async fn trace_is_only_for_admins() {
    let world = World::new();
    let query = "{ connectedAccounts { totalCount } }";
    assert!(world.query_traced(tenant_a(), query, true).await["extensions"].is_object());
    assert_eq!(world.query_traced(member("user_1"), query, true).await.get("extensions"), None);
}

/// A Composio that ignores `user_ids`.
fn ignoring_user_ids() -> World {
    World::with_network(switchboard::sandbox::Settings::default(), 100, |network| {
        tower::util::BoxCloneSyncService::new(tower::service_fn(
            move |request: http::Request<bytes::Bytes>| {
                let network = network.clone();
                let (mut head, body) = request.into_parts();
                let target = head.uri.to_string().replace("user_ids=", "unknown=");
                head.uri = target.parse().unwrap();
                tower::ServiceExt::oneshot(network, http::Request::from_parts(head, body))
            },
        ))
    })
}

#[tokio::test(start_paused = true)]
async fn counts_of_other_users_are_null_even_if_the_newest_account_is_the_members() {
    let world = ignoring_user_ids();
    world.sandbox.change_accounts(Tenant::A, |rows| {
        rows.sort_by_key(|row| std::cmp::Reverse(row.created_at));
        let mut seen = std::collections::HashSet::new();
        for row in rows.iter_mut().filter(|row| !row.shared) {
            row.user_id = if seen.insert(row.status) { "user_1" } else { "user_2" }.to_owned();
        }
    });
    let query = "{
        connectedAccounts(first: 0) { totalCount statusCounts { count } }
        viewer { user { connectedAccounts(first: 1) { totalCount nodes { userId } pageInfo { hasNextPage } } } }
    }";
    let answer = data_as(&world, member("user_1"), query, json!({})).await;
    assert_eq!(answer["connectedAccounts"], json!({ "totalCount": null, "statusCounts": null }));
    let own = at(&answer, "viewer.user.connectedAccounts");
    assert_eq!((&own["totalCount"], &own["nodes"]), (&Value::Null, &json!([{ "userId": "user_1" }])));
}

#[tokio::test(start_paused = true)]
async fn rows_of_other_users_are_not_returned() {
    let world = ignoring_user_ids();
    let query = "{
        connectedAccounts(first: 10) { totalCount statusCounts { count } nodes { userId } }
        toolkitsBySlugs(slugs: [\"gmail\", \"slack\"]) { connectedAccounts(first: 3) { totalCount nodes { userId } } }
        viewer { user { connectedAccounts(first: 0) { totalCount statusCounts { count } } } }
    }";
    let answer = data_as(&world, member("user_1"), query, json!({})).await;
    let users = strings_at(&answer, "connectedAccounts.nodes.*.userId");
    assert!(!users.is_empty() && users.iter().all(|user| user == "user_1"), "{users:?}");
    // Its counts include all users.
    for path in ["connectedAccounts", "toolkitsBySlugs.0.connectedAccounts", "viewer.user.connectedAccounts"]
    {
        assert_eq!(at(&answer, path)["totalCount"], Value::Null, "{path}");
    }
    assert_eq!(answer["connectedAccounts"]["statusCounts"], Value::Null);
    let text = answer.to_string();
    assert!(!text.contains("user_2") && !text.contains("user_3"), "{text}");
}
