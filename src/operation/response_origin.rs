//! Where an answer came from, for whoever records requests: beside its text, and in none of it.

use std::sync::Arc;

use super::subscription::{OperationOutput, Subscription};
use super::{OperationResponse, Outcome};
use crate::telemetry::requests::{self, Cost, Made, Operation, RequestRecord, Transport};

/// Where an answer came from.
#[derive(Debug, Clone, Default)]
pub(super) struct ResponseOrigin {
    /// None where the request was refused before its operation was known.
    pub(super) operation: Option<Arc<Operation>>,
    /// The code of the first error.
    pub(super) code: Option<&'static str>,
    /// None where nothing ran.
    pub(super) made: Option<Made>,
    pub(super) cost: Cost,
}

impl ResponseOrigin {
    /// Of the same answer for somebody who caused nothing.
    pub(super) fn shared(&self, made: Made) -> Self {
        let made = self.made.map(|_| made);
        Self { operation: self.operation.clone(), code: self.code, made, cost: Cost::default() }
    }
}

impl OperationResponse {
    /// The same, which is an operation's.
    pub(super) fn of(mut self, operation: &Arc<Operation>) -> Self {
        self.origin.operation = Some(Arc::clone(operation));
        self
    }

    /// What is recorded of it.
    #[must_use]
    pub fn record(&self, transport: Transport) -> RequestRecord {
        let ResponseOrigin { operation, code, made, cost } = self.origin.clone();
        let outcome = match self.outcome {
            Outcome::Executed { whole: true } => requests::Outcome::Ok,
            Outcome::Executed { whole: false } => requests::Outcome::Partial,
            Outcome::Refused | Outcome::NotByThisTransport => requests::Outcome::Refused,
            Outcome::Overloaded => requests::Outcome::Overloaded,
            Outcome::Crashed => requests::Outcome::Crashed,
        };
        let bytes = u64::try_from(self.body.len()).ok();
        RequestRecord { transport, operation, outcome, code, made, cost, bytes }
    }
}

impl Subscription {
    /// What is recorded of its beginning.
    #[must_use]
    pub fn record(&self, transport: Transport) -> RequestRecord {
        let operation = Some(Arc::clone(self.operation()));
        RequestRecord { operation, ..RequestRecord::of(transport, requests::Outcome::Ok) }
    }
}

impl OperationOutput {
    /// What is recorded of an operation once it is answered, or has begun.
    #[must_use]
    pub fn record(&self, transport: Transport) -> RequestRecord {
        match self {
            Self::Response(answer) => answer.record(transport),
            Self::Subscription(subscription) => subscription.record(transport),
        }
    }
}
