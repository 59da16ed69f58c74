//! Every root field returns the sandbox's data with exactly these calls: on a cold cache, none when warm, and
//! the same again after expiry.

use std::time::Duration;

use serde_json::{Value, json};
use switchboard::sandbox::{Account, Tenant};

use crate::world::{LONGEST_TTL, PROVIDERS, World, at, by_ids, count, global_id, list, strings_at, tenant_a};

/// The time for which a missing account is cached as missing.
const NOT_FOUND_TTL: Duration = Duration::from_secs(5);

/// The data of a query that makes exactly these calls, and only if no fresh data is cached.
async fn cold_warm_and_expired(world: &World, query: &str, variables: Value, calls: &[String]) -> Value {
    let mut calls = calls.to_vec();
    calls.sort_unstable();
    let data = world.data_with(query, variables.clone()).await;
    assert_eq!(world.calls_sorted(), calls, "cold: {query}");
    assert_eq!(world.data_with(query, variables.clone()).await, data);
    assert_eq!(world.calls(), [] as [&str; 0], "kept: {query}");
    world.advance(LONGEST_TTL).await;
    assert_eq!(world.data_with(query, variables).await, data);
    assert_eq!(world.calls_sorted(), calls, "too old: {query}");
    data
}

fn accounts(world: &World) -> Vec<Account> {
    world.sandbox.accounts(Tenant::A)
}

fn private_ids(world: &World, fits: impl Fn(&Account) -> bool) -> Vec<String> {
    let of = accounts(world).into_iter().filter(|account| !account.shared && fits(account));
    of.map(|account| account.id).collect()
}

fn listed(ids: &[String]) -> Vec<&str> {
    ids.iter().map(String::as_str).collect()
}

