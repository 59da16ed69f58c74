//! The root span of a request.

use axum::extract::Request;
use axum::response::Response;

use super::request_id::X_REQUEST_ID;
use crate::telemetry::traces::{RequestTracer, SpanAttribute};

/// Traces a request; `route` is the route's pattern, because the path may contain any text. The span ends with the
/// response head, so events of a stream are not part of it.
pub(super) async fn follow(
    tracer: &RequestTracer,
    route: Option<&str>,
    request: Request,
    respond: impl AsyncFnOnce(Request) -> Response,
) -> Response {
    let span = tracer.request(request.method().as_str(), route, request.headers());
    let response = span.instrument(respond(request)).await;
    let status = response.status();
    span.note(SpanAttribute::Status(status.as_u16()));
    if let Some(id) = response.headers().get(X_REQUEST_ID).and_then(|id| id.to_str().ok()) {
        span.note(SpanAttribute::RequestId(id));
    }
    response
}
