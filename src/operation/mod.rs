//! One operation's life, the same for every transport.
//!
//! A decoded request ([`request`]) becomes a judged document ([`document`], within [`bounds`], each
//! variable in its [`positions`]), an operation of
//! it and coerced [`variables`]; then it is executed, and what failed is masked and merged ([`errors`], under
//! the [`codes`] that clients know). Nothing here knows HTTP: the [`Answer`] says what happened, and the edge
//! makes a status of it.

mod bounds;
pub mod codes;
mod document;
pub mod errors;
mod positions;
pub mod request;
mod variables;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use apollo_compiler::ast::OperationType;
use async_graphql::{Request, Response, ServerError, Value};
use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt as _};
use serde::Serialize;

use self::codes::Code;
pub use self::document::BadSchema;
use self::document::Documents;
use self::errors::GraphqlError;
use self::request::OperationRequest;
use crate::domain::caller::Caller;
use crate::graphql::schema::{self, Graph};
use crate::loaders::ledger::{Ledger, Trace};

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
}

impl Operations {
    /// The operations of one schema.
    ///
    /// # Errors
    /// Where apollo-compiler cannot read the schema: a fault of this program, told at its start.
    pub fn new(executor: impl Executor) -> Result<Self, BadSchema> {
        let documents = Arc::new(Documents::new(&executor.sdl())?);
        Ok(Self { executor: Arc::new(executor), documents })
    }

    /// Runs one operation to its answer. It never fails: whatever goes wrong is in the answer.
    pub async fn run(&self, request: OperationRequest, rules: TransportRules, caller: Caller) -> Answer {
        // ADMINs alone may see what a query costs: what is kept already was asked for by others.
        let is_traced = request.asks_for_trace() && caller.view().is_whole();
        let ledger = is_traced.then(|| Arc::new(Ledger::begin()));
        let judged = match self.prepare(request, rules) {
            Ok(judged) => judged,
            Err(refused) => return refused,
        };
        // A panic is one operation's end, not its connection's. What it leaves behind is dropped with the future.
        let executed = self.executor.execute(judged, caller, ledger.clone());
        match AssertUnwindSafe(executed).catch_unwind().await {
            Ok(response) => Answer::executed(&response.data, response.errors, ledger.as_deref()),
            Err(_) => {
                tracing::error!("an operation panicked");
                Answer::failed(Outcome::Crashed, &[GraphqlError::internal()])
            }
        }
    }

    fn prepare(&self, request: OperationRequest, rules: TransportRules) -> Result<Request, Answer> {
        let OperationRequest { query, operation_name, variables, .. } = request;
        let verdict = self.documents.judge(&query);
        let document =
            verdict.as_ref().as_ref().map_err(|errors| Answer::failed(Outcome::Refused, errors))?;
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
        let mut judged = Request::new(query).variables(values);
        judged.operation_name = operation.name.as_ref().map(ToString::to_string);
        judged.set_parsed_query(document.executable());
        Ok(judged)
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
    switchboard: Switchboard,
}

#[derive(Serialize)]
struct Switchboard {
    trace: Trace,
}

impl Answer {
    fn executed(data: &Value, errors: Vec<ServerError>, ledger: Option<&Ledger>) -> Self {
        let errors = errors::masked_and_merged(errors);
        let extensions =
            ledger.map(|ledger| Extensions { switchboard: Switchboard { trace: ledger.trace() } });
        let written = Written { errors: &errors, data: Some(data), extensions };
        Self::written(Outcome::Executed { whole: errors.is_empty() }, &written)
    }

    fn failed(outcome: Outcome, errors: &[GraphqlError]) -> Self {
        Self::written(outcome, &Written { errors, data: None, extensions: None })
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
