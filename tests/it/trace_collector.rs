//! A trace collector for tests, which decodes OTLP messages.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, StatusCode};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use prost::Message as _;
use serde_json::{Value, json};
use switchboard::telemetry::traces::PostService;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, service_fn};

/// An exported span.
#[derive(Debug, Clone)]
pub(crate) struct ExportedSpan {
    pub(crate) trace: String,
    pub(crate) id: String,
    /// Empty for the root span of a trace.
    pub(crate) parent: String,
    pub(crate) name: String,
    /// 1 internal, 2 server, 3 client (OTLP, `SpanKind`).
    pub(crate) kind: i32,
    /// 0 unset, 2 error (OTLP, `StatusCode`).
    pub(crate) status: i32,
    pub(crate) attributes: BTreeMap<String, Value>,
    /// The ids of the linked spans.
    pub(crate) links: Vec<String>,
    /// The resource attributes of the program.
    pub(crate) resource: BTreeMap<String, Value>,
}

/// All received spans and messages.
#[derive(Clone, Default)]
pub(crate) struct Collector {
    spans: Arc<Mutex<Vec<ExportedSpan>>>,
    messages: Arc<Mutex<String>>,
}

impl Collector {
    /// Receives a message.
    pub(crate) fn receive(&self, message: &Bytes) {
        let message = ExportTraceServiceRequest::decode(message.clone()).unwrap();
        self.messages.lock().unwrap().push_str(&format!("{message:?}\n"));
        let mut spans = self.spans.lock().unwrap();
        for of_resource in message.resource_spans {
            let resource = attributes(of_resource.resource.unwrap().attributes);
            for span in of_resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                assert!(span.end_time_unix_nano >= span.start_time_unix_nano, "{span:?}");
                assert!(span.events.is_empty(), "spans have no events: {span:?}");
                spans.push(ExportedSpan {
                    trace: hex(&span.trace_id),
                    id: hex(&span.span_id),
                    parent: hex(&span.parent_span_id),
                    name: span.name,
                    kind: span.kind,
                    status: span.status.unwrap().code,
                    attributes: attributes(span.attributes),
                    links: span.links.iter().map(|link| hex(&link.span_id)).collect(),
                    resource: resource.clone(),
                });
            }
        }
    }

    /// A transport that delivers messages to this collector.
    pub(crate) fn post(&self) -> PostService {
        let collector = self.clone();
        BoxCloneSyncService::new(service_fn(move |request: Request<Bytes>| {
            collector.receive(request.body());
            async { Ok::<_, BoxError>(StatusCode::OK) }
        }))
    }

    pub(crate) fn spans(&self) -> Vec<ExportedSpan> {
        self.spans.lock().unwrap().clone()
    }

    /// The only span of that name.
    #[track_caller]
    pub(crate) fn only(&self, name: &str) -> ExportedSpan {
        let spans = self.spans();
        let mut of_name = spans.iter().filter(|span| span.name == name);
        match (of_name.next(), of_name.next()) {
            (Some(span), None) => span.clone(),
            _ => panic!("not one `{name}`: {spans:#?}"),
        }
    }

    /// The names of a trace's spans, each under its parent: `query > batch providers > GET LEADLEX`.
    pub(crate) fn paths(&self, trace: &str) -> Vec<String> {
        let spans = self.spans();
        let path = |span: &ExportedSpan| {
            let (mut path, mut at) = (span.name.clone(), span);
            while let Some(parent) = spans.iter().find(|other| other.id == at.parent) {
                path = format!("{} > {path}", parent.name);
                at = parent;
            }
            path
        };
        let mut paths: Vec<_> = spans.iter().filter(|span| span.trace == trace).map(path).collect();
        paths.sort_unstable();
        paths
    }

    /// All messages as text, with ids as numbers, so that a random id never matches a searched word.
    pub(crate) fn text(&self) -> String {
        self.messages.lock().unwrap().clone()
    }
}

fn attributes(attributes: Vec<KeyValue>) -> BTreeMap<String, Value> {
    let value = |pair: KeyValue| match pair.value.unwrap().value.unwrap() {
        Any::StringValue(text) => json!(text),
        Any::IntValue(number) => json!(number),
        Any::BoolValue(truth) => json!(truth),
        other => panic!("{}: {other:?}", pair.key),
    };
    attributes.into_iter().map(|pair| (pair.key.clone(), value(pair))).collect()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
