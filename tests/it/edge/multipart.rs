//! Apollo's subscriptions over HTTP: parts with payloads, taken apart as Apollo Client does.

use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use switchboard::sandbox::Tenant;
use tower::ServiceExt as _;

use super::issuer::{self, Issuer, Key, claims};
use super::streams::{PROVIDER_CHANGED, Server, anybody, routes, tenants};
use super::{ask, edge, post, with};
use crate::world::{World, at};

/// What Apollo Client sends for a subscription.
const APOLLO: &str = "multipart/mixed;boundary=graphql;subscriptionSpec=1.0,application/graphql-response+json,\
                      application/json;q=0.9";

fn subscribing() -> Request<Body> {
    with(post(json!({ "query": PROVIDER_CHANGED }).to_string()), "accept", APOLLO)
}

/// A body that is read part by part: a part is there when the boundary behind it is.
struct Parts {
    body: Body,
    text: String,
}

impl Parts {
    async fn of(router: axum::Router, request: Request<Body>) -> Self {
        let (head, body) = router.oneshot(request).await.unwrap().into_parts();
        assert_eq!(head.status, StatusCode::OK);
        assert_eq!(head.headers["content-type"], "multipart/mixed;boundary=\"graphql\";subscriptionSpec=1.0");
        assert_eq!(head.headers.get("content-encoding"), None);
        let mut parts = Self { body, text: String::new() };
        assert_eq!(parts.piece().await.unwrap(), "", "nothing stands before the first boundary");
        parts
    }

    /// What lies before the next boundary.
    async fn piece(&mut self) -> Option<String> {
        loop {
            if let Some((piece, rest)) = self.text.split_once("\r\n--graphql") {
                let (piece, rest) = (piece.to_owned(), rest.to_owned());
                self.text = rest;
                return Some(piece);
            }
            let frame = self.body.frame().await?.unwrap();
            self.text.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
        }
    }

    async fn next(&mut self) -> Value {
        let piece = self.piece().await.expect("it goes on");
        let json = piece.strip_prefix("\r\ncontent-type: application/json\r\n\r\n").unwrap();
        serde_json::from_str(json).unwrap()
    }

    /// The next part that is no heartbeat.
    async fn payload(&mut self) -> Value {
        loop {
            let part = self.next().await;
            if part != json!({}) {
                return part;
            }
        }
    }

    async fn ends(mut self) {
        assert!(self.piece().await.is_none());
        assert_eq!(self.text, "--\r\n");
    }
}

#[tokio::test(start_paused = true)]
async fn each_change_is_a_part_with_a_payload_and_heartbeats_lie_between() {
    let world = World::new();
    let mut parts =
        Parts::of(routes(&world, anybody()), with(subscribing(), "accept-encoding", "gzip")).await;
    world.settle().await;
    world.sandbox.change_providers(Tenant::A, |rows| rows[0]["status"] = json!("degraded"));
    world.data("mutation { refresh(upstream: LEADLEX) { retryAt } }").await;
    let part = parts.next().await;
    assert_eq!(at(&part, "payload.data.providerChanged.provider.status"), "DEGRADED");
    let since = tokio::time::Instant::now();
    assert_eq!(parts.next().await, json!({}));
    assert_eq!(since.elapsed().as_secs(), 15);
}

#[tokio::test(start_paused = true)]
async fn what_is_answered_once_is_json_where_the_client_takes_that_and_one_part_elsewhere() {
    let request = || post(json!({ "query": "{ hello }" }).to_string());
    let seen = ask(edge(super::anybody()), with(request(), "accept", APOLLO)).await;
    assert_eq!(seen.text, r#"{"data":{"hello":"hello"}}"#);
    let only = "multipart/mixed;subscriptionSpec=\"1.0\"";
    let mut parts = Parts::of(edge(super::anybody()), with(request(), "accept", only)).await;
    assert_eq!(parts.next().await, json!({ "payload": { "data": { "hello": "hello" } } }));
    parts.ends().await;
    let refused = post(json!({ "query": "{ nothing }" }).to_string());
    let mut parts = Parts::of(edge(super::anybody()), with(refused, "accept", only)).await;
    assert_eq!(at(&parts.next().await, "payload.errors.0.extensions.code"), "GRAPHQL_VALIDATION_FAILED");
    parts.ends().await;
    let foreign = with(subscribing(), "sec-fetch-site", "cross-site");
    assert_eq!(ask(edge(super::anybody()), foreign).await.status, StatusCode::FORBIDDEN);
}

#[tokio::test(start_paused = true)]
async fn where_the_stream_itself_fails_there_is_no_payload_but_errors() {
    let (world, key) = (World::new(), Key::ed("d"));
    let issuer = Issuer::of_tenants(issuer::settings(), &[&key], tenants());
    let bearer = format!("Bearer {}", key.sign(&claims(json!({}))));
    let request = with(subscribing(), "authorization", &bearer);
    let mut parts = Parts::of(routes(&world, issuer.callers()), request).await;
    let part = parts.payload().await;
    assert_eq!(
        (&part["payload"], &part["errors"][0]["message"]),
        (&Value::Null, &json!("The token has expired."))
    );
    parts.ends().await;
}

#[tokio::test(start_paused = true)]
async fn the_servers_end_is_its_end_and_says_why() {
    let world = World::new();
    let mut server = Server::over(&world);
    let body = json!({ "query": PROVIDER_CHANGED }).to_string();
    let mut raw = server.ask(&format!("accept: {APOLLO}\r\n"), &body).await;
    raw.until("\r\n--graphql").await;
    server.stop();
    let rest = raw.rest().await;
    assert!(rest.contains(r#"{"payload":null,"errors":[{"message":"This server is going away"#), "{rest}");
    assert!(rest.contains("\r\n--graphql--\r\n") && rest.ends_with("\r\n0\r\n\r\n"), "{rest}");
    assert_eq!(server.ended().await, Duration::ZERO);
}
