//! GraphQL requests over HTTP, sent to the complete router over the sandbox in one process.

use std::time::Duration;

use ::http::{HeaderName, HeaderValue, Method, Request, StatusCode};
use axum::Router;
use axum::body::Body;
use http_body_util::BodyExt;
use serde_json::Value;
use switchboard::http::caller::Authenticator;
use switchboard::http::webhook::Webhooks;
use switchboard::http::{EdgeParts, router};
use switchboard::sandbox::Settings;
use tokio::runtime::Runtime;
use tower::ServiceExt;

use super::paused;
use crate::world::{Setup, World, tenant_a};

/// Longer than any time limit of an operation.
const FOREVER: Duration = Duration::from_secs(600);

/// A line `METHOD query-string`, headers, an empty line, the body.
pub(crate) fn read(bytes: &[u8]) -> Option<Request<Body>> {
    let mut rest = bytes;
    let mut line = || {
        let end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
        let (line, others) = rest.split_at(end);
        rest = others.get(1..).unwrap_or_default();
        line
    };
    let first = std::str::from_utf8(line()).ok()?;
    let (method, query) = first.split_once(' ').unwrap_or((first, ""));
    let mut request = Request::builder()
        .method(Method::from_bytes(method.as_bytes()).ok()?)
        .uri(format!("/graphql?{query}"))
        .body(())
        .ok()?;
    loop {
        let header = line();
        let Some(colon) = header.iter().position(|byte| *byte == b':') else { break };
        let name = HeaderName::from_bytes(&header[..colon]).ok()?;
        let value = HeaderValue::from_bytes(header[colon + 1..].trim_ascii()).ok()?;
        request.headers_mut().append(name, value);
    }
    Some(request.map(|()| Body::from(rest.to_vec())))
}

/// The shipped settings with few accounts, because only the input is fuzzed.
fn product() -> Router {
    let mut setup = Setup::as_shipped();
    setup.sandbox = Settings { accounts: 20, ..Settings::default() };
    let (limits, settings) = (setup.config.limits.clone(), setup.config.http.clone());
    let world = World::new_with(setup).with_limits(limits);
    router(EdgeParts {
        operations: world.operations(),
        callers: Authenticator::Open(tenant_a().tenant),
        webhooks: Webhooks::none(),
        settings,
    })
}

pub(super) fn http(bytes: &[u8]) {
    if let Some(request) = read(bytes) {
        check(request);
    }
}

/// The text of a document: escapes, descriptions, long numbers and unclosed tokens reach both parsers.
pub(super) fn documents(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let body = serde_json::json!({ "query": text }).to_string();
    let request =
        Request::post("/graphql").header("host", "localhost").header("content-type", "application/json");
    check(request.body(Body::from(body)).unwrap());
}

fn check(request: Request<Body>) {
    // Building the product takes a hundred times as long as a request, so each thread reuses it.
    thread_local! {
        static PRODUCT: (Runtime, Router) = {
            let runtime = paused();
            let router = runtime.block_on(async { product() });
            (runtime, router)
        };
    }
    PRODUCT.with(|(runtime, router)| runtime.block_on(check_response(router.clone(), request)));
}

/// Checks the response to a request.
async fn check_response(router: Router, request: Request<Body>) {
    // Responses without a body: HEAD, preflight requests and 304.
    let is_silent = matches!(*request.method(), Method::HEAD | Method::OPTIONS);
    let answer = async {
        let (head, body) = router.oneshot(request).await.unwrap().into_parts();
        (head, body.collect().await.unwrap().to_bytes())
    };
    let (head, body) = tokio::time::timeout(FOREVER, answer).await.expect("it hangs");
    let is_packed = head.headers.contains_key("content-encoding");
    assert!(
        !head.status.is_server_error() || head.status == StatusCode::SERVICE_UNAVAILABLE,
        "{} {body:?}",
        head.status
    );
    if is_silent || is_packed || head.status == StatusCode::NOT_MODIFIED {
        return;
    }
    let json: Value = serde_json::from_slice(&body).unwrap_or_else(|error| panic!("{error}: {body:?}"));
    assert!(json.get("data").is_some() || json.get("errors").is_some(), "{json}");
    for error in json["errors"].as_array().into_iter().flatten() {
        let code = error["extensions"]["code"].as_str().unwrap_or_else(|| panic!("no code: {error}"));
        assert_ne!(code, "INTERNAL", "{json}");
        assert_eq!(head.status == StatusCode::SERVICE_UNAVAILABLE, code == "OVERLOADED", "{json}");
        assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()), "{error}");
    }
}
