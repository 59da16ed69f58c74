//! Each action that succeeds: its one write, its payload, and what other reads and subscribers see.

use serde_json::{Value, json};
use switchboard::sandbox::Tenant;

use super::{account, member, payload, payload_as, setup, world};
use crate::world::{at, by_ids, global_id, tenant_a};

const PATH: &str = "/api/v3/connected_accounts";

#[tokio::test(start_paused = true)]
async fn connect_starts_one_sign_in_and_returns_its_page() {
    let world = world();
    let input = json!({
        "clientMutationId": "m1", "authConfigId": "ac_gmail", "userId": "user_new", "alias": "Work",
        "callbackUrl": "https://app.example.com/done",
    });
    let selected =
        "clientMutationId redirectUrl expiresAt connectedAccount { connectedAccountId status userId alias }";
    let created = payload(&world, "createConnectLink", selected, input).await;
    let id = at(&created, "connectedAccount.connectedAccountId");
    assert_eq!(
        created["connectedAccount"],
        json!({ "connectedAccountId": id, "status": "INITIATED", "userId": "user_new", "alias": "Work" })
    );
    assert_eq!((&created["clientMutationId"], &created["userErrors"]), (&json!("m1"), &json!([])));
    assert_eq!(created["expiresAt"], "2026-11-21T12:10:00Z");
    assert!(created["redirectUrl"].as_str().unwrap().starts_with("http://127.0.0.1/__sign-in/"));
    let calls = world.sandbox.requests();
    assert_eq!(
        calls.iter().find(|call| call.method == "POST").unwrap().body,
        r#"{"auth_config_id":"ac_gmail","user_id":"user_new","alias":"Work","callback_url":"https://app.example.com/done"}"#
    );
    assert_eq!(world.calls(), [format!("POST {PATH}/link"), by_ids([id.as_str().unwrap()])]);
    // Without the account in the selection, it is not read.
    payload(&world, "createConnectLink", "redirectUrl", json!({ "authConfigId": "ac_slack", "userId": "u" }))
        .await;
    assert_eq!(world.calls(), [format!("POST {PATH}/link")]);
}

#[tokio::test(start_paused = true)]
async fn reconnect_creates_a_new_account_and_keeps_the_old_one() {
    let world = world();
    let old = account(&world, "EXPIRED", "", "");
    let selected = "redirectUrl connectedAccount { connectedAccountId status alias }
                    replacedAccount { connectedAccountId status }";
    let made = payload(&world, "reconnectAccount", selected, json!({ "id": old })).await;
    let id = at(&made, "connectedAccount.connectedAccountId");
    assert_ne!(id, json!(old));
    assert_eq!(
        made["connectedAccount"],
        json!({ "connectedAccountId": id, "status": "INITIATED", "alias": null })
    );
    assert_eq!(made["replacedAccount"], json!({ "connectedAccountId": old, "status": "EXPIRED" }));
    let body: Value = {
        let calls = world.sandbox.requests();
        serde_json::from_str(&calls.iter().find(|call| call.method == "POST").unwrap().body).unwrap()
    };
    let row = world.sandbox.accounts(Tenant::A).into_iter().find(|row| row.id == old).unwrap();
    let config = format!("ac_{}", row.toolkit);
    assert_eq!(body, json!({ "auth_config_id": config, "user_id": row.user_id }));
    assert_eq!(
        world.calls(),
        [by_ids([old.as_str()]), format!("POST {PATH}/link"), by_ids([old.as_str(), id.as_str().unwrap()])]
    );
}

#[tokio::test(start_paused = true)]
async fn pause_resume_rename_revoke_and_remove_send_one_write_each() {
    let world = world();
    let id = account(&world, "ACTIVE", "", "gmail");
    let selected = "connectedAccount { status isDisabled alias health { state } }";
    let by_id = by_ids([id.as_str()]);

    let paused = payload(&world, "setAccountEnabled", selected, json!({ "id": id, "enabled": false })).await;
    assert_eq!(at(&paused, "connectedAccount.status"), "INACTIVE");
    assert_eq!(at(&paused, "connectedAccount.health.state"), "DISABLED");
    assert_eq!(world.calls(), [by_id.clone(), format!("PATCH {PATH}/{id}/status"), by_id.clone()]);

    // The account is cached now, so the write is the first call.
    let resumed = payload(&world, "setAccountEnabled", selected, json!({ "id": id, "enabled": true })).await;
    assert_eq!(at(&resumed, "connectedAccount.status"), "ACTIVE");
    assert_eq!(world.calls(), [format!("PATCH {PATH}/{id}/status"), by_id.clone()]);

    let global = global_id("ConnectedAccount", &id);
    let renamed = payload(&world, "renameAccount", selected, json!({ "id": global, "alias": "Sales" })).await;
    assert_eq!(at(&renamed, "connectedAccount.alias"), "Sales");
    assert_eq!(world.calls(), [format!("PATCH {PATH}/{id}"), by_id.clone()]);
    let cleared = payload(&world, "renameAccount", selected, json!({ "id": id, "alias": "" })).await;
    assert_eq!(at(&cleared, "connectedAccount.alias"), Value::Null);
    assert_eq!(world.calls(), [format!("PATCH {PATH}/{id}"), by_id.clone()]);

    let selected = "revokedTokens connectedAccount { status }";
    let revoked = payload(&world, "revokeAccount", selected, json!({ "id": id })).await;
    assert_eq!(revoked["revokedTokens"], json!(["access_token", "refresh_token"]));
    assert_eq!(at(&revoked, "connectedAccount.status"), "REVOKED");
    assert_eq!(world.calls(), [format!("POST {PATH}/{id}/revoke"), by_id.clone()]);

    let selected = "removedAccountId connectedAccount { id }";
    let removed = payload(&world, "removeAccount", selected, json!({ "id": id })).await;
    assert_eq!(removed, json!({ "removedAccountId": global, "connectedAccount": null, "userErrors": [] }));
    assert_eq!(world.calls(), [format!("DELETE {PATH}/{id}?revoke_on_delete=true")]);
    let node = world.data_with("query ($id: ID!) { node(id: $id) { id } }", json!({ "id": global })).await;
    assert_eq!(node, json!({ "node": null }));
    assert_eq!(world.calls(), [by_id]);
}

