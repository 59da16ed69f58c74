//! The JSON text of a response: `errors`, `data`, and the `extensions` that Switchboard adds.

use async_graphql::Value;
use bytes::Bytes;
use serde::Serialize;

use super::cost::ReportedCost;
use super::errors::GraphqlError;
use crate::domain::problems::{Problem, ProblemSummary};
use crate::domain::view::View;
use crate::graphql::json_writer::JsonWriter;
use crate::graphql::preserialized::json_length;
use crate::loaders::stats::{OperationStats, Trace};

/// Capacity of a body beside its data, in bytes.
const CAPACITY_BESIDE_DATA: usize = 256;

/// The `extensions` of a response.
#[derive(Serialize)]
pub(super) struct ResponseExtensions {
    #[serde(skip_serializing_if = "Option::is_none")]
    cost: Option<ReportedCost>,
    switchboard: Switchboard,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Switchboard {
    #[serde(skip_serializing_if = "Option::is_none")]
    trace: Option<Trace>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    problems: Vec<Problem>,
    /// The number of problems that are not listed.
    #[serde(skip_serializing_if = "Option::is_none")]
    more_problems: Option<u64>,
    /// The position of a subscription, for transports without a field of their own for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<String>,
}

impl ResponseExtensions {
    /// Returns the extensions of a query or mutation; `None` if they would be empty.
    pub(super) fn of(stats: &OperationStats, view: &View, cost: Option<ReportedCost>) -> Option<Self> {
        let trace = stats.traces_calls.then(|| stats.trace());
        let switchboard = Switchboard::new(stats, view, trace, None);
        let is_empty = switchboard.trace.is_none()
            && switchboard.problems.is_empty()
            && switchboard.more_problems.is_none();
        (!is_empty).then_some(Self { cost, switchboard })
    }

    /// Returns the extensions of an event of a subscription, which always has a position.
    pub(super) fn of_event(stats: &OperationStats, view: &View, position: String) -> Self {
        Self { cost: None, switchboard: Switchboard::new(stats, view, None, Some(position)) }
    }
}

impl Switchboard {
    fn new(stats: &OperationStats, view: &View, trace: Option<Trace>, position: Option<String>) -> Self {
        let ProblemSummary { problems, more } = stats.problems(view);
        Self { trace, problems, more_problems: Some(more).filter(|more| *more > 0), position }
    }
}

/// Writes a response (specification, 7.1). Errors come first, so that they are seen even if the body is cut off.
pub(super) fn write_body(
    errors: &[GraphqlError],
    data: Option<&Value>,
    extensions: Option<ResponseExtensions>,
) -> Bytes {
    // A buffer that grows at its last byte would be twice as large, and be kept with the cached response.
    let mut json = JsonWriter::with_capacity(CAPACITY_BESIDE_DATA + data.map_or(0, json_length));
    let mut separator: &[u8] = b"{";
    let mut write_key = |json: &mut JsonWriter, name: &[u8]| {
        json.raw(separator);
        json.raw(name);
        separator = b",";
    };
    if !errors.is_empty() {
        write_key(&mut json, b"\"errors\":");
        json.serialize(errors);
    }
    if let Some(data) = data {
        write_key(&mut json, b"\"data\":");
        json.value(data);
    }
    if let Some(extensions) = extensions {
        write_key(&mut json, b"\"extensions\":");
        json.serialize(extensions);
    }
    json.raw(b"}");
    json.into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_buffer_of_a_large_response_is_about_as_large_as_its_text() {
        let rows = Value::Binary(Bytes::from(vec![b'1'; 6_000]));
        let data = Value::Object([(async_graphql::Name::new("rows"), rows)].into_iter().collect());
        let text = Vec::from(write_body(&[], Some(&data), None));
        assert_eq!(text.len(), 6_000 + r#"{"data":{"rows":}}"#.len());
        assert!(text.capacity() < text.len() + CAPACITY_BESIDE_DATA + 64, "{}", text.capacity());
    }
}
