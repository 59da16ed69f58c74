//! Each bad input: the message that clients read, and that no write was sent.

use std::time::Duration;

use serde_json::{Value, json};
use switchboard::domain::caller::Caller;
use switchboard::sandbox::{EmulatedUpstream, Fault, Tenant};

use super::{account, member, mutation, payload, refused, refused_as, setup, world, writes};
use crate::world::{Setup, World, at, caller, global_id, only_error, strings_at, tenant_a};

/// The only GraphQL error of a mutation.
async fn error_as(world: &World, caller: Caller, name: &str, input: Value) -> Value {
    let answer = world.query_as(caller, &mutation(name, "clientMutationId"), json!({ "input": input })).await;
    assert_eq!(answer["data"][name], Value::Null);
    only_error(&answer).clone()
}

/// One input of each mutation, of an account.
fn all_mutations(id: &str) -> [(&'static str, Value); 6] {
    [
        ("createConnectLink", json!({ "authConfigId": "ac_gmail", "userId": "user_1" })),
        ("reconnectAccount", json!({ "id": id })),
        ("setAccountEnabled", json!({ "id": id, "enabled": false })),
        ("renameAccount", json!({ "id": id, "alias": "New" })),
        ("revokeAccount", json!({ "id": id })),
        ("removeAccount", json!({ "id": id })),
    ]
}

#[tokio::test(start_paused = true)]
async fn disabled_actions_are_refused_with_how_to_enable_them() {
    let world = World::new_with(Setup::as_shipped());
    for (name, input) in all_mutations("ca_1") {
        let error = error_as(&world, tenant_a(), name, input).await;
        assert_eq!(error["extensions"]["code"], "ACTIONS_DISABLED", "{name}");
        assert!(error["message"].as_str().unwrap().contains("`actions.enabled = true`"), "{error}");
    }
    assert_eq!(world.calls(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn members_may_perform_only_the_listed_actions() {
    let world = world();
    let id = account(&world, "ACTIVE", "user_1", "");
    for (name, input) in all_mutations(&id)
        .into_iter()
        .filter(|(name, _)| matches!(*name, "setAccountEnabled" | "revokeAccount"))
    {
        let error = error_as(&world, member("user_1"), name, input).await;
        assert_eq!(error["extensions"]["code"], "FORBIDDEN", "{name}");
        assert!(error["message"].as_str().unwrap().contains("`actions.member`"), "{error}");
    }
    assert_eq!(world.calls(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn another_users_account_is_not_found_before_any_write() {
    let mut setup = setup();
    setup.config.actions.member =
        "connect, reconnect, enable, rename, revoke, remove".to_owned().try_into().unwrap();
    let world = World::new_with(setup);
    let (foreign, mine) = (account(&world, "ACTIVE", "user_2", ""), account(&world, "ACTIVE", "user_1", ""));
    for (name, input) in all_mutations(&foreign).into_iter().skip(1) {
        let (code, field, message) = refused_as(&world, member("user_1"), name, input).await;
        assert_eq!((code.as_str(), &field), ("NOT_FOUND", &json!("id")), "{name}");
        assert!(message.starts_with("There is no such connected account."), "{message}");
    }
    // An account that does not exist is answered alike, and so is one of another tenant.
    let of_b = world.sandbox.accounts(Tenant::B)[0].id.clone();
    for (id, caller) in [("ca_nothing", member("user_1")), ("ca_nothing", tenant_a()), (&of_b, tenant_a())] {
        for (name, input) in all_mutations(id).into_iter().skip(1) {
            let (code, _, message) = refused_as(&world, caller.clone(), name, input).await;
            assert!(code == "NOT_FOUND" && message.contains("may have been removed"), "{name} {message}");
        }
    }
    assert_eq!(writes(&world), [""; 0]);
    let (code, field, message) =
        refused_as(&world, member("user_1"), "reconnectAccount", json!({ "id": mine, "userId": "user_2" }))
            .await;
    assert_eq!((code.as_str(), field), ("USER_NOT_ALLOWED", json!("userId")));
    assert!(message.contains("only for yourself"), "{message}");
    assert_eq!(writes(&world), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn malformed_ids_and_providers_ids_are_refused_without_a_call() {
    let world = world();
    let provider = world.data("{ providers(first: 1) { nodes { id } } }").await;
    let provider = strings_at(&provider, "providers.nodes.*.id").remove(0);
    let toolkit = global_id("Toolkit", "gmail");
    world.calls();
    let path = global_id("ConnectedAccount", "ca_../link");
    for id in ["", "x", "ca_a,ca_b", "ca_../link", &path, &provider, &toolkit] {
        for (name, input) in all_mutations(id).into_iter().skip(1) {
            let (code, field, message) = refused(&world, name, input).await;
            assert_eq!((code.as_str(), &field), ("INVALID_ID", &json!("id")), "{name} {id}");
            assert!(message.contains("`connectedAccountId` (`ca_…`)"), "{message}");
        }
    }
    assert_eq!(world.calls(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn invalid_inputs_of_actions_are_refused_with_what_is_allowed() {
    let world = world();
    let id = account(&world, "ACTIVE", "", "gmail");
    let long = "x".repeat(101);
    for alias in [long.as_str(), " x", "x\u{7}", "x\n"] {
        let (code, field, message) =
            refused(&world, "renameAccount", json!({ "id": id, "alias": alias })).await;
        assert_eq!((code.as_str(), field), ("INVALID_ALIAS", json!("alias")));
        assert!(message.contains("at most 100 characters"), "{message}");
    }
    let connect = |changes: Value| {
        let mut input = json!({ "authConfigId": "ac_gmail", "userId": "user_1" });
        for (key, value) in changes.as_object().unwrap() {
            input[key] = value.clone();
        }
        input
    };
    for (changes, code, field, part) in [
        (json!({ "alias": long }), "INVALID_ALIAS", "alias", "at most 100 characters"),
        (json!({ "userId": null }), "INVALID_USER_ID", "userId", "Pass the id of the end user"),
        (json!({ "userId": "a,b" }), "INVALID_USER_ID", "userId", "must not contain commas"),
        (
            json!({ "authConfigId": "ac/../x" }),
            "AUTH_CONFIG_NOT_FOUND",
            "authConfigId",
            "Copy its id from Composio",
        ),
        (json!({ "callbackUrl": "done" }), "INVALID_CALLBACK_URL", "callbackUrl", "absolute"),
        (
            json!({ "callbackUrl": "https://evil.example/" }),
            "CALLBACK_URL_NOT_ALLOWED",
            "callbackUrl",
            "`actions.callback_origins`",
        ),
    ] {
        let (got, at, message) = refused(&world, "createConnectLink", connect(changes)).await;
        assert_eq!((got.as_str(), at), (code, json!(field)));
        assert!(message.contains(part), "{message}");
    }
    let (code, _, message) =
        refused_as(&world, member("user_1"), "createConnectLink", json!({ "authConfigId": "ac_slack" }))
            .await;
    assert_eq!(code, "AUTH_CONFIG_NOT_ALLOWED");
    assert!(message.contains("`actions.member_auth_configs`"), "{message}");
    let other = json!({ "authConfigId": "ac_gmail", "userId": "user_2" });
    assert_eq!(refused_as(&world, member("user_1"), "createConnectLink", other).await.0, "USER_NOT_ALLOWED");
    assert_eq!(world.calls(), [""; 0]);
    let wrong_user = json!({ "id": id, "userId": "absent_user" });
    let (code, field, message) = refused(&world, "reconnectAccount", wrong_user).await;
    assert_eq!((code.as_str(), field), ("INVALID_USER_ID", json!("userId")));
    assert!(message.contains("not the user of this account"), "{message}");
    assert_eq!(writes(&world), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn refusals_by_composio_are_explained_for_each_action() {
    let world = world();
    let connect = |config: &str, alias: Option<&str>| json!({ "authConfigId": config, "userId": "user_1", "alias": alias });
    let (code, field, message) = refused(&world, "createConnectLink", connect("ac_nothing", None)).await;
    assert_eq!((code.as_str(), field), ("AUTH_CONFIG_NOT_FOUND", json!("authConfigId")));
    assert!(message.contains("no such auth config"), "{message}");
    let (code, _, message) = refused(&world, "createConnectLink", connect("ac_mailchimp", None)).await;
    assert!(code == "AUTH_CONFIG_UNUSABLE" && message.contains("may be disabled"), "{message}");
    payload(&world, "createConnectLink", "redirectUrl", connect("ac_gmail", Some("Mine"))).await;
    let (code, field, message) =
        refused(&world, "createConnectLink", connect("ac_gmail", Some("Mine"))).await;
    assert_eq!((code.as_str(), field), ("ALIAS_TAKEN", json!("alias")));
    assert!(message.contains("Choose another one"), "{message}");
    let other = payload(
        &world,
        "createConnectLink",
        "connectedAccount { connectedAccountId }",
        connect("ac_gmail", None),
    )
    .await;
    let other = at(&other, "connectedAccount.connectedAccountId");
    let (code, field, _) = refused(&world, "renameAccount", json!({ "id": other, "alias": "Mine" })).await;
    assert_eq!((code.as_str(), field), ("ALIAS_TAKEN", json!("alias")));

    let expired = account(&world, "EXPIRED", "", "");
    let input = json!({ "id": expired, "enabled": true });
    let refused_payload = payload(&world, "setAccountEnabled", "connectedAccount { status }", input).await;
    assert_eq!(at(&refused_payload, "userErrors.0.code"), "STATE_CONFLICT");
    assert_eq!(at(&refused_payload, "connectedAccount.status"), "EXPIRED", "the account as it is now");
    assert!(at(&refused_payload, "userErrors.0.message").as_str().unwrap().contains("must be reconnected"));

    let active = account(&world, "ACTIVE", "", "slack");
    for (name, status, code) in [
        ("setAccountEnabled", 409, "STATE_CONFLICT"),
        ("revokeAccount", 409, "STATE_CONFLICT"),
        ("revokeAccount", 400, "REVOKE_UNSUPPORTED"),
        ("removeAccount", 409, "STATE_CONFLICT"),
        ("renameAccount", 409, "ALIAS_TAKEN"),
        ("renameAccount", 400, "INVALID_ALIAS"),
        ("reconnectAccount", 409, "STATE_CONFLICT"),
    ] {
        let fault = Fault::parse(&format!("status={status}; writes=1")).unwrap();
        world.sandbox.emulate(EmulatedUpstream::Composio, Some(fault));
        let input = all_mutations(&active).into_iter().find(|(known, _)| *known == name).unwrap().1;
        assert_eq!(refused(&world, name, input).await.0, code, "{name} {status}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_account_in_the_requested_state_is_not_written() {
    let world = world();
    let (active, paused, revoked) = (
        account(&world, "ACTIVE", "", "gmail"),
        account(&world, "INACTIVE", "", ""),
        account(&world, "REVOKED", "", ""),
    );
    for (name, input, part) in [
        ("setAccountEnabled", json!({ "id": active, "enabled": true }), "enabled already"),
        ("setAccountEnabled", json!({ "id": paused, "enabled": false }), "paused already"),
        ("revokeAccount", json!({ "id": revoked }), "revoked already"),
    ] {
        let (code, field, message) = refused(&world, name, input).await;
        assert_eq!((code.as_str(), field), ("ALREADY_IN_STATE", json!("id")));
        assert!(message.contains(part), "{message}");
    }
    assert_eq!(writes(&world), [""; 0]);
    // Paused elsewhere since the account was cached: it is read again, and the write is sent.
    world.sandbox.change_accounts(Tenant::A, |rows| {
        let row = rows.iter_mut().find(|row| row.id == active).unwrap();
        (row.status, row.is_disabled) = ("INACTIVE", true);
    });
    let input = json!({ "id": active, "enabled": true });
    let resumed = payload(&world, "setAccountEnabled", "connectedAccount { status }", input).await;
    assert_eq!(resumed, json!({ "connectedAccount": { "status": "ACTIVE" }, "userErrors": [] }));
    // Removed elsewhere, then removed here.
    let gone = account(&world, "ACTIVE", "", "slack");
    world
        .data_with(
            "query ($id: ID!) { connectedAccountsByIds(ids: [$id]) { status } }",
            json!({ "id": gone }),
        )
        .await;
    world.sandbox.change_accounts(Tenant::A, |rows| rows.retain(|row| row.id != gone));
    let (code, _, message) = refused(&world, "removeAccount", json!({ "id": gone })).await;
    assert!(code == "NOT_FOUND" && message.contains("may have been removed"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn a_read_only_key_is_reported_and_reads_continue() {
    let world = world();
    let reader = || caller(Some("wbk_sandbox_a"), Some("ak_sandbox_readonly"));
    let id = account(&world, "ACTIVE", "", "gmail");
    let error = error_as(&world, reader(), "removeAccount", json!({ "id": id })).await;
    assert_eq!(error["extensions"]["code"], "UPSTREAM_FORBIDDEN");
    assert_eq!(error["extensions"]["reason"], "READ_ONLY_KEY");
    assert!(error["message"].as_str().unwrap().contains("may only read"), "{error}");
    let query = "{ connectedAccounts(first: 1) { nodes { id } } upstreams { state } }";
    let answer = world.query_as(reader(), query, json!({})).await;
    assert_eq!(answer.get("errors"), None);
    assert_eq!(at(&answer, "data.upstreams.1.state"), "UP");
}

#[tokio::test(start_paused = true)]
async fn an_unsafe_sign_in_page_is_not_returned() {
    let mut setup = setup();
    setup.wrap_network = Box::new(super::unconfirmed::with_redirects_to("http://evil.example/"));
    let world = World::new_with(setup);
    let input = json!({ "authConfigId": "ac_gmail", "userId": "user_1" });
    let error = error_as(&world, tenant_a(), "createConnectLink", input).await;
    assert_eq!(error["extensions"]["code"], "UPSTREAM_BAD_RESPONSE");
    assert!(!error.to_string().contains("evil"));
}

#[tokio::test(start_paused = true)]
async fn too_many_actions_in_a_minute_are_refused_with_the_time_to_wait() {
    let mut setup = setup();
    setup.config.actions.per_minute = 2;
    let world = World::new_with(setup);
    let id = account(&world, "ACTIVE", "", "gmail");
    for alias in ["a", "b"] {
        payload(&world, "renameAccount", "clientMutationId", json!({ "id": id, "alias": alias })).await;
    }
    let error = error_as(&world, tenant_a(), "renameAccount", json!({ "id": id, "alias": "c" })).await;
    assert_eq!(error["extensions"]["code"], "ACTIONS_RATE_LIMITED");
    assert_eq!(
        (&error["extensions"]["retryable"], &error["extensions"]["retryAfterMs"]),
        (&json!(true), &json!(60_000))
    );
    assert_eq!(writes(&world).len(), 2);
    world.advance(Duration::from_secs(60)).await;
    payload(&world, "renameAccount", "clientMutationId", json!({ "id": id, "alias": "c" })).await;
}
