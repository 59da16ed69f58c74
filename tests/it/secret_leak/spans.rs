//! What the collector of traces is told of a request.

use std::sync::{Arc, Mutex};

use axum::Router;
use bytes::Bytes;
use http::{Request, StatusCode};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, service_fn};

use switchboard::config::Config;
use switchboard::http::traced;
use switchboard::telemetry::traces::Traces;
use switchboard::telemetry::traces::settings::TraceSettings;

/// Traces whose collector is here.
pub(super) struct Spans {
    traces: Traces,
    told: Arc<Mutex<String>>,
}

impl Spans {
    pub(super) fn of(config: &Config) -> Self {
        let told = Arc::new(Mutex::new(String::new()));
        let seen = Arc::clone(&told);
        let post = BoxCloneSyncService::new(service_fn(move |request: Request<Bytes>| {
            let message = ExportTraceServiceRequest::decode(request.body().clone()).unwrap();
            // Ids are numbers in it, so that chance spells no mark.
            seen.lock().unwrap().push_str(&format!("{:?} {message:?}", request.headers()));
            async { Ok::<_, BoxError>(StatusCode::OK) }
        }));
        let endpoint = "http://collector.invalid".to_owned();
        let settings = TraceSettings { endpoint, ..config.traces.clone() };
        Self { traces: Traces::start(&settings, post).unwrap(), told }
    }

    /// The same routes, traced.
    pub(super) fn over(&self, routes: Router) -> Router {
        traced(routes, Some(self.traces.root()))
    }

    /// All that was told.
    pub(super) async fn told(self) -> String {
        self.traces.end().await;
        std::mem::take(&mut *self.told.lock().unwrap())
    }
}
