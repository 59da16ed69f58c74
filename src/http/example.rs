//! The settings page of `examples/settings-page` at `/example`, its files at `/example/…`: what a frontend over this
//! graph can be, without anything to install.
//!
//! It is a [`bundle`] as GraphiQL's, and is there where its folder holds one. `demo` switches it on; who runs `serve`
//! has a frontend of their own. Serving a folder that a setting names was rejected: the demo is one file.

use axum::Router;
use axum::extract::Path;
use axum::http::HeaderMap;
use axum::middleware::map_response;
use axum::response::{Redirect, Response};
use axum::routing::get;
use rust_embed::RustEmbed;

use super::bundle;

/// The built page.
#[derive(RustEmbed)]
#[folder = "assets/example/"]
#[allow_missing = true]
struct Bundle;

/// What the page may load, and from where: nothing but its own files and its own graph, also by WebSocket (CSP 3).
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src 'self'; \
    connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// The routes of the page; none where it was not built. Whether they are mounted, the caller decides.
pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    if Bundle::get(&format!("{}.gz", bundle::PAGE)).is_none() {
        return Router::new();
    }
    Router::new()
        .route("/example", get(async |headers: HeaderMap| bundle::page::<Bundle>(&headers)))
        // The page's links are relative to `/example`: one up from here.
        .route("/example/", get(async || Redirect::permanent("../example")))
        .route("/example/{file}", get(file))
        .route_layer(map_response(|response| bundle::guarded(POLICY, response)))
}

async fn file(Path(name): Path<String>, headers: HeaderMap) -> Response {
    bundle::asset::<Bundle>(&name, &headers)
}

#[cfg(test)]
mod tests;
