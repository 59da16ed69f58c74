//! One operation's life, the same for every transport.
//!
//! A decoded request ([`request`]), whose document may be a [`persisted`] one, becomes a judged document ([`document`], within [`bounds`] and [`limits`], each
//! variable in its [`positions`] and each of its [`input_fields`] once, with [`suggestions`] for names that do not exist), an operation of
//! it and coerced [`variables`]; its [`price`] gets it a place ([`admission`]); then it is executed, and what failed is masked and merged ([`errors`], under
//! the [`codes`] that clients know). Nothing here knows HTTP: the [`Answer`] says what happened, and the edge
//! makes a status of it.

mod admission;
mod bounds;
pub mod codes;
mod document;
pub mod errors;
mod input_fields;
mod limits;
pub mod persisted;
mod positions;
mod price;
pub mod request;
pub mod settings;
mod suggestions;
mod variables;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use apollo_compiler::ast::OperationType;
use async_graphql::{Request, Response, ServerError, Value};
use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt as _};
use serde::Serialize;

pub(crate) use self::admission::COME_AGAIN;
use self::admission::{Admission, Cost};
use self::codes::Code;
pub use self::document::BadSchema;
use self::document::{Documents, Verdict};
use self::errors::GraphqlError;
use self::persisted::trusted::Trusted;
use self::persisted::{Meant, Persisted};
use self::price::PriceList;
use self::request::OperationRequest;
use self::settings::{DocumentSettings, LimitSettings};
use crate::domain::caller::{Caller, Role};
use crate::graphql::schema::{self, Graph};
use crate::loaders::ledger::{Ledger, Trace};
use crate::loaders::settings::{ConnectionSettings, ListSettings};

/// What executes operations: the [`Graph`], or in tests a schema that fails on demand.
pub trait Executor: Send + Sync + 'static {
    /// The schema in GraphQL's schema definition language.
    fn sdl(&self) -> String;

    /// Executes one operation, already judged, on a caller's behalf, and enters what it cost upstream
    /// in the ledger, where there is one.
    fn execute(
        &self,
        request: Request,
        caller: Caller,
        ledger: Option<Arc<Ledger>>,
    ) -> BoxFuture<'_, Response>;
}

impl Executor for Graph {
    fn sdl(&self) -> String {
        schema::sdl()
    }

    fn execute(
        &self,
        request: Request,
        caller: Caller,
        ledger: Option<Arc<Ledger>>,
    ) -> BoxFuture<'_, Response> {
        self.execute(request, caller, ledger).boxed()
    }
}

/// What a transport lets an operation do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransportRules {
    /// Whether it may run mutations: not by GET, which anybody may repeat or prefetch.
    pub mutations: bool,
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
pub struct Answer {
    /// The JSON text of the answer, UTF-8.
    pub body: Bytes,
    /// What the transport has to say of it in its own terms.
    pub outcome: Outcome,
}

/// The road of every operation, cheap to clone.
#[derive(Clone)]
pub struct Operations {
    executor: Arc<dyn Executor>,
    documents: Arc<Documents>,
    admission: Option<Arc<Admission>>,
    persisted: Arc<Persisted>,
}

/// An operation that can be run.
struct Prepared {
    request: Request,
    document: Arc<Verdict>,
}

impl Operations {
    /// The operations of one schema, of any price: [`Self::within`] adds limits.
    ///
    /// # Errors
    /// Where apollo-compiler cannot read the schema: a fault of this program, told at its start.
    pub fn new(executor: impl Executor) -> Result<Self, BadSchema> {
        let documents = Arc::new(Documents::new(&executor.sdl(), None)?);
        Ok(Self {
            executor: Arc::new(executor),
            documents,
            admission: None,
            persisted: Arc::new(Persisted::none()),
        })
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
    ) -> Result<Self, BadSchema> {
        let documents = Documents::new(&self.executor.sdl(), Some(limits.clone()))?;
        let prices = PriceList::new(documents.schema(), connections, lists);
        let admission = Some(Arc::new(Admission::new(limits, prices)));
        Ok(Self { documents: Arc::new(documents), admission, ..self })
    }

    /// The same with documents that clients can name. Trusted ones that are wrong are told to the log, and whoever names them.
    #[must_use]
    pub fn naming(self, settings: &DocumentSettings, trusted: Option<Trusted>) -> Self {
        for (id, text) in trusted.iter().flat_map(Trusted::all) {
            if let Err(errors) = self.documents.judge(text).as_ref() {
                let why = errors.first().map(|error| error.message.as_str());
                tracing::warn!(id, why, "a trusted document cannot be run");
            }
        }
        Self { persisted: Arc::new(Persisted::new(settings, trusted)), ..self }
    }

