//! The origin of a response, for the request log and metrics. None of it is part of the response's text.

use std::sync::Arc;

use crate::telemetry::requests::{Cost, CountedOperation, ResponseSource};

/// The origin of a response: executed, joined or cached, and at which cost.
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
