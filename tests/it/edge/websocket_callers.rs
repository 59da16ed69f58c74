//! Who a WebSocket is: by the headers that it began with, or by what its first message brings, under the rules of a request.

use std::sync::Arc;

use axum::http::StatusCode;
use serde_json::{Value, json};
use switchboard::http::caller::Authenticator;
use switchboard::http::caller::settings::{RoleWord, TokenSettings};
use switchboard::http::caller::tokens::{NewToken, Tokens};
use switchboard::sandbox::{Account, Settings, Tenant};

use super::issuer::{self, Issuer, Key, claims};
use super::streams::{Client, Ended, PROVIDER_CHANGED, Server, settings, tenants};
use crate::world::{NOW, World, at};

const VIEWER: &str = "{ viewer { name role } }";

/// An ADMIN and a MEMBER of tenant A, with their tokens.
struct Known {
    callers: Authenticator,
    admin: String,
    member: String,
}

fn known() -> Known {
    let (admin, member) = (NewToken::random().unwrap(), NewToken::random().unwrap());
    let entry = |name: &str, token: &NewToken, role, user_id: &str| TokenSettings {
        name: name.to_owned(),
        sha256: token.sha256.clone(),
        role,
        tenant: "default".to_owned(),
        user_id: user_id.to_owned(),
    };
    let known =
        [entry("office", &admin, RoleWord::Admin, ""), entry("ann", &member, RoleWord::Member, "user_1")];
    let tokens = Tokens::new(&known, &tenants()).unwrap();
    Known { callers: Authenticator::Tokens(Arc::new(tokens)), admin: admin.text, member: member.text }
}

async fn viewer(client: &mut Client) -> Value {
    client.subscribe("v", VIEWER).await;
    let told = at(&client.next().await, "payload.data.viewer");
    assert_eq!(client.next().await["type"], "complete");
    told
}

