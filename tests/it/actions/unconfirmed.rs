//! Writes that Composio does not confirm: exactly one leaves, and the result says what is true afterwards.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use serde_json::{Value, json};
use switchboard::domain::clock::Clock;
use switchboard::domain::credential::Credential;
use switchboard::domain::upstream_name::UpstreamName;
use switchboard::operation::settings::LimitSettings;
use switchboard::sandbox::{EmulatedUpstream, Fault};
use switchboard::upstream::accounts::AccountsClient;
use switchboard::upstream::transport::{self, Network, Transport};
use tower::util::BoxCloneSyncService;
use tower::{BoxError, ServiceExt as _, service_fn};

use super::{account, mutation, payload, refused, setup, world, writes};
use crate::world::{World, at, by_ids, only_error, run, tenant_a, upstream_by_default};

const PATH: &str = "/api/v3/connected_accounts";

fn fault(world: &World, text: &str) {
    world.sandbox.emulate(EmulatedUpstream::Composio, Some(Fault::parse(text).unwrap()));
}

/// A network that replaces the URL of every sign-in page.
pub(super) fn with_redirects_to(url: &'static str) -> impl FnOnce(Network) -> Network {
    move |network| {
        BoxCloneSyncService::new(service_fn(move |request: http::Request<Bytes>| {
            let network = network.clone();
            async move {
                let (head, body) = network.oneshot(request).await?.into_parts();
                let body = body.collect().await?.to_bytes();
                let body = match serde_json::from_slice::<Value>(&body) {
                    Ok(mut link) if link.get("redirect_url").is_some() => {
                        link["redirect_url"] = json!(url);
                        Bytes::from(link.to_string())
                    }
                    _ => body,
                };
                let body = Full::new(body).map_err(|never| match never {}).boxed_unsync();
                Ok::<_, BoxError>(http::Response::from_parts(head, body))
            }
        }))
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_that_took_effect_without_a_response_is_confirmed_by_a_read() {
    // A response that is late, and one that is cut.
    for text in ["late-ms=11000; writes=1", "cut=1; writes=1", "garbage=1; writes=1"] {
        let world = world();
        let id = account(&world, "ACTIVE", "", "gmail");
        fault(&world, text);
        for (name, input, write, selected, expected) in [
            (
                "renameAccount",
                json!({ "id": id, "alias": "Sales" }),
                format!("PATCH {PATH}/{id}"),
                "connectedAccount { alias }",
                json!({ "connectedAccount": { "alias": "Sales" }, "userErrors": [] }),
            ),
            (
                "setAccountEnabled",
                json!({ "id": id, "enabled": false }),
                format!("PATCH {PATH}/{id}/status"),
                "connectedAccount { status }",
                json!({ "connectedAccount": { "status": "INACTIVE" }, "userErrors": [] }),
            ),
            (
                "revokeAccount",
                json!({ "id": id }),
                format!("POST {PATH}/{id}/revoke"),
                "revokedTokens connectedAccount { status }",
                json!({ "revokedTokens": null, "connectedAccount": { "status": "REVOKED" }, "userErrors": [] }),
            ),
            (
                "removeAccount",
                json!({ "id": id }),
                format!("DELETE {PATH}/{id}?revoke_on_delete=true"),
                "connectedAccount { status }",
                json!({ "connectedAccount": null, "userErrors": [] }),
            ),
        ] {
            assert_eq!(payload(&world, name, selected, input).await, expected, "{text} {name}");
            assert_eq!(writes(&world), [write], "{text} {name}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_without_visible_effect_is_unknown_and_the_current_state_is_returned() {
    // Before the write took effect: no response in time, and an error that proves nothing.
    for text in ["latency-ms=11000; writes=1", "status=503; writes=1"] {
        let world = world();
        let id = account(&world, "ACTIVE", "", "gmail");
        fault(&world, text);
        let input = json!({ "id": id, "enabled": false });
        let paused = payload(&world, "setAccountEnabled", "connectedAccount { status }", input).await;
        assert_eq!(at(&paused, "connectedAccount.status"), "ACTIVE");
        assert_eq!(at(&paused, "userErrors.0.code"), "ACTION_OUTCOME_UNKNOWN");
        let message = at(&paused, "userErrors.0.message");
        assert!(message.as_str().unwrap().contains("its status is ACTIVE"), "{message}");
        let by_id = by_ids([id.as_str()]);
        assert_eq!(world.calls(), [by_id.clone(), format!("PATCH {PATH}/{id}/status"), by_id]);
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_confirming_read_the_outcome_is_unknown() {
    let world = world();
    let id = account(&world, "ACTIVE", "", "gmail");
    payload(&world, "renameAccount", "connectedAccount { alias }", json!({ "id": id, "alias": "a" })).await;
    world.calls();
    fault(&world, "status=503");
    let (code, field, message) = refused(&world, "renameAccount", json!({ "id": id, "alias": "b" })).await;
    assert_eq!((code.as_str(), field), ("ACTION_OUTCOME_UNKNOWN", Value::Null));
    assert!(message.contains("unknown whether it happened") && !message.contains("status is"), "{message}");
    assert_eq!(writes(&world), [format!("PATCH {PATH}/{id}")]);
}

#[tokio::test(start_paused = true)]
async fn an_unconfirmed_sign_in_has_no_page() {
    for text in ["late-ms=11000; writes=1", "cut=1; writes=1", "status=500; writes=1"] {
        let world = world();
        fault(&world, text);
        let input = json!({ "authConfigId": "ac_gmail", "userId": "user_1" });
        let selected = "redirectUrl expiresAt connectedAccount { id }";
        let connect = payload(&world, "createConnectLink", selected, input).await;
        assert_eq!(at(&connect, "userErrors.0.code"), "ACTION_OUTCOME_UNKNOWN");
        assert!(at(&connect, "userErrors.0.message").as_str().unwrap().contains("Try again"));
        assert_eq!((&connect["redirectUrl"], &connect["connectedAccount"]), (&Value::Null, &Value::Null));
        assert_eq!(world.calls(), [format!("POST {PATH}/link")]);
    }
}

#[tokio::test(start_paused = true)]
async fn rejected_keys_and_exhausted_rate_limits_are_upstream_errors() {
    let world = world();
    let id = account(&world, "ACTIVE", "", "gmail");
    for (text, code) in [
        ("status=429; writes=1; retry-after=9", "UPSTREAM_RATE_LIMITED"),
        ("status=401; writes=1", "UPSTREAM_UNAUTHORIZED"),
    ] {
        fault(&world, text);
        let variables = json!({ "input": { "id": id, "alias": "b" } });
        let answer =
            world.query_as(tenant_a(), &mutation("renameAccount", "clientMutationId"), variables).await;
        assert_eq!(only_error(&answer)["extensions"]["code"], code);
        assert_eq!(writes(&world).len(), 1);
        world.advance(Duration::from_secs(60)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_disconnects_does_not_interrupt_the_write() {
    let world = world();
    let id = account(&world, "ACTIVE", "", "gmail");
    payload(&world, "renameAccount", "connectedAccount { alias }", json!({ "id": id, "alias": "a" })).await;
    fault(&world, "latency-ms=2000; writes=1");
    let request = json!({
        "query": mutation("renameAccount", "clientMutationId"), "variables": { "input": { "id": id, "alias": "b" } },
    });
    let operations = world.operations();
    let client = tokio::spawn(async move { run(&operations, tenant_a(), &request).await });
    tokio::time::sleep(Duration::from_secs(1)).await;
    client.abort();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let query = "query ($id: ID!) { connectedAccountsByIds(ids: [$id]) { alias } }";
    let data = world.data_with(query, json!({ "id": id })).await;
    assert_eq!(at(&data, "connectedAccountsByIds.0.alias"), "b");
}

#[tokio::test(start_paused = true)]
async fn an_action_past_its_deadline_has_an_unknown_outcome() {
    let shipped = setup().config.limits;
    let world = world().with_limits(LimitSettings { operation_timeout_ms: 3_000, ..shipped });
    let id = account(&world, "ACTIVE", "", "gmail");
    fault(&world, "late-ms=5000; writes=1");
    let (code, _, message) = refused(&world, "renameAccount", json!({ "id": id, "alias": "b" })).await;
    assert_eq!(code, "ACTION_OUTCOME_UNKNOWN", "{message}");
    tokio::time::sleep(Duration::from_secs(3)).await;
    let query = "query ($id: ID!) { connectedAccountsByIds(ids: [$id]) { alias } }";
    let data = world.data_with(query, json!({ "id": id })).await;
    assert_eq!(at(&data, "connectedAccountsByIds.0.alias"), "b");
    assert_eq!(writes(&world).len(), 1);
}

#[tokio::test]
async fn a_write_without_a_connection_is_repeated_and_its_outcome_is_known() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
    drop(listener);
    let mut settings = upstream_by_default("/");
    settings.retry.backoff_ms = 1;
    settings.base_url = url;
    let network = transport::network(&settings.base_url).unwrap();
    let client =
        AccountsClient::new(Transport::new(UpstreamName::Composio, settings, network, Clock::system()));
    let key = Credential::new("ak_1").unwrap();
    let error = client.rename(&key, "ca_1", "x").await.unwrap_err();
    assert!(!error.is_outcome_unknown(), "{error:?}");
    assert_eq!(client.transport.counts().retried, 2);
}
