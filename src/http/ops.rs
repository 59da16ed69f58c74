//! The second listener's routes: what orchestrators ask.

use axum::Router;
use axum::routing::get;

use super::caller::Callers;

/// `/live` says that the process runs, `/ready` that it may be sent requests: it may from the moment that it
/// listens, since it depends on no upstream to answer. Which names it answers by hangs on how callers are known.
pub fn router(callers: &Callers) -> Router {
    let routes = Router::new().route("/live", get("live\n")).route("/ready", get("ready\n"));
    super::guarded(routes, callers)
}
