//! The response to one operation: its JSON text, and the facts that a transport needs for status and headers.

use std::slice;
use std::sync::Arc;

use async_graphql::{ServerError, Value};
use bytes::Bytes;
use tokio::time::Instant;

use super::body_forms::BodyForms;
use super::codes::Code;
use super::errors::{GraphqlError, masked_and_merged};
use super::rate_limits::{CallerLimits, RateLimitStatus, RateLimited};
use super::response_body::{ResponseExtensions, write_body};
use crate::domain::error_behavior::ErrorBehavior;
use crate::telemetry::requests::{self, Cost, CountedOperation, RequestRecord, ResponseSource, Transport};

/// The outcome of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was executed: the response has `data`, and errors of fields unless it is `whole`.
    Executed {
        /// Whether no field failed.
        whole: bool,
    },
    /// It was refused before execution: the response has errors and no `data`.
    Refused,
    /// It is a mutation, which the transport does not allow.
    MutationNotAllowed,
    /// The server is at its limit of concurrent complexity; the operation was not executed.
    Overloaded,
    /// The caller is at one of its limits over time; the operation did not run.
    RateLimited,
    /// Switchboard itself failed during execution.
    Crashed,
}

/// The response to one operation.
#[derive(Debug, Clone)]
pub struct OperationResponse {
    /// The JSON text, UTF-8.
    pub body: Bytes,
    /// The outcome of the operation.
    pub outcome: Outcome,
    /// Time of the fetch of the oldest data in the response; `None` if it has no upstream data.
    pub read_at: Option<Instant>,
    /// The caller's limits over time after this operation; `None` if it has none.
    pub rate_limit: Option<Box<RateLimitStatus>>,
    /// Values derived from the body on demand; shared by all copies.
    pub(crate) forms: Arc<BodyForms>,
    pub(super) origin: ResponseOrigin,
    /// Whether the deadline passed before all data had arrived.
    pub(super) is_late: bool,
}

impl OperationResponse {
    /// Returns an entity tag of the body, with the characters `[A-Za-z0-9_-]`. Equal bodies have equal tags.
    #[must_use]
    pub fn tag(&self) -> &str {
        self.forms.tag(&self.body)
    }

    /// Returns the code of the first error.
    #[must_use]
    pub fn code(&self) -> Option<Code> {
        Code::ALL.iter().copied().find(|code| Some(code.as_str()) == self.origin.code)
    }

    /// Whether the operation is a mutation.
    pub(crate) fn is_of_mutation(&self) -> bool {
        self.origin.operation.as_ref().is_some_and(|operation| operation.kind() == "mutation")
    }

    /// Creates the response of an operation that was executed.
    pub(super) fn executed(
        data: &Value,
        errors: Vec<ServerError>,
        on_error: ErrorBehavior,
        extensions: Option<ResponseExtensions>,
    ) -> Self {
        // Internal errors lose their text, and errors with one cause become one with a count.
        let mut errors = masked_and_merged(errors);
        let outcome = Outcome::Executed { whole: errors.is_empty() };
        let is_halted = on_error == ErrorBehavior::Halt && !errors.is_empty();
        let data = if is_halted { &Value::Null } else { data };
        if is_halted {
            errors.truncate(1);
        }
        Self::new(outcome, &errors, write_body(&errors, Some(data), extensions))
    }

    /// Creates a response with errors only.
    pub(super) fn failed(outcome: Outcome, errors: &[GraphqlError]) -> Self {
        Self::new(outcome, errors, write_body(errors, None, None))
    }

    /// Creates the response of an operation that was cancelled at its deadline: `data` is null.
    pub(super) fn timed_out(errors: &[GraphqlError]) -> Self {
        let outcome = Outcome::Executed { whole: false };
        Self { is_late: true, ..Self::new(outcome, errors, write_body(errors, Some(&Value::Null), None)) }
    }

    /// Creates the response of an operation whose execution panicked.
    pub(super) fn crashed() -> Self {
        tracing::error!("an operation panicked");
        Self::failed(Outcome::Crashed, &[GraphqlError::internal()])
    }

    /// Creates the response of an operation that must wait for a limit of its caller.
    pub(super) fn rate_limited(limited: &RateLimited, limits: &CallerLimits) -> Self {
        let response = Self::failed(Outcome::RateLimited, slice::from_ref(&limited.error));
        let status = RateLimitStatus { retry_after: Some(limited.retry_after), ..limits.status() };
        Self { rate_limit: Some(Box::new(status)), ..response }
    }

    /// Adds the state of the caller's limits.
    pub(super) fn with_rate_limit(mut self, limits: Option<&CallerLimits>) -> Self {
        self.rate_limit = self.rate_limit.or_else(|| limits.map(|limits| Box::new(limits.status())));
        self
    }

    /// Adds the operation to the response's origin.
    pub(super) fn with_operation(mut self, operation: &Arc<CountedOperation>) -> Self {
        self.origin.operation = Some(Arc::clone(operation));
        self
    }

    /// Returns the copy for the cache. Its body has its exact size: a buffer that was just written has spare capacity.
    pub(super) fn to_cached(&self) -> Self {
        let (body, origin) =
            (Bytes::copy_from_slice(&self.body), self.origin.for_copy(ResponseSource::Cached));
        Self { body, origin, ..self.clone() }
    }

    /// Returns the record for the request log and metrics.
    #[must_use]
    pub fn record(&self, transport: Transport) -> RequestRecord {
        let ResponseOrigin { operation, code, source, cost } = self.origin.clone();
        let outcome = match self.outcome {
            Outcome::Executed { whole: true } => requests::Outcome::Ok,
            Outcome::Executed { whole: false } => requests::Outcome::Partial,
            Outcome::Refused | Outcome::MutationNotAllowed | Outcome::RateLimited => {
                requests::Outcome::Refused
            }
            Outcome::Overloaded => requests::Outcome::Overloaded,
            Outcome::Crashed => requests::Outcome::Crashed,
        };
        let bytes = u64::try_from(self.body.len()).ok();
        let record = RequestRecord::of(transport, outcome);
        RequestRecord { operation, code, source, cost, bytes, ..record }
    }

    fn new(outcome: Outcome, errors: &[GraphqlError], body: Bytes) -> Self {
        let code = errors.first().map(|error| error.extensions.code);
        let origin = ResponseOrigin { code, ..ResponseOrigin::default() };
        Self { body, outcome, read_at: None, rate_limit: None, forms: Arc::default(), origin, is_late: false }
    }
}

/// The origin of a response, for the request log and metrics: executed, joined or cached, and at which cost. None of it
/// is part of the response's text.
#[derive(Debug, Clone, Default)]
pub(super) struct ResponseOrigin {
    /// `None` if the request was refused before its operation was known.
    pub(super) operation: Option<Arc<CountedOperation>>,
    /// The code of the first error.
    pub(super) code: Option<&'static str>,
    /// `None` if nothing was executed.
    pub(super) source: Option<ResponseSource>,
    pub(super) cost: Cost,
}

impl ResponseOrigin {
    /// Returns the origin of a cached or joined copy of the response. It has no cost: only the executed request has.
    pub(super) fn for_copy(&self, source: ResponseSource) -> Self {
        let source = self.source.map(|_| source);
        Self { operation: self.operation.clone(), code: self.code, source, cost: Cost::default() }
    }
}
