//! The work that is the same for every request of the public listener: its id, log span and record, the check of its
//! host, and common response headers.

use axum::extract::Request;
use axum::http::HeaderValue;
use axum::http::header::{VARY, X_CONTENT_TYPE_OPTIONS};
use axum::response::{IntoResponse as _, Response};
use tracing::Instrument as _;

use super::caller::check_host;
use super::edge::Edge;
use super::request_id::{self, X_REQUEST_ID};
use super::request_recorder::PendingRecord;
use super::routes::{GRAPHQL, WEBHOOK};
use super::shutdown::ShutdownToken;
use crate::telemetry::requests::{Route, Transport};

/// `Vary` of `/graphql`, whose responses depend on the caller and the accepted types. It is set on every response,
/// because a private cache may store some.
const GRAPHQL_VARY: &str = "Authorization, x-api-key, Accept, Accept-Encoding, Origin";

/// Handles one request; `respond` is the handler of its route.
pub(super) async fn handle(
    edge: Edge,
    request: Request,
    respond: impl AsyncFnOnce(Request) -> Response,
) -> Response {
    let id = request_id::of(request.headers());
    let span = request_id::span(&id, request.method());
    let handling = async move {
        let route = match request.uri().path() {
            GRAPHQL => Route::Graphql,
            WEBHOOK => Route::Webhook,
            _ => Route::Other,
        };
        let shutdown = ShutdownToken::from_extensions(request.extensions());
        let requests = edge.operations.metrics().requests();
        let pending = PendingRecord::begin(requests.clone(), Some(route), Transport::Http, shutdown);
        let mut response = match check_host(&edge.callers, &request) {
            Ok(()) => respond(request).await,
            Err(refused) => refused.into_response(),
        };
        let headers = response.headers_mut();
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if route == Route::Graphql {
            headers.insert(VARY, HeaderValue::from_static(GRAPHQL_VARY));
        }
        headers.insert(X_REQUEST_ID, id);
        pending.finish(&mut response);
        response
    };
    handling.instrument(span).await
}
