//! What a trace is told of an operation: which it is, and with which code it failed.

use super::persisted::ResolvedDocument;
use super::request::OperationRequest;
use super::{OperationEngine, OperationResponse, Outcome};
use crate::telemetry::traces::{self, Fact};

impl OperationEngine {
    /// Tells the trace, where there is one, which operation it is.
    pub(super) fn tell_trace(&self, meant: &ResolvedDocument, request: &OperationRequest) {
        if traces::are_on()
            && let Ok(document) = self.documents.judge(&meant.text).as_ref()
            && let Ok(operation) = document.operation(request.operation_name.as_deref())
        {
            let kind = operation.operation_type.name();
            traces::note(Fact::Operation { kind, name: operation.name.as_deref() });
        }
    }
}

impl OperationResponse {
    /// What a trace tells of what went wrong: whether it failed here, or was refused as it was asked.
    pub(super) fn failure(&self) -> Option<Fact<'static>> {
        let code = self.origin.code?;
        Some(match self.outcome {
            Outcome::Refused | Outcome::NotByThisTransport => Fact::Refused(code),
            Outcome::Executed { .. } | Outcome::Overloaded | Outcome::Crashed => Fact::Failed(code),
        })
    }

    /// The same, told to the trace that is under way here.
    pub(super) fn told(self) -> Self {
        if let Some(fact) = self.failure() {
            traces::note(fact);
        }
        self
    }
}
