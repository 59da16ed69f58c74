//! Authentication of a WebSocket: by the request's headers or by the `connection_init` payload, under the
//! rules of an HTTP request.

use std::sync::Arc;

use axum::http::StatusCode;
use serde_json::{Value, json};
use switchboard::http::caller::Authenticator;
use switchboard::http::caller::settings::{RoleName, TokenSettings};
use switchboard::http::caller::tokens::{NewToken, Tokens};
use switchboard::sandbox::{Account, Settings, Tenant};

use super::issuer::{self, Issuer, Key, claims};
use super::stream_server::{Client, Ended, PROVIDER_CHANGED, Server, settings, tenants};
use crate::world::{NOW, World, at};

const VIEWER: &str = "{ viewer { name role } }";

/// An ADMIN and a MEMBER of tenant A, with their tokens.
struct KnownTokens {
    callers: Authenticator,
    admin: String,
    member: String,
}

fn known_tokens() -> KnownTokens {
    let (admin, member) = (NewToken::random().unwrap(), NewToken::random().unwrap());
    let entry = |name: &str, token: &NewToken, role, user_id: &str| TokenSettings {
        name: name.to_owned(),
        sha256: token.sha256.clone(),
        role,
        tenant: "default".to_owned(),
        user_id: user_id.to_owned(),
        rate_limit_requests: 0,
        rate_limit_complexity: 0,
        rate_limit_upstream_calls: 0,
    };
    let known_tokens =
        [entry("office", &admin, RoleName::Admin, ""), entry("ann", &member, RoleName::Member, "user_1")];
    let tokens = Tokens::new(&known_tokens, &tenants()).unwrap();
    KnownTokens { callers: Authenticator::Tokens(Arc::new(tokens)), admin: admin.text, member: member.text }
}

async fn viewer(client: &mut Client) -> Value {
    client.subscribe("v", VIEWER).await;
    let message = at(&client.next().await, "payload.data.viewer");
    assert_eq!(client.next().await["type"], "complete");
    message
}

