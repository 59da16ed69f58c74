//! The settings page of `examples/settings-page` at `/example`, with its files at `/example/…`: a sample frontend that
//! needs no installation.
//!
//! It is a [`bundle`] like GraphiQL, and exists if its folder contains one. `demo` enables it; users of `serve` have
//! their own frontend. Rejected: serving a folder that a setting names, because the demo is a single binary.

use axum::Router;
use axum::extract::Path;
use axum::http::HeaderMap;
use axum::middleware::map_response;
use axum::response::{Redirect, Response};
use axum::routing::get;
use rust_embed::RustEmbed;

use super::bundle;
use super::cors::AllowedOrigins;

/// The built page.
#[derive(RustEmbed)]
#[folder = "assets/example/"]
#[allow_missing = true]
struct Bundle;

/// The content security policy, up to the origins of images: only the page's own files and this server's graph, also by
/// WebSocket (CSP 3).
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; connect-src 'self'; \
    frame-ancestors 'none'; base-uri 'none'; form-action 'none'; img-src 'self'";

/// Returns the routes of the page; empty if it was not built. The caller decides whether to mount them. The page may
/// load images, the logos of services, from `image_origins` only.
pub(super) fn routes<S: Clone + Send + Sync + 'static>(image_origins: &AllowedOrigins) -> Router<S> {
    if Bundle::get(&format!("{}.gz", bundle::PAGE)).is_none() {
        return Router::new();
    }
    let policy = image_origins.appended_to(POLICY);
    Router::new()
        .route("/example", get(async |headers: HeaderMap| bundle::page::<Bundle>(&headers)))
        // The page's links are relative to `/example`, one level up.
        .route("/example/", get(async || Redirect::permanent("../example")))
        .route("/example/{file}", get(file))
        .route_layer(map_response(move |response| bundle::with_security_headers(policy.clone(), response)))
}

async fn file(Path(name): Path<String>, headers: HeaderMap) -> Response {
    bundle::asset::<Bundle>(&name, &headers)
}

#[cfg(test)]
mod tests;
