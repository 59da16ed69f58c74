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
use crate::http::recorded::Awaited;
use crate::http::telling::{Told, telling};
use crate::http::tenure::Tenure;
use crate::operation::request::OperationRequest;
use crate::operation::subscription::OperationOutput;
use crate::operation::{OperationEngine, TransportRules};
use crate::telemetry::requests::Transport;
use crate::telemetry::traces::Origin;

/// Operations under way.
pub(super) struct Underway {
    saying: SelectAll<BoxStream<'static, (Arc<str>, Said)>>,
    by_id: HashMap<Arc<str>, Running>,
    /// The request that became the WebSocket.
    origin: Origin,
    tenure: Tenure,
}

/// What comes of an operation.
pub(super) enum Said {
    /// It will go on for as long as somebody listens.
    Listens,
    /// It tells something.
    Told(Told),
    /// Nothing follows.
    Done,
}

struct Running {
    end: AbortHandle,
    listens: bool,
    /// Its request's place in the room for bodies.
    _place: OwnedSemaphorePermit,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end.abort();
    }
}

impl Underway {
    /// None yet, over the WebSocket that a request became.
    pub(super) fn of(origin: Origin, tenure: Tenure) -> Self {
        Self { saying: SelectAll::new(), by_id: HashMap::new(), origin, tenure }
    }

    /// Ends all of them.
    pub(super) fn clear(&mut self) {
        self.by_id.clear();
        self.saying.clear();
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
    pub(super) fn are_awaited(&self) -> bool {
        self.by_id.values().any(|running| !running.listens)
    }

    /// Begins one, under an id that is not in use.
    pub(super) fn begin(
        &mut self,
        id: Arc<str>,
        operations: OperationEngine,
        request: OperationRequest,
        caller: Caller,
        place: OwnedSemaphorePermit,
    ) {
        let (span, tenure) = (self.origin.message(), self.tenure.clone());
        let opened = async move {
            let requests = Arc::clone(operations.metrics().requests());
            let awaited = Awaited::begin(requests, None, Transport::WebSocket, tenure);
            let rules = TransportRules { mutations: true };
            let opened = span.around(operations.run_or_subscribe(request, rules, caller, None)).await;
            awaited.is(&opened.record(Transport::WebSocket));
            opened
        };
        let said = opened.into_stream().flat_map(|opened| {
            let listens = matches!(opened, OperationOutput::Subscription(_)).then_some(Said::Listens);
            let done = stream::once(ready(Said::Done));
            stream::iter(listens).chain(telling(opened, Transport::WebSocket).map(Said::Told)).chain(done)
        });
        let name = Arc::clone(&id);
        let (saying, end) = stream::abortable(said.map(move |said| (Arc::clone(&name), said)));
        self.saying.push(saying.boxed());
        self.by_id.insert(id, Running { end, listens: false, _place: place });
    }

    /// What comes next of any of them; none where there are none.
    pub(super) async fn next(&mut self) -> Option<(Arc<str>, Said)> {
        self.saying.next().await
    }

    /// Remembers that one is a subscription.
    pub(super) fn listens(&mut self, id: &str) {
        if let Some(running) = self.by_id.get_mut(id) {
            running.listens = true;
        }
    }

    /// Ends one, if there is such a one, and frees its id. Nothing of it comes any more.
    pub(super) fn end(&mut self, id: &str) {
        self.by_id.remove(id);
    }
}
