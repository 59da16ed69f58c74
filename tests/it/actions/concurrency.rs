//! Several actions at once, in one process and over replicas: one write at a time per account.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use switchboard::domain::caller::Caller;
use switchboard::replicas::store::Store;
use switchboard::sandbox::{EmulatedUpstream, Fault, Tenant};

use super::{account, member, mutation, payload, setup, world, writes};
use crate::replicas::memory::{Behaviour, MemoryStore};
use crate::world::{World, run, tenant_a};

/// Sends mutations at the same time, each to its own world. Returns the code of each user error, or OK, sorted.
async fn at_once(requests: Vec<(&World, Caller, &str, Value)>) -> Vec<String> {
    let send = |(world, caller, name, input): (&World, Caller, &str, Value)| {
        let operations = world.operations();
        let query = mutation(name, "clientMutationId");
        let name = name.to_owned();
        async move {
            let answer =
                run(&operations, caller, &json!({ "query": query, "variables": { "input": input } })).await;
            let answer: Value = serde_json::from_slice(&answer.body).unwrap();
            answer["data"][&name]["userErrors"][0]["code"].as_str().unwrap_or("OK").to_owned()
        }
    };
    let mut codes = join_all(requests.into_iter().map(send)).await;
    codes.sort_unstable();
    codes
}

fn slow_writes(world: &World) {
    let fault = Fault::parse("latency-ms=1000; writes=1").unwrap();
    world.sandbox.emulate(EmulatedUpstream::Composio, Some(fault));
}

/// Two replicas over one sandbox and one store.
async fn two_replicas() -> (Vec<World>, Vec<MemoryStore>) {
    let store = MemoryStore::new();
    let stores = vec![store.clone(), store.another_connection()];
    let connections = stores.iter().map(|store| Some(Arc::new(store.clone()) as Arc<dyn Store>));
    let worlds = World::replicas(setup(), connections);
    for _ in 0..5 {
        worlds[0].settle().await;
    }
    (worlds, stores)
}

#[tokio::test(start_paused = true)]
async fn a_second_action_on_an_account_in_progress_is_refused() {
    let world = world();
    let (id, other) = (account(&world, "ACTIVE", "user_1", ""), account(&world, "EXPIRED", "", ""));
    slow_writes(&world);
    let rename = |id: &str| json!({ "id": id, "alias": "x" });
    let codes = at_once(vec![
        (&world, tenant_a(), "renameAccount", rename(&id)),
        (&world, tenant_a(), "revokeAccount", json!({ "id": id })),
        (&world, tenant_a(), "renameAccount", rename(&other)),
    ])
    .await;
    assert_eq!(codes, ["ACTION_IN_PROGRESS", "OK", "OK"]);
    assert_eq!(writes(&world).len(), 2);
    // A member learns nothing of what happens to another user's account.
    let codes = at_once(vec![
        (&world, tenant_a(), "renameAccount", rename(&id)),
        (&world, member("user_2"), "renameAccount", rename(&id)),
    ])
    .await;
    assert_eq!(codes, ["NOT_FOUND", "OK"]);
    let codes = at_once(vec![(&world, tenant_a(), "removeAccount", json!({ "id": id }))]).await;
    assert_eq!(codes, ["OK"], "the account is free again");
}

