//! Apollo's multipart subscription protocol, parsed as Apollo Client parses it.

use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use switchboard::sandbox::Tenant;
use tower::ServiceExt as _;

use super::issuer::{self, Issuer, Key, claims};
use super::stream_server::{PROVIDER_CHANGED, Server, routes, tenant_a_callers, tenants};
use super::{edge, post, send, with_header};
use crate::world::{World, at};

/// The `Accept` header that Apollo Client sends for a subscription.
const APOLLO: &str = "multipart/mixed;boundary=graphql;subscriptionSpec=1.0,application/graphql-response+json,\
                      application/json;q=0.9";

fn subscribing() -> Request<Body> {
    with_header(post(json!({ "query": PROVIDER_CHANGED }).to_string()), "accept", APOLLO)
}

/// A body that is read part by part. A part is complete when its closing boundary arrives.
struct Parts {
    body: Body,
    text: String,
}

impl Parts {
    async fn new(router: axum::Router, request: Request<Body>) -> Self {
        let (head, body) = router.oneshot(request).await.unwrap().into_parts();
        assert_eq!(head.status, StatusCode::OK);
        assert_eq!(head.headers["content-type"], "multipart/mixed;boundary=\"graphql\";subscriptionSpec=1.0");
        assert_eq!(head.headers.get("content-encoding"), None);
        let mut parts = Self { body, text: String::new() };
        assert_eq!(parts.piece().await.unwrap(), "", "no bytes before the first boundary");
        parts
    }

    /// The bytes before the next boundary.
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
        let piece = self.piece().await.expect("the stream is open");
        let json = piece.strip_prefix("\r\ncontent-type: application/json\r\n\r\n").unwrap();
        serde_json::from_str(json).unwrap()
    }

    /// The next part that is not a heartbeat.
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
async fn changes_are_parts_with_heartbeats_between() {
    let world = World::new();
    let mut parts =
        Parts::new(routes(&world, tenant_a_callers()), with_header(subscribing(), "accept-encoding", "gzip"))
            .await;
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
async fn single_result_is_json_if_accepted_else_one_part() {
    let request = || post(json!({ "query": "{ hello }" }).to_string());
    let response = send(edge(super::default_callers()), with_header(request(), "accept", APOLLO)).await;
    assert_eq!(response.text, r#"{"data":{"hello":"hello"}}"#);
    let only = "multipart/mixed;subscriptionSpec=\"1.0\"";
    let mut parts = Parts::new(edge(super::default_callers()), with_header(request(), "accept", only)).await;
    assert_eq!(parts.next().await, json!({ "payload": { "data": { "hello": "hello" } } }));
    parts.ends().await;
    let refused = post(json!({ "query": "{ nothing }" }).to_string());
    let mut parts = Parts::new(edge(super::default_callers()), with_header(refused, "accept", only)).await;
    assert_eq!(at(&parts.next().await, "payload.errors.0.extensions.code"), "GRAPHQL_VALIDATION_FAILED");
    parts.ends().await;
    let foreign = with_header(subscribing(), "sec-fetch-site", "cross-site");
    assert_eq!(send(edge(super::default_callers()), foreign).await.status, StatusCode::FORBIDDEN);
}

#[tokio::test(start_paused = true)]
async fn stream_failure_is_errors_without_payload() {
    let (world, key) = (World::new(), Key::ed("d"));
    let issuer = Issuer::with_tenants(issuer::settings(), &[&key], tenants());
    let bearer = format!("Bearer {}", key.sign(&claims(json!({}))));
    let request = with_header(subscribing(), "authorization", &bearer);
    let mut parts = Parts::new(routes(&world, issuer.callers()), request).await;
    let part = parts.payload().await;
    assert_eq!(
        (&part["payload"], &part["errors"][0]["message"]),
        (&Value::Null, &json!("The token has expired."))
    );
    parts.ends().await;
}

#[tokio::test(start_paused = true)]
async fn shutdown_ends_the_multipart_stream_with_a_reason() {
    let world = World::new();
    let mut server = Server::for_world(&world);
    let body = json!({ "query": PROVIDER_CHANGED }).to_string();
    let mut raw = server.send(&format!("accept: {APOLLO}\r\n"), &body).await;
    raw.read_until("\r\n--graphql").await;
    server.stop();
    let rest = raw.read_to_end().await;
    assert!(rest.contains(r#"{"payload":null,"errors":[{"message":"The server is shutting down"#), "{rest}");
    assert!(rest.contains("\r\n--graphql--\r\n") && rest.ends_with("\r\n0\r\n\r\n"), "{rest}");
    assert_eq!(server.ended().await, Duration::ZERO);
}
