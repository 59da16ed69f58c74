//! Composio without `user_id` in its responses (`--without-user-id`): an account's user is known only from the filter
//! of the request, and the filter by user is probed before it is relied on.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use switchboard::domain::caller::Caller;
use switchboard::domain::role::{MemberId, Role};
use switchboard::operation::subscription::Subscription;
use switchboard::sandbox::{Account, Settings, Tenant};
use switchboard::upstream::transport::Network;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, ServiceExt, service_fn};

use crate::world::{
    LONGEST_TTL, NOW, PAGE_ROWS, World, at, count, global_id, list, only_error, strings_at, tenant_a,
};

const HOUR: Duration = Duration::from_secs(3_600);

const OWNERS: &str =
    "{ connectedAccounts(first: 50) { totalCount nodes { connectedAccountId userId user { id } } } }";

fn settings() -> Settings {
    Settings { accounts: 0, without_user_id: true, ..Settings::default() }
}

fn member(id: &str) -> Caller {
    Caller { name: "Ann".into(), role: Role::Member(MemberId::new(id).unwrap()), ..tenant_a() }
}

fn account(id: &str, user: &str, age: i64) -> Account {
    let newest: jiff::Timestamp = NOW.parse().unwrap();
    Account::new(id, "gmail", user, newest - jiff::SignedDuration::from_secs(age))
}

/// Three users; `ca_1` and `ca_4` are of `user_1`.
fn rows() -> Vec<Account> {
    let to_account = |(index, user): (i64, &str)| account(&format!("ca_{index}"), user, index);
    (1..).zip(["user_1", "user_2", "user_3", "user_1", "user_2"]).map(to_account).collect()
}

fn world_over(settings: Settings, wrap_network: impl FnOnce(Network) -> Network + 'static) -> World {
    let world = World::with_network(settings, PAGE_ROWS, wrap_network);
    world.sandbox.change_accounts(Tenant::A, |accounts| *accounts = rows());
    world
}

fn world() -> World {
    world_over(settings(), |network| network)
}

/// The calls since the previous use of this function, with the random user of a probe as `PROBE`.
fn calls(world: &World) -> Vec<String> {
    let with_fixed_probe = |call: String| match call.split_once("switchboard-probe-") {
        Some((before, after)) => format!("{before}PROBE{}", after.get(32..).unwrap()),
        None => call,
    };
    world.calls().into_iter().map(with_fixed_probe).collect()
}

/// The two calls that probe the filter by user.
fn probe(id: &str) -> [String; 2] {
    let known = format!("connected_account_ids={id}");
    [count(&["user_ids=PROBE"]), count(&["user_ids=PROBE", &known])]
}

async fn data_as(world: &World, caller: Caller, query: &str) -> Value {
    let mut answer = world.query_as(caller, query, json!({})).await;
    assert_eq!(answer.get("errors"), None, "{query}: {answer}");
    answer["data"].take()
}

/// A network that passes each response of Composio's lists through `change_page`, and each URI through `change_uri`.
fn changed(
    network: Network,
    change_uri: impl Fn(&str) -> String + Clone + Send + Sync + 'static,
    change_page: impl Fn(&mut Value) + Clone + Send + Sync + 'static,
) -> Network {
    BoxCloneSyncService::new(service_fn(move |mut request: http::Request<Bytes>| {
        let (network, change_uri, change_page) = (network.clone(), change_uri.clone(), change_page.clone());
        async move {
            *request.uri_mut() = change_uri(&request.uri().to_string()).parse()?;
            let (mut head, body) = network.oneshot(request).await?.into_parts();
            let mut page: Value = serde_json::from_slice(&body.collect().await?.to_bytes())?;
            change_page(&mut page);
            head.headers.remove(http::header::CONTENT_LENGTH);
            let body = Full::new(Bytes::from(page.to_string())).map_err(BoxError::from).boxed_unsync();
            Ok::<_, BoxError>(http::Response::from_parts(head, body))
        }
    }))
}

/// The upstream ignores the filter by user.
fn ignores_user_ids(network: Network) -> Network {
    changed(network, |uri| uri.replace("user_ids=", "ignored="), |_| ())
}

