//! Subscriptions, the same way for every transport that streams.
//!
//! A subscription is validated once. It is executed once without an event, to find out whether it is allowed. Then each
//! change is executed on its own (specification, 6.2.3), with its own cost, permit and deadline, and results in one
//! response if it matches. The feed of the caller's view has only changes that the caller may see.
//!
//! Entry points: [`OperationEngine::run_or_subscribe`] and [`Subscription::next`].

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::future::FutureExt as _;

use super::codes::Code;
use super::deadline::Deadline;
use super::engine::{OperationEngine, complete};
use super::errors::GraphqlError;
use super::executor::EventSource;
use super::prepare::{PreparedOperation, ResolvedOperation, TransportRules};
use super::rate_limits::{CallerLimits, RateLimitStatus};
use super::request::OperationRequest;
use super::response::{OperationResponse, Outcome};
use super::response_body::ResponseExtensions;
use crate::domain::caller::Caller;
use crate::graphql::subscription::Event;
use crate::loaders::stats::OperationStats;
use crate::loaders::watch::feed::{FeedEvent, FeedPosition, SubscribeError};
use crate::telemetry::requests::{self, CountedOperation, OpenSubscription, RequestRecord, Transport};
use crate::telemetry::traces::SpanOrigin;

/// The output of an operation for a transport that streams.
pub enum OperationOutput {
    /// The response of a query, a mutation, or a rejected subscription.
    Response(OperationResponse),
    /// A subscription.
    Subscription(Box<Subscription>),
}

/// A running subscription.
pub struct Subscription {
    engine: OperationEngine,
    prepared: PreparedOperation,
    caller: Caller,
    limits: Option<CallerLimits>,
    source: EventSource,
    trace_origin: SpanOrigin,
    has_ended: bool,
}

/// One response of a subscription.
#[derive(Debug, Clone)]
pub struct SubscriptionEvent {
    /// The response.
    pub response: OperationResponse,
    /// The position of the subscription. A client that resumes from it receives the events that it missed.
    pub position: String,
}

impl OperationEngine {
    /// Runs an operation of any kind, for a transport that streams. `after` is the position from which a client
    /// resumes; it may also be in the request's extensions, as `{"switchboard": {"after": "…"}}`.
    pub async fn run_or_subscribe(
        &self,
        request: OperationRequest,
        rules: TransportRules,
        caller: Caller,
        after: Option<&str>,
    ) -> OperationOutput {
        let limits = self.limits_of(&caller);
        let refused = |response, limits| OperationOutput::Response(complete(response, limits));
        let pending = match self.begin(request, &caller, limits.as_ref()) {
            Ok(pending) => pending,
            Err(response) => return refused(response, limits.as_ref()),
        };
        match self.preparer.resolve(&pending) {
            Ok(resolved) if resolved.is_subscription() => {
                resolved.record_in_trace();
                // Boxed, as executions are.
                let subscription = self.subscribe(resolved, &pending.request, caller, limits.as_ref(), after);
                match Box::pin(subscription).await {
                    Ok(subscription) => OperationOutput::Subscription(Box::new(subscription)),
                    Err(response) => refused(response, limits.as_ref()),
                }
            }
            _ => OperationOutput::Response(self.run_pending(pending, rules, caller, limits).await),
        }
    }

    async fn subscribe(
        &self,
        resolved: &ResolvedOperation,
        request: &OperationRequest,
        caller: Caller,
        limits: Option<&CallerLimits>,
        after: Option<&str>,
    ) -> Result<Subscription, OperationResponse> {
        let prepared = self.preparer.prepare(resolved, request)?;
        if let Some(limits) = limits {
            self.charge_execution(&prepared, limits)?;
        }
        let refused = |error: SubscribeError| resolved.refused(&[GraphqlError::from_watch(&error)]);
        let after = after.or_else(|| request.resumes_after()).map(str::parse::<FeedPosition>).transpose();
        // A subscription has exactly one root field (specification, 5.2.4.1).
        let field = resolved.operation.root_fields(&resolved.document.validated).next();
        let field = field.map_or("", |field| field.name.as_str());
        let source =
            after.and_then(|after| self.executor.subscribe(field, &caller, after)).map_err(refused)?;
        let trace_origin = SpanOrigin::current();
        let (engine, limits) = (self.clone(), limits.cloned());
        let subscription =
            Subscription { engine, prepared, caller, limits, source, trace_origin, has_ended: false };
        match subscription.response(Event::None).await {
            Some(response) => Err(response.with_operation(&resolved.counted)),
            None => Ok(subscription),
        }
    }
}

impl OperationOutput {
    /// Returns the record for the request log and metrics: of the response, or of the start of the subscription.
    #[must_use]
    pub fn record(&self, transport: Transport) -> RequestRecord {
        match self {
            Self::Response(response) => response.record(transport),
            Self::Subscription(subscription) => subscription.record(transport),
        }
    }
}

