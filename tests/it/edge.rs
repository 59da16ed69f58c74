//! The HTTP edge and the operation layer, over a schema whose fields fail on demand.

mod conditional;
mod cors_and_compression;
mod draft_status_codes;
mod event_stream;
mod execution_results;
mod faulty_schema;
mod graphql_over_http;
pub(crate) mod issuer;
mod jwks;
mod jwt;
mod metrics;
mod multipart;
mod persisted_documents;
mod rate_limits;
mod refused_operations;
mod request_bodies;
mod request_log;
mod response_cache;
mod routes;
mod single_flight;
mod static_tokens;
mod stream_server;
mod traces;
mod upstream_keys;
mod websocket;
mod websocket_authentication;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use switchboard::domain::caller::Tenant;
use switchboard::domain::clock::Clock;
use switchboard::domain::credential::Credential;
use switchboard::http::caller::Authenticator;
use switchboard::http::cors::AllowedOrigins;
use switchboard::http::settings::{HttpSettings, ServerSettings};
use switchboard::http::webhook::Webhooks;
use switchboard::http::{EdgeParts, router};
use switchboard::loaders::settings::Shares;
use switchboard::operation::OperationEngine;
use tower::ServiceExt as _;

use self::faulty_schema::FaultySchema;

use crate::world::{engine, without_limits};

const BODY_LIMIT: usize = 4096;

fn http_settings() -> HttpSettings {
    HttpSettings {
        listen: "127.0.0.1:0".parse().unwrap(),
        graphiql: false,
        example: false,
        image_origins: AllowedOrigins::default(),
        body_limit_bytes: BODY_LIMIT,
        body_timeout_ms: 10_000,
        bodies_limit_bytes: 1 << 20,
        cors_origins: AllowedOrigins::default(),
        compression: true,
        ws_init_timeout_ms: 5_000,
        stream_ping_ms: 15_000,
        subscriptions_per_connection_max: 3,
        draft_status_codes: false,
    }
}

fn server_settings() -> ServerSettings {
    ServerSettings {
        connections_max: 64,
        head_limit_bytes: 16 << 10,
        head_timeout_ms: 10_000,
        idle_timeout_ms: 60_000,
        write_timeout_ms: 30_000,
        drain_ms: 0,
        shutdown_ms: 10_000,
    }
}

fn edge(callers: Authenticator) -> Router {
    edge_with_settings(callers, http_settings())
}

fn edge_with_settings(callers: Authenticator, settings: HttpSettings) -> Router {
    router(EdgeParts {
        operations: operations(FaultySchema::new()),
        callers,
        webhooks: Webhooks::none(),
        settings,
    })
}

fn edge_with_schema(callers: Authenticator, faulty: FaultySchema) -> Router {
    edge_with_operations(callers, operations(faulty))
}

fn edge_with_operations(callers: Authenticator, operations: OperationEngine) -> Router {
    router(EdgeParts { operations, callers, webhooks: Webhooks::none(), settings: http_settings() })
}

fn operations(faulty: FaultySchema) -> OperationEngine {
    engine(faulty, &Shares::of(1 << 20), Clock::system(), without_limits())
}

fn default_callers() -> Authenticator {
    Authenticator::Open(Tenant {
        leadlex: Credential::new("wbk_default").ok(),
        composio: Credential::new("ak_default").ok(),
    })
}

/// A complete response.
#[derive(Debug)]
struct TestResponse {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

impl TestResponse {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The message of the only error.
    fn message(&self) -> String {
        let answer = self.json();
        assert_eq!(answer["errors"].as_array().map(Vec::len), Some(1), "{answer}");
        answer["errors"][0]["message"].as_str().unwrap().to_owned()
    }

    fn code(&self) -> String {
        self.json()["errors"][0]["extensions"]["code"].as_str().unwrap().to_owned()
    }
}

async fn send(router: Router, request: Request<Body>) -> TestResponse {
    let (head, body) = router.oneshot(request).await.unwrap().into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    TestResponse {
        status: head.status,
        headers: head.headers,
        text: String::from_utf8(bytes.to_vec()).unwrap(),
    }
}

/// A POST as Relay and GraphiQL send it. Tests override the headers that they are about.
fn post(body: impl Into<Body>) -> Request<Body> {
    Request::post("/graphql")
        .header("host", "localhost:8080")
        .header("content-type", "application/json")
        .header("accept", "application/graphql-response+json")
        .body(body.into())
        .unwrap()
}

fn get(path_and_query: &str) -> Request<Body> {
    let accept = "application/graphql-response+json";
    let request = Request::get(path_and_query).header("host", "localhost:8080").header("accept", accept);
    request.body(Body::empty()).unwrap()
}

fn with_header(mut request: Request<Body>, name: &'static str, value: &str) -> Request<Body> {
    request.headers_mut().insert(name, value.parse().unwrap());
    request
}

async fn query(document: &str) -> TestResponse {
    send(edge(default_callers()), post(json!({ "query": document }).to_string())).await
}

async fn query_with(document: &str, variables: Value) -> TestResponse {
    send(edge(default_callers()), post(json!({ "query": document, "variables": variables }).to_string()))
        .await
}
