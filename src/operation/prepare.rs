//! Prepares a request for execution.
//!
//! A [`PendingOperation`] is a request whose document's text is known. The text is validated and its operation resolved
//! only when needed: a response cache hit needs neither. A [`PreparedOperation`] also has coerced variables, and is
//! complete for admission and execution.

use std::sync::{Arc, OnceLock};

use apollo_compiler::Node;
use apollo_compiler::ast::OperationType;
use apollo_compiler::executable;
use async_graphql::{Request, Variables};

use super::codes::Code;
use super::document::{Document, Documents};
use super::errors::{GraphqlError, first_errors};
use super::introspection;
use super::persisted::{PersistedDocuments, ResolvedDocument};
use super::request::OperationRequest;
use super::response::{OperationResponse, Outcome};
use super::response_cache::is_shareable;
use super::variables;
use crate::domain::caller::Tenant;
use crate::domain::error_behavior::ErrorBehavior;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::requests::CountedOperation;

/// The operations that a transport allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransportRules {
    /// Whether mutations may run. They must not run by GET, because intermediaries may repeat or prefetch a GET.
    pub mutations: bool,
}

/// Finds and validates documents, resolves operations and coerces variables.
#[derive(Clone)]
pub(super) struct Preparer {
    pub(super) documents: Arc<Documents>,
    pub(super) persisted: Arc<PersistedDocuments>,
    /// The registry of operation names.
    pub(super) metrics: Metrics,
}

/// A request with its document.
pub(super) struct PendingOperation {
    pub(super) request: OperationRequest,
    pub(super) document: ResolvedDocument,
    resolved: OnceLock<Result<ResolvedOperation, Arc<[GraphqlError]>>>,
}

/// One operation of a valid document.
#[derive(Clone)]
pub(super) struct ResolvedOperation {
    pub(super) document: Arc<Document>,
    pub(super) operation: Node<executable::Operation>,
    /// The operation in metrics and in the request log.
    pub(super) counted: Arc<CountedOperation>,
}

/// An operation that can be executed.
#[derive(Clone)]
pub(super) struct PreparedOperation {
    pub(super) resolved: ResolvedOperation,
    pub(super) variables: Variables,
    /// The effect of field errors on the response.
    pub(super) on_error: ErrorBehavior,
    /// Whether its response may be cached and shared with equal requests.
    pub(super) is_shareable: bool,
}

impl Preparer {
    /// Finds the document of a request.
    pub(super) fn begin(
        &self,
        mut request: OperationRequest,
        tenant: &Tenant,
    ) -> Result<PendingOperation, OperationResponse> {
        match self.persisted.resolve(&mut request, tenant) {
            Ok(document) => Ok(PendingOperation { request, document, resolved: OnceLock::new() }),
            Err(refused) => Err(OperationResponse::failed(Outcome::Refused, &[*refused])),
        }
    }

    /// Returns the operation of a request, or the response that refuses it. A valid document that was sent with its
    /// hash is stored under that hash.
    pub(super) fn resolve<'p>(
        &self,
        pending: &'p PendingOperation,
    ) -> Result<&'p ResolvedOperation, OperationResponse> {
        let resolved = pending.resolved.get_or_init(|| {
            let document = self.documents.validate(&pending.document.text)?;
            self.persisted.store(&pending.document);
            let operation = document.operation(pending.request.operation_name.as_deref())?;
            let (name, kind) = (operation.name.as_deref(), operation.operation_type.name());
            let counted = self.metrics.requests().operation(name, kind);
            Ok(ResolvedOperation { document, operation, counted })
        });
        resolved.as_ref().map_err(|errors| OperationResponse::failed(Outcome::Refused, errors))
    }

    /// Coerces the variables of an operation.
    pub(super) fn prepare(
        &self,
        resolved: &ResolvedOperation,
        request: &OperationRequest,
    ) -> Result<PreparedOperation, OperationResponse> {
        let ResolvedOperation { document, operation, .. } = resolved;
        let variables = variables::coerce(
            &self.documents.schema,
            &document.validated,
            operation,
            &request.variables,
            self.documents.suggests(),
        )
        .map_err(|errors| resolved.refused(&first_errors(errors, Code::BadUserInput)))?;
        let root_fields = operation.root_fields(&document.validated).map(|field| field.name.as_str());
        let is_shareable = operation.is_query() && is_shareable(root_fields);
        let on_error = request.on_error;
        Ok(PreparedOperation { resolved: resolved.clone(), variables, on_error, is_shareable })
    }
}

impl ResolvedOperation {
    pub(super) fn is_subscription(&self) -> bool {
        self.operation.operation_type == OperationType::Subscription
    }

    /// Refuses an operation that a transport with a single response does not allow.
    pub(super) fn check_transport(&self, rules: TransportRules) -> Result<(), OperationResponse> {
        match self.operation.operation_type {
            OperationType::Mutation if !rules.mutations => {
                let error = GraphqlError::new(
                    Code::BadUserInput,
                    "Mutations are not allowed by GET. Send the request by POST.",
                );
                let error = error.with_reason("METHOD_NOT_ALLOWED");
                Err(OperationResponse::failed(Outcome::MutationNotAllowed, &[error])
                    .with_operation(&self.counted))
            }
            OperationType::Subscription => {
                let sentence = "A subscription has many responses, and this request accepts one. Use a WebSocket \
                                (graphql-transport-ws, at the same path), or send `Accept: text/event-stream` \
                                (server-sent events) or `Accept: multipart/mixed;subscriptionSpec=1.0`.";
                Err(self.refused(&[GraphqlError::new(Code::OperationResolutionFailure, sentence)]))
            }
            _ => Ok(()),
        }
    }

    /// Returns the response that refuses this operation.
    pub(super) fn refused(&self, errors: &[GraphqlError]) -> OperationResponse {
        OperationResponse::failed(Outcome::Refused, errors).with_operation(&self.counted)
    }
}

impl PreparedOperation {
    /// Returns the operation and its variables if it selects introspection fields, which the executor does not resolve.
    pub(super) fn introspected(&self) -> Option<(ResolvedOperation, Variables)> {
        let ResolvedOperation { document, operation, .. } = &self.resolved;
        introspection::is_selected(&document.validated, operation)
            .then(|| (self.resolved.clone(), self.variables.clone()))
    }

    /// Converts the operation for the executor. This copies the executor's syntax tree, so it is called after
    /// admission: operations that wait for a permit do not hold a copy.
    pub(super) fn into_request(self) -> Request {
        let Self { resolved: ResolvedOperation { document, operation, .. }, variables, on_error, .. } = self;
        // The text is not needed beside the parsed document.
        let mut request = Request::new("").variables(variables).data(on_error);
        request.operation_name = operation.name.as_ref().map(ToString::to_string);
        request.set_parsed_query(document.executable.clone());
        request
    }
}
