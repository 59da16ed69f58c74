//! The record of one request, and its line in the log.

use std::sync::Arc;
use std::time::Duration;

use super::super::json_lines::{self, Fields, REQUESTS_LEVEL, REQUESTS_TARGET};
use super::labels::{Outcome, ResponseSource, Route, Transport};
use super::operation_counts::CountedOperation;

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
    let is_written = json_lines::write_request_line(|fields| add_fields(record, route, status, took, fields));
    if !is_written {
        log_event(record, route, status, took);
    }
}

/// Adds the fields of [`log_event`], in the same order.
fn add_fields(
    record: &RequestRecord,
    route: Route,
    status: Option<u16>,
    took: Duration,
    fields: &mut Fields<'_>,
) {
    let operation = record.operation.as_deref();
    fields.text("message", "request");
    fields.text("route", route.word());
    fields.text("transport", record.transport.word());
    fields.text("operation", operation.and_then(CountedOperation::safe_name));
    fields.text("operation_type", operation.map(CountedOperation::kind));
    fields.text("outcome", record.outcome.word());
    fields.text("code", record.code);
    fields.text("reason", record.reason);
    fields.text("caller", record.caller.as_ref().map(|CallerName(name)| &**name));
    fields.number("status", status.map(u64::from));
    fields.decimal("duration_ms", milliseconds(took));
    fields.number("bytes", record.bytes);
    fields.text("source", record.source.map(ResponseSource::word));
    fields.number("leadlex_calls", operation.map(|_| record.cost.leadlex));
    fields.number("composio_calls", operation.map(|_| record.cost.composio));
}

/// Logs the line as an event of `tracing`, for text logs and for programs that have a subscriber of their own.
fn log_event(record: &RequestRecord, route: Route, status: Option<u16>, took: Duration) {
    let operation = record.operation.as_deref();
    tracing::event!(
        target: REQUESTS_TARGET,
        REQUESTS_LEVEL,
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

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::super::labels::{Outcome, ResponseSource, Transport};
    use super::super::operation_counts::OperationCounts;
    use super::*;
    use crate::telemetry::json_lines::JsonLines;
    use crate::telemetry::tests::Written;

    /// Returns a line without its timestamp.
    fn fields_and_target(line: &str) -> &str {
        line.split_once("\"level\"").unwrap().1
    }

    #[test]
    fn a_line_that_is_written_directly_is_that_of_the_event() {
        let operation = OperationCounts::new(10).operation(Some("Overview"), "query");
        let full = RequestRecord {
            transport: Transport::Sse,
            operation: Some(Arc::new(operation)),
            outcome: Outcome::Partial,
            code: Some("UPSTREAM_TIMEOUT"),
            reason: Some("a\"b"),
            caller: Some(CallerName("ann\n".into())),
            source: Some(ResponseSource::Executed),
            cost: Cost { leadlex: 1, composio: 23 },
            bytes: Some(456),
        };
        let empty = RequestRecord::of(Transport::Http, Outcome::HungUp);
        for (record, status, took) in [(full, Some(200), 1_234_567), (empty, None, 2_000_000)] {
            let took = Duration::from_nanos(took);
            let written = Written::default();
            let writer = written.clone();
            let subscriber = tracing_subscriber::registry().with(JsonLines::new(move || writer.clone()));
            tracing::subscriber::with_default(subscriber, || {
                log_event(&record, Route::Graphql, status, took);
            });
            let direct = json_lines::tests::line(REQUESTS_LEVEL, REQUESTS_TARGET, |fields| {
                add_fields(&record, Route::Graphql, status, took, fields);
            });
            assert_eq!(fields_and_target(&direct), fields_and_target(&written.text()));
            serde_json::from_str::<serde_json::Value>(&direct).unwrap();
        }
    }
}