/// How a WebSocket ends that brings this.
async fn refused(server: &Server, headers: &[(&'static str, &str)], payload: Value) -> (u16, String) {
    let mut client = server.websocket(headers).await.unwrap();
    client.send(json!({ "type": "connection_init", "payload": payload })).await;
    client.code().await
}

#[tokio::test(start_paused = true)]
async fn a_token_comes_with_the_first_message_or_with_the_request() {
    let (world, known) = (World::new(), known());
    let server = Server::with(world.operations(), known.callers.clone(), settings());
    let bearer = |token: &str| format!("Bearer {token}");
    let office = json!({ "name": "office", "role": "ADMIN" });
    for name in ["Authorization", "authorization", "AUTHORIZATION"] {
        let mut client = server.websocket(&[]).await.unwrap();
        client.greet(json!({ name: bearer(&known.admin), "x-other": 7 })).await;
        assert_eq!(viewer(&mut client).await, office);
    }
    let mut client = server.websocket(&[("authorization", &bearer(&known.admin))]).await.unwrap();
    client.greet(json!({})).await;
    assert_eq!(viewer(&mut client).await, office);
    // What a proxy put into the request is not overruled by what a page says.
    let mut client = server.websocket(&[("authorization", &bearer(&known.member))]).await.unwrap();
    client.greet(json!({ "Authorization": bearer(&known.admin) })).await;
    assert_eq!(viewer(&mut client).await, json!({ "name": "ann", "role": "MEMBER" }));
}

#[tokio::test(start_paused = true)]
async fn credentials_that_are_refused_end_it_with_the_words_of_a_request() {
    let (world, known) = (World::new(), known());
    let server = Server::with(world.operations(), known.callers.clone(), settings());
    let missing = "A token is missing: send `Authorization: Bearer` with it.";
    let bearer = format!("Bearer {}", known.admin);
    for (payload, sentence) in [
        (json!({}), missing),
        (json!({ "authorization": null }), missing),
        (json!({ "authorization": 7 }), missing),
        (json!({ "authorization": "Basic eDp5" }), missing),
        (json!({ "authorization": "Bearer swb_hunter2" }), "is not one that is known here"),
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
async fn in_passthrough_both_keys_come_in_either_way_and_neither_is_refused() {
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
        client.greet(payload).await;
        client.subscribe("b", both).await;
        let told = client.next().await;
        assert_eq!(told["payload"].get("errors"), None, "{told}");
    }
    let (code, reason) = refused(&server, &[], json!({})).await;
    assert_eq!(code, 4403);
    assert!(reason.starts_with("Keys are missing"), "{reason}");
    // One key is enough for its own upstream.
    let mut client = server.websocket(&[]).await.unwrap();
    client.greet(json!({ "x-api-key": composio })).await;
    client.subscribe("p", PROVIDER_CHANGED).await;
    let told = client.next().await;
    assert_eq!(
        (&told["type"], at(&told, "payload.0.extensions.code")),
        (&json!("error"), json!("UNAUTHENTICATED"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_member_hears_of_its_own_accounts_alone() {
    let now = NOW.parse().unwrap();
    let accounts = ["user_1", "user_2"].map(|user| Account::new(&format!("ca_{user}"), "gmail", user, now));
    let world = World::with_sandbox(Settings { accounts: 0, ..Settings::default() });
    world.sandbox.change_accounts(Tenant::A, |rows| *rows = accounts.into());
    let known = known();
    let server = Server::with(world.operations(), known.callers, settings());
    let mut client = server.websocket(&[]).await.unwrap();
    client.greet(json!({ "authorization": format!("Bearer {}", known.member) })).await;
    let query = "subscription { connectedAccountChanged { connectedAccount { userId status } } }";
    client.subscribe("s", query).await;
    world.settle().await;
    world.sandbox.change_accounts(Tenant::A, |rows| {
        for (row, after) in rows.iter_mut().rev().zip(1_i64..) {
            row.status = "EXPIRED";
            row.updated_at = now + jiff::SignedDuration::from_secs(after);
        }
    });
    let told = at(&client.next().await, "payload.data.connectedAccountChanged.connectedAccount");
    assert_eq!(told, json!({ "userId": "user_1", "status": "EXPIRED" }));
}

#[tokio::test(start_paused = true)]
async fn it_ends_with_the_token_that_it_was_begun_with() {
    let (world, key) = (World::new(), Key::ed("d"));
    let issuer = Issuer::of_tenants(issuer::settings(), &[&key], tenants());
    let server = Server::with(world.operations(), issuer.callers(), settings());
    let mut client = server.websocket(&[]).await.unwrap();
    let since = tokio::time::Instant::now();
    client.greet(json!({ "Authorization": format!("Bearer {}", key.sign(&claims(json!({})))) })).await;
    client.subscribe("s", PROVIDER_CHANGED).await;
    assert_eq!(client.ended_answering_pings().await, Ended::With(4403, "The token has expired.".to_owned()));
    // Five minutes, and the 30 s by which clocks may differ.
    assert_eq!(since.elapsed().as_secs(), 330);
    let expired = key.sign(&claims(json!({ "exp": issuer::now() - 60 })));
    let (code, reason) = refused(&server, &[], json!({ "Authorization": format!("Bearer {expired}") })).await;
    assert_eq!((code, reason.as_str()), (4403, "The token has expired."));
}

#[tokio::test(start_paused = true)]
async fn where_it_cannot_be_told_who_it_is_it_is_asked_to_come_again() {
    let (world, key) = (World::new(), Key::ed("d"));
    let issuer = Issuer::of(&[&key]);
    issuer.publish_text(None);
    let server = Server::with(world.operations(), issuer.callers(), settings());
    let bearer = format!("Bearer {}", key.sign(&claims(json!({}))));
    let (code, reason) = refused(&server, &[], json!({ "Authorization": bearer })).await;
    assert_eq!(code, 1013);
    assert!(reason.contains("try again"), "{reason}");
    let (status, _) = server.websocket(&[("origin", "https://evil.example")]).await.unwrap_err();
    assert_eq!(status, StatusCode::FORBIDDEN);
}
