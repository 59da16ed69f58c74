//! One subscription's life, the same for every transport that streams.
//!
//! It is judged as any operation, once, and asked whether it can be listened with at all. Then each change is an execution by
//! itself (specification, 6.2.3), with a price, a place and a deadline of its own: one answer where the change is for this
//! caller, none where it is not. Who may see what is decided for every change anew, by the same loaders as for queries.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use apollo_compiler::ast::OperationType;
use async_graphql::{Request, Variables};
use futures_util::future::FutureExt as _;

use super::codes::Code;
use super::deadline::Deadline;
use super::document::ValidationResult;
use super::errors::GraphqlError;
use super::persisted::ResolvedDocument;
use super::request::OperationRequest;
use super::{Extensions, Kinds, OperationEngine, OperationResponse, Outcome, Prepared, TransportRules};
use crate::domain::caller::Caller;
use crate::graphql::subscription::Event;
use crate::loaders::stats::Ledger;
use crate::loaders::watch::WatchError;
use crate::loaders::watch::feed::{Heard, Listener, Position};
use crate::loaders::watch::{AccountChange, ProviderChange};
use crate::telemetry::requests::{Listening, Operation, Transport};
use crate::telemetry::traces::Origin;

/// What a transport that streams gets for a request.
pub enum OperationOutput {
    /// A query or a mutation, which is answered once, or a subscription that was refused.
    Response(OperationResponse),
    /// A subscription.
    Subscription(Box<Subscription>),
}

/// A subscription under way.
pub struct Subscription {
    operations: OperationEngine,
    document: Arc<ValidationResult>,
    text: Box<str>,
    operation_name: Option<String>,
    variables: Variables,
    operation: Arc<Operation>,
    caller: Caller,
    source: EventSource,
    origin: Origin,
    has_ended: bool,
}

/// What it listens to.
pub enum EventSource {
    /// Changes of integrations.
    Providers(Listener<ProviderChange>),
    /// Changes of accounts.
    Accounts(Listener<AccountChange>),
}

/// One answer of a subscription.
#[derive(Debug, Clone)]
pub struct SubscriptionEvent {
    /// The answer.
    pub answer: OperationResponse,
    /// Where the subscription stands now: whoever comes back with it hears what it missed.
    pub position: String,
}

impl OperationEngine {
    /// Begins an operation of any kind for a transport that streams. `after` is the position that a subscriber comes back
    /// with; it may be in the request's extensions as well, as `{"switchboard": {"after": "…"}}`.
    pub async fn open(
        &self,
        mut request: OperationRequest,
        rules: TransportRules,
        caller: Caller,
        after: Option<&str>,
    ) -> OperationOutput {
        let meant = match self.persisted.text(&mut request, &caller.tenant) {
            Ok(meant) => meant,
            Err(refused) => {
                return OperationOutput::Response(OperationResponse::failed(Outcome::Refused, &[*refused]));
            }
        };
        if !self.is_subscription(&meant, &request) {
            return OperationOutput::Response(self.run_meant(meant, request, rules, caller).await.told());
        }
        self.tell_trace(&meant, &request);
        match self.subscribe(&meant, &request, caller, after).await {
            Ok(subscription) => OperationOutput::Subscription(Box::new(subscription)),
            Err(refused) => OperationOutput::Response(refused.told()),
        }
    }

    fn is_subscription(&self, meant: &ResolvedDocument, request: &OperationRequest) -> bool {
        let verdict = self.documents.judge(&meant.text);
        let operation = verdict
            .as_ref()
            .as_ref()
            .ok()
            .and_then(|it| it.operation(request.operation_name.as_deref()).ok());
        operation.is_some_and(|operation| operation.operation_type == OperationType::Subscription)
    }

    async fn subscribe(
        &self,
        meant: &ResolvedDocument,
        request: &OperationRequest,
        caller: Caller,
        after: Option<&str>,
    ) -> Result<Subscription, OperationResponse> {
        let Prepared { request: judged, document, operation, .. } =
            self.prepare(meant, request, Kinds::Subscriptions)?;
        let refused = |error: &GraphqlError| {
            OperationResponse::failed(Outcome::Refused, std::slice::from_ref(error)).of(&operation)
        };
        let after = after.or_else(|| request.resumes_after()).map(str::parse::<Position>).transpose();
        let after = after.map_err(|error| refused(&GraphqlError::of_watch(&error)))?;
        let field = document.as_ref().as_ref().ok().and_then(|document| {
            let operation = document.operation(request.operation_name.as_deref()).ok()?;
            let field = operation.root_fields(document.judged()).next()?;
            Some(field.name.clone())
        });
        let source = self.executor.listen(field.as_deref().unwrap_or_default(), &caller, after);
        let source = source.map_err(|error| refused(&GraphqlError::of_watch(&error)))?;
        let subscription = Subscription {
            operations: self.clone(),
            document,
            text: (*meant.text).into(),
            operation_name: judged.operation_name,
            variables: judged.variables,
            operation: Arc::clone(&operation),
            caller,
            source,
            origin: Origin::here(),
            has_ended: false,
        };
        match subscription.answer(Event::None).await {
            Some(answer) => Err(answer.of(&operation)),
            None => Ok(subscription),
        }
    }
}

