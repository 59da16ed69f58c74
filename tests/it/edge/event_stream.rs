//! GraphQL over SSE in "distinct connections mode": each operation is a stream of events.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use switchboard::http::caller::Authenticator;
use switchboard::sandbox::Tenant;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tower::ServiceExt as _;

use super::faulty_schema::FaultySchema;
use super::issuer::{self, Issuer, Key, claims};
use super::stream_server::{PROVIDER_CHANGED, Server, routes, tenant_a_callers, tenants};
use super::{edge, get, post, send, with_header};
use crate::world::{Setup, World, at};

const EVENTS: &str = "text/event-stream";

/// The `Accept` header that urql sends.
const URQL: &str = "application/graphql-response+json, application/graphql+json, application/json, text/event-stream, \
                    multipart/mixed";

fn subscribing() -> Request<Body> {
    with_header(post(json!({ "query": PROVIDER_CHANGED }).to_string()), "accept", EVENTS)
}

/// A streamed response.
struct EventStream {
    status: StatusCode,
    headers: HeaderMap,
    body: Body,
}

async fn open_stream(router: &Router, request: Request<Body>) -> EventStream {
    let (head, body) = router.clone().oneshot(request).await.unwrap().into_parts();
    EventStream { status: head.status, headers: head.headers, body }
}

impl EventStream {
    /// The next chunk, as the server flushed it.
    async fn next(&mut self) -> Option<String> {
        let frame = self.body.frame().await?.unwrap();
        Some(String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap())
    }

    /// The next event: name, id and data. Comments are skipped.
    async fn event(&mut self) -> (String, String, Value) {
        loop {
            let text = self.next().await.expect("the stream is open");
            let field = |name: &str| {
                let mut lines = text.lines();
                lines
                    .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
                    .unwrap_or_default()
                    .to_owned()
            };
            if !field("event").is_empty() {
                return (
                    field("event"),
                    field("id"),
                    serde_json::from_str(&field("data")).unwrap_or_default(),
                );
            }
        }
    }
}

async fn change(world: &World, status: &str) {
    world.sandbox.change_providers(Tenant::A, |rows| rows[0]["status"] = json!(status));
    world.data("mutation { refresh(upstream: LEADLEX) { retryAt } }").await;
}

#[tokio::test(start_paused = true)]
async fn subscription_is_a_stream_of_events_with_ids() {
    let world = World::new();
    let router = routes(&world, tenant_a_callers());
    let request = with_header(subscribing(), "accept-encoding", "gzip, br, zstd");
    let mut streamed = open_stream(&router, request).await;
    assert_eq!(streamed.status, StatusCode::OK);
    for (name, value) in [
        ("content-type", "text/event-stream; charset=utf-8"),
        ("cache-control", "no-store"),
        ("x-accel-buffering", "no"),
    ] {
        assert_eq!(streamed.headers[name], value);
    }
    assert_eq!(streamed.headers.get("content-encoding"), None, "compression would delay events");
    let opening = streamed.next().await.unwrap();
    assert!(opening.starts_with(":\nid: ") && opening.ends_with("\n\n"), "{opening}");
    world.settle().await;
    change(&world, "degraded").await;
    let (event, id, data) = streamed.event().await;
    assert_eq!(
        (event.as_str(), at(&data, "data.providerChanged.provider.status")),
        ("next", json!("DEGRADED"))
    );
    assert_eq!(at(&data, "extensions.switchboard.position"), json!(id));
    assert!(id.len() == 32 && !opening.contains(&id), "{id} {opening}");
}

#[tokio::test(start_paused = true)]
async fn idle_stream_sends_heartbeat_comments() {
    let world = World::new();
    let mut streamed = open_stream(&routes(&world, tenant_a_callers()), subscribing()).await;
    streamed.next().await.unwrap();
    let since = tokio::time::Instant::now();
    for _ in 0..3 {
        assert_eq!(streamed.next().await.unwrap(), ":\n\n");
    }
    assert_eq!(since.elapsed().as_secs(), 45);
}

