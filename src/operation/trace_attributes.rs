//! Trace attributes of an operation: its kind and name, and its error code.

use super::prepare::ResolvedOperation;
use super::response::{OperationResponse, Outcome};
use crate::telemetry::traces::{self, SpanAttribute};

impl ResolvedOperation {
    /// Adds the operation to the current span, if the request is traced.
    pub(super) fn record_in_trace(&self) {
        let (kind, name) = (self.operation.operation_type.name(), self.operation.name.as_deref());
        traces::note(SpanAttribute::Operation { kind, name });
    }
}

impl OperationResponse {
    /// Returns the attribute that says what failed: a request that was refused is not an error of Switchboard.
    pub(super) fn failure(&self) -> Option<SpanAttribute<'static>> {
        let code = self.origin.code?;
        Some(match self.outcome {
            Outcome::Refused | Outcome::MutationNotAllowed | Outcome::RateLimited => {
                SpanAttribute::Refused(code)
            }
            Outcome::Executed { .. } | Outcome::Overloaded | Outcome::Crashed => SpanAttribute::Failed(code),
        })
    }

    /// Adds the failure, if there is one, to the current span.
    pub(super) fn recorded_in_trace(self) -> Self {
        if let Some(fact) = self.failure() {
            traces::note(fact);
        }
        self
    }
}
