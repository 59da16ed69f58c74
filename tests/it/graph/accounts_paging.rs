//! Pages of accounts in both directions: complete lists, filters, orders, and cursors from batched calls.

use serde_json::{Value, json};
use switchboard::sandbox::{Account, CursorKind, Settings, Tenant};

use crate::world::{World, at, list, strings_at};

const QUERY: &str =
    "query ($after: String, $first: Int, $filter: ConnectedAccountFilter, $orderBy: ConnectedAccountOrder) {
    connectedAccounts(after: $after, first: $first, filter: $filter, orderBy: $orderBy) {
        edges { cursor } nodes { connectedAccountId }
        pageInfo { hasNextPage hasPreviousPage startCursor endCursor } totalCount
    }
}";

pub(super) async fn page(world: &World, variables: Value) -> Value {
    world.data_with(QUERY, variables).await["connectedAccounts"].take()
}

/// Pages through a list to its end and checks each page's `pageInfo` and counts.
async fn read_all_pages(world: &World, first: usize, filter: Value, order: Value) -> Vec<String> {
    let (mut walked, mut after) = (Vec::new(), Value::Null);
    loop {
        let variables = json!({ "first": first, "after": after, "filter": filter, "orderBy": order });
        let page = page(world, variables).await;
        let info = &page["pageInfo"];
        assert_eq!(info["hasPreviousPage"], !walked.is_empty());
        let cursors = strings_at(&page, "edges.*.cursor");
        assert_eq!(info["startCursor"].as_str(), cursors.first().map(String::as_str));
        assert_eq!(info["endCursor"].as_str(), cursors.last().map(String::as_str));
        walked.extend(strings_at(&page, "nodes.*.connectedAccountId"));
        if info["hasNextPage"] == false {
            assert_eq!(page["totalCount"], walked.len(), "{filter}");
            return walked;
        }
        assert_eq!(cursors.len(), first, "only the last page is short");
        after = info["endCursor"].clone();
    }
}

/// The sandbox's own list: newest first, and PRIVATE accounts unless the filter says otherwise.
fn sandbox_list(world: &World, fits: impl Fn(&Account) -> bool) -> Vec<String> {
    let mut rows: Vec<_> = world.sandbox.accounts(Tenant::A).into_iter().filter(fits).collect();
    // The sandbox creates accounts newest first. A stable sort keeps that order for equal times.
    rows.sort_by_key(|account| std::cmp::Reverse(account.created_at));
    rows.into_iter().map(|account| account.id).collect()
}

#[tokio::test(start_paused = true)]
async fn pages_of_seven_make_the_complete_list() {
    for cursor in [CursorKind::Page, CursorKind::Keyset] {
        let world = World::with_sandbox(Settings { accounts: 460, cursor, ..Settings::default() });
        let expected = sandbox_list(&world, |account| !account.shared);
        assert!(expected.len() > 400);
        assert_eq!(read_all_pages(&world, 7, Value::Null, Value::Null).await, expected);
        assert_eq!(world.calls().len(), 5, "five upstream pages, each read once");
        assert_eq!(read_all_pages(&world, 100, Value::Null, Value::Null).await, expected);
        assert_eq!(world.calls().len(), 0, "queries of every size share the pages");
    }
}

