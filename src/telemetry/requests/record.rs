//! The record of one request, and its line in the log.

use std::sync::Arc;
use std::time::Duration;

use super::labels::{Outcome, ResponseSource, Route, Transport};
use super::operation_counts::CountedOperation;

/// Target of the lines.
pub(super) const TARGET: &str = "switchboard::requests";

/// Name of a caller in the log: its token's name or a hash of its subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallerName(pub Arc<str>);

/// Upstream calls that an operation started and waited for. Calls that it shares with an operation that started them
/// earlier, background refreshes and retries do not count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cost {
    /// Calls to LeadLex.
    pub leadlex: u64,
    /// Calls to Composio.
    pub composio: u64,
}

/// Facts about a completed request, for the log and the metrics.
#[derive(Debug, Clone)]
pub struct RequestRecord {
    /// Transport of the response.
    pub transport: Transport,
    /// Operation; `None` if the request was refused before its operation was known.
    pub operation: Option<Arc<CountedOperation>>,
    /// Outcome.
    pub outcome: Outcome,
    /// Code of the first error.
    pub code: Option<&'static str>,
    /// Reason of the refusal, if the request was refused before its operation was known.
    pub reason: Option<&'static str>,
    /// Name of the caller in the log; `None` without authentication.
    pub caller: Option<CallerName>,
    /// Origin of the response; `None` if nothing was executed.
    pub source: Option<ResponseSource>,
    /// Upstream calls.
    pub cost: Cost,
    /// Size of the response before compression, in bytes; `None` if unknown.
    pub bytes: Option<u64>,
}

impl RequestRecord {
    /// Creates a record with only a transport and an outcome, as for a request that was not executed.
    #[must_use]
    pub fn of(transport: Transport, outcome: Outcome) -> Self {
        Self {
            transport,
            operation: None,
            outcome,
            code: None,
            reason: None,
            caller: None,
            source: None,
            cost: Cost::default(),
            bytes: None,
        }
    }
}

/// Writes the log line.
pub(super) fn write(record: &RequestRecord, route: Route, status: Option<u16>, took: Duration) {
    let operation = record.operation.as_deref();
    tracing::info!(
        target: TARGET,
        route = route.word(),
        transport = record.transport.word(),
        operation = operation.and_then(CountedOperation::safe_name),
        operation_type = operation.map(CountedOperation::kind),
        outcome = record.outcome.word(),
        code = record.code,
        reason = record.reason,
        caller = record.caller.as_ref().map(|CallerName(name)| &**name),
        status,
        duration_ms = milliseconds(took),
        bytes = record.bytes,
        source = record.source.map(ResponseSource::word),
        leadlex_calls = operation.map(|_| record.cost.leadlex),
        composio_calls = operation.map(|_| record.cost.composio),
        "request"
    );
}

/// Converts to milliseconds, with three decimals.
pub(super) fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1_000_000.0).round() / 1_000.0
}
