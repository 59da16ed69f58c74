//! A collector of traces, for tests: reads what it is sent by OTLP.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, StatusCode};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use prost::Message as _;
use serde_json::{Value, json};
use switchboard::telemetry::traces::Post;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, service_fn};

/// A span as it was told.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    pub(crate) trace: String,
    pub(crate) id: String,
    /// Empty where it begins a trace.
    pub(crate) parent: String,
    pub(crate) name: String,
    /// 1 internal, 2 server, 3 client (OTLP, `SpanKind`).
    pub(crate) kind: i32,
    /// 0 unset, 2 error (OTLP, `StatusCode`).
    pub(crate) status: i32,
    pub(crate) facts: BTreeMap<String, Value>,
    /// The ids of the spans that it leads to.
    pub(crate) links: Vec<String>,
    /// What the program says of itself.
    pub(crate) resource: BTreeMap<String, Value>,
}

/// All that came.
#[derive(Clone, Default)]
pub(crate) struct Collector {
    told: Arc<Mutex<Vec<Told>>>,
    messages: Arc<Mutex<String>>,
}

impl Collector {
    /// Takes a message.
    pub(crate) fn take(&self, message: &Bytes) {
        let message = ExportTraceServiceRequest::decode(message.clone()).unwrap();
        self.messages.lock().unwrap().push_str(&format!("{message:?}\n"));
        let mut told = self.told.lock().unwrap();
        for of_resource in message.resource_spans {
            let resource = facts(of_resource.resource.unwrap().attributes);
            for span in of_resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                assert!(span.end_time_unix_nano >= span.start_time_unix_nano, "{span:?}");
                assert!(span.events.is_empty(), "nothing has a word for events: {span:?}");
                told.push(Told {
                    trace: hex(&span.trace_id),
                    id: hex(&span.span_id),
                    parent: hex(&span.parent_span_id),
                    name: span.name,
                    kind: span.kind,
                    status: span.status.unwrap().code,
                    facts: facts(span.attributes),
                    links: span.links.iter().map(|link| hex(&link.span_id)).collect(),
                    resource: resource.clone(),
                });
            }
        }
    }

    /// What carries messages here.
    pub(crate) fn post(&self) -> Post {
        let collector = self.clone();
        BoxCloneSyncService::new(service_fn(move |request: Request<Bytes>| {
            collector.take(request.body());
            async { Ok::<_, BoxError>(StatusCode::OK) }
        }))
    }

    pub(crate) fn told(&self) -> Vec<Told> {
        self.told.lock().unwrap().clone()
    }

    /// The only span of that name.
    #[track_caller]
    pub(crate) fn only(&self, name: &str) -> Told {
        let told = self.told();
        let mut of_name = told.iter().filter(|span| span.name == name);
        match (of_name.next(), of_name.next()) {
            (Some(span), None) => span.clone(),
            _ => panic!("not one `{name}`: {told:#?}"),
        }
    }

    /// The names of the spans of a trace, each under its parent's: `query > batch providers > GET LEADLEX`.
    pub(crate) fn paths(&self, trace: &str) -> Vec<String> {
        let told = self.told();
        let path = |span: &Told| {
            let (mut path, mut at) = (span.name.clone(), span);
            while let Some(parent) = told.iter().find(|other| other.id == at.parent) {
                path = format!("{} > {path}", parent.name);
                at = parent;
            }
            path
        };
        let mut paths: Vec<_> = told.iter().filter(|span| span.trace == trace).map(path).collect();
        paths.sort_unstable();
        paths
    }

    /// All messages as text, ids as numbers: chance must not spell a word that is looked for.
    pub(crate) fn text(&self) -> String {
        self.messages.lock().unwrap().clone()
    }
}

fn facts(attributes: Vec<KeyValue>) -> BTreeMap<String, Value> {
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
