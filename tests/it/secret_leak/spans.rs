//! Traces of a request, captured from the exporter.

use std::sync::{Arc, Mutex};

use axum::Router;
use bytes::Bytes;
use http::{Request, StatusCode};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, service_fn};

use switchboard::config::Config;
use switchboard::http::{EdgeParts, traced_router};
use switchboard::telemetry::traces::Traces;
use switchboard::telemetry::traces::settings::TraceSettings;

/// An exporter of traces with a collector in this process.
pub(super) struct Spans {
    traces: Traces,
    exported: Arc<Mutex<String>>,
}

impl Spans {
    pub(super) fn of(config: &Config) -> Self {
        let exported = Arc::new(Mutex::new(String::new()));
        let seen = Arc::clone(&exported);
        let post = BoxCloneSyncService::new(service_fn(move |request: Request<Bytes>| {
            let message = ExportTraceServiceRequest::decode(request.body().clone()).unwrap();
            // Ids are numbers in it, so that chance spells no mark.
            seen.lock().unwrap().push_str(&format!("{:?} {message:?}", request.headers()));
            async { Ok::<_, BoxError>(StatusCode::OK) }
        }));
        let endpoint = "http://collector.invalid".to_owned();
        let settings = TraceSettings { endpoint, ..config.traces.clone() };
        Self { traces: Traces::start(&settings, post).unwrap(), exported }
    }

    /// The same routes, traced.
    pub(super) fn over(&self, edge: EdgeParts) -> Router {
        traced_router(edge, Some(self.traces.root()))
    }

    /// All exported messages.
    pub(super) async fn exported(self) -> String {
        self.traces.end().await;
        std::mem::take(&mut *self.exported.lock().unwrap())
    }
}
