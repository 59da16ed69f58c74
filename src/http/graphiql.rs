//! GraphiQL at `/`, its files at `/graphiql/…`, all out of the binary.
//!
//! The page is built from `graphiql/` into `assets/graphiql/`, a [`bundle`]. The page that async-graphql brings was
//! rejected: it loads its scripts from a CDN, which a closed network has not and which a policy of `'self'` alone forbids.

use axum::Router;
use axum::extract::Path;
use axum::http::header::{ACCEPT, VARY};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::map_response;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use rust_embed::RustEmbed;

use super::bundle;

/// The built page: each file gzipped, its name ending in `.gz`.
#[derive(RustEmbed)]
#[folder = "assets/graphiql/"]
struct Bundle;

/// What the page may load, and from where. `'unsafe-inline'` for styles alone: monaco writes `<style>` elements as it
/// runs. `data:` for images alone: the squiggles under an error. `'self'` covers WebSockets of the same origin
/// too (CSP 3). A worker obeys the policy that came with its own file, so every answer bears it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; font-src 'self'; \
    img-src 'self' data:; worker-src 'self'; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; \
    form-action 'none'";

/// The routes of GraphiQL: `/` for those who accept HTML, and `/graphiql/{file}`. Whether they are mounted, the caller decides.
pub(crate) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route("/", get(page))
        .route("/graphiql/{file}", get(asset))
        .route_layer(map_response(|response| bundle::guarded(POLICY, response)))
}

async fn page(headers: HeaderMap) -> Response {
    let html = bundle::takes(&headers, &ACCEPT, &["text/html", "text/*", "*/*"]);
    if html.unwrap_or(!headers.contains_key(ACCEPT)) {
        return bundle::page::<Bundle>(&headers);
    }
    let hint = "Here is GraphiQL, a page for browsers (text/html). The graph answers at /graphql.\n";
    (StatusCode::NOT_ACCEPTABLE, [(VARY, "Accept")], hint).into_response()
}

async fn asset(Path(name): Path<String>, headers: HeaderMap) -> Response {
    bundle::asset::<Bundle>(&name, &headers)
}

#[cfg(test)]
mod tests;
