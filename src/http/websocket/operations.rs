//! The running operations of one WebSocket, by the client's ids.
//!
//! They run inside the connection's own task. An event is polled only when the socket can send it, so nothing is
//! buffered here, and everything ends with the connection. Rejected: a task for each operation, which would need a
//! queue to the socket.

use std::collections::HashMap;
use std::future::ready;
use std::sync::Arc;

use futures_util::future::FutureExt as _;
use futures_util::stream::{self, AbortHandle, BoxStream, SelectAll, StreamExt as _};
use tokio::sync::OwnedSemaphorePermit;

use crate::domain::caller::Caller;
use crate::http::request_recorder::PendingRecord;
use crate::http::response_stream::{ResponseEvent, response_events};
use crate::http::shutdown::ShutdownToken;
use crate::operation::request::OperationRequest;
use crate::operation::subscription::OperationOutput;
use crate::operation::{OperationEngine, TransportRules};
use crate::telemetry::requests::{CallerName, RequestRecord, Transport};
use crate::telemetry::traces::SpanOrigin;

/// The running operations.
pub(super) struct ActiveOperations {
    events: SelectAll<BoxStream<'static, (Arc<str>, OperationEvent)>>,
    by_id: HashMap<Arc<str>, ActiveOperation>,
    /// The upgrade request, as the parent of spans.
    origin: SpanOrigin,
    shutdown: ShutdownToken,
}

/// An event of an operation.
pub(super) enum OperationEvent {
    /// The operation is a subscription.
    Subscribed,
    /// A response.
    Response(ResponseEvent),
    /// The operation is complete.
    Complete,
}

struct ActiveOperation {
    abort: AbortHandle,
    is_subscription: bool,
    /// The request's share of the body budget.
    _permit: OwnedSemaphorePermit,
}

impl Drop for ActiveOperation {
    fn drop(&mut self) {
        self.abort.abort();
    }
}

impl ActiveOperations {
    /// Creates the set without operations.
    pub(super) fn new(origin: SpanOrigin, shutdown: ShutdownToken) -> Self {
        Self { events: SelectAll::new(), by_id: HashMap::new(), origin, shutdown }
    }

    /// Ends all operations.
    pub(super) fn clear(&mut self) {
        self.by_id.clear();
        self.events.clear();
    }

    /// Whether an id is in use.
    pub(super) fn has(&self, id: &str) -> bool {
        self.by_id.contains_key(id)
    }

    /// Returns the number of operations.
    pub(super) fn count(&self) -> usize {
        self.by_id.len()
    }

    /// Whether a query or mutation has no response yet. Shutdown waits for these, but not for subscriptions, which have
    /// no end.
    pub(super) fn has_pending_responses(&self) -> bool {
        self.by_id.values().any(|operation| !operation.is_subscription)
    }

    /// Starts an operation under an unused id.
    pub(super) fn begin(
        &mut self,
        id: Arc<str>,
        operations: OperationEngine,
        request: OperationRequest,
        (caller, name): (Caller, Option<CallerName>),
        permit: OwnedSemaphorePermit,
    ) {
        let (span, shutdown) = (self.origin.message(), self.shutdown.clone());
        let output = async move {
            let requests = Arc::clone(operations.metrics().requests());
            let record = PendingRecord::begin(requests, None, Transport::WebSocket, shutdown);
            let rules = TransportRules { mutations: true };
            let output = span.instrument(operations.run_or_subscribe(request, rules, caller, None)).await;
            record.finish_operation(&RequestRecord { caller: name, ..output.record(Transport::WebSocket) });
            output
        };
        let events = output.into_stream().flat_map(|output| {
            let subscribed =
                matches!(output, OperationOutput::Subscription(_)).then_some(OperationEvent::Subscribed);
            let complete = stream::once(ready(OperationEvent::Complete));
            stream::iter(subscribed)
                .chain(response_events(output, Transport::WebSocket).map(OperationEvent::Response))
                .chain(complete)
        });
        let name = Arc::clone(&id);
        let (events, abort) = stream::abortable(events.map(move |event| (Arc::clone(&name), event)));
        self.events.push(events.boxed());
        self.by_id.insert(id, ActiveOperation { abort, is_subscription: false, _permit: permit });
    }

    /// Returns the next event of any operation; `None` if there are no operations.
    pub(super) async fn next(&mut self) -> Option<(Arc<str>, OperationEvent)> {
        self.events.next().await
    }

    /// Marks an operation as a subscription.
    pub(super) fn mark_subscription(&mut self, id: &str) {
        if let Some(operation) = self.by_id.get_mut(id) {
            operation.is_subscription = true;
        }
    }

    /// Ends an operation, if it exists, and frees its id. It has no further events.
    pub(super) fn end(&mut self, id: &str) {
        self.by_id.remove(id);
    }
}
