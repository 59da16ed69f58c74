//! Applies faults and schema drift to responses.

use axum::body::{Body, Bytes};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, LOCATION, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use serde_json::{Value, json};

use super::faults::{Fault, FaultBody};
use super::{CANARY, EmulatedUpstream, errors, schema_drift};

/// Returns the response of an upstream that fails before it processes a request. Its message contains a canary, because
/// no upstream body may reach a client.
pub(super) fn failure(upstream: EmulatedUpstream, status: StatusCode, request_id: &str) -> Response {
    let message = format!("Emulated failure {CANARY}message");
    let mut response = match upstream {
        EmulatedUpstream::Leadlex => errors::leadlex(status, &message),
        EmulatedUpstream::Composio => {
            errors::composio(status, &message, request_id, &[format!("{CANARY}errors")])
        }
    };
    if status.is_redirection() {
        response.headers_mut().insert(LOCATION, HeaderValue::from_static("http://elsewhere.invalid/"));
    }
    response
}

/// Applies `fault` to `response`.
pub(super) async fn apply(fault: &Fault, mut response: Response) -> Response {
    if let Some(status) = fault.status {
        *response.status_mut() = status;
    }
    if let Some(seconds) = fault.retry_after {
        response.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    match fault.body {
        FaultBody::Unchanged => response,
        FaultBody::Empty => with_body(response, Bytes::new()),
        FaultBody::Garbage => {
            let page = format!("<!DOCTYPE html><html><body><h1>{CANARY}html</h1></body></html>");
            let mut response = with_body(response, page.into());
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
            response
        }
        FaultBody::Documented => {
            let bare = errors::bare(response.status(), 2_000).into_body();
            let bare = axum::body::to_bytes(bare, usize::MAX).await.unwrap_or_default();
            with_body(response, bare)
        }
        FaultBody::Cut => truncate(response).await,
        FaultBody::Size(size) => {
            let (mut response, body) = split(response).await;
            let mut padded = body.to_vec();
            padded.resize(size, b' ');
            *response.body_mut() = padded.into();
            response
        }
        FaultBody::List => change_json(response, |body| *body = json!([body.take()])).await,
        FaultBody::WrongTypes => change_json(response, wrong_types).await,
    }
}

/// Applies schema drift to a response with the status 200.
pub(super) async fn apply_drift(upstream: EmulatedUpstream, response: Response) -> Response {
    if response.status() != StatusCode::OK {
        return response;
    }
    change_json(response, |body| schema_drift::apply(upstream, body)).await
}

/// Returns a response that announces the whole body, sends half of it and breaks off. Without a socket, the body's
/// stream ends with an error.
async fn truncate(response: Response) -> Response {
    let (mut response, body) = split(response).await;
    let promised = body.len().max(2);
    let half = body.slice(..body.len() / 2);
    let broken = stream::once(async {
        // Yield, so that the server can send the first half before the connection breaks.
        tokio::task::yield_now().await;
        Err(std::io::Error::other("cut short"))
    });
    response.headers_mut().insert(CONTENT_LENGTH, promised.into());
    *response.body_mut() = Body::from_stream(stream::iter([Ok(half)]).chain(broken));
    response
}

async fn change_json(response: Response, change: impl FnOnce(&mut Value)) -> Response {
    let (response, body) = split(response).await;
    let Ok(mut json) = serde_json::from_slice(&body) else {
        return with_body(response, body);
    };
    change(&mut json);
    with_body(response, json.to_string().into())
}

/// Returns the response without its body, and the body.
async fn split(response: Response) -> (Response, Bytes) {
    let (parts, body) = response.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
    let mut response = parts.into_response();
    response.headers_mut().remove(CONTENT_LENGTH);
    (response, body)
}

fn with_body(mut response: Response, body: Bytes) -> Response {
    response.headers_mut().remove(CONTENT_LENGTH);
    *response.body_mut() = body.into();
    response
}

fn wrong_types(value: &mut Value) {
    match value {
        Value::Null => {}
        Value::Bool(yes) => *value = json!(yes.to_string()),
        Value::Number(number) => *value = json!(number.to_string()),
        Value::String(text) => *value = json!(text.len()),
        Value::Array(values) => *value = json!(values.len()),
        Value::Object(fields) => fields.values_mut().for_each(wrong_types),
    }
}