#[tokio::test(start_paused = true)]
async fn providers_are_the_rows_of_the_workspace() {
    let world = World::new();
    let query = "{ providers { totalCount nodes { rawCategory name connected accountId displayName rawStatus errorMessage } } }";
    let data = cold_warm_and_expired(&world, query, json!({}), &[PROVIDERS.to_owned()]).await;
    let rows = world.sandbox.providers(Tenant::A);
    assert_eq!(data["providers"]["totalCount"], rows.len());
    let nodes = data["providers"]["nodes"].as_array().unwrap();
    assert_eq!(nodes.len(), rows.len());
    for (node, row) in nodes.iter().zip(&rows) {
        for (field, wire) in [
            ("rawCategory", "category"),
            ("name", "name"),
            ("connected", "connected"),
            ("accountId", "account_id"),
            ("displayName", "display_name"),
            ("rawStatus", "status"),
            ("errorMessage", "error_message"),
        ] {
            assert_eq!(node[field], row[wire], "{field} of {row}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn provider_is_found_by_id_through_every_field() {
    let world = World::new();
    let ids = strings_at(&world.data("{ providers { nodes { id } } }").await, "providers.nodes.*.id");
    assert!(ids.iter().all(|id| !id.contains("emasex")));
    world.advance(LONGEST_TTL).await;
    world.calls();
    let variables = json!({ "id": ids[2], "ids": [ids[4], ids[0], ids[4]] });
    for (query, path) in [
        ("query ($id: ID!) { provider(id: $id) { name } }", "provider"),
        ("query ($id: ID!) { node(id: $id) { id ... on Provider { name } } }", "node"),
    ] {
        let data = cold_warm_and_expired(&world, query, variables.clone(), &[PROVIDERS.to_owned()]).await;
        assert_eq!(data[path]["name"], "slack");
        world.advance(LONGEST_TTL).await;
    }
    for (query, path) in [
        ("query ($ids: [ID!]!) { providersByIds(ids: $ids) { name } }", "providersByIds"),
        ("query ($ids: [ID!]!) { nodes(ids: $ids) { ... on Provider { name } } }", "nodes"),
    ] {
        let data = cold_warm_and_expired(&world, query, variables.clone(), &[PROVIDERS.to_owned()]).await;
        assert_eq!(strings_at(&data[path], "*.name"), ["teams", "gmail", "teams"]);
        world.advance(LONGEST_TTL).await;
    }
}

#[tokio::test(start_paused = true)]
async fn account_is_found_by_either_id_through_every_field() {
    let world = World::new();
    let all = accounts(&world);
    let shared = all.iter().find(|account| account.shared).unwrap();
    let (private, other) = (&all[0], &all[7]);
    let one = "id connectedAccountId userId rawStatus toolkit { slug } createdAt accountType";
    for (root, id, account) in [
        ("node", global_id("ConnectedAccount", &private.id), private),
        ("connectedAccount", global_id("ConnectedAccount", &private.id), private),
        ("connectedAccount", private.id.clone(), private),
        ("connectedAccount", shared.id.clone(), shared),
    ] {
        let query =
            format!("query ($id: ID!) {{ {root}(id: $id) {{ ... on ConnectedAccount {{ {one} }} }} }}");
        let data =
            cold_warm_and_expired(&world, &query, json!({ "id": id }), &[by_ids([account.id.as_str()])])
                .await;
        let account_type = if account.shared { "SHARED" } else { "PRIVATE" };
        assert_eq!(
            data[root],
            json!({
                "id": global_id("ConnectedAccount", &account.id),
                "connectedAccountId": account.id,
                "userId": account.user_id,
                "rawStatus": account.status,
                "toolkit": { "slug": account.toolkit },
                "createdAt": account.created_at.to_string(),
                "accountType": account_type,
            })
        );
        world.advance(LONGEST_TTL).await;
    }

    let ids = [&other.id, &private.id, &other.id].map(String::as_str);
    let calls = [by_ids([private.id.as_str(), other.id.as_str()])];
    let query = "query ($ids: [ID!]!) { connectedAccountsByIds(ids: $ids) { connectedAccountId } }";
    let data = cold_warm_and_expired(&world, query, json!({ "ids": ids }), &calls).await;
    assert_eq!(strings_at(&data, "connectedAccountsByIds.*.connectedAccountId"), ids);
    world.advance(LONGEST_TTL).await;
    let query =
        "query ($ids: [ID!]!) { nodes(ids: $ids) { ... on ConnectedAccount { connectedAccountId } } }";
    let data = cold_warm_and_expired(
        &world,
        query,
        json!({ "ids": ids.map(|id| global_id("ConnectedAccount", id)) }),
        &calls,
    );
    assert_eq!(strings_at(&data.await, "nodes.*.connectedAccountId"), ids);
}

#[tokio::test(start_paused = true)]
async fn connected_accounts_are_private_and_newest_first() {
    let world = World::new();
    let query = "{ connectedAccounts { totalCount nodes { connectedAccountId } pageInfo { hasNextPage hasPreviousPage } } }";
    let data = cold_warm_and_expired(&world, query, json!({}), &[list(&[])]).await;
    let private = private_ids(&world, |_| true);
    let data = &data["connectedAccounts"];
    assert_eq!(strings_at(data, "nodes.*.connectedAccountId"), listed(&private)[..20]);
    assert_eq!(data["totalCount"], private.len());
    assert_eq!(data["pageInfo"], json!({ "hasNextPage": true, "hasPreviousPage": false }));
}

#[tokio::test(start_paused = true)]
async fn toolkits_and_users_cost_calls_only_for_their_lists() {
    let world = World::new();
    let toolkit = json!({ "id": global_id("Toolkit", "gmail"), "slug": "gmail" });
    let query = r#"{
        toolkit(slug: "GMail") { id slug }
        toolkitsBySlugs(slugs: ["slack", "nobody_has_it", "GMAIL"]) { slug }
        node(id: "VG9vbGtpdDpnbWFpbA") { id ... on Toolkit { slug } }
        user(id: "user_3") { id }
        usersByIds(ids: ["user_9", "unknown", "user_3"]) { id }
    }"#;
    let data = cold_warm_and_expired(&world, query, json!({}), &[]).await;
    assert_eq!((&data["toolkit"], &data["node"]), (&toolkit, &toolkit));
    assert_eq!(strings_at(&data, "toolkitsBySlugs.*.slug"), ["slack", "nobody_has_it", "gmail"]);
    assert_eq!(data["user"]["id"], "user_3");
    assert_eq!(strings_at(&data, "usersByIds.*.id"), ["user_9", "unknown", "user_3"]);

    let query = r#"{ toolkit(slug: "outlook") { providers { rawCategory name } connectedAccounts(first: 4) { nodes { connectedAccountId } } } }"#;
    let data = cold_warm_and_expired(
        &world,
        query,
        json!({}),
        &[PROVIDERS.to_owned(), list(&["toolkit_slugs=outlook"])],
    )
    .await;
    assert_eq!(strings_at(&data, "toolkit.providers.*.rawCategory"), ["email", "calendar", "channels"]);
    let of = private_ids(&world, |account| account.toolkit == "outlook");
    assert_eq!(strings_at(&data, "toolkit.connectedAccounts.nodes.*.connectedAccountId"), listed(&of)[..4]);

    let query =
        r#"{ user(id: "user_3") { connectedAccounts { nodes { connectedAccountId user { id } } } } }"#;
    let data = cold_warm_and_expired(&world, query, json!({}), &[list(&["user_ids=user_3"])]).await;
    let of = private_ids(&world, |account| account.user_id == "user_3");
    assert_eq!(strings_at(&data, "user.connectedAccounts.nodes.*.connectedAccountId"), of);
    assert!(!of.is_empty());
}

#[tokio::test(start_paused = true)]
async fn users_and_toolkits_are_batched_into_one_call_each() {
    let world = World::new();
    let query = r#"{
        usersByIds(ids: ["user_1", "user_2", "user_3"]) { id connectedAccounts(first: 2) { nodes { userId } } }
        toolkitsBySlugs(slugs: ["gmail", "slack"]) { slug connectedAccounts(first: 2) { nodes { toolkit { slug } } } }
    }"#;
    let calls = [list(&["user_ids=user_1%2Cuser_2%2Cuser_3"]), list(&["toolkit_slugs=gmail%2Cslack"])];
    let data = cold_warm_and_expired(&world, query, json!({}), &calls).await;
    for user in data["usersByIds"].as_array().unwrap() {
        let owners = strings_at(user, "connectedAccounts.nodes.*.userId");
        assert_eq!(owners, vec![user["id"].as_str().unwrap(); 2]);
    }
    assert_eq!(
        strings_at(&data, "toolkitsBySlugs.1.connectedAccounts.nodes.*.toolkit.slug"),
        ["slack", "slack"]
    );
}

#[tokio::test(start_paused = true)]
async fn account_links_to_its_provider_and_user() {
    let world = World::new();
    let query = "{ connectedAccounts(first: 3) { nodes {
        toolkit { slug } user { id } userId
        providers { name }
        authConfig { id connectedAccounts(first: 1) { nodes { toolkit { slug } } } }
    } } }";
    let calls =
        [PROVIDERS.to_owned(), list(&[]), list(&["auth_config_ids=ac_gmail%2Cac_googlecalendar%2Cac_slack"])];
    let data = cold_warm_and_expired(&world, query, json!({}), &calls).await;
    let nodes = &data["connectedAccounts"]["nodes"];
    let slugs = strings_at(nodes, "*.toolkit.slug");
    assert_eq!(slugs, ["gmail", "googlecalendar", "slack"]);
    assert_eq!(strings_at(nodes, "*.authConfig.connectedAccounts.nodes.0.toolkit.slug"), slugs);
    assert_eq!(at(nodes, "*.user.id"), at(nodes, "*.userId"));
    assert_eq!(at(nodes, "*.providers.*.name"), json!([["gmail", "gmail", "email"], ["google"], ["slack"]]));
}