impl Subscription {
    /// Returns the next response, or `None` after the last one.
    pub async fn next(&mut self) -> Option<SubscriptionEvent> {
        if self.has_ended {
            return None;
        }
        loop {
            let received = match &mut self.source {
                EventSource::Providers(listener) => event_of(listener.next().await, Event::Provider),
                EventSource::Accounts(listener) => event_of(listener.next().await, Event::Account),
            };
            let response = match received {
                Ok(event) => self.response_traced(event).await,
                Err(error) => {
                    self.has_ended = true;
                    Some(OperationResponse::failed(Outcome::Executed { whole: false }, &[*error]))
                }
            };
            if let Some(response) = response {
                return Some(SubscriptionEvent { response, position: self.position() });
            }
        }
    }

    /// Returns the state of the caller's limits over time; `None` if it has none.
    #[must_use]
    pub fn rate_limit(&self) -> Option<RateLimitStatus> {
        self.limits.as_ref().map(CallerLimits::status)
    }

    /// Returns the subscription's operation.
    fn operation(&self) -> &Arc<CountedOperation> {
        &self.prepared.resolved.counted
    }

    /// Returns the record of its start, for the request log and metrics.
    #[must_use]
    pub fn record(&self, transport: Transport) -> RequestRecord {
        let operation = Some(Arc::clone(self.operation()));
        RequestRecord { operation, ..RequestRecord::of(transport, requests::Outcome::Ok) }
    }

    /// Registers the subscription in the metrics until the returned guard is dropped.
    #[must_use]
    pub(crate) fn open_subscription(&self, transport: Transport) -> OpenSubscription {
        self.engine.metrics().requests().open_subscription(Arc::clone(self.operation()), transport)
    }

    /// Whether the last response ended the subscription.
    pub(crate) fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Returns the current position, after all received events.
    #[must_use]
    pub fn position(&self) -> String {
        match &self.source {
            EventSource::Providers(listener) => listener.position().to_string(),
            EventSource::Accounts(listener) => listener.position().to_string(),
        }
    }

    /// Runs [`Self::response`] in its own trace.
    async fn response_traced(&self, event: Event) -> Option<OperationResponse> {
        let span =
            self.trace_origin.event(self.prepared.resolved.operation.name.as_ref().map(|name| name.as_str()));
        let response = span.instrument(self.response(event)).await;
        if let Some(attribute) = response.as_ref().and_then(OperationResponse::failure) {
            span.note(attribute);
        }
        response
    }

    /// Returns the response to one event, or `None` if the event does not match for this caller.
    async fn response(&self, event: Event) -> Option<OperationResponse> {
        let admission = &self.engine.admission;
        let deadline = admission.deadline();
        let cost = match admission.check(&self.prepared) {
            Ok(cost) => cost,
            Err(errors) => return Some(OperationResponse::failed(Outcome::Refused, &errors)),
        };
        // The start was counted with its request.
        if let (Some(limits), false) = (&self.limits, matches!(event, Event::None)) {
            limits.count_event(cost);
        }
        admission.run(cost, deadline, self.execute(event, deadline).boxed()).await.unwrap_or_else(Some)
    }

    async fn execute(&self, event: Event, deadline: Deadline) -> Option<OperationResponse> {
        let request = self.prepared.clone().into_request();
        let response_bytes = self.engine.admission.response_bytes();
        let stats = OperationStats::new(false, deadline.waits_end).with_response_bytes(response_bytes);
        let (stats, view) = (Arc::new(stats), self.caller.view());
        let _charge = self.limits.as_ref().map(|limits| limits.counting_calls(Arc::clone(&stats)));
        let executed =
            self.engine.executor.execute_event(request, self.caller.clone(), Arc::clone(&stats), event);
        match AssertUnwindSafe(executed).catch_unwind().await {
            Ok(None) => None,
            Ok(Some(response)) => {
                let extensions = ResponseExtensions::of_event(&stats, &view, self.position());
                let (data, on_error) = (response.data, self.prepared.on_error);
                Some(OperationResponse::executed(&data, response.errors, on_error, Some(extensions)))
            }
            Err(_) => Some(OperationResponse::crashed()),
        }
    }
}

fn event_of<E>(
    feed_event: FeedEvent<E>,
    event: impl FnOnce(Arc<E>) -> Event,
) -> Result<Event, Box<GraphqlError>> {
    match feed_event {
        FeedEvent::Change(change) => Ok(event(change)),
        FeedEvent::TooSlow => Err(Box::new(GraphqlError::new(
            Code::Overloaded,
            "Changes arrived faster than the client read them, and some were lost. Query the current state and subscribe again.",
        ))),
        FeedEvent::Ended(error) => Err(Box::new(GraphqlError::from_upstream(&error))),
    }
}

impl GraphqlError {
    fn from_watch(error: &SubscribeError) -> Self {
        match error {
            SubscribeError::Upstream(failed) => Self::from_upstream(failed),
            SubscribeError::PositionGone => Self::new(
                Code::BadUserInput,
                "The position is too old or unknown, so changes may be missing. Query the current state and subscribe again.",
            )
            .with_reason("BAD_POSITION"),
            SubscribeError::TooMany => {
                Self::new(Code::Overloaded, "The limit of subscribers is reached. Try again later.")
            }
        }
    }
}
