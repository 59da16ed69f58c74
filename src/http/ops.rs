//! The second listener's routes: what orchestrators and Prometheus ask.

use axum::Router;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;

use super::caller::Callers;
use crate::telemetry::metrics::Metrics;

/// `/live` says that the process runs, `/ready` that it may be sent requests: it may from the moment that it
/// listens, since it depends on no upstream to answer. `/metrics` is all figures as they stand. Which names it answers by hangs on
/// how callers are known.
pub fn router(callers: &Callers, metrics: Metrics) -> Router {
    let routes = Router::new().route("/live", get("live\n")).route("/ready", get("ready\n"));
    let page =
        async move || ([(CONTENT_TYPE, HeaderValue::from_static(Metrics::MEDIA_TYPE))], metrics.page());
    super::guarded(routes.route("/metrics", get(page)), callers)
}
