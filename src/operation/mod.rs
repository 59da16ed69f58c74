//! One operation's life, the same for every transport.
//!
//! A decoded request ([`request`]), whose document may be a [`persisted`] one, gets its answer at once where that is among the
//! finished [`answers`]. Any other becomes a judged document ([`document`], within [`bounds`] and [`limits`], each
//! variable in its [`positions`] and each of its [`input_fields`] once, with [`suggestions`] for names that do not exist), an
//! operation of it and coerced [`variables`]; its [`price`] gets it a place ([`admission`]); then it is executed before its
//! [`deadline`], and what failed is masked and merged ([`errors`], under the [`codes`] that clients know). Nothing here knows HTTP: the [`OperationResponse`] says what
//! happened, and the edge makes a status of it, and a record of where it came from ([`origin`]).

mod admission;
mod bounds;
pub mod codes;
mod cost;
mod deadline;
mod document;
pub mod errors;
mod executor;
mod input_fields;
mod limits;
pub mod persisted;
mod positions;
pub mod request;
mod response_cache;
mod response_origin;
pub mod settings;
pub mod subscription;
mod suggestions;
mod trace_attributes;
mod variables;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use apollo_compiler::ast::OperationType;
use async_graphql::{Request, ServerError, Value};
use bytes::Bytes;
use futures_util::future::FutureExt as _;
use serde::Serialize;
use tokio::time::Instant;

pub(crate) use self::admission::OVERLOADED_RETRY_AFTER;
use self::admission::{Admission, ReportedCost};
use self::codes::Code;
use self::cost::CostModel;
use self::deadline::Deadline;
pub use self::document::InvalidSchema;
use self::document::{Documents, ValidationResult};
use self::errors::GraphqlError;
pub use self::executor::Executor;
use self::persisted::trusted::TrustedDocuments;
use self::persisted::{PersistedDocuments, ResolvedDocument};
use self::request::OperationRequest;
use self::response_cache::{EntityTag, ResponseCache, ResponseKey, may_be_shared};
use self::response_origin::ResponseOrigin;
use self::settings::{DocumentSettings, LimitSettings};
use crate::domain::caller::{Caller, Tenant};
use crate::domain::clock::Clock;
use crate::domain::problems::{Problem, ProblemSummary};
use crate::domain::view::View;
use crate::graphql::json::Json;
use crate::loaders::cache::freshness::Freshness;
use crate::loaders::cache::metrics::read_weight;
use crate::loaders::cache::read_through::Got;
use crate::loaders::settings::{ConnectionSettings, ListSettings, Shares};
use crate::loaders::stats::{Ledger, Trace};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::requests::{Made, Operation};

/// What a transport lets an operation do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransportRules {
    /// Whether it may run mutations: not by GET, which anybody may repeat or prefetch.
    pub mutations: bool,
}

/// Which operations are prepared.
#[derive(Debug, Clone, Copy)]
enum Kinds {
    /// Queries, and mutations where the transport runs them.
    AnsweredOnce(TransportRules),
    Subscriptions,
}

/// How an operation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It ran: the answer has `data`, and errors of fields where it is not `whole`.
    Executed {
        /// Whether nothing failed.
        whole: bool,
    },
    /// It was refused before it ran: the answer has errors and no `data`.
    Refused,
    /// It is a mutation, and the transport runs none.
    NotByThisTransport,
    /// There was no place for it; it did not run.
    Overloaded,
    /// This layer failed while it ran.
    Crashed,
}

/// The answer to one operation.
#[derive(Debug, Clone)]
pub struct OperationResponse {
    /// The JSON text of the answer, UTF-8.
    pub body: Bytes,
    /// What the transport has to say of it in its own terms.
    pub outcome: Outcome,
    /// When the upstream was asked for the oldest of its parts; none where nothing had to be read.
    pub read_at: Option<Instant>,
    tag: EntityTag,
    origin: ResponseOrigin,
    /// Whether it lacks something that was not waited for, as the operation's time was up.
    is_late: bool,
}