#[tokio::test(start_paused = true)]
async fn a_member_receives_its_accounts_after_one_probe_an_hour() {
    let world = world();
    let own = json!({ "totalCount": 2, "nodes": [
        { "connectedAccountId": "ca_1", "userId": "user_1", "user": { "id": "user_1" } },
        { "connectedAccountId": "ca_4", "userId": "user_1", "user": { "id": "user_1" } },
    ] });
    assert_eq!(data_as(&world, member("user_1"), OWNERS).await["connectedAccounts"], own);
    let read = list(&["user_ids=user_1"]);
    let probe = probe("ca_1");
    assert_eq!(calls(&world), [&read, &probe[0], &probe[1]].map(String::as_str));
    // Another user of the same key needs no probe, and an expired list neither.
    let other = data_as(&world, member("user_3"), OWNERS).await;
    assert_eq!(strings_at(&other, "connectedAccounts.nodes.*.userId"), ["user_3"]);
    assert_eq!(calls(&world), [list(&["user_ids=user_3"])]);
    world.advance(LONGEST_TTL).await;
    assert_eq!(data_as(&world, member("user_1"), OWNERS).await["connectedAccounts"], own);
    assert_eq!(calls(&world), [read.as_str()]);
    world.advance(HOUR).await;
    assert_eq!(data_as(&world, member("user_1"), OWNERS).await["connectedAccounts"], own);
    assert_eq!(calls(&world), [&read, &probe[0], &probe[1]].map(String::as_str));
}

#[tokio::test(start_paused = true)]
async fn an_empty_list_needs_no_probe() {
    let world = world();
    let none = data_as(&world, member("absent_user"), OWNERS).await;
    assert_eq!(none["connectedAccounts"], json!({ "totalCount": 0, "nodes": [] }));
    assert_eq!(calls(&world), [list(&["user_ids=absent_user"])]);
}

#[tokio::test(start_paused = true)]
async fn a_member_fetches_its_accounts_by_id_only() {
    let world = world();
    let ids = ["ca_1", "ca_2"].map(|id| global_id("ConnectedAccount", id));
    let query =
        "query ($ids: [ID!]!) { nodes(ids: $ids) { ... on ConnectedAccount { connectedAccountId userId } } }";
    let answer = world.query_as(member("user_1"), query, json!({ "ids": ids })).await;
    assert_eq!(answer["data"]["nodes"], json!([{ "connectedAccountId": "ca_1", "userId": "user_1" }, null]));
    let asked = ["user_ids=user_1", "connected_account_ids=ca_1%2Cca_2", "account_type=ALL"];
    let probe = [
        count(&["user_ids=PROBE", "account_type=ALL"]),
        count(&["user_ids=PROBE", "connected_account_ids=ca_1", "account_type=ALL"]),
    ];
    assert_eq!(calls(&world), [&list(&asked), &probe[0], &probe[1]].map(String::as_str));
}