impl Subscription {
    /// The next answer; `None` where none will follow.
    pub async fn next(&mut self) -> Option<SubscriptionEvent> {
        if self.has_ended {
            return None;
        }
        loop {
            let heard = match &mut self.source {
                EventSource::Providers(listener) => heard(listener.next().await, Event::Provider),
                EventSource::Accounts(listener) => heard(listener.next().await, Event::Account),
            };
            let answer = match heard {
                Ok(event) => self.answer_traced(event).await,
                Err(error) => {
                    self.has_ended = true;
                    Some(OperationResponse::failed(Outcome::Executed { whole: false }, &[*error]))
                }
            };
            if let Some(answer) = answer {
                return Some(SubscriptionEvent { answer, position: self.position() });
            }
        }
    }

    /// Which operation it is.
    pub(super) fn operation(&self) -> &Arc<Operation> {
        &self.operation
    }

    /// What it is listened to by, for as long as that is kept.
    #[must_use]
    pub fn listening(&self, transport: Transport) -> Listening {
        let requests = Arc::clone(self.operations.metrics.requests());
        Listening::begin(requests, Arc::clone(&self.operation), transport)
    }

    /// Whether what was told last is that nothing will follow.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Where it stands: behind all that it has heard.
    #[must_use]
    pub fn position(&self) -> String {
        match &self.source {
            EventSource::Providers(listener) => listener.position().to_string(),
            EventSource::Accounts(listener) => listener.position().to_string(),
        }
    }

    /// The same as [`Self::answer`], in a trace of its own.
    async fn answer_traced(&self, event: Event) -> Option<OperationResponse> {
        let span = self.origin.event(self.operation_name.as_deref());
        let answer = span.around(self.answer(event)).await;
        if let Some(fact) = answer.as_ref().and_then(OperationResponse::failure) {
            span.note(fact);
        }
        answer
    }

    /// The answer to one event, where it is one for this caller.
    async fn answer(&self, event: Event) -> Option<OperationResponse> {
        let admission = self.operations.admission.as_deref();
        let deadline = Deadline::after(admission.map(|admission| admission.operation_timeout()));
        let Some(admission) = admission else {
            return self.execute(event, deadline).await;
        };
        let mut request = Request::new("").variables(self.variables.clone());
        request.operation_name.clone_from(&self.operation_name);
        let (document, operation) = (Arc::clone(&self.document), Arc::clone(&self.operation));
        let priced = Prepared { request, may_be_shared: false, document, operation };
        let price = match admission.judge_prepared(&priced) {
            Ok(price) => price,
            Err(errors) => return Some(OperationResponse::failed(Outcome::Refused, &errors)),
        };
        let running = async {
            match admission.enter(price).await {
                Ok(_place) => self.execute(event, deadline).await,
                Err(overloaded) => Some(OperationResponse::failed(Outcome::Overloaded, &[overloaded])),
            }
        };
        admission
            .in_time(deadline, running)
            .await
            .unwrap_or_else(|late| Some(OperationResponse::ended(&[late])))
    }

    async fn execute(&self, event: Event, deadline: Deadline) -> Option<OperationResponse> {
        let mut request = Request::new(&*self.text).variables(self.variables.clone());
        request.operation_name.clone_from(&self.operation_name);
        if let Ok(document) = self.document.as_ref() {
            request.set_parsed_query(document.executable());
        }
        let (ledger, view) = (Arc::new(Ledger::begin(false, deadline.waits)), self.caller.view());
        let executed =
            self.operations.executor.execute_event(request, self.caller.clone(), Arc::clone(&ledger), event);
        match AssertUnwindSafe(executed).catch_unwind().await {
            Ok(None) => None,
            Ok(Some(response)) => {
                let extensions = Extensions::of_event(&ledger, &view, self.position());
                Some(OperationResponse::executed(&response.data, response.errors, Some(extensions)))
            }
            Err(_) => Some(OperationResponse::crashed()),
        }
    }
}

fn heard<E>(heard: Heard<E>, event: impl FnOnce(Arc<E>) -> Event) -> Result<Event, Box<GraphqlError>> {
    match heard {
        Heard::Change(change, _) => Ok(event(change)),
        Heard::TooSlow => Err(Box::new(GraphqlError::new(
            Code::Overloaded,
            "Changes came faster than they were taken, and some were missed: read what there is now, and subscribe anew.",
        ))),
        Heard::Ended(error) => Err(Box::new(GraphqlError::of_upstream(&error))),
    }
}

impl GraphqlError {
    fn of_watch(error: &WatchError) -> Self {
        match error {
            WatchError::Upstream(failed) => Self::of_upstream(failed),
            WatchError::PositionGone => Self::new(
                Code::BadUserInput,
                "What came after this position is not known any more: read what there is now, and subscribe anew.",
            )
            .because("BAD_POSITION"),
            WatchError::TooMany => {
                Self::new(Code::Overloaded, "There are as many subscribers as there may be: come again later.")
            }
        }
    }
}