#[tokio::test(start_paused = true)]
async fn writes_are_part_of_a_trace() {
    let world = world().with_limits(setup().config.limits);
    let id = account(&world, "ACTIVE", "", "gmail");
    let query = format!(
        "mutation {{ renameAccount(input: {{ id: \"{id}\", alias: \"x\" }}) {{ connectedAccount {{ id }} }} }}"
    );
    let answer = world.query_traced(tenant_a(), &query, true).await;
    let calls = at(&answer, "extensions.switchboard.trace.calls");
    let descriptions: Vec<_> = calls.as_array().unwrap().iter().map(|call| &call["description"]).collect();
    assert_eq!(descriptions, ["accounts by 1 ids", "rename", "accounts by 1 ids"], "{answer}");
    assert!(at(&answer, "extensions.cost.upstreamCalls").as_u64().unwrap() >= 3);
}

#[tokio::test(start_paused = true)]
async fn removal_can_keep_the_access_granted_at_the_provider() {
    let world = world();
    let id = account(&world, "ACTIVE", "", "slack");
    payload(&world, "removeAccount", "removedAccountId", json!({ "id": id, "revokeAtProvider": false }))
        .await;
    assert_eq!(world.calls(), [by_ids([id.as_str()]), format!("DELETE {PATH}/{id}")]);
}

#[tokio::test(start_paused = true)]
async fn members_act_on_their_own_accounts() {
    let world = world();
    let id = account(&world, "EXPIRED", "user_1", "");
    let reconnected =
        payload_as(&world, member("user_1"), "reconnectAccount", "redirectUrl", json!({ "id": id })).await;
    assert_eq!(reconnected["userErrors"], json!([]));
    let (write, reads): (Vec<_>, Vec<_>) = {
        let requests = world.sandbox.requests();
        world.sandbox.clear_requests();
        requests.into_iter().partition(|call| call.method == "POST")
    };
    assert_eq!(serde_json::from_str::<Value>(&write[0].body).unwrap()["user_id"], "user_1");
    assert!(reads.iter().all(|call| call.target.contains("user_ids=user_1&")), "{reads:?}");

    let selected = "connectedAccount { userId status }";
    let input = json!({ "authConfigId": "ac_gmail" });
    let connected = payload_as(&world, member("user_1"), "createConnectLink", selected, input).await;
    assert_eq!(connected["connectedAccount"], json!({ "userId": "user_1", "status": "INITIATED" }));
}

#[tokio::test(start_paused = true)]
async fn lists_and_subscribers_see_the_change_at_once() {
    let world = world();
    let id = account(&world, "ACTIVE", "", "gmail");
    let list = "{ connectedAccounts(first: 100, filter: { statuses: [INACTIVE] }) { nodes { connectedAccountId } } }";
    let before = world.data(list).await;
    let mut listener = world
        .subscribe(
            tenant_a(),
            "subscription { connectedAccountChanged { kind cause previousStatus connectedAccount { connectedAccountId status } } }",
        )
        .await;
    payload(&world, "setAccountEnabled", "clientMutationId", json!({ "id": id, "enabled": false })).await;
    let after = world.data(list).await;
    assert_ne!(before, after);
    assert!(after.to_string().contains(&id));
    let message = listener.next().await.unwrap();
    let event: Value = serde_json::from_slice(&message.response.body).unwrap();
    assert_eq!(
        at(&event, "data.connectedAccountChanged"),
        json!({
            "kind": "UPDATED", "cause": "MUTATION", "previousStatus": "ACTIVE",
            "connectedAccount": { "connectedAccountId": id, "status": "INACTIVE" },
        })
    );
}
