//! GraphQL over SSE, "distinct connections mode": operations as streams of events.

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

use super::faulty::Faulty;
use super::issuer::{self, Issuer, Key, claims};
use super::streams::{PROVIDER_CHANGED, Server, anybody, routes, tenants};
use super::{ask, edge, get, post, with};
use crate::world::{Setup, World, at};

const EVENTS: &str = "text/event-stream";

/// What urql lists.
const URQL: &str = "application/graphql-response+json, application/graphql+json, application/json, text/event-stream, \
                    multipart/mixed";

fn subscribing() -> Request<Body> {
    with(post(json!({ "query": PROVIDER_CHANGED }).to_string()), "accept", EVENTS)
}

/// An answer that goes on.
struct Streamed {
    status: StatusCode,
    headers: HeaderMap,
    body: Body,
}

async fn begin(router: &Router, request: Request<Body>) -> Streamed {
    let (head, body) = router.clone().oneshot(request).await.unwrap().into_parts();
    Streamed { status: head.status, headers: head.headers, body }
}

impl Streamed {
    /// The next piece, as it is flushed.
    async fn next(&mut self) -> Option<String> {
        let frame = self.body.frame().await?.unwrap();
        Some(String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap())
    }

    /// The next event: its name, its id and its data. Comments are passed over.
    async fn event(&mut self) -> (String, String, Value) {
        loop {
            let text = self.next().await.expect("it goes on");
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
async fn a_subscription_is_a_stream_of_events_that_each_have_a_place() {
    let world = World::new();
    let router = routes(&world, anybody());
    let request = with(subscribing(), "accept-encoding", "gzip, br, zstd");
    let mut streamed = begin(&router, request).await;
    assert_eq!(streamed.status, StatusCode::OK);
    for (name, value) in [
        ("content-type", "text/event-stream; charset=utf-8"),
        ("cache-control", "no-store"),
        ("x-accel-buffering", "no"),
    ] {
        assert_eq!(streamed.headers[name], value);
    }
    assert_eq!(streamed.headers.get("content-encoding"), None, "what is compressed is held back");
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
    assert!(id.ends_with("-1"), "{id}");
}

#[tokio::test(start_paused = true)]
async fn while_nothing_happens_a_comment_says_that_it_goes_on() {
    let world = World::new();
    let mut streamed = begin(&routes(&world, anybody()), subscribing()).await;
    streamed.next().await.unwrap();
    let since = tokio::time::Instant::now();
    for _ in 0..3 {
        assert_eq!(streamed.next().await.unwrap(), ":\n\n");
    }
    assert_eq!(since.elapsed().as_secs(), 45);
}

#[tokio::test(start_paused = true)]
async fn whoever_comes_back_with_its_last_event_hears_what_it_missed() {
    let world = World::new();
    let router = routes(&world, anybody());
    let mut streamed = begin(&router, subscribing()).await;
    let opening = streamed.next().await.unwrap();
    let first = opening.trim().rsplit(' ').next().unwrap().to_owned();
    world.settle().await;
    drop(streamed);
    change(&world, "degraded").await;
    world.settle().await;
    change(&world, "needs_reauth").await;
    world.settle().await;
    // As an `EventSource` does it, by GET, from before anything was heard; and from behind that.
    let url = "/graphql?query=subscription%7BproviderChanged%7Bprovider%7Bstatus%7D%7D%7D";
    let again = with(with(get(url), "accept", EVENTS), "last-event-id", &first);
    let mut streamed = begin(&router, again).await;
    let (_, second, data) = streamed.event().await;
    assert_eq!(at(&data, "data.providerChanged.provider.status"), "DEGRADED");
    let mut streamed = begin(&router, with(subscribing(), "last-event-id", &second)).await;
    assert_eq!(at(&streamed.event().await.2, "data.providerChanged.provider.status"), "NEEDS_REAUTH");
    let gone = ask(router, with(subscribing(), "last-event-id", "of-another-server")).await;
    assert!(
        gone.text.contains("BAD_POSITION") && gone.text.ends_with("event: complete\ndata: \n\n"),
        "{}",
        gone.text
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_answered_once_is_one_event_and_a_refusal_is_one_too() {
    for (query, part) in [
        ("{ hello }", r#""data":{"hello":"hello"}"#),
        ("mutation { bump }", r#""data":{"bump":1}"#),
        ("{ nothing }", "GRAPHQL_VALIDATION_FAILED"),
        ("{", "GRAPHQL_PARSE_FAILED"),
    ] {
        let request = with(post(json!({ "query": query }).to_string()), "accept", EVENTS);
        let seen = ask(edge(super::anybody()), request).await;
        assert_eq!(seen.status, StatusCode::OK);
        assert!(seen.text.starts_with(":\n\nevent: next\ndata: {"), "{}", seen.text);
        assert!(seen.text.contains(part), "{}", seen.text);
        assert!(seen.text.ends_with("\n\nevent: complete\ndata: \n\n"), "{}", seen.text);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_with_a_request_is_told_by_its_status() {
    let router = edge(super::anybody());
    let accepting = |request| with(request, "accept", EVENTS);
    let foreign = with(accepting(post(r#"{"query":"{ hello }"}"#)), "origin", "https://evil.example");
    for (request, status, code) in [
        (accepting(post("{")), StatusCode::BAD_REQUEST, "BAD_USER_INPUT"),
        (
            accepting(get("/graphql?query=mutation%7Bbump%7D")),
            StatusCode::METHOD_NOT_ALLOWED,
            "BAD_USER_INPUT",
        ),
        (
            with(accepting(post("{}")), "content-type", "text/plain"),
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "BAD_USER_INPUT",
        ),
        (foreign, StatusCode::FORBIDDEN, "FORBIDDEN"),
    ] {
        let seen = ask(router.clone(), request).await;
        assert_eq!((seen.status, seen.code().as_str()), (status, code));
        assert_eq!(seen.header("content-type"), "application/json; charset=utf-8");
    }
    let seen = ask(edge(Authenticator::Passthrough), accepting(post(r#"{"query":"{ hello }"}"#))).await;
    assert_eq!((seen.status, seen.code().as_str()), (StatusCode::UNAUTHORIZED, "UNAUTHENTICATED"));
}

#[tokio::test(start_paused = true)]
async fn of_what_a_client_takes_alike_the_kind_of_operation_decides() {
    let world = World::new();
    let router = routes(&world, anybody());
    let query = post(json!({ "query": "{ viewer { name } }" }).to_string());
    let seen = ask(router.clone(), with(query, "accept", URQL)).await;
    assert!(seen.header("content-type").starts_with("application/graphql-response+json"));
    assert_eq!(seen.text, r#"{"data":{"viewer":{"name":"local"}}}"#);
    let streamed = begin(&router, with(subscribing(), "accept", URQL)).await;
    assert_eq!(streamed.headers["content-type"], "text/event-stream; charset=utf-8");
    let refused = post(json!({ "query": "subscription { nothing }" }).to_string());
    let seen = ask(router.clone(), with(refused, "accept", URQL)).await;
    assert_eq!((seen.status, seen.code().as_str()), (StatusCode::BAD_REQUEST, "GRAPHQL_VALIDATION_FAILED"));
    let seen = ask(router, with(subscribing(), "accept", "application/json")).await;
    assert!(seen.message().contains("need a transport that streams"), "{}", seen.message());
}

#[tokio::test(start_paused = true)]
async fn one_stream_for_many_operations_is_not_to_be_had() {
    let mut request = subscribing();
    *request.method_mut() = Method::PUT;
    let seen = ask(edge(super::anybody()), request).await;
    assert_eq!((seen.status, seen.header("allow")), (StatusCode::METHOD_NOT_ALLOWED, "GET, HEAD, POST"));
    assert!(seen.message().contains("leave out `singleConnection`"), "{}", seen.message());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_hung_up_listens_no_more() {
    let mut setup = Setup::default();
    setup.config.subscriptions.subscribers_max = 1;
    let world = World::new_with(setup);
    let router = routes(&world, anybody());
    let first = begin(&router, subscribing()).await;
    let second = ask(router.clone(), subscribing()).await;
    assert!(second.text.contains("OVERLOADED"), "{}", second.text);
    drop(first);
    world.settle().await;
    let opening = begin(&router, subscribing()).await.next().await.unwrap();
    assert!(opening.starts_with(":\nid: "), "{opening}");
}

#[tokio::test(start_paused = true)]
async fn it_ends_with_the_token_that_it_was_begun_with() {
    let (world, key) = (World::new(), Key::ed("d"));
    let issuer = Issuer::of_tenants(issuer::settings(), &[&key], tenants());
    let router = routes(&world, issuer.callers());
    let since = tokio::time::Instant::now();
    let bearer = format!("Bearer {}", key.sign(&claims(json!({}))));
    let mut streamed = begin(&router, with(subscribing(), "authorization", &bearer)).await;
    let (event, _, data) = streamed.event().await;
    assert_eq!((event.as_str(), at(&data, "errors.0.extensions.code")), ("next", json!("UNAUTHENTICATED")));
    assert_eq!(at(&data, "errors.0.message"), "The token has expired.");
    assert_eq!(since.elapsed().as_secs(), 330);
    assert!(streamed.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn the_servers_end_is_its_end_and_says_why() {
    let world = World::new();
    let mut server = Server::over(&world);
    let body = json!({ "query": PROVIDER_CHANGED }).to_string();
    let mut raw = server.ask("accept: text/event-stream\r\n", &body).await;
    raw.until(":\nid: ").await;
    server.stop();
    let rest = raw.rest().await;
    assert!(rest.contains(r#""code":"OVERLOADED","retryable":true"#), "{rest}");
    assert!(rest.contains("event: complete\ndata: \n\n") && rest.ends_with("\r\n0\r\n\r\n"), "{rest}");
    assert_eq!(server.ended().await, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_silent_stream_is_kept_and_one_that_nobody_takes_is_cut() {
    let world = World::new();
    let server = Server::over(&world);
    let body =
        json!({ "query": "subscription { providerChanged { kind provider { id name } } }" }).to_string();
    let mut raw = server.ask("accept: text/event-stream\r\n", &body).await;
    raw.until(":\nid: ").await;
    // Longer than any answer and any idle connection is waited for.
    for _ in 0..20 {
        raw.until("\r\n:\n\n\r\n").await;
    }
    world.sandbox.change_providers(Tenant::A, |rows| {
        for row in rows.iter_mut() {
            row["name"] = json!(format!("{}{}", row["name"].as_str().unwrap(), "x".repeat(400)));
        }
    });
    world.advance(Duration::from_secs(60)).await;
    world.settle().await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let rest = raw.rest().await;
    assert!(rest.contains("event: next") && !rest.contains("complete"), "{rest}");
    assert!(!rest.ends_with("\r\n0\r\n\r\n"), "nobody is to take it for whole");
}

/// A request over HTTP/2 by a client that lets nothing be sent to it (RFC 9113, 4.1 and 6.5.2; RFC 7541, 6.1 and 6.2.2).
fn over_http2_without_a_window(path: &str) -> Vec<u8> {
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
async fn over_http2_too_one_that_nobody_takes_is_given_up() {
    let mut setup = Setup::default();
    setup.config.subscriptions.subscribers_max = 1;
    let world = World::new_with(setup);
    let server = Server::over(&world);
    let mut pipe = server.connect();
    let path = "/graphql?query=subscription%7BproviderChanged%7Bkind%7D%7D";
    pipe.write_all(&over_http2_without_a_window(path)).await.unwrap();
    world.settle().await;
    let router = routes(&world, anybody());
    let second = ask(router.clone(), subscribing()).await;
    assert!(second.text.contains("OVERLOADED"), "the place is taken: {}", second.text);
    // The server hangs up: a heartbeat found that what was before it was not taken, in `server.write_timeout_ms`.
    let mut said = Vec::new();
    pipe.read_to_end(&mut said).await.unwrap();
    world.settle().await;
    let opening = begin(&router, subscribing()).await.next().await.unwrap();
    assert!(opening.starts_with(":\nid: "), "{opening}");
}

#[tokio::test(start_paused = true)]
async fn a_stream_of_errors_is_still_a_stream_where_the_schema_has_no_subscriptions() {
    let request = with(post(json!({ "query": "subscription { a }" }).to_string()), "accept", EVENTS);
    let seen = ask(super::edge_over(super::anybody(), Faulty::new()), request).await;
    assert!(seen.text.contains("GRAPHQL_VALIDATION_FAILED"), "{}", seen.text);
}