/// The close code and reason for these credentials.
async fn refused(server: &Server, headers: &[(&'static str, &str)], payload: Value) -> (u16, String) {
    let mut client = server.websocket(headers).await.unwrap();
    client.send(json!({ "type": "connection_init", "payload": payload })).await;
    client.code().await
}

#[tokio::test(start_paused = true)]
async fn token_is_read_from_headers_or_connection_init() {
    let (world, known_tokens) = (World::new(), known_tokens());
    let server = Server::with(world.operations(), known_tokens.callers.clone(), settings());
    let bearer = |token: &str| format!("Bearer {token}");
    let office = json!({ "name": "office", "role": "ADMIN" });
    for name in ["Authorization", "authorization", "AUTHORIZATION"] {
        let mut client = server.websocket(&[]).await.unwrap();
        client.init(json!({ name: bearer(&known_tokens.admin), "x-other": 7 })).await;
        assert_eq!(viewer(&mut client).await, office);
    }
    let mut client = server.websocket(&[("authorization", &bearer(&known_tokens.admin))]).await.unwrap();
    client.init(json!({})).await;
    assert_eq!(viewer(&mut client).await, office);
    // A header that a proxy set wins over the payload of a page.
    let mut client = server.websocket(&[("authorization", &bearer(&known_tokens.member))]).await.unwrap();
    client.init(json!({ "Authorization": bearer(&known_tokens.admin) })).await;
    assert_eq!(viewer(&mut client).await, json!({ "name": "ann", "role": "MEMBER" }));
}

#[tokio::test(start_paused = true)]
async fn refused_credentials_close_with_the_message_of_http() {
    let (world, known_tokens) = (World::new(), known_tokens());
    let server = Server::with(world.operations(), known_tokens.callers.clone(), settings());
    let missing = "The token is missing. Send `Authorization: Bearer <token>`.";
    let bearer = format!("Bearer {}", known_tokens.admin);
    let scheme = "`Authorization` does not begin with the scheme `Bearer`.";
    for (payload, sentence) in [
        (json!({}), missing),
        (json!({ "authorization": null }), missing),
        (json!({ "authorization": 7 }), scheme),
        (json!({ "authorization": "Basic eDp5" }), scheme),
        (json!({ "authorization": "Bearer swb_hunter2" }), "is not valid"),
        (json!({ "authorization": bearer, "Authorization": bearer }), "once."),
        (json!({ "token": bearer }), missing),
    ] {
        let (code, reason) = refused(&server, &[], payload).await;
        assert_eq!(code, 4403, "{reason}");
        assert!(reason.contains(sentence), "{reason}");
        assert!(!reason.contains("hunter2"), "{reason}");
    }
    let (code, _) =
        refused(&server, &[("authorization", "Bearer swb_x")], json!({ "authorization": bearer })).await;
    assert_eq!(code, 4403);
}

#[tokio::test(start_paused = true)]
async fn passthrough_keys_are_read_from_headers_or_connection_init() {
    let world = World::new();
    let server = Server::with(world.operations(), Authenticator::Passthrough, settings());
    let (leadlex, composio) = ("Bearer wbk_sandbox_a", "ak_sandbox_a");
    let both = "{ providers(first: 1) { nodes { name } } connectedAccounts(first: 1) { nodes { id } } }";
    for (headers, payload) in [
        (vec![], json!({ "Authorization": leadlex, "X-API-Key": composio })),
        (vec![("authorization", leadlex)], json!({ "x-api-key": composio })),
        (vec![("authorization", leadlex), ("x-api-key", composio)], json!(null)),
    ] {
        let mut client = server.websocket(&headers).await.unwrap();
        client.init(payload).await;
        client.subscribe("b", both).await;
        let message = client.next().await;
        assert_eq!(message["payload"].get("errors"), None, "{message}");
    }
    let (code, reason) = refused(&server, &[], json!({})).await;
    assert_eq!(code, 4403);
    assert!(reason.starts_with("API keys are missing"), "{reason}");
    // One key is enough for its own upstream.
    let mut client = server.websocket(&[]).await.unwrap();
    client.init(json!({ "x-api-key": composio })).await;
    client.subscribe("p", PROVIDER_CHANGED).await;
    let message = client.next().await;
    assert_eq!(
        (&message["type"], at(&message, "payload.0.extensions.code")),
        (&json!("error"), json!("UNAUTHENTICATED"))
    );
}

#[tokio::test(start_paused = true)]
async fn member_receives_only_its_own_accounts() {
    let now = NOW.parse().unwrap();
    let accounts = ["user_1", "user_2"].map(|user| Account::new(&format!("ca_{user}"), "gmail", user, now));
    let world = World::with_sandbox(Settings { accounts: 0, ..Settings::default() });
    world.sandbox.change_accounts(Tenant::A, |rows| *rows = accounts.into());
    let known_tokens = known_tokens();
    let server = Server::with(world.operations(), known_tokens.callers, settings());
    let mut client = server.websocket(&[]).await.unwrap();
    client.init(json!({ "authorization": format!("Bearer {}", known_tokens.member) })).await;
    let query = "subscription { connectedAccountChanged { connectedAccount { userId status } } }";
    client.subscribe("s", query).await;
    world.settle().await;
    world.sandbox.change_accounts(Tenant::A, |rows| {
        for (row, after) in rows.iter_mut().rev().zip(1_i64..) {
            row.status = "EXPIRED";
            row.updated_at = now + jiff::SignedDuration::from_secs(after);
        }
    });
    let message = at(&client.next().await, "payload.data.connectedAccountChanged.connectedAccount");
    assert_eq!(message, json!({ "userId": "user_1", "status": "EXPIRED" }));
}

#[tokio::test(start_paused = true)]
async fn websocket_closes_when_its_token_expires() {
    let (world, key) = (World::new(), Key::ed("d"));
    let issuer = Issuer::with_tenants(issuer::settings(), &[&key], tenants());
    let server = Server::with(world.operations(), issuer.callers(), settings());
    let mut client = server.websocket(&[]).await.unwrap();
    let since = tokio::time::Instant::now();
    client.init(json!({ "Authorization": format!("Bearer {}", key.sign(&claims(json!({})))) })).await;
    client.subscribe("s", PROVIDER_CHANGED).await;
    assert_eq!(client.ended_answering_pings().await, Ended::With(4403, "The token has expired.".to_owned()));
    // Five minutes, and the 30 s of clock tolerance.
    assert_eq!(since.elapsed().as_secs(), 330);
    let expired = key.sign(&claims(json!({ "exp": issuer::now() - 60 })));
    let (code, reason) = refused(&server, &[], json!({ "Authorization": format!("Bearer {expired}") })).await;
    assert_eq!((code, reason.as_str()), (4403, "The token has expired. Get a new one from its issuer."));
}

#[tokio::test(start_paused = true)]
async fn unverifiable_token_closes_with_try_again_later() {
    let (world, key) = (World::new(), Key::ed("d"));
    let issuer = Issuer::new(&[&key]);
    issuer.publish_text(None);
    let server = Server::with(world.operations(), issuer.callers(), settings());
    let bearer = format!("Bearer {}", key.sign(&claims(json!({}))));
    let (code, reason) = refused(&server, &[], json!({ "Authorization": bearer })).await;
    assert_eq!(code, 1013);
    assert!(reason.contains("Retry after"), "{reason}");
    let (status, _) = server.websocket(&[("origin", "https://evil.example")]).await.unwrap_err();
    assert_eq!(status, StatusCode::FORBIDDEN);
}