#[tokio::test(start_paused = true)]
async fn reconnect_with_last_event_id_replays_missed_events() {
    let world = World::new();
    let router = routes(&world, tenant_a_callers());
    let mut streamed = open_stream(&router, subscribing()).await;
    let opening = streamed.next().await.unwrap();
    let first = opening.trim().rsplit(' ').next().unwrap().to_owned();
    world.settle().await;
    drop(streamed);
    change(&world, "degraded").await;
    world.settle().await;
    change(&world, "needs_reauth").await;
    world.settle().await;
    // An `EventSource` reconnects by GET. First from an id before any event, then from a later one.
    let url = "/graphql?query=subscription%7BproviderChanged%7Bprovider%7Bstatus%7D%7D%7D";
    let again = with_header(with_header(get(url), "accept", EVENTS), "last-event-id", &first);
    let mut streamed = open_stream(&router, again).await;
    let (_, second, data) = streamed.event().await;
    assert_eq!(at(&data, "data.providerChanged.provider.status"), "DEGRADED");
    let mut streamed = open_stream(&router, with_header(subscribing(), "last-event-id", &second)).await;
    assert_eq!(at(&streamed.event().await.2, "data.providerChanged.provider.status"), "NEEDS_REAUTH");
    let gone = send(router, with_header(subscribing(), "last-event-id", "of-another-server")).await;
    assert!(
        gone.text.contains("BAD_POSITION") && gone.text.ends_with("event: complete\ndata: \n\n"),
        "{}",
        gone.text
    );
}

