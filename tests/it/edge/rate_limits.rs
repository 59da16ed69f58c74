//! Limits over time over HTTP, event streams and WebSockets.

use axum::Router;
use serde_json::json;
use switchboard::http::webhook::Webhooks;
use switchboard::http::{EdgeParts, router};
use switchboard::operation::OperationEngine;
use switchboard::operation::rate_limits::settings::{RateLimitSettings, RateLimits};

use super::stream_server::{PROVIDER_CHANGED, Server, settings, tenant_a_callers};
use super::{get, post, send, with_header};
use crate::world::World;

fn operations(world: &World, requests: u64) -> OperationEngine {
    let admin = RateLimits { requests, ..RateLimits::default() };
    let settings =
        RateLimitSettings { window_ms: 60_000, callers_max: 10, admin, member: RateLimits::default() };
    world.operations().with_rate_limits(&settings, [])
}

fn edge(operations: OperationEngine) -> Router {
    router(EdgeParts {
        operations,
        callers: tenant_a_callers(),
        webhooks: Webhooks::none(),
        settings: settings(),
    })
}

const TOOLKIT: &str = "{ toolkit(slug: \"gmail\") { slug } }";

#[tokio::test(start_paused = true)]
async fn responses_have_the_headers_of_the_draft_and_refusals_are_429() {
    let world = World::new();
    let edge = edge(operations(&world, 2));
    for accept in ["application/json", "application/graphql-response+json"] {
        let request = with_header(post(json!({ "query": TOOLKIT }).to_string()), "accept", accept);
        let response = send(edge.clone(), request).await;
        assert_eq!(response.status, 200);
        assert_eq!(response.header("ratelimit-policy"), r#""requests";q=2;w=60"#);
        assert_eq!(response.header("retry-after"), "");
    }
    for accept in ["application/json", "application/graphql-response+json", "text/event-stream"] {
        let request = with_header(post(json!({ "query": TOOLKIT }).to_string()), "accept", accept);
        let response = send(edge.clone(), request).await;
        assert_eq!((response.status.as_u16(), response.code().as_str()), (429, "RATE_LIMITED"), "{accept}");
        assert_eq!(response.header("ratelimit"), r#""requests";r=0;t=90"#);
        assert_eq!(response.header("retry-after"), "90");
        assert_eq!(response.header("cache-control"), "no-store");
        let message =
            "The caller has used its limit of 2 requests in 60 seconds. Retry after `retryAfterMs`.";
        assert_eq!(response.message(), message);
    }
}

#[tokio::test(start_paused = true)]
async fn not_modified_responses_and_streams_have_the_headers() {
    let world = World::new();
    let edge = edge(operations(&world, 9));
    let url = "/graphql?query=%7Btoolkit(slug:%22gmail%22)%7Bslug%7D%7D";
    let tag = send(edge.clone(), get(url)).await.header("etag").to_owned();
    let response = send(edge.clone(), with_header(get(url), "if-none-match", &tag)).await;
    assert_eq!((response.status.as_u16(), response.header("ratelimit")), (304, r#""requests";r=7;t=90"#));
    let request = with_header(
        post(json!({ "query": "{ toolkit(slug: \"x\") { slug } }" }).to_string()),
        "accept",
        "text/event-stream",
    );
    let response = send(edge, request).await;
    assert_eq!((response.status.as_u16(), response.header("ratelimit")), (200, r#""requests";r=6;t=80"#));
}

#[tokio::test(start_paused = true)]
async fn each_operation_of_a_websocket_is_a_request() {
    let world = World::new();
    let server = Server::with(operations(&world, 2), tenant_a_callers(), settings());
    let mut client = server.acknowledged().await;
    client.subscribe("1", TOOLKIT).await;
    assert_eq!(client.next().await["type"], "next");
    assert_eq!(client.next().await["type"], "complete");
    client.subscribe("2", PROVIDER_CHANGED).await;
    client.subscribe("3", TOOLKIT).await;
    let refused = client.next().await;
    assert_eq!((&refused["id"], &refused["type"]), (&json!("3"), &json!("error")), "{refused}");
    assert_eq!(refused["payload"][0]["extensions"]["code"], "RATE_LIMITED");
    assert_eq!(refused["payload"][0]["extensions"]["reason"], "REQUESTS");
}
