//! Every returned object can be fetched again by its `id`, with any characters in the upstream's texts.

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde_json::{Value, json};
use switchboard::sandbox::Account;

use super::{cases, one_tenth, with_paused_clock};
use crate::world::{NOW, World, strings_at, tenant_a};

const OBJECTS: &str =
    "{ connectedAccounts(first: 50) { nodes { id connectedAccountId toolkit { id slug } user { id } } } }";

const AGAIN: &str =
    "query ($accounts: [ID!]!, $toolkits: [ID!]!, $users: [ID!]!, $nodes: [_Any!]!, $one: ID!, $user: ID!) {
    accounts: nodes(ids: $accounts) { id ... on ConnectedAccount { connectedAccountId } }
    connectedAccountsByIds(ids: $accounts) { id }
    toolkits: nodes(ids: $toolkits) { id ... on Toolkit { slug } }
    usersByIds(ids: $users) { id }
    user(id: $user) { id }
    node(id: $one) { id }
    _entities(representations: $nodes) {
        ... on ConnectedAccount { id } ... on Toolkit { id } ... on User { userId: id }
    }
}";

/// Texts of an upstream: words, separators of lists, paths and queries, control characters, other scripts, long texts.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => "[A-Za-z0-9_.-]{1,20}",
        3 => "[a-zA-Z,/ %&=?#+'\"\\\\:;<>{}\\[\\]-]{1,12}",
        3 => "\\PC{1,8}",
        2 => "[\\u{0}-\\u{20}\\u{7f}-\\u{a0}a,]{1,6}",
        1 => "[a-zü]{300,600}",
    ]
}

/// Ids of accounts that Composio can be asked for.
fn account_id() -> impl Strategy<Value = String> {
    prop_oneof![3 => "ca_[A-Za-z0-9]{1,12}", 1 => "ca_[a-zü/ .%&=?#+]{1,12}", 1 => "[a-z]{1,9}"]
}

async fn check(rows: Vec<(String, String, String)>) {
    let newest: Timestamp = NOW.parse().unwrap();
    let account = |(index, (id, toolkit, user)): (usize, (String, String, String))| {
        let created = newest - SignedDuration::from_secs(i64::try_from(index).unwrap());
        // Leaked, because the sandbox's toolkits are constants.
        Account::new(&format!("{id}{index}"), toolkit.leak(), &user, created)
    };
    let accounts: Vec<_> = rows.into_iter().enumerate().map(account).collect();
    let world = World::with_accounts(accounts.clone(), 100);
    let data = world.data(OBJECTS).await;
    let listed = |path: &str| strings_at(&data, &format!("connectedAccounts.nodes.*.{path}"));
    let (ids, toolkits, users) = (listed("id"), listed("toolkit.id"), listed("user.id"));
    assert_eq!(users, accounts.iter().map(|account| account.user_id.clone()).collect::<Vec<_>>());
    let slugs: Vec<_> = accounts.iter().map(|account| account.toolkit.to_ascii_lowercase()).collect();
    assert_eq!(listed("toolkit.slug"), slugs);

    let of = |name: &str, ids: &[String]| -> Vec<Value> {
        ids.iter().map(|id| json!({ "__typename": name, "id": id })).collect()
    };
    let nodes = [of("ConnectedAccount", &ids), of("Toolkit", &toolkits), of("User", &users)].concat();
    for (one, user) in ids.iter().chain(&toolkits).zip(users.iter().cycle()) {
        let variables = json!({ "accounts": ids, "toolkits": toolkits, "users": users, "nodes": nodes, "one": one, "user": user });
        let mut again = world.query_as(tenant_a(), AGAIN, variables).await;
        assert_eq!(again.get("errors"), None, "{again}");
        let again = again["data"].take();
        assert_eq!(strings_at(&again, "accounts.*.id"), ids);
        assert_eq!(strings_at(&again, "accounts.*.connectedAccountId"), listed("connectedAccountId"));
        assert_eq!(strings_at(&again, "connectedAccountsByIds.*.id"), ids);
        assert_eq!(strings_at(&again, "toolkits.*.id"), toolkits);
        assert_eq!(strings_at(&again, "toolkits.*.slug"), slugs);
        assert_eq!(strings_at(&again, "usersByIds.*.id"), users);
        assert_eq!((&again["user"]["id"], &again["node"]["id"]), (&json!(user), &json!(one)));
        let entities = again["_entities"].as_array().unwrap().iter();
        let entities: Vec<_> = entities
            .map(|entity| entity.get("id").or_else(|| entity.get("userId")).cloned().unwrap())
            .collect();
        assert_eq!(entities, [ids.clone(), toolkits.clone(), users.clone()].concat());
    }
}

proptest! {
    #![proptest_config(one_tenth(cases()))]

    #[test]
    fn returned_objects_can_be_fetched_again(
        rows in prop::collection::vec((account_id(), text(), text()), 1..5),
    ) {
        with_paused_clock(check(rows));
    }
}