#[tokio::test(start_paused = true)]
async fn an_admin_knows_the_users_that_it_asks_for() {
    let world = world();
    // Lists of the whole project do not say whose the accounts are, and need no probe.
    let all = data_as(&world, tenant_a(), OWNERS).await;
    assert_eq!(all["connectedAccounts"]["totalCount"], 5);
    assert_eq!(at(&all, "connectedAccounts.nodes.*.userId"), json!([null, null, null, null, null]));
    assert_eq!(calls(&world), [list(&[])]);
    let one = data_as(
        &world,
        tenant_a(),
        "{ user(id: \"user_2\") { connectedAccounts { nodes { connectedAccountId userId user { id } } } } }",
    )
    .await;
    assert_eq!(strings_at(&one, "user.connectedAccounts.nodes.*.connectedAccountId"), ["ca_2", "ca_5"]);
    assert_eq!(strings_at(&one, "user.connectedAccounts.nodes.*.user.id"), ["user_2", "user_2"]);
    let probe = probe("ca_2");
    assert_eq!(calls(&world), [&list(&["user_ids=user_2"]), &probe[0], &probe[1]].map(String::as_str));
    let filtered = data_as(
        &world,
        tenant_a(),
        "{ one: connectedAccounts(filter: { userIds: [\"user_3\"] }) { nodes { userId } }
           two: connectedAccounts(filter: { userIds: [\"user_1\", \"user_3\"] }) { totalCount nodes { userId } } }",
    )
    .await;
    assert_eq!(at(&filtered, "one.nodes.*.userId"), json!(["user_3"]));
    assert_eq!(at(&filtered, "two.totalCount"), 3);
    assert_eq!(at(&filtered, "two.nodes.*.userId"), json!(["user_1", "user_3", "user_1"]));
}

/// Lists that are filtered by several users, under each parent that has such a filter.
const OF_TWO_USERS: &str = "query ($after: String) {
    connectedAccounts(first: 2, after: $after, filter: { userIds: [\"user_2\", \"user_1\"] }) {
        totalCount isComplete pageInfo { hasNextPage endCursor } edges { cursor ...E }
    }
    last: connectedAccounts(last: 3, filter: { userIds: [\"user_1\", \"user_3\", \"absent_user\"], toolkits: [\"gmail\"] }) {
        edges { cursor ...E }
    }
    toolkitsBySlugs(slugs: [\"gmail\", \"slack\"]) {
        connectedAccounts(first: 2, filter: { userIds: [\"user_1\", \"user_3\"] }) { totalCount edges { cursor ...E } }
    }
}
fragment E on ConnectedAccountEdge { node { connectedAccountId userId user { id } } }";

/// The responses to [`OF_TWO_USERS`], page by page.
async fn pages_of_two_users(without_user_id: bool) -> Vec<Value> {
    let settings = Settings { without_user_id, ..settings() };
    let world = World::with_network(settings, 2, |network| network);
    world.sandbox.change_accounts(Tenant::A, |accounts| *accounts = rows());
    let (mut pages, mut after) = (Vec::new(), Value::Null);
    loop {
        let mut answer = world.query_as(tenant_a(), OF_TWO_USERS, json!({ "after": after })).await;
        assert_eq!(answer.get("errors"), None, "{answer}");
        let data = answer["data"].take();
        after = at(&data, "connectedAccounts.pageInfo.endCursor");
        let has_next = at(&data, "connectedAccounts.pageInfo.hasNextPage") == true;
        pages.push(data);
        assert!(pages.len() < 10, "paging does not end");
        if !has_next {
            return pages;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_of_several_users_is_the_same_with_and_without_user_ids_in_its_rows() {
    let pages = pages_of_two_users(true).await;
    let owners: Vec<_> =
        pages.iter().flat_map(|page| strings_at(page, "connectedAccounts.edges.*.node.userId")).collect();
    assert_eq!(owners, ["user_1", "user_2", "user_1", "user_2"]);
    assert_eq!(pages, pages_of_two_users(false).await);
}

#[tokio::test(start_paused = true)]
async fn a_list_of_several_users_takes_one_question_per_user_and_page() {
    let world = world();
    let query = "{ connectedAccounts(filter: { userIds: [\"user_1\", \"user_3\", \"absent_user\"] }) { nodes { userId } } }";
    let three = list(&["user_ids=absent_user%2Cuser_1%2Cuser_3"]);
    for round in 0..2 {
        let data = data_as(&world, tenant_a(), query).await;
        assert_eq!(at(&data, "connectedAccounts.nodes.*.userId"), json!(["user_1", "user_3", "user_1"]));
        let calls = calls(&world);
        let asked = calls.iter().filter(|call| call.contains("connected_account_ids=ca_1%2Cca_3%2Cca_4"));
        let asked: Vec<_> =
            asked.map(|call| call.split('&').next().unwrap().split('?').nth(1).unwrap()).collect();
        assert_eq!(asked, ["user_ids=absent_user", "user_ids=user_1", "user_ids=user_3"], "round {round}");
        // The list, the questions, and in the first round the probe.
        assert_eq!((&calls[0], calls.len()), (&three, if round == 0 { 6 } else { 4 }), "{calls:?}");
        // Cached, with the users.
        assert_eq!(data_as(&world, tenant_a(), query).await, data);
        assert_eq!(self::calls(&world), [""; 0]);
        world.advance(LONGEST_TTL).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_row_that_is_returned_for_two_users_fails_the_list() {
    // The filter works only for users that do not exist.
    let ask = |uri: &str| uri.replace("user_ids=user_1&", "").replace("user_ids=user_3&", "");
    let world = world_over(settings(), move |network| changed(network, ask, |_| ()));
    let query = "{ connectedAccounts(filter: { userIds: [\"user_1\", \"user_3\"] }) { nodes { userId } } }";
    let answer = world.query_as(tenant_a(), query, json!({})).await;
    assert_eq!(only_error(&answer)["extensions"]["code"], "UPSTREAM_BAD_RESPONSE", "{answer}");
}

#[tokio::test(start_paused = true)]
async fn users_that_were_not_needed_for_a_count_are_asked_for_when_they_are() {
    let world = world();
    let count = "{ connectedAccounts(first: 0, filter: { userIds: [\"user_1\", \"user_3\"] }) {
        statusCounts { count }
    } }";
    data_as(&world, tenant_a(), count).await;
    assert!(calls(&world).iter().all(|call| !call.contains("connected_account_ids=ca_1%2Cca_3%2Cca_4")));
    let query = "{ connectedAccounts(filter: { userIds: [\"user_1\", \"user_3\"] }) { nodes { userId } } }";
    let data = data_as(&world, tenant_a(), query).await;
    assert_eq!(at(&data, "connectedAccounts.nodes.*.userId"), json!(["user_1", "user_3", "user_1"]));
}

#[tokio::test(start_paused = true)]
async fn lists_of_several_users_are_read_one_by_one() {
    let world = world();
    let query = "{ usersByIds(ids: [\"user_1\", \"user_2\", \"user_3\", \"absent_user\"]) {
        id connectedAccounts(first: 5) { totalCount nodes { connectedAccountId userId } statusCounts { status count } }
    } }";
    let users = ["absent_user", "user_1", "user_2", "user_3"];
    let each = users.map(|user| list(&[&format!("user_ids={user}")]));
    for round in 0..2 {
        let data = data_as(&world, tenant_a(), query).await;
        let of = |user: usize| {
            strings_at(&data, &format!("usersByIds.{user}.connectedAccounts.nodes.*.connectedAccountId"))
        };
        assert_eq!(
            [of(0), of(1), of(2), of(3)],
            [vec!["ca_1", "ca_4"], vec!["ca_2", "ca_5"], vec!["ca_3"], vec![]]
        );
        assert_eq!(at(&data, "usersByIds.*.connectedAccounts.totalCount"), json!([2, 2, 1, 0]));
        for (place, user) in data["usersByIds"].as_array().unwrap().iter().enumerate() {
            let owners = strings_at(user, "connectedAccounts.nodes.*.userId");
            assert!(owners.iter().all(|owner| user["id"] == owner.as_str()), "{place}: {user}");
        }
        let mut calls = calls(&world);
        calls.sort_unstable();
        let mut expected = each.to_vec();
        if round == 0 {
            // The first joined list shows that Composio names no users; the probe follows it.
            expected.push(list(&["user_ids=absent_user%2Cuser_1%2Cuser_2%2Cuser_3"]));
            expected.extend(probe("ca_1"));
        }
        expected.sort_unstable();
        assert_eq!(calls, expected, "round {round}");
        world.advance(LONGEST_TTL).await;
    }
}

#[tokio::test(start_paused = true)]
async fn lists_by_user_fail_if_the_filter_by_user_is_ignored() {
    let world = world_over(settings(), ignores_user_ids);
    let refused = "The connected-accounts API (Composio) returned accounts without their users, and its filter by user is not \
        reliable.";
    for round in 0..2 {
        for caller in [member("user_1"), member("user_3")] {
            let answer = world.query_as(caller, OWNERS, json!({})).await;
            let error = only_error(&answer);
            assert_eq!(
                (&error["message"], &error["extensions"]["code"]),
                (&json!(refused), &json!("UPSTREAM_BAD_RESPONSE"))
            );
            assert_eq!(answer["data"]["connectedAccounts"], Value::Null);
        }
        let by_id = "query ($id: ID!) { connectedAccount(id: $id) { userId } }";
        let answer = world.query_as(member("user_1"), by_id, json!({ "id": "ca_2" })).await;
        assert_eq!(answer["data"]["connectedAccount"], Value::Null);
        assert_eq!(only_error(&answer)["message"], refused);
        // One list and its probe. Then nothing is called for an hour.
        assert_eq!(calls(&world).len(), 3, "round {round}");
        world.advance(HOUR).await;
    }
    // Lists that do not depend on the filter are still read.
    assert_eq!(data_as(&world, tenant_a(), OWNERS).await["connectedAccounts"]["totalCount"], 5);
}

#[tokio::test(start_paused = true)]
async fn rows_without_a_user_are_dropped_if_others_have_one() {
    // `ca_4` of user_1 has no user id, the others do.
    let hide_one = |page: &mut Value| {
        for item in page["items"].as_array_mut().into_iter().flatten().filter(|item| item["id"] == "ca_4") {
            item.as_object_mut().unwrap().remove("user_id");
        }
    };
    let settings = Settings { accounts: 0, ..Settings::default() };
    let world = world_over(settings, move |network| changed(network, str::to_owned, hide_one));
    let own = data_as(&world, member("user_1"), OWNERS).await;
    assert_eq!(at(&own, "connectedAccounts.nodes.*.connectedAccountId"), json!(["ca_1"]));
    assert_eq!(calls(&world), [list(&["user_ids=user_1"])]);
    let query = "{ user(id: \"user_1\") { connectedAccounts { nodes { connectedAccountId } } } }";
    let answer = world.query_as(tenant_a(), query, json!({})).await;
    assert_eq!(at(&answer["data"], "user.connectedAccounts.nodes.*.connectedAccountId"), json!(["ca_1"]));
    let problems = at(&answer, "extensions.switchboard.problems");
    assert_eq!(at(&problems, "*.rule"), json!(["not_in_filter"]), "{problems}");
    // An ADMIN's list of the project has it, with an unknown user.
    let all = data_as(&world, tenant_a(), OWNERS).await;
    assert_eq!(
        at(&all, "connectedAccounts.nodes.*.userId"),
        json!(["user_1", "user_2", "user_3", null, "user_2"])
    );
}

const ACCOUNT_CHANGED: &str =
    "subscription { connectedAccountChanged { kind connectedAccount { connectedAccountId status userId } } }";

async fn next_change(subscription: &mut Subscription) -> Value {
    let message = subscription.next().await.expect("the subscription is open");
    let mut answer: Value = serde_json::from_slice(&message.response.body).unwrap();
    assert_eq!(answer.get("errors"), None, "{answer}");
    answer["data"]["connectedAccountChanged"].take()
}

#[tokio::test(start_paused = true)]
async fn members_receive_changes_from_a_feed_of_their_own() {
    let world = world();
    let mut ann = world.subscribe(member("user_1"), ACCOUNT_CHANGED).await;
    let watched = |users: &str| {
        format!(
            "GET /api/v3/connected_accounts?{users}account_type=ALL&order_by=updated_at&order_direction=desc&limit=100"
        )
    };
    world.settle().await;
    let waiting = tokio::spawn(async move { (next_change(&mut ann).await, ann) });
    world.settle().await;
    let probe = [
        count(&["user_ids=PROBE", "account_type=ALL"]),
        count(&["user_ids=PROBE", "connected_account_ids=ca_1", "account_type=ALL"]),
    ];
    // The common feed shows that no users are named; then the member's own feed begins.
    assert_eq!(calls(&world), [watched(""), watched("user_ids=user_1&"), probe[0].clone(), probe[1].clone()]);
    let changed = |id: &str, status: &'static str, seconds: i64| {
        world.sandbox.change_accounts(Tenant::A, |rows| {
            let row = rows.iter_mut().find(|row| row.id == id).unwrap();
            row.status = status;
            row.updated_at += jiff::SignedDuration::from_secs(seconds);
        });
    };
    changed("ca_2", "EXPIRED", 1_000);
    changed("ca_4", "REVOKED", 1_001);
    let (change, mut ann) = waiting.await.unwrap();
    assert_eq!(
        change,
        json!({ "kind": "UPDATED", "connectedAccount": { "connectedAccountId": "ca_4", "status": "REVOKED", "userId": "user_1" } })
    );
    // Two members, two feeds; the common feed ends once it is unused.
    let mut ben = world.subscribe(member("user_2"), ACCOUNT_CHANGED).await;
    world.advance(HOUR / 6).await;
    world.settle().await;
    calls(&world);
    changed("ca_5", "FAILED", 2_000);
    changed("ca_1", "INACTIVE", 2_001);
    let of_ben = next_change(&mut ben).await;
    assert_eq!(of_ben["connectedAccount"]["connectedAccountId"], "ca_5");
    assert_eq!(next_change(&mut ann).await["connectedAccount"]["connectedAccountId"], "ca_1");
    assert!(calls(&world).iter().all(|call| call.contains("user_ids=user_")));
    // An ADMIN's filter by user cannot be applied to changes, and says so.
    let query = "subscription { connectedAccountChanged(filter: { userIds: [\"user_1\"] }) { kind } }";
    let Err(refused) = world.open(tenant_a(), json!({ "query": query })).await else {
        panic!("the subscription is open");
    };
    assert_eq!(only_error(&refused)["extensions"]["reason"], "BAD_FILTER");
}