#[tokio::test(start_paused = true)]
async fn ids_of_all_root_fields_are_batched_by_hundred() {
    let world = World::new();
    let all = accounts(&world);
    let ids: Vec<_> = all.iter().take(150).map(|account| account.id.as_str()).collect();
    let query = "query ($one: ID!, $some: [ID!]!, $all: [ID!]!) {
        node(id: $one) { id }
        nodes(ids: $some) { id }
        connectedAccount(id: $one) { id }
        connectedAccountsByIds(ids: $all) { connectedAccountId }
    }";
    let variables = json!({
        "one": global_id("ConnectedAccount", ids[5]),
        "some": ids[120..].iter().map(|id| global_id("ConnectedAccount", id)).collect::<Vec<_>>(),
        "all": ids,
    });
    let mut sorted = ids.clone();
    sorted.sort_unstable();
    let calls = [by_ids(sorted[..100].iter().copied()), by_ids(sorted[100..].iter().copied())];
    let data = cold_warm_and_expired(&world, query, variables, &calls).await;
    assert_eq!(strings_at(&data, "connectedAccountsByIds.*.connectedAccountId"), ids);
    assert_eq!(data["nodes"].as_array().map(Vec::len), Some(30));
}

#[tokio::test(start_paused = true)]
async fn aliases_with_different_arguments_are_independent() {
    let world = World::new();
    let query = r#"{
        active: connectedAccounts(first: 3, filter: { statuses: [ACTIVE] }) { nodes { rawStatus } }
        expired: connectedAccounts(first: 3, filter: { statuses: [EXPIRED] }) { nodes { rawStatus } }
        two: connectedAccounts(first: 2) { nodes { id } }
        five: connectedAccounts(first: 5) { nodes { id } }
        providers(first: 2) { nodes {
            newest: connectedAccounts(first: 2) { nodes { createdAt } }
            oldest: connectedAccounts(first: 2, orderBy: { field: CREATED_AT, direction: ASC }) { nodes { createdAt } }
        } }
    }"#;
    let both = "toolkit_slugs=gmail%2Cgooglecalendar";
    let calls = [
        PROVIDERS.to_owned(),
        list(&[]),
        list(&["statuses=ACTIVE"]),
        list(&["statuses=EXPIRED"]),
        list(&[both]),
        list(&[both]).replace("desc", "asc"),
    ];
    let data = cold_warm_and_expired(&world, query, json!({}), &calls).await;
    assert_eq!(strings_at(&data, "active.nodes.*.rawStatus"), ["ACTIVE"; 3]);
    assert_eq!(strings_at(&data, "expired.nodes.*.rawStatus"), ["EXPIRED"; 3]);
    assert_eq!(strings_at(&data, "five.nodes.*.id")[..2], strings_at(&data, "two.nodes.*.id"));
    for provider in data["providers"]["nodes"].as_array().unwrap() {
        let newest = strings_at(provider, "newest.nodes.*.createdAt");
        assert!(newest > strings_at(provider, "oldest.nodes.*.createdAt"), "{provider}");
    }
}

