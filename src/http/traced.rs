//! The root span of a request.

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;

use super::request_id::X_REQUEST_ID;
use crate::telemetry::traces::{RequestTracer, SpanAttribute};

/// Traces the routes if there is a root. A span ends with the response head, so events of a stream are not part of it.
pub fn traced(routes: Router, root: Option<RequestTracer>) -> Router {
    match root {
        Some(root) => routes.layer(from_fn_with_state(root, follow)),
        None => routes,
    }
}

async fn follow(State(root): State<RequestTracer>, request: Request, next: Next) -> Response {
    // The route's pattern instead of the path, which may contain any text.
    let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let span = root.request(request.method().as_str(), route, request.headers());
    let response = span.instrument(next.run(request)).await;
    let status = response.status();
    span.note(SpanAttribute::Status(status.as_u16()));
    if let Some(id) = response.headers().get(X_REQUEST_ID).and_then(|id| id.to_str().ok()) {
        span.note(SpanAttribute::RequestId(id));
    }
    response
}
