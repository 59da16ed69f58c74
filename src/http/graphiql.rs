//! GraphiQL at `/`, with its files at `/graphiql/…`, embedded in the binary.
//!
//! The page is a [`bundle`] built from `graphiql/` into `assets/graphiql/`. Rejected: async-graphql's page. It loads
//! scripts from a CDN, which closed networks cannot reach and this policy forbids.

use axum::Router;
use axum::extract::Path;
use axum::http::header::{ACCEPT, VARY};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::map_response;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use rust_embed::RustEmbed;

use super::bundle;

/// The built page: each file gzipped, its name ending in `.gz`.
#[derive(RustEmbed)]
#[folder = "assets/graphiql/"]
struct Bundle;

/// The content security policy. `'unsafe-inline'` is allowed only for styles, because monaco writes `<style>` elements
/// at runtime. `data:` is allowed only for images, for the underline of an error. `'self'` includes WebSockets of the
/// same origin (CSP 3). A worker uses the policy of its own file, so every response has the policy.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; font-src 'self'; \
    img-src 'self' data:; worker-src 'self'; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; \
    form-action 'none'";

/// Returns the routes of GraphiQL: `/` for clients that accept HTML, and `/graphiql/{file}`. The caller decides whether
/// to mount them.
pub(crate) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new().route("/", get(page)).route("/graphiql/{file}", get(asset)).route_layer(map_response(
        |response| bundle::with_security_headers(HeaderValue::from_static(POLICY), response),
    ))
}

async fn page(headers: HeaderMap) -> Response {
    let html = bundle::accepts(&headers, &ACCEPT, &["text/html", "text/*", "*/*"]);
    if html.unwrap_or(!headers.contains_key(ACCEPT)) {
        return bundle::page::<Bundle>(&headers);
    }
    let hint = "GraphiQL is a page for browsers (text/html). GraphQL is served at /graphql.\n";
    (StatusCode::NOT_ACCEPTABLE, [(VARY, "Accept")], hint).into_response()
}

async fn asset(Path(name): Path<String>, headers: HeaderMap) -> Response {
    bundle::asset::<Bundle>(&name, &headers)
}

#[cfg(test)]
mod tests;
