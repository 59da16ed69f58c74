//! What every request passes, whichever upstream it is for: it is recorded, delayed, made to fail, and its answer labelled.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{Method, StatusCode};

use super::recording::RecordedRequest;
use super::{EmulatedUpstream, Sandbox, composio, leadlex, spoil};

/// In bytes. No read has a body, and each is recorded; a larger one is refused.
const BODY_MOST: usize = 16 << 10;

/// The way in to one upstream.
#[derive(Clone)]
pub(super) struct Door {
    pub(super) sandbox: Sandbox,
    pub(super) upstream: EmulatedUpstream,
}

pub(super) async fn pass(State(door): State<Door>, request: Request, next: Next) -> Response {
    let Door { sandbox, upstream } = door;
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, BODY_MOST).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    sandbox.inner.recording.add(RecordedRequest {
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

    let fault = match sandbox.inner.faults.due(upstream, &parts.headers, parts.method != Method::GET) {
        Ok(fault) => fault.unwrap_or_default(),
        Err(bad) => return (StatusCode::BAD_REQUEST, bad.to_string()).into_response(),
    };
    let delay = sandbox.inner.settings.latency_ms.saturating_add(fault.latency_ms);
    if delay > 0 {
        tokio::time::sleep(Duration::from_millis(delay)).await;
    }

    let asked = parts.headers.clone();
    let mut answer = match fault.refusal() {
        Some(status) => spoil::failure(upstream, status, &sandbox.next_id()),
        None => next.run(Request::from_parts(parts, Body::from(body))).await,
    };
    if fault.late_ms > 0 {
        tokio::time::sleep(Duration::from_millis(fault.late_ms)).await;
    }
    if sandbox.drifts() {
        answer = spoil::drifted(upstream, answer).await;
    }
    let mut answer = spoil::spoil(&fault, answer).await;
    match upstream {
        EmulatedUpstream::Leadlex => leadlex::label(&sandbox, &asked, answer.headers_mut()),
        EmulatedUpstream::Composio => composio::label(&sandbox, &asked, answer.headers_mut()),
    }
    answer
}