#[tokio::test(start_paused = true)]
async fn a_write_may_use_calls_that_a_refresh_may_not() {
    let mut setup = setup();
    setup.config.upstream.composio.quota.per_minute = 20;
    let world = World::new_with(setup);
    let ids: Vec<_> = world.sandbox.accounts(Tenant::A).into_iter().map(|account| account.id).collect();
    let query = "query ($id: ID!) { connectedAccountsByIds(ids: [$id]) { status } }";
    let mut read = ids.iter();
    // Until the rest of the minute's calls is left to requests without older data.
    loop {
        let refresh = world.data("mutation { refresh(upstream: COMPOSIO) { retryAt } }").await;
        if refresh["refresh"]["retryAt"] != Value::Null {
            break;
        }
        world.data_with(query, json!({ "id": read.next().unwrap() })).await;
    }
    world.calls();
    let input = json!({ "authConfigId": "ac_gmail", "userId": "user_1" });
    let connected = payload(&world, "createConnectLink", "redirectUrl", input).await;
    assert_eq!(connected["userErrors"], json!([]));
    assert_eq!(writes(&world).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn repeated_clicks_create_one_sign_in() {
    let world = world();
    slow_writes(&world);
    let input = || json!({ "authConfigId": "ac_gmail", "userId": "user_1" });
    let click = || (&world, tenant_a(), "createConnectLink", input());
    assert_eq!(
        at_once(vec![click(), click(), click()]).await,
        ["ACTION_IN_PROGRESS", "ACTION_IN_PROGRESS", "OK"]
    );
    assert_eq!(writes(&world).len(), 1);
    let broken = account(&world, "EXPIRED", "", "");
    let click = || (&world, tenant_a(), "reconnectAccount", json!({ "id": broken }));
    assert_eq!(at_once(vec![click(), click()]).await, ["ACTION_IN_PROGRESS", "OK"]);
    assert_eq!(writes(&world).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_account_has_one_write_at_a_time_over_all_replicas() {
    let (worlds, _stores) = two_replicas().await;
    let id = account(&worlds[0], "ACTIVE", "", "gmail");
    slow_writes(&worlds[0]);
    for _ in 0..3 {
        let rename = |world| (world, tenant_a(), "renameAccount", json!({ "id": id, "alias": "x" }));
        let codes = at_once(vec![rename(&worlds[0]), rename(&worlds[1])]).await;
        assert_eq!(codes, ["ACTION_IN_PROGRESS", "OK"]);
        assert_eq!(writes(&worlds[0]).len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_long_write_keeps_its_lease() {
    let (worlds, _stores) = two_replicas().await;
    let id = account(&worlds[0], "ACTIVE", "", "gmail");
    let fault = Fault::parse("latency-ms=8000; writes=1").unwrap();
    worlds[0].sandbox.emulate(EmulatedUpstream::Composio, Some(fault));
    let rename =
        |world| at_once(vec![(world, tenant_a(), "renameAccount", json!({ "id": id, "alias": "x" }))]);
    let late = async {
        tokio::time::sleep(Duration::from_secs(6)).await;
        rename(&worlds[1]).await
    };
    let (first, second) = tokio::join!(rename(&worlds[0]), late);
    assert_eq!((first, second), (vec!["OK".to_owned()], vec!["ACTION_IN_PROGRESS".to_owned()]));
}

#[tokio::test(start_paused = true)]
async fn an_unreachable_store_delays_no_action() {
    let (worlds, stores) = two_replicas().await;
    let id = account(&worlds[0], "ACTIVE", "", "gmail");
    stores[0].set_behaviour(Behaviour::Away);
    let renamed =
        payload(&worlds[0], "renameAccount", "connectedAccount { alias }", json!({ "id": id, "alias": "x" }))
            .await;
    assert_eq!(renamed, json!({ "connectedAccount": { "alias": "x" }, "userErrors": [] }));
}

#[tokio::test(start_paused = true)]
async fn a_change_on_one_replica_is_read_on_all() {
    let (worlds, _stores) = two_replicas().await;
    let id = account(&worlds[0], "ACTIVE", "", "gmail");
    let query = "query ($id: ID!) { connectedAccountsByIds(ids: [$id]) { alias } }";
    for world in &worlds {
        world.data_with(query, json!({ "id": id })).await;
    }
    let mut listener = worlds[1]
        .subscribe(
            tenant_a(),
            "subscription { connectedAccountChanged { cause connectedAccount { alias } } }",
        )
        .await;
    payload(&worlds[0], "renameAccount", "clientMutationId", json!({ "id": id, "alias": "Both" })).await;
    for _ in 0..5 {
        worlds[0].settle().await;
    }
    for world in &worlds {
        let data = world.data_with(query, json!({ "id": id })).await;
        assert_eq!(data["connectedAccountsByIds"][0]["alias"], "Both");
    }
    let message = listener.next().await.unwrap();
    let event: Value = serde_json::from_slice(&message.response.body).unwrap();
    assert_eq!(
        event["data"]["connectedAccountChanged"],
        json!({ "cause": "MUTATION", "connectedAccount": { "alias": "Both" } })
    );
}