#[tokio::test(start_paused = true)]
async fn missing_objects_are_null_and_cached_briefly() {
    let world = World::new();
    let known = accounts(&world)[0].id.clone();
    let query = "query ($ids: [ID!]!) { connectedAccountsByIds(ids: $ids) { connectedAccountId } }";
    let variables = json!({ "ids": ["ca_nobody", known] });
    let data = world.data_with(query, variables.clone()).await;
    assert_eq!(data["connectedAccountsByIds"], json!([null, { "connectedAccountId": known }]));
    assert_eq!(world.calls(), [by_ids(["ca_nobody", &known])]);

    let account = Account::new("ca_nobody", "gmail", "user_1", "2026-11-21T11:00:00Z".parse().unwrap());
    world.sandbox.change_accounts(Tenant::A, |rows| rows.push(account));
    assert_eq!(world.data_with(query, variables.clone()).await, data);
    assert_eq!(world.calls(), [] as [&str; 0]);
    world.advance(NOT_FOUND_TTL).await;
    let data = world.data_with(query, variables).await;
    assert_eq!(data["connectedAccountsByIds"][0]["connectedAccountId"], "ca_nobody");
    assert_eq!(world.calls(), [by_ids(["ca_nobody"])]);
}

#[tokio::test(start_paused = true)]
async fn repeated_request_for_one_missing_account_reads_again() {
    let world = World::new();
    let query = r#"{ connectedAccount(id: "ca_later") { userId } }"#;
    assert_eq!(world.data(query).await["connectedAccount"], Value::Null);
    let account = Account::new("ca_later", "gmail", "user_1", "2026-11-21T11:00:00Z".parse().unwrap());
    world.sandbox.change_accounts(Tenant::A, |rows| rows.push(account));
    world.advance(NOT_FOUND_TTL).await;
    assert_eq!(world.data(query).await["connectedAccount"]["userId"], "user_1");
    assert_eq!(world.calls(), [by_ids(["ca_later"]), by_ids(["ca_later"])]);
}

