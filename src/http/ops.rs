//! Routes of the ops listener: probes and metrics.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{ACCEPT, CONTENT_TYPE, VARY};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::IntoResponse as _;
use axum::routing::get;

use super::bundle;
use super::caller::{Authenticator, check_host};
use crate::telemetry::metrics::Metrics;

/// Readiness of the server; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Readiness(Arc<AtomicBool>);

impl Readiness {
    /// Reports not ready: load balancers send requests elsewhere, while requests that still arrive are answered.
    pub fn set_not_ready(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn response(&self) -> (StatusCode, &'static str) {
        match self.0.load(Ordering::Relaxed) {
            false => (StatusCode::OK, "ready\n"),
            true => (StatusCode::SERVICE_UNAVAILABLE, "shutting down\n"),
        }
    }
}

/// Returns the routes of the ops listener. `/live` reports that the process runs. `/ready` reports that it accepts
/// requests: from the start of listening until shutdown is requested, independent of the upstreams. `/metrics` returns
/// the current metrics. The accepted host names depend on the authentication mode, which only a restart changes.
pub fn router(callers: &Authenticator, readiness: &Readiness, metrics: Metrics) -> Router {
    let readiness = readiness.clone();
    let ready = move || std::future::ready(readiness.response());
    let routes = Router::new().route("/live", get("live\n")).route("/ready", get(ready));
    let page = async move |headers: HeaderMap| {
        let (media, page) = if accepts_openmetrics(&headers) {
            (Metrics::MEDIA_TYPE, metrics.page())
        } else {
            (Metrics::TEXT_MEDIA_TYPE, metrics.text_page())
        };
        ([(CONTENT_TYPE, HeaderValue::from_static(media)), (VARY, HeaderValue::from_static("Accept"))], page)
    };
    let check = from_fn_with_state(
        callers.clone(),
        async |State(callers): State<_>, request: Request, next: Next| match check_host(&callers, &request) {
            Ok(()) => next.run(request).await,
            Err(refused) => refused.into_response(),
        },
    );
    routes.route("/metrics", get(page)).layer(check)
}

/// Whether a scraper accepts OpenMetrics by name, as Prometheus does. All other clients, such as curl, get Prometheus's
/// text format, which every tool reads.
fn accepts_openmetrics(headers: &HeaderMap) -> bool {
    bundle::accepts(headers, &ACCEPT, &["application/openmetrics-text"]) == Some(true)
}
