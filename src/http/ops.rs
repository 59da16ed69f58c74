//! The second listener's routes: what orchestrators and Prometheus ask.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::http::header::{ACCEPT, CONTENT_TYPE, VARY};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::routing::get;

use super::bundle;
use super::caller::Authenticator;
use crate::telemetry::metrics::Metrics;

/// Whether requests may be sent here; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Readiness(Arc<AtomicBool>);

impl Readiness {
    /// They may not any more: whoever balances sends them elsewhere, while those that come are still answered.
    pub fn withdraw(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn tell(&self) -> (StatusCode, &'static str) {
        match self.0.load(Ordering::Relaxed) {
            false => (StatusCode::OK, "ready\n"),
            true => (StatusCode::SERVICE_UNAVAILABLE, "going away\n"),
        }
    }
}

/// `/live` says that the process runs, `/ready` that it may be sent requests: it may from the moment that it
/// listens until it is told to stop, since it depends on no upstream to answer. `/metrics` is all figures as they stand. Which
/// names it answers by hangs on how callers are known.
pub fn router(callers: &Authenticator, readiness: &Readiness, metrics: Metrics) -> Router {
    let readiness = readiness.clone();
    let ready = move || std::future::ready(readiness.tell());
    let routes = Router::new().route("/live", get("live\n")).route("/ready", get(ready));
    let page = async move |headers: HeaderMap| {
        let (media, page) = if takes_openmetrics(&headers) {
            (Metrics::MEDIA_TYPE, metrics.page())
        } else {
            (Metrics::TEXT_MEDIA_TYPE, metrics.text_page())
        };
        ([(CONTENT_TYPE, HeaderValue::from_static(media)), (VARY, HeaderValue::from_static("Accept"))], page)
    };
    super::guarded(routes.route("/metrics", get(page)), callers)
}

/// Whether a scraper asks for OpenMetrics by name, as Prometheus does. All others, curl among them, get Prometheus's text format, which
/// every tool reads.
fn takes_openmetrics(headers: &HeaderMap) -> bool {
    bundle::takes(headers, &ACCEPT, &["application/openmetrics-text"]) == Some(true)
}