/// The road of every operation, cheap to clone.
#[derive(Clone)]
pub struct OperationEngine {
    executor: Arc<dyn Executor>,
    documents: Arc<Documents>,
    answers: Arc<ResponseCache>,
    clock: Clock,
    admission: Option<Arc<Admission>>,
    persisted: Arc<PersistedDocuments>,
    metrics: Metrics,
}

/// Up to which weight requests are joined and their answers kept, in bytes. An execution that others may join goes on where
/// its client has hung up, and holds its request meanwhile: that is not to be a way around the room for bodies.
const JOINED_MAX_BYTES: usize = 64 * 1024;

/// An operation that can be run.
struct Prepared {
    request: Request,
    document: Arc<ValidationResult>,
    operation: Arc<Operation>,
    /// Whether its answer may be kept, and given to others who ask for the same.
    may_be_shared: bool,
}

impl OperationEngine {
    /// The operations of one schema, of any price: [`Self::within`] adds limits. What they keep stays within its shares;
    /// `clock` is the one that the executor tells moments by.
    ///
    /// # Errors
    /// Where apollo-compiler cannot read the schema: a fault of this program, told at its start.
    pub fn new(executor: impl Executor, shares: &Shares, clock: Clock) -> Result<Self, InvalidSchema> {
        let operations = Self {
            documents: Arc::new(Documents::new(&executor.sdl(), None, shares.documents)?),
            metrics: executor.metrics(),
            executor: Arc::new(executor),
            answers: Arc::new(ResponseCache::new(shares.answers)),
            clock,
            admission: None,
            persisted: Arc::new(PersistedDocuments::none()),
        };
        Ok(operations.measured())
    }

