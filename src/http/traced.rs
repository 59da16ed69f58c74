//! A request's span, around all that the public listener answers.

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;

use super::request_id::X_REQUEST_ID;
use crate::telemetry::traces::{Fact, Root};

/// The same routes, traced where that is wanted; else they are as they were. What goes on behind an answer's head, as an event
/// stream does, is no part of its request.
pub fn traced(routes: Router, root: Option<Root>) -> Router {
    match root {
        Some(root) => routes.layer(from_fn_with_state(root, follow)),
        None => routes,
    }
}

async fn follow(State(root): State<Root>, request: Request, next: Next) -> Response {
    // Never the path itself, which is any text.
    let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let span = root.request(request.method().as_str(), route, request.headers());
    let response = span.around(next.run(request)).await;
    let status = response.status();
    span.note(Fact::Status(status.as_u16()));
    if let Some(id) = response.headers().get(X_REQUEST_ID).and_then(|id| id.to_str().ok()) {
        span.note(Fact::RequestId(id));
    }
    response
}