    /// Runs one operation to its answer. It never fails: whatever goes wrong is in the answer.
    pub async fn run(&self, request: OperationRequest, rules: TransportRules, caller: Caller) -> Answer {
        // ADMINs alone may see what a query costs; there is no other role yet.
        let is_traced = request.asks_for_trace() && caller.role == Role::Admin;
        let ledger = is_traced.then(|| Arc::new(Ledger::begin()));
        let prepared = match self.prepare(request, rules) {
            Ok(prepared) => prepared,
            Err(refused) => return refused,
        };
        let Some(admission) = &self.admission else {
            return self.execute(prepared, caller, ledger.as_ref(), None).await;
        };
        let price = match admission.judge_prepared(&prepared) {
            Ok(price) => price,
            Err(errors) => return Answer::failed(Outcome::Refused, &errors),
        };
        let running = async {
            match admission.enter(price).await {
                Ok(_place) => {
                    let cost = ledger.is_some().then(|| admission.cost(price));
                    self.execute(prepared, caller, ledger.as_ref(), cost).await
                }
                Err(overloaded) => Answer::failed(Outcome::Overloaded, &[overloaded]),
            }
        };
        match admission.in_time(running).await {
            Ok(answer) => answer,
            Err(late) => Answer::ended(&[late]),
        }
    }

    async fn execute(
        &self,
        prepared: Prepared,
        caller: Caller,
        ledger: Option<&Arc<Ledger>>,
        cost: Option<Cost>,
    ) -> Answer {
        // A panic is one operation's end, not its connection's. What it leaves behind is dropped with the future.
        let executed = self.executor.execute(prepared.request, caller, ledger.cloned());
        match AssertUnwindSafe(executed).catch_unwind().await {
            Ok(response) => {
                Answer::executed(&response.data, response.errors, ledger.map(AsRef::as_ref), cost)
            }
            Err(_) => {
                tracing::error!("an operation panicked");
                Answer::failed(Outcome::Crashed, &[GraphqlError::internal()])
            }
        }
    }

    fn prepare(&self, mut request: OperationRequest, rules: TransportRules) -> Result<Prepared, Answer> {
        let Meant { text, to_keep } =
            self.persisted.text(&mut request).map_err(|error| Answer::failed(Outcome::Refused, &[*error]))?;
        let OperationRequest { operation_name, variables, .. } = request;
        let verdict = self.documents.judge(&text);
        let document =
            verdict.as_ref().as_ref().map_err(|errors| Answer::failed(Outcome::Refused, errors))?;
        if let Some(hash) = to_keep {
            self.persisted.keep(hash, Arc::clone(&text));
        }
        let operation = document
            .operation(operation_name.as_deref())
            .map_err(|errors| Answer::failed(Outcome::Refused, &errors))?;
        match operation.operation_type {
            OperationType::Mutation if !rules.mutations => {
                let error = GraphqlError::new(Code::BadUserInput, "Mutations are run by POST alone.");
                let error = error.because("METHOD_NOT_ALLOWED");
                return Err(Answer::failed(Outcome::NotByThisTransport, &[error]));
            }
            OperationType::Subscription => {
                let sentence = "Subscriptions need a transport that streams: this one answers once.";
                let error = GraphqlError::new(Code::OperationResolutionFailure, sentence);
                return Err(Answer::failed(Outcome::Refused, &[error]));
            }
            OperationType::Mutation | OperationType::Query => {}
        }
        let values = variables::coerce(self.documents.schema(), document.judged(), operation, &variables)
            .map_err(|errors| Answer::failed(Outcome::Refused, &errors))?;
        let mut judged = Request::new(&*text).variables(values);
        judged.operation_name = operation.name.as_ref().map(ToString::to_string);
        judged.set_parsed_query(document.executable());
        Ok(Prepared { request: judged, document: verdict })
    }
}

/// An answer as it is written (specification, 7.1): errors first, so that a reader of a cut body sees them.
#[derive(Serialize)]
struct Written<'a> {
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [GraphqlError],
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    extensions: Option<Extensions>,
}

/// What an answer says beyond the specification.
#[derive(Serialize)]
struct Extensions {
    #[serde(skip_serializing_if = "Option::is_none")]
    cost: Option<Cost>,
    switchboard: Switchboard,
}

#[derive(Serialize)]
struct Switchboard {
    trace: Trace,
}

impl Answer {
    fn executed(data: &Value, errors: Vec<ServerError>, ledger: Option<&Ledger>, cost: Option<Cost>) -> Self {
        let errors = errors::masked_and_merged(errors);
        let extensions =
            ledger.map(|ledger| Extensions { cost, switchboard: Switchboard { trace: ledger.trace() } });
        let written = Written { errors: &errors, data: Some(data), extensions };
        Self::written(Outcome::Executed { whole: errors.is_empty() }, &written)
    }

    fn failed(outcome: Outcome, errors: &[GraphqlError]) -> Self {
        Self::written(outcome, &Written { errors, data: None, extensions: None })
    }

    /// It ran, and came to nothing.
    fn ended(errors: &[GraphqlError]) -> Self {
        let written = Written { errors, data: Some(&Value::Null), extensions: None };
        Self::written(Outcome::Executed { whole: false }, &written)
    }

    fn written(outcome: Outcome, written: &Written<'_>) -> Self {
        match serde_json::to_vec(written) {
            Ok(text) => Self { body: text.into(), outcome },
            // Not reached: values of GraphQL are values of JSON.
            Err(_) => Self { body: Bytes::from_static(UNWRITABLE), outcome: Outcome::Crashed },
        }
    }
}

const UNWRITABLE: &[u8] =
    br#"{"errors":[{"message":"Something went wrong in Switchboard.","extensions":{"code":"INTERNAL"}}]}"#;
