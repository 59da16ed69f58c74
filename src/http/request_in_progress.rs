//! [`RequestInProgress`]: the work that is the same for every request of the public listener: its id, log scope and
//! record, and common response headers.

use axum::extract::Request;
use axum::http::HeaderValue;
use axum::http::header::{VARY, X_CONTENT_TYPE_OPTIONS};
use axum::response::Response;

use super::edge::Edge;
use super::request_id::{self, X_REQUEST_ID};
use super::request_recorder::PendingRecord;
use super::shutdown::ShutdownToken;
use crate::telemetry::request_scope::RequestScope;
use crate::telemetry::requests::{Route, Transport};

/// Path of the graph.
pub(super) const GRAPHQL: &str = "/graphql";

/// Path of Composio's webhooks.
pub(super) const WEBHOOK: &str = "/webhooks/composio";

/// `Vary` of `/graphql`, whose responses depend on the caller and the accepted types. It is set on every response,
/// because a private cache may store some.
const GRAPHQL_VARY: &str = "Authorization, x-api-key, Accept, Accept-Encoding, Origin";

/// A request that is being handled.
pub(super) struct RequestInProgress {
    scope: RequestScope,
    route: Route,
    /// `None` after the response.
    record: Option<PendingRecord>,
}

impl RequestInProgress {
    pub(super) fn begin(edge: &Edge, request: &Request, shutdown: ShutdownToken) -> Self {
        let id = request_id::of(request.headers());
        let scope = RequestScope { id, method: request.method().clone() };
        let route = match request.uri().path() {
            GRAPHQL => Route::Graphql,
            WEBHOOK => Route::Webhook,
            _ => Route::Other,
        };
        let requests = edge.operations.metrics().requests();
        let record = PendingRecord::begin(requests.clone(), Some(route), Transport::Http, shutdown);
        Self { scope, route, record: Some(record) }
    }

    /// Returns the scope of the request's log lines.
    pub(super) fn scope(&self) -> RequestScope {
        self.scope.clone()
    }

    /// Adds the common headers to the response, and records it.
    pub(super) fn finish(mut self, mut response: Response) -> Response {
        let headers = response.headers_mut();
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if self.route == Route::Graphql {
            headers.insert(VARY, HeaderValue::from_static(GRAPHQL_VARY));
        }
        headers.insert(X_REQUEST_ID, self.scope.id.clone());
        if let Some(record) = self.record.take() {
            self.scope.enter(|| record.finish(&mut response));
        }
        response
    }
}

/// If there is no response, the client has disconnected; the record writes a log line when it is dropped.
impl Drop for RequestInProgress {
    fn drop(&mut self) {
        if let Some(record) = self.record.take() {
            self.scope.enter(|| drop(record));
        }
    }
}
