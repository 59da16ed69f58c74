//! The second listener's routes: what orchestrators ask.

use axum::Router;
use axum::routing::get;

/// `/live` says that the process runs, `/ready` that it may be sent requests: it may from the moment that it
/// listens, since it depends on no upstream to answer.
pub fn router() -> Router {
    Router::new().route("/live", get("live\n")).route("/ready", get("ready\n"))
}