#[tokio::test(start_paused = true)]
async fn query_and_validation_error_are_single_events() {
    for (query, part) in [
        ("{ hello }", r#""data":{"hello":"hello"}"#),
        ("mutation { bump }", r#""data":{"bump":1}"#),
        ("{ nothing }", "GRAPHQL_VALIDATION_FAILED"),
        ("{", "GRAPHQL_PARSE_FAILED"),
    ] {
        let request = with_header(post(json!({ "query": query }).to_string()), "accept", EVENTS);
        let response = send(edge(super::default_callers()), request).await;
        assert_eq!(response.status, StatusCode::OK);
        assert!(response.text.starts_with(":\n\nevent: next\ndata: {"), "{}", response.text);
        assert!(response.text.contains(part), "{}", response.text);
        assert!(response.text.ends_with("\n\nevent: complete\ndata: \n\n"), "{}", response.text);
    }
}

#[tokio::test(start_paused = true)]
async fn malformed_requests_are_refused_by_status() {
    let router = edge(super::default_callers());
    let accepting = |request| with_header(request, "accept", EVENTS);
    let foreign = with_header(accepting(post(r#"{"query":"{ hello }"}"#)), "origin", "https://evil.example");
    for (request, status, code) in [
        (accepting(post("{")), StatusCode::BAD_REQUEST, "BAD_USER_INPUT"),
        (
            accepting(get("/graphql?query=mutation%7Bbump%7D")),
            StatusCode::METHOD_NOT_ALLOWED,
            "BAD_USER_INPUT",
        ),
        (
            with_header(accepting(post("{}")), "content-type", "text/plain"),
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "BAD_USER_INPUT",
        ),
        (foreign, StatusCode::FORBIDDEN, "FORBIDDEN"),
    ] {
        let response = send(router.clone(), request).await;
        assert_eq!((response.status, response.code().as_str()), (status, code));
        assert_eq!(response.header("content-type"), "application/json; charset=utf-8");
    }
    let response = send(edge(Authenticator::Passthrough), accepting(post(r#"{"query":"{ hello }"}"#))).await;
    assert_eq!((response.status, response.code().as_str()), (StatusCode::UNAUTHORIZED, "UNAUTHENTICATED"));
}

#[tokio::test(start_paused = true)]
async fn equal_q_values_fall_back_to_the_operation_kind() {
    let world = World::new();
    let router = routes(&world, tenant_a_callers());
    let query = post(json!({ "query": "{ viewer { name } }" }).to_string());
    let response = send(router.clone(), with_header(query, "accept", URQL)).await;
    assert!(response.header("content-type").starts_with("application/graphql-response+json"));
    assert_eq!(response.text, r#"{"data":{"viewer":{"name":"local"}}}"#);
    let streamed = open_stream(&router, with_header(subscribing(), "accept", URQL)).await;
    assert_eq!(streamed.headers["content-type"], "text/event-stream; charset=utf-8");
    let refused = post(json!({ "query": "subscription { nothing }" }).to_string());
    let response = send(router.clone(), with_header(refused, "accept", URQL)).await;
    assert_eq!(
        (response.status, response.code().as_str()),
        (StatusCode::BAD_REQUEST, "GRAPHQL_VALIDATION_FAILED")
    );
    let response = send(router, with_header(subscribing(), "accept", "application/json")).await;
    for way in [
        "graphql-transport-ws",
        "`Accept: text/event-stream`",
        "`Accept: multipart/mixed;subscriptionSpec=1.0`",
    ] {
        assert!(response.message().contains(way), "{}", response.message());
    }
}

#[tokio::test(start_paused = true)]
async fn single_connection_mode_is_refused() {
    let mut request = subscribing();
    *request.method_mut() = Method::PUT;
    let response = send(edge(super::default_callers()), request).await;
    assert_eq!(
        (response.status, response.header("allow")),
        (StatusCode::METHOD_NOT_ALLOWED, "GET, HEAD, POST")
    );
    let message = response.message();
    assert!(message.starts_with("PUT is not allowed: send operations by POST"), "{message}");
    assert!(message.contains("`singleConnection: true`: omit that option"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn disconnected_client_is_unsubscribed() {
    let mut setup = Setup::default();
    setup.config.subscriptions.subscribers_max = 1;
    let world = World::new_with(setup);
    let router = routes(&world, tenant_a_callers());
    let first = open_stream(&router, subscribing()).await;
    let second = send(router.clone(), subscribing()).await;
    assert!(second.text.contains("OVERLOADED"), "{}", second.text);
    drop(first);
    world.settle().await;
    let opening = open_stream(&router, subscribing()).await.next().await.unwrap();
    assert!(opening.starts_with(":\nid: "), "{opening}");
}

#[tokio::test(start_paused = true)]
async fn stream_ends_when_its_token_expires() {
    let (world, key) = (World::new(), Key::ed("d"));
    let issuer = Issuer::with_tenants(issuer::settings(), &[&key], tenants());
    let router = routes(&world, issuer.callers());
    let since = tokio::time::Instant::now();
    let bearer = format!("Bearer {}", key.sign(&claims(json!({}))));
    let mut streamed = open_stream(&router, with_header(subscribing(), "authorization", &bearer)).await;
    let (event, _, data) = streamed.event().await;
    assert_eq!((event.as_str(), at(&data, "errors.0.extensions.code")), ("next", json!("UNAUTHENTICATED")));
    assert_eq!(at(&data, "errors.0.message"), "The token has expired.");
    assert_eq!(since.elapsed().as_secs(), 330);
    assert!(streamed.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn shutdown_ends_the_stream_with_a_reason() {
    let world = World::new();
    let mut server = Server::for_world(&world);
    let body = json!({ "query": PROVIDER_CHANGED }).to_string();
    let mut raw = server.send("accept: text/event-stream\r\n", &body).await;
    raw.read_until(":\nid: ").await;
    server.stop();
    let rest = raw.read_to_end().await;
    assert!(rest.contains(r#""code":"OVERLOADED","retryable":true"#), "{rest}");
    assert!(rest.contains("event: complete\ndata: \n\n") && rest.ends_with("\r\n0\r\n\r\n"), "{rest}");
    assert_eq!(server.ended().await, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn idle_stream_stays_open_and_unread_stream_is_cut() {
    let world = World::new();
    let server = Server::for_world(&world);
    let body =
        json!({ "query": "subscription { providerChanged { kind provider { id name } } }" }).to_string();
    let mut raw = server.send("accept: text/event-stream\r\n", &body).await;
    raw.read_until(":\nid: ").await;
    // Longer than the timeouts of a response and of an idle connection.
    for _ in 0..20 {
        raw.read_until("\r\n:\n\n\r\n").await;
    }
    world.sandbox.change_providers(Tenant::A, |rows| {
        for row in rows.iter_mut() {
            row["name"] = json!(format!("{}{}", row["name"].as_str().unwrap(), "x".repeat(400)));
        }
    });
    world.advance(Duration::from_secs(60)).await;
    world.settle().await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let rest = raw.read_to_end().await;
    assert!(rest.contains("event: next") && !rest.contains("complete"), "{rest}");
    assert!(!rest.ends_with("\r\n0\r\n\r\n"), "the body must not look complete");
}

/// An HTTP/2 request by a client with a flow-control window of 0 (RFC 9113 sections 4.1 and 6.5.2; RFC 7541
/// sections 6.1 and 6.2.2).
fn http2_request_with_zero_window(path: &str) -> Vec<u8> {
    let length = |text: &str| u8::try_from(text.len()).unwrap();
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend([0, 0, 6, 4, 0, 0, 0, 0, 0, /* INITIAL_WINDOW_SIZE */ 0, 4, 0, 0, 0, 0]);
    let mut head = vec![/* GET */ 0x82, /* http */ 0x86];
    for (name, value) in [(/* :path */ 0x44, path), (/* :authority */ 0x41, "localhost")] {
        head.extend([name, length(value)]);
        head.extend(value.bytes());
    }
    for text in ["accept", EVENTS] {
        if text == "accept" {
            head.push(0);
        }
        head.push(length(text));
        head.extend(text.bytes());
    }
    let size = u8::try_from(head.len()).unwrap();
    bytes.extend([0, 0, size, 1, /* END_STREAM, END_HEADERS */ 5, 0, 0, 0, 1]);
    bytes.extend(head);
    bytes
}

#[tokio::test(start_paused = true)]
async fn unread_http2_stream_is_reset() {
    let mut setup = Setup::default();
    setup.config.subscriptions.subscribers_max = 1;
    let world = World::new_with(setup);
    let server = Server::for_world(&world);
    let mut pipe = server.connect();
    let path = "/graphql?query=subscription%7BproviderChanged%7Bkind%7D%7D";
    pipe.write_all(&http2_request_with_zero_window(path)).await.unwrap();
    world.settle().await;
    let router = routes(&world, tenant_a_callers());
    let second = send(router.clone(), subscribing()).await;
    assert!(second.text.contains("OVERLOADED"), "the only subscription is in use: {}", second.text);
    // The server closes the stream: a heartbeat found that earlier bytes were not read within
    // `server.write_timeout_ms`.
    let mut said = Vec::new();
    pipe.read_to_end(&mut said).await.unwrap();
    world.settle().await;
    let opening = open_stream(&router, subscribing()).await.next().await.unwrap();
    assert!(opening.starts_with(":\nid: "), "{opening}");
}

#[tokio::test(start_paused = true)]
async fn event_stream_works_without_subscription_type() {
    let request = with_header(post(json!({ "query": "subscription { a }" }).to_string()), "accept", EVENTS);
    let response =
        send(super::edge_with_schema(super::default_callers(), FaultySchema::new()), request).await;
    assert!(response.text.contains("GRAPHQL_VALIDATION_FAILED"), "{}", response.text);
}
