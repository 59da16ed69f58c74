//! Middleware of both upstreams: logs the request, delays it, applies faults and adds headers to the response.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, Method, StatusCode};

use super::request_log::RecordedRequest;
use super::{EmulatedUpstream, Sandbox, composio, fault_injection, leadlex};

/// Maximum size of a request body in bytes; larger ones are refused, because each body is logged.
const BODY_BYTES_MAX: usize = 64 << 10;

const UNKNOWN_KEY: &str = "unknown key; send Authorization: Bearer wbk_sandbox_a to LeadLex and x-api-key: ak_sandbox_a to Composio";

/// The state of the middleware of one upstream.
#[derive(Clone)]
pub(super) struct UpstreamMiddleware {
    pub(super) sandbox: Sandbox,
    pub(super) upstream: EmulatedUpstream,
}

pub(super) async fn handle(
    State(middleware): State<UpstreamMiddleware>,
    request: Request,
    next: Next,
) -> Response {
    let UpstreamMiddleware { sandbox, upstream } = middleware;
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, BODY_BYTES_MAX).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    sandbox.inner.request_log.add(RecordedRequest {
        upstream,
        method: parts.method.to_string(),
        target: parts.uri.path_and_query().map(ToString::to_string).unwrap_or_default(),
        headers: parts
            .headers
            .iter()
            .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
            .collect(),
        body: String::from_utf8_lossy(&body).into_owned(),
        time: sandbox.now(),
    });

    let path = parts.uri.path();
    // The only POST that reads.
    let is_write = parts.method != Method::GET && !path.ends_with("/toolkits/multi");
    let fault = match sandbox.inner.faults.fault_for(upstream, &parts.headers, path, is_write) {
        Ok(fault) => fault.unwrap_or_default(),
        Err(bad) => return (StatusCode::BAD_REQUEST, bad.to_string()).into_response(),
    };
    let delay = sandbox.inner.settings.latency_ms.saturating_add(fault.latency_ms);
    if delay > 0 {
        tokio::time::sleep(Duration::from_millis(delay)).await;
    }

    let request_headers = parts.headers.clone();
    let mut response = match fault.refusal() {
        Some(status) => fault_injection::failure(upstream, status, &sandbox.next_id()),
        None => next.run(Request::from_parts(parts, Body::from(body))).await,
    };
    if fault.late_ms > 0 {
        tokio::time::sleep(Duration::from_millis(fault.late_ms)).await;
    }
    if sandbox.is_drifting() {
        response = fault_injection::apply_drift(upstream, response).await;
    }
    let mut response = fault_injection::apply(&fault, response).await;
    if response.status() == StatusCode::UNAUTHORIZED && fault.status.is_none() {
        // A header, because the body must be like the upstream's.
        response.headers_mut().insert("x-sandbox-hint", HeaderValue::from_static(UNKNOWN_KEY));
    }
    match upstream {
        EmulatedUpstream::Leadlex => leadlex::add_headers(&sandbox, &request_headers, response.headers_mut()),
        EmulatedUpstream::Composio => {
            composio::add_headers(&sandbox, &request_headers, response.headers_mut())
        }
    }
    response
}