    /// The same within limits; what lists cost is read off their settings.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn within(
        self,
        limits: LimitSettings,
        connections: ConnectionSettings,
        lists: ListSettings,
    ) -> Result<Self, InvalidSchema> {
        let limit_bytes = self.documents.limit_bytes();
        let documents = Documents::new(&self.executor.sdl(), Some(limits.clone()), limit_bytes)?;
        let prices = CostModel::new(documents.schema(), connections, lists);
        let admission = Some(Arc::new(Admission::new(limits, prices)));
        Ok(Self { documents: Arc::new(documents), admission, ..self }.measured())
    }

    /// The same, whose figures are read by the executor's metrics.
    fn measured(self) -> Self {
        let (answers, documents) = (Arc::clone(&self.answers), Arc::clone(&self.documents));
        self.metrics.read("operations", move |readings| {
            let (weight, limit) = answers.weight_and_limit_bytes();
            read_weight("answers", weight, limit, readings);
            read_weight("documents", documents.weight_bytes(), documents.limit_bytes(), readings);
        });
        self
    }

    /// What measures them.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The same with documents that clients can name. TrustedDocuments ones that are wrong are told to whoever names them, and by
    /// [`Self::broken`].
    #[must_use]
    pub fn naming(self, settings: &DocumentSettings, trusted: Option<TrustedDocuments>) -> Self {
        Self { persisted: Arc::new(PersistedDocuments::new(settings, trusted)), ..self }
    }

    /// The trusted documents that cannot be run, each by its id and with the first reason, in the ids' order.
    #[must_use]
    pub fn broken(&self) -> Vec<(String, String)> {
        let judged =
            self.persisted.trusted().into_iter().flat_map(TrustedDocuments::all).filter_map(|(id, text)| {
                let verdict = self.documents.judge(text);
                let why = verdict.as_ref().as_ref().err()?.first()?.message.clone();
                Some((id.to_owned(), why))
            });
        let mut broken: Vec<_> = judged.collect();
        broken.sort_unstable();
        broken
    }

    /// The same, with the documents that clients left with others.
    #[must_use]
    pub fn succeeding(self, others: &Self) -> Self {
        Self { persisted: Arc::new(self.persisted.keeping(&others.persisted)), ..self }
    }

    /// Lets go of what is kept of documents and answers: others are asked from now on.
    pub fn forget(&self) {
        self.documents.forget();
        self.answers.forget();
    }

    /// Takes word from Composio that a tenant's accounts are not what they were.
    pub fn accounts_changed(&self, tenant: &Tenant) {
        self.executor.accounts_changed(tenant);
    }

    /// The same with another's verdicts on documents, for a test that asks the same of many.
    #[cfg(test)]
    pub(crate) fn judging_as(self, other: &Self) -> Self {
        Self { documents: Arc::clone(&other.documents), ..self }
    }

    /// All finished answers that are kept, each behind its question.
    #[cfg(test)]
    pub(crate) fn dump(&self) -> Vec<(String, Bytes)> {
        self.answers.dump()
    }

    /// Runs one operation to its answer. It never fails: whatever goes wrong is in the answer.
    pub async fn run(
        &self,
        mut request: OperationRequest,
        rules: TransportRules,
        caller: Caller,
    ) -> OperationResponse {
        let meant = match self.persisted.text(&mut request, &caller.tenant) {
            Ok(meant) => meant,
            Err(refused) => return OperationResponse::failed(Outcome::Refused, &[*refused]),
        };
        self.run_meant(meant, request, rules, caller).await.told()
    }

    async fn run_meant(
        &self,
        meant: ResolvedDocument,
        request: OperationRequest,
        rules: TransportRules,
        caller: Caller,
    ) -> OperationResponse {
        self.tell_trace(&meant, &request);
        // ADMINs alone may see what a query costs: what is kept already was asked for by others.
        let is_traced = request.asks_for_trace() && caller.view().is_full();
        let question = if is_traced { None } else { ResponseKey::of(&meant.text, &request, &caller) };
        let question = question.map(Arc::new);
        let deadline =
            Deadline::after(self.admission.as_ref().map(|admission| admission.operation_timeout()));
        loop {
            let finished =
                |question: &Arc<_>| self.answers.look(question, || self.executor.revision(&caller));
            if let Some(finished) = question.as_ref().and_then(finished) {
                self.persisted.keep_right(&meant);
                return finished;
            }
            let prepared = match self.prepare(&meant, &request, Kinds::AnsweredOnce(rules)) {
                Ok(prepared) => prepared,
                Err(refused) => return refused,
            };
            let operation = Arc::clone(&prepared.operation);
            let is_light = |question: &&Arc<ResponseKey>| question.weight_bytes() <= JOINED_MAX_BYTES;
            let shared = question.as_ref().filter(|_| prepared.may_be_shared).filter(is_light);
            let Some(question) = shared.map(Arc::clone) else {
                return self.admit(prepared, caller, is_traced, deadline).await.0.of(&operation);
            };
            let (executor, asker) = (Arc::clone(&self.executor), caller.clone());
            let revision = move || executor.revision(&asker);
            let (operations, asker) = (self.clone(), caller.clone());
            let named = Arc::clone(&operation);
            let execution = async move {
                let (answer, parts) = operations.admit(prepared, asker, false, deadline).await;
                (answer.of(&named), parts)
            };
            let (answer, got) = self.answers.get(question, revision, execution.boxed()).await;
            // Somebody else's time was up, and there is some left here: then what was under way is joined once more.
            if got != Got::Joined || !answer.is_late || deadline.is_over() {
                return answer.of(&operation);
            }
        }
    }

    /// Executes an operation within its limits, where there are any: it can be too dear, find no place, or take too long.
    async fn admit(
        &self,
        prepared: Prepared,
        caller: Caller,
        is_traced: bool,
        deadline: Deadline,
    ) -> (OperationResponse, Option<Freshness>) {
        let Some(admission) = &self.admission else {
            return self.execute(prepared, caller, Ledger::begin(is_traced, deadline.waits), None).await;
        };
        let price = match admission.judge_prepared(&prepared) {
            Ok(price) => price,
            Err(errors) => return (OperationResponse::failed(Outcome::Refused, &errors), None),
        };
        let running = async {
            match admission.enter(price).await {
                Ok(_place) => {
                    let cost = is_traced.then(|| admission.cost(price));
                    self.execute(prepared, caller, Ledger::begin(is_traced, deadline.waits), cost).await
                }
                Err(overloaded) => (OperationResponse::failed(Outcome::Overloaded, &[overloaded]), None),
            }
        };
        match admission.in_time(deadline, running).await {
            Ok(answered) => answered,
            Err(late) => (OperationResponse::ended(&[late]), None),
        }
    }

    /// An operation's answer, and how old the parts are that it is made of.
    async fn execute(
        &self,
        prepared: Prepared,
        caller: Caller,
        ledger: Ledger,
        cost: Option<ReportedCost>,
    ) -> (OperationResponse, Option<Freshness>) {
        let Prepared { mut request, document, .. } = prepared;
        if let Ok(document) = document.as_ref() {
            // The library wants a tree of its own, which those who wait for a place need not hold.
            request.set_parsed_query(document.executable());
        }
        let (ledger, view) = (Arc::new(ledger), caller.view());
        // A panic is one operation's end, not its connection's. What it leaves behind is dropped with the future.
        let executed = self.executor.execute(request, caller, Arc::clone(&ledger));
        let mut answer = match AssertUnwindSafe(executed).catch_unwind().await {
            Ok(response) => {
                let extensions = Extensions::of(&ledger, &view, ledger.is_traced(), cost);
                OperationResponse::executed(&response.data, response.errors, extensions)
            }
            Err(_) => OperationResponse::crashed(),
        };
        let parts = ledger.freshness();
        (answer.origin.made, answer.origin.cost) = (Some(Made::Executed), ledger.cost());
        answer.is_late = ledger.is_late();
        answer.read_at = parts.map(|parts| self.clock.instant(parts.fetched_at));
        (answer, parts)
    }

    fn prepare(
        &self,
        meant: &ResolvedDocument,
        request: &OperationRequest,
        kinds: Kinds,
    ) -> Result<Prepared, OperationResponse> {
        let OperationRequest { operation_name, variables, .. } = request;
        let verdict = self.documents.judge(&meant.text);
        let document = verdict
            .as_ref()
            .as_ref()
            .map_err(|errors| OperationResponse::failed(Outcome::Refused, errors))?;
        self.persisted.keep_right(meant);
        let operation = document
            .operation(operation_name.as_deref())
            .map_err(|errors| OperationResponse::failed(Outcome::Refused, &errors))?;
        let kind = operation.operation_type.name();
        let named = self.metrics.requests().operation(operation.name.as_deref(), kind);
        let refused =
            |outcome, errors: &[GraphqlError]| OperationResponse::failed(outcome, errors).of(&named);
        match (operation.operation_type, kinds) {
            (OperationType::Mutation, Kinds::AnsweredOnce(TransportRules { mutations: false })) => {
                let error = GraphqlError::new(Code::BadUserInput, "Mutations are run by POST alone.");
                let error = error.because("METHOD_NOT_ALLOWED");
                return Err(refused(Outcome::NotByThisTransport, &[error]));
            }
            (OperationType::Subscription, Kinds::AnsweredOnce(_)) => {
                let sentence = "Subscriptions need a transport that streams: this one answers once.";
                let error = GraphqlError::new(Code::OperationResolutionFailure, sentence);
                return Err(refused(Outcome::Refused, &[error]));
            }
            _ => {}
        }
        let values = variables::coerce(self.documents.schema(), document.judged(), operation, variables)
            .map_err(|errors| refused(Outcome::Refused, &document::cut(errors, Code::BadUserInput)))?;
        let mut judged = Request::new(&*meant.text).variables(values);
        judged.operation_name = operation.name.as_ref().map(ToString::to_string);
        let root_fields = operation.root_fields(document.judged()).map(|field| field.name.as_str());
        let may_be_shared = operation.is_query() && may_be_shared(root_fields);
        let document = Arc::clone(&verdict);
        Ok(Prepared { request: judged, may_be_shared, document, operation: named })
    }
}