#[tokio::test(start_paused = true)]
async fn every_filter_is_sent_upstream_and_pages_match_it() {
    let world = World::new();
    let ids: Vec<_> = world.sandbox.accounts(Tenant::A).iter().map(|a| a.id.clone()).take(30).collect();
    let config = |account: &Account| format!("ac_{}", account.toolkit);
    type Fits<'t> = Box<dyn Fn(&Account) -> bool + 't>;
    let filters: [(Value, &str, Fits<'_>); 9] = [
        (
            json!({ "toolkits": ["Slack", "gmail"] }),
            "toolkit_slugs=gmail%2Cslack",
            Box::new(|a| !a.shared && ["gmail", "slack"].contains(&a.toolkit)),
        ),
        (
            json!({ "statuses": ["EXPIRED", "ACTIVE"] }),
            "statuses=ACTIVE%2CEXPIRED",
            Box::new(|a| !a.shared && ["EXPIRED", "ACTIVE"].contains(&a.status)),
        ),
        (
            json!({ "userIds": ["user_4", "user_2"] }),
            "user_ids=user_2%2Cuser_4",
            Box::new(|a| !a.shared && ["user_2", "user_4"].contains(&a.user_id.as_str())),
        ),
        (
            json!({ "authConfigIds": ["ac_zoom"] }),
            "auth_config_ids=ac_zoom",
            Box::new(move |a| !a.shared && config(a) == "ac_zoom"),
        ),
        (json!({ "ids": ids }), "connected_account_ids=", Box::new(|a| !a.shared && ids.contains(&a.id))),
        (json!({ "accountType": "SHARED" }), "account_type=SHARED", Box::new(|a| a.shared)),
        (json!({ "accountType": "ALL" }), "account_type=ALL", Box::new(|_| true)),
        (json!({ "accountType": "PRIVATE" }), "account_type=PRIVATE", Box::new(|a| !a.shared)),
        (
            json!({ "toolkits": ["outlook"], "statuses": ["ACTIVE"], "accountType": "ALL" }),
            "toolkit_slugs=outlook&statuses=ACTIVE&account_type=ALL",
            Box::new(|a| a.toolkit == "outlook" && a.status == "ACTIVE"),
        ),
    ];
    for (filter, query, fits) in filters {
        let expected = sandbox_list(&world, fits);
        assert!(!expected.is_empty(), "{filter}");
        assert_eq!(read_all_pages(&world, 7, filter.clone(), Value::Null).await, expected, "{filter}");
        let calls = world.calls();
        assert_eq!(calls.len(), expected.len().div_ceil(100), "{calls:#?}");
        assert!(calls[0].contains(&format!("?{query}")), "{} asks for {query}", calls[0]);
    }
}

#[tokio::test(start_paused = true)]
async fn every_order_is_the_upstream_order() {
    let world = World::new();
    let mut rows: Vec<_> = world.sandbox.accounts(Tenant::A).into_iter().filter(|a| !a.shared).collect();
    for (field, moment) in [
        ("CREATED_AT", (|account: &Account| account.created_at) as fn(&Account) -> jiff::Timestamp),
        ("UPDATED_AT", |account: &Account| account.updated_at),
    ] {
        rows.sort_by_key(|account| std::cmp::Reverse(moment(account)));
        let mut expected: Vec<_> = rows.iter().map(|account| account.id.clone()).collect();
        let descending =
            read_all_pages(&world, 50, Value::Null, json!({ "field": field, "direction": "DESC" })).await;
        assert_eq!(descending, expected, "{field}");
        assert!(
            world.calls()[0].contains(&format!("order_by={}&order_direction=desc", field.to_lowercase()))
        );
        expected.reverse();
        let ascending =
            read_all_pages(&world, 50, Value::Null, json!({ "field": field, "direction": "ASC" })).await;
        assert_eq!(ascending, expected, "{field}");
        assert!(world.calls()[0].contains(&format!("order_by={}&order_direction=asc", field.to_lowercase())));
        rows.sort_by_key(|account| std::cmp::Reverse(account.created_at));
    }
}

#[tokio::test(start_paused = true)]
async fn cursor_of_a_batched_call_continues_in_the_parents_list() {
    let world = World::new();
    let query = "{ providers { nodes { id toolkits { slug } connectedAccounts(first: 3) {
        edges { cursor node { connectedAccountId } } pageInfo { hasNextPage endCursor } } } } }";
    let data = world.data(query).await;
    assert_eq!(world.calls().len(), 2);
    let next = "query ($id: ID!, $after: String) { node(id: $id) { ... on Provider {
        connectedAccounts(first: 100, after: $after) { nodes { connectedAccountId } pageInfo { hasPreviousPage hasNextPage } } } } }";
    for provider in data["providers"]["nodes"].as_array().unwrap() {
        let slugs = strings_at(provider, "toolkits.*.slug");
        let own = sandbox_list(&world, |a| !a.shared && slugs.iter().any(|slug| slug == a.toolkit));
        let edges = at(provider, "connectedAccounts.edges");
        for (place, edge) in edges.as_array().unwrap().iter().enumerate() {
            assert_eq!(edge["node"]["connectedAccountId"], own[place]);
            let data = world.data_with(next, json!({ "id": provider["id"], "after": edge["cursor"] })).await;
            let page = at(&data, "node.connectedAccounts");
            assert_eq!(
                strings_at(&page, "nodes.*.connectedAccountId"),
                own[place + 1..],
                "{slugs:?} after {place}"
            );
            assert_eq!(page["pageInfo"], json!({ "hasPreviousPage": true, "hasNextPage": false }));
        }
        assert_eq!(provider["connectedAccounts"]["pageInfo"]["hasNextPage"], own.len() > 3);
    }
    let filters: Vec<_> =
        world.calls().iter().map(|call| call.split('&').next().unwrap().to_owned()).collect();
    let once: std::collections::BTreeSet<_> = filters.iter().collect();
    assert_eq!(filters.len(), once.len(), "each parent's list was read once");
}

#[tokio::test(start_paused = true)]
async fn has_next_page_costs_a_call_only_if_selected() {
    let world = World::new();
    page(&world, json!({ "first": 99 })).await;
    assert_eq!(world.calls(), [list(&[])]);
    world.data("{ connectedAccounts(first: 100) { nodes { id } } }").await;
    assert_eq!(world.calls(), [] as [&str; 0]);
    let last = page(&world, json!({ "first": 100 })).await;
    assert_eq!(last["pageInfo"]["hasNextPage"], true);
    assert_eq!(world.calls(), [] as [&str; 0], "next cursor and total agree, so no call is needed");
}

#[tokio::test(start_paused = true)]
async fn paging_backward_makes_the_same_list() {
    let query = "query ($before: String) { connectedAccounts(last: 7, before: $before) {
        nodes { connectedAccountId } pageInfo { hasNextPage hasPreviousPage startCursor } totalCount isComplete } }";
    for cursor in [CursorKind::Page, CursorKind::Keyset] {
        let world = World::with_sandbox(Settings { cursor, ..Settings::default() });
        let expected = sandbox_list(&world, |account| !account.shared);
        let (mut walked, mut before) = (Vec::new(), Value::Null);
        loop {
            let data = world.data_with(query, json!({ "before": before })).await;
            let page = &data["connectedAccounts"];
            let held = strings_at(page, "nodes.*.connectedAccountId");
            let from = expected.len() - walked.len() - held.len();
            assert_eq!(
                held,
                expected[from..from + held.len()],
                "{cursor:?}, the page before {}",
                walked.len()
            );
            assert_eq!(page["pageInfo"]["hasNextPage"], !walked.is_empty());
            assert_eq!((&page["totalCount"], &page["isComplete"]), (&json!(expected.len()), &json!(true)));
            walked.splice(0..0, held);
            before = page["pageInfo"]["startCursor"].clone();
            if page["pageInfo"]["hasPreviousPage"] == false {
                break;
            }
        }
        assert_eq!(walked, expected, "{cursor:?}");
    }
}