#[tokio::test(start_paused = true)]
async fn accounts_have_a_shorter_ttl_than_providers() {
    let world = World::new();
    let query = "{ providers(first: 1) { nodes { name connectedAccounts(first: 1) { nodes { id } } } } }";
    world.data(query).await;
    world.calls();
    world.advance(Duration::from_millis(29_999)).await;
    world.data(query).await;
    assert_eq!(world.calls(), [] as [&str; 0]);
    world.advance(Duration::from_millis(1)).await;
    world.data(query).await;
    assert_eq!(world.calls(), [list(&["toolkit_slugs=gmail"])]);
    world.advance(Duration::from_secs(30)).await;
    world.data(query).await;
    assert_eq!(world.calls(), [PROVIDERS.to_owned(), list(&["toolkit_slugs=gmail"])]);
}

#[tokio::test(start_paused = true)]
async fn total_count_costs_a_call_only_without_a_page() {
    let world = World::new();
    let query = "{ connectedAccounts(first: 0) { nodes { id } pageInfo { hasNextPage } } }";
    let data = cold_warm_and_expired(&world, query, json!({}), &[]).await;
    assert_eq!(data["connectedAccounts"]["nodes"], json!([]));
    let data = cold_warm_and_expired(
        &world,
        "{ connectedAccounts(first: 0) { totalCount } }",
        json!({}),
        &[count(&[])],
    )
    .await;
    let private = private_ids(&world, |_| true).len();
    assert_eq!(data["connectedAccounts"]["totalCount"], private);

    world.advance(LONGEST_TTL).await;
    let query = r#"{
        connectedAccounts(first: 1, filter: { statuses: [REVOKED, FAILED], accountType: ALL }) { totalCount }
        toolkit(slug: "gmail") { connectedAccounts(first: 1) { totalCount } }
    }"#;
    let calls = [list(&["statuses=FAILED%2CREVOKED", "account_type=ALL"]), list(&["toolkit_slugs=gmail"])];
    let data = cold_warm_and_expired(&world, query, json!({}), &calls).await;
    let ended = accounts(&world).iter().filter(|a| ["REVOKED", "FAILED"].contains(&a.status)).count();
    assert_eq!(data["connectedAccounts"]["totalCount"], ended);
    let gmail = private_ids(&world, |account| account.toolkit == "gmail").len();
    assert_eq!(data["toolkit"]["connectedAccounts"]["totalCount"], gmail);

    world.advance(LONGEST_TTL).await;
    let query = r#"{ connectedAccounts(first: 0, filter: { userIds: ["user_1"] }) { totalCount } }"#;
    let data = cold_warm_and_expired(&world, query, json!({}), &[count(&["user_ids=user_1"])]).await;
    let own = private_ids(&world, |account| account.user_id == "user_1").len();
    assert_eq!(data["connectedAccounts"]["totalCount"], own);
}

#[tokio::test(start_paused = true)]
async fn counts_of_nested_lists_are_correct() {
    let world = World::new();
    let query = "{ providers { nodes { toolkits { slug } connectedAccounts(first: 1) { totalCount } } } }";
    let data = world.data(query).await;
    for provider in data["providers"]["nodes"].as_array().unwrap() {
        let slugs = strings_at(provider, "toolkits.*.slug");
        let own = private_ids(&world, |account| slugs.iter().any(|slug| slug == account.toolkit)).len();
        assert_eq!(provider["connectedAccounts"]["totalCount"], own, "{slugs:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn concurrent_identical_requests_share_calls() {
    let world = World::new();
    let query = "{ providers { nodes { connectedAccounts(first: 3) { nodes { id } } } } }";
    let requests = (0..200).map(|_| world.query_as(tenant_a(), query, json!({})));
    let answers = futures_util::future::join_all(requests).await;
    assert!(answers.iter().all(|answer| *answer == answers[0] && answer.get("errors").is_none()));
    assert_eq!(world.calls().len(), 2);
}