/// What an answer says beyond the specification.
#[derive(Serialize)]
struct Extensions {
    #[serde(skip_serializing_if = "Option::is_none")]
    cost: Option<ReportedCost>,
    switchboard: Switchboard,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Switchboard {
    #[serde(skip_serializing_if = "Option::is_none")]
    trace: Option<Trace>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    problems: Vec<Problem>,
    /// How many problems there are beside those.
    #[serde(skip_serializing_if = "Option::is_none")]
    more_problems: Option<u64>,
    /// Where a subscription stands, for transports that have no place of their own for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<String>,
}

impl Extensions {
    /// What is said of an operation; nothing where there is nothing to say.
    fn of(ledger: &Ledger, view: &View, is_traced: bool, cost: Option<ReportedCost>) -> Option<Self> {
        let trace = is_traced.then(|| ledger.trace());
        let ProblemSummary { problems, more } = ledger.problems(view);
        let more_problems = Some(more).filter(|more| *more > 0);
        let is_silent = trace.is_none() && problems.is_empty() && more_problems.is_none();
        let switchboard = Switchboard { trace, problems, more_problems, position: None };
        (!is_silent).then_some(Self { cost, switchboard })
    }

    /// What is said of an event of a subscription, and where that stands behind it.
    fn of_event(ledger: &Ledger, view: &View, position: String) -> Self {
        let ProblemSummary { problems, more } = ledger.problems(view);
        let more_problems = Some(more).filter(|more| *more > 0);
        let switchboard = Switchboard { trace: None, problems, more_problems, position: Some(position) };
        Self { cost: None, switchboard }
    }
}

impl OperationResponse {
    /// What tells its bytes from any other answer's: the same for the same bytes, of the letters `[A-Za-z0-9_-]`.
    #[must_use]
    pub fn tag(&self) -> &str {
        self.tag.of(&self.body)
    }

