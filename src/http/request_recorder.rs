//! Each request of the public listener is recorded once: counted, and written as a line.
//!
//! What answers a request leaves a record with its response; here it gets the status and the time, which only the outermost place
//! knows. A request whose client hangs up, or that is cut off at the server's end, has neither, and is recorded as it is dropped; what it
//! cost is known to what it began, which may go on for others, and not here. (A record that handlers write into on the
//! way, the rejected choice, has to be passed to all of them, and to those that refuse before there is a handler.)

use std::sync::Arc;

use axum::body::HttpBody as _;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::Response;
use tokio::time::Instant;

use super::shutdown::ShutdownToken;
use crate::telemetry::requests::{Outcome, RequestRecord, Requests, Route, Transport};

/// Records a request and its answer.
pub(crate) async fn record(State(requests): State<Arc<Requests>>, request: Request, next: Next) -> Response {
    let route = match request.uri().path() {
        "/graphql" => Route::Graphql,
        "/webhooks/composio" => Route::Webhook,
        _ => Route::Other,
    };
    let shutdown = ShutdownToken::from_extensions(request.extensions());
    let pending = PendingRecord::begin(requests, Some(route), Transport::Http, shutdown);
    let mut response = next.run(request).await;
    pending.finish(&mut response);
    response
}

/// Something that an answer is waited for; where it is dropped before that, nobody waits any more.
pub(crate) struct PendingRecord {
    requests: Arc<Requests>,
    /// None where it is no request by itself.
    route: Option<Route>,
    transport: Transport,
    shutdown: ShutdownToken,
    began: Instant,
    is_finished: bool,
}

impl PendingRecord {
    /// From now on, by a connection that may come to its end before.
    pub(crate) fn begin(
        requests: Arc<Requests>,
        route: Option<Route>,
        transport: Transport,
        shutdown: ShutdownToken,
    ) -> Self {
        Self { requests, route, transport, shutdown, began: Instant::now(), is_finished: false }
    }

    /// There is an answer to an operation that is no request by itself.
    pub(crate) fn finish_operation(mut self, record: &RequestRecord) {
        self.is_finished = true;
        self.requests.operation_ended(record, self.began.elapsed());
    }

    fn finish(mut self, response: &mut Response) {
        self.is_finished = true;
        let (status, took) = (response.status(), self.began.elapsed());
        let record_of_handler = response.extensions_mut().remove::<RequestRecord>();
        let route = match self.route {
            // Pages and what they are made of, which are many paths, are what is there.
            Some(Route::Other) if status != StatusCode::NOT_FOUND => Route::Page,
            route => route.unwrap_or(Route::Other),
        };
        if let Some(record) = record_of_handler.as_ref().filter(|_| route == Route::Graphql) {
            self.requests.operation_ended(record, took);
        }
        let record = record_of_handler.unwrap_or_else(|| RequestRecord {
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

/// Of an answer that leaves no record.
fn outcome(status: StatusCode) -> Outcome {
    match status.as_u16() {
        503 => Outcome::Overloaded,
        500.. => Outcome::Crashed,
        400.. => Outcome::Refused,
        _ => Outcome::Ok,
    }
}
