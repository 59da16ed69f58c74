//! The operations of one WebSocket, each under the id that its client gave it.
//!
//! They run inside the connection's own task: what one tells is taken only when the socket has room for it, so nothing is
//! buffered here, and what a connection causes ends with it. Tasks of their own, the rejected choice, need a queue between.

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
use crate::telemetry::requests::Transport;
use crate::telemetry::traces::Origin;

/// Operations under way.
pub(super) struct ActiveOperations {
    events: SelectAll<BoxStream<'static, (Arc<str>, OperationEvent)>>,
    by_id: HashMap<Arc<str>, ActiveOperation>,
    /// The request that became the WebSocket.
    origin: Origin,
    shutdown: ShutdownToken,
}

/// What comes of an operation.
pub(super) enum OperationEvent {
    /// It will go on for as long as somebody listens.
    Subscribed,
    /// It tells something.
    Response(ResponseEvent),
    /// Nothing follows.
    Complete,
}

struct ActiveOperation {
    abort: AbortHandle,
    is_subscription: bool,
    /// Its request's permit in the room for bodies.
    _permit: OwnedSemaphorePermit,
}

impl Drop for ActiveOperation {
    fn drop(&mut self) {
        self.abort.abort();
    }
}

impl ActiveOperations {
    /// None yet, over the WebSocket that a request became.
    pub(super) fn new(origin: Origin, shutdown: ShutdownToken) -> Self {
        Self { events: SelectAll::new(), by_id: HashMap::new(), origin, shutdown }
    }

    /// Ends all of them.
    pub(super) fn clear(&mut self) {
        self.by_id.clear();
        self.events.clear();
    }

    /// Whether an id is in use.
    pub(super) fn has(&self, id: &str) -> bool {
        self.by_id.contains_key(id)
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.by_id.len()
    }

    /// Whether any of them is to be waited for: a subscription is not, as it has no end.
    pub(super) fn has_pending_responses(&self) -> bool {
        self.by_id.values().any(|operation| !operation.is_subscription)
    }

    /// Begins one, under an id that is not in use.
    pub(super) fn begin(
        &mut self,
        id: Arc<str>,
        operations: OperationEngine,
        request: OperationRequest,
        caller: Caller,
        permit: OwnedSemaphorePermit,
    ) {
        let (span, shutdown) = (self.origin.message(), self.shutdown.clone());
        let opened = async move {
            let requests = Arc::clone(operations.metrics().requests());
            let record = PendingRecord::begin(requests, None, Transport::WebSocket, shutdown);
            let rules = TransportRules { mutations: true };
            let opened = span.around(operations.run_or_subscribe(request, rules, caller, None)).await;
            record.finish_operation(&opened.record(Transport::WebSocket));
            opened
        };
        let output = opened.into_stream().flat_map(|opened| {
            let subscribed =
                matches!(opened, OperationOutput::Subscription(_)).then_some(OperationEvent::Subscribed);
            let done = stream::once(ready(OperationEvent::Complete));
            stream::iter(subscribed)
                .chain(response_events(opened, Transport::WebSocket).map(OperationEvent::Response))
                .chain(done)
        });
        let name = Arc::clone(&id);
        let (events, abort) = stream::abortable(output.map(move |event| (Arc::clone(&name), event)));
        self.events.push(events.boxed());
        self.by_id.insert(id, ActiveOperation { abort, is_subscription: false, _permit: permit });
    }

    /// What comes next of any of them; none where there are none.
    pub(super) async fn next(&mut self) -> Option<(Arc<str>, OperationEvent)> {
        self.events.next().await
    }

    /// Remembers that one is a subscription.
    pub(super) fn mark_subscription(&mut self, id: &str) {
        if let Some(operation) = self.by_id.get_mut(id) {
            operation.is_subscription = true;
        }
    }

    /// Ends one, if there is such a one, and frees its id. Nothing of it comes any more.
    pub(super) fn end(&mut self, id: &str) {
        self.by_id.remove(id);
    }
}
