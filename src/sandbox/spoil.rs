//! What a fault, or drift, does to an answer.

use axum::body::{Body, Bytes};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, LOCATION, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use serde_json::{Value, json};

use super::faults::{Fault, FaultBody};
use super::{CANARY, EmulatedUpstream, drift, errors};

/// The answer of an upstream that fails before it looks at the question. Its text bears a canary, because nothing of an
/// upstream's body may reach a client.
pub(super) fn failure(upstream: EmulatedUpstream, status: StatusCode, request_id: &str) -> Response {
    let message = format!("Emulated failure {CANARY}message");
    let mut answer = match upstream {
        EmulatedUpstream::Leadlex => errors::leadlex(status, &message),
        EmulatedUpstream::Composio => {
            errors::composio(status, &message, request_id, &[format!("{CANARY}errors")])
        }
    };
    if status.is_redirection() {
        answer.headers_mut().insert(LOCATION, HeaderValue::from_static("http://elsewhere.invalid/"));
    }
    answer
}

/// Applies `fault` to `answer`.
pub(super) async fn spoil(fault: &Fault, mut answer: Response) -> Response {
    if let Some(status) = fault.status {
        *answer.status_mut() = status;
    }
    if let Some(seconds) = fault.retry_after {
        answer.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    match fault.body {
        FaultBody::Right => answer,
        FaultBody::Empty => with_body(answer, Bytes::new()),
        FaultBody::Garbage => {
            let page = format!("<!DOCTYPE html><html><body><h1>{CANARY}html</h1></body></html>");
            let mut answer = with_body(answer, page.into());
            answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
            answer
        }
        FaultBody::Documented => {
            let bare = errors::bare(answer.status(), 2_000).into_body();
            let bare = axum::body::to_bytes(bare, usize::MAX).await.unwrap_or_default();
            with_body(answer, bare)
        }
        FaultBody::Cut => cut(answer).await,
        FaultBody::Size(size) => {
            let (mut answer, body) = taken(answer).await;
            let mut padded = body.to_vec();
            padded.resize(size, b' ');
            *answer.body_mut() = padded.into();
            answer
        }
        FaultBody::List => changed(answer, |body| *body = json!([body.take()])).await,
        FaultBody::WrongTypes => changed(answer, wrong_types).await,
    }
}

/// Lets an answer of 200 drift.
pub(super) async fn drifted(upstream: EmulatedUpstream, answer: Response) -> Response {
    if answer.status() != StatusCode::OK {
        return answer;
    }
    changed(answer, |body| drift::drift(upstream, body)).await
}

/// Promises the whole body, sends half of it, and breaks off. In process the body's stream ends with an error.
async fn cut(answer: Response) -> Response {
    let (mut answer, body) = taken(answer).await;
    let promised = body.len().max(2);
    let half = body.slice(..body.len() / 2);
    let broken = stream::once(async {
        // The server gets a turn to send what it has before the connection breaks.
        tokio::task::yield_now().await;
        Err(std::io::Error::other("cut short"))
    });
    answer.headers_mut().insert(CONTENT_LENGTH, promised.into());
    *answer.body_mut() = Body::from_stream(stream::iter([Ok(half)]).chain(broken));
    answer
}

async fn changed(answer: Response, change: impl FnOnce(&mut Value)) -> Response {
    let (answer, body) = taken(answer).await;
    let Ok(mut json) = serde_json::from_slice(&body) else {
        return with_body(answer, body);
    };
    change(&mut json);
    with_body(answer, json.to_string().into())
}

/// The answer without its body, and the body.
async fn taken(answer: Response) -> (Response, Bytes) {
    let (parts, body) = answer.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
    let mut answer = parts.into_response();
    answer.headers_mut().remove(CONTENT_LENGTH);
    (answer, body)
}

fn with_body(mut answer: Response, body: Bytes) -> Response {
    answer.headers_mut().remove(CONTENT_LENGTH);
    *answer.body_mut() = body.into();
    answer
}

fn wrong_types(value: &mut Value) {
    match value {
        Value::Null => {}
        Value::Bool(yes) => *value = json!(yes.to_string()),
        Value::Number(number) => *value = json!(number.to_string()),
        Value::String(text) => *value = json!(text.len()),
        Value::Array(values) => values.iter_mut().for_each(wrong_types),
        Value::Object(fields) => fields.values_mut().for_each(wrong_types),
    }
}