    fn executed(data: &Value, errors: Vec<ServerError>, extensions: Option<Extensions>) -> Self {
        let errors = errors::masked_and_merged(errors);
        let outcome = Outcome::Executed { whole: errors.is_empty() };
        Self::new(outcome, &errors, written(&errors, Some(data), extensions))
    }

    fn failed(outcome: Outcome, errors: &[GraphqlError]) -> Self {
        Self::new(outcome, errors, written(errors, None, None))
    }

    /// It ran, and came to nothing.
    fn ended(errors: &[GraphqlError]) -> Self {
        let outcome = Outcome::Executed { whole: false };
        Self { is_late: true, ..Self::new(outcome, errors, written(errors, Some(&Value::Null), None)) }
    }

    /// What everybody gets who waited for an execution that panicked.
    fn crashed() -> Self {
        tracing::error!("an operation panicked");
        Self::failed(Outcome::Crashed, &[GraphqlError::internal()])
    }

    fn new(outcome: Outcome, errors: &[GraphqlError], body: Bytes) -> Self {
        let code = errors.first().map(|error| error.extensions.code);
        let origin = ResponseOrigin { code, ..ResponseOrigin::default() };
        Self { body, outcome, read_at: None, tag: EntityTag::default(), origin, is_late: false }
    }
}

/// What an answer's text begins with, in bytes; rows come as one piece, for which it is made larger once.
const ROOM: usize = 1024;

/// An answer's text (specification, 7.1): errors first, so that a reader of a cut body sees them.
fn written(errors: &[GraphqlError], data: Option<&Value>, extensions: Option<Extensions>) -> Bytes {
    let mut json = Json::with_room(ROOM);
    let mut between: &[u8] = b"{";
    let mut begin = |json: &mut Json, name: &[u8]| {
        json.text(between);
        json.text(name);
        between = b",";
    };
    if !errors.is_empty() {
        begin(&mut json, b"\"errors\":");
        json.put(errors);
    }
    if let Some(data) = data {
        begin(&mut json, b"\"data\":");
        json.value(data);
    }
    if let Some(extensions) = extensions {
        begin(&mut json, b"\"extensions\":");
        json.put(extensions);
    }
    json.text(b"}");
    json.into_bytes().into()
}
