//! Records each request of the public listener once: in the metrics and as a log line.
//!
//! The handler attaches a record to its response. [`super::request_in_progress`] then calls [`PendingRecord::finish`],
//! which adds status and duration. If the client disconnects, or the request is aborted at shutdown, there is neither,
//! and the request is recorded when its future is dropped. Its upstream calls are recorded elsewhere, because other
//! requests may have joined them. Rejected: a record that is passed down and filled in by the handlers. All code that
//! can refuse a request would need it too.

use std::sync::Arc;

use axum::body::HttpBody as _;
use axum::http::StatusCode;
use axum::response::Response;
use tokio::time::Instant;

use super::shutdown::ShutdownToken;
use crate::telemetry::requests::{Outcome, RequestRecord, Requests, Route, Transport};

/// A request or operation without a response so far. If it is dropped, the client has disconnected.
pub(crate) struct PendingRecord {
    requests: Arc<Requests>,
    /// `None` for an operation that is not a request of its own.
    route: Option<Route>,
    transport: Transport,
    shutdown: ShutdownToken,
    began: Instant,
    is_finished: bool,
}

impl PendingRecord {
    /// Starts a record.
    pub(crate) fn begin(
        requests: Arc<Requests>,
        route: Option<Route>,
        transport: Transport,
        shutdown: ShutdownToken,
    ) -> Self {
        Self { requests, route, transport, shutdown, began: Instant::now(), is_finished: false }
    }

    /// Records the response to an operation that is not a request of its own.
    pub(crate) fn finish_operation(mut self, record: &RequestRecord) {
        self.is_finished = true;
        self.requests.operation_ended(record, self.began.elapsed());
    }

    /// Records the response, and removes the handler's record from it.
    pub(super) fn finish(mut self, response: &mut Response) {
        self.is_finished = true;
        let (status, took) = (response.status(), self.began.elapsed());
        let handler_record = response.extensions_mut().remove::<RequestRecord>();
        let route = match self.route {
            // All files of a page count as one route.
            Some(Route::Other) if status != StatusCode::NOT_FOUND => Route::Page,
            route => route.unwrap_or(Route::Other),
        };
        if let Some(record) = handler_record.as_ref().filter(|_| route == Route::Graphql) {
            self.requests.operation_ended(record, took);
        }
        let record = handler_record.unwrap_or_else(|| RequestRecord {
            bytes: response.body().size_hint().exact(),
            ..RequestRecord::of(self.transport, outcome(status))
        });
        self.requests.request_ended(&record, route, Some(status.as_u16()), took);
    }
}

impl Drop for PendingRecord {
    fn drop(&mut self) {
        if self.is_finished {
            return;
        }
        let outcome = if self.shutdown.is_aborted() { Outcome::CutOff } else { Outcome::HungUp };
        let (record, took) = (RequestRecord::of(self.transport, outcome), self.began.elapsed());
        if matches!(self.route, None | Some(Route::Graphql)) {
            self.requests.operation_ended(&record, took);
        }
        if let Some(route) = self.route {
            self.requests.request_ended(&record, route, None, took);
        }
    }
}

/// Returns the outcome of a response without a record.
fn outcome(status: StatusCode) -> Outcome {
    match status.as_u16() {
        503 => Outcome::Overloaded,
        500.. => Outcome::Crashed,
        400.. => Outcome::Refused,
        _ => Outcome::Ok,
    }
}
