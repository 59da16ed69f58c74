//! The edge: HTTP in, HTTP out.
//!
//! A request passes [`request_id`], is routed, and at `/graphql` goes through [`graphql`]: [`media`] type,
//! [`origin`], [`caller`], then down into the operation layer; what a client has already it is not sent
//! again ([`conditional`]). Whatever is refused on the way is one [`error`] type.
//! [`graphiql`] is the page at `/`. [`ops`] is the second listener's, [`serve`] runs either.

pub mod caller;
mod conditional;
mod error;
mod graphiql;
mod graphql;
mod media;
pub mod ops;
mod origin;
mod request_id;
pub mod serve;
pub mod settings;

use axum::Router;
use axum::http::header::{VARY, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::{from_fn, map_response};
use axum::response::Response;
use axum::routing::{any, get};

use self::caller::Callers;
use self::error::HttpError;
use self::settings::HttpSettings;
use crate::operation::Operations;

/// What the edge is made of.
#[derive(Clone)]
pub struct EdgeParts {
    /// What runs operations.
    pub operations: Operations,
    /// How callers are known.
    pub callers: Callers,
    /// `[http]`
    pub settings: HttpSettings,
}

/// The public listener's routes, and around them what every request passes, the outermost last.
pub fn router(parts: EdgeParts) -> Router {
    Router::new()
        .merge(front(&parts.settings))
        .route("/graphql", any(graphql::answer).layer(map_response(varying)))
        .fallback(async || HttpError::nothing_here())
        .layer(map_response(unsniffed))
        .layer(from_fn(request_id::named))
        .with_state(parts)
}

/// `/`: GraphiQL where it is switched on, else a word to whoever looks.
fn front(settings: &HttpSettings) -> Router<EdgeParts> {
    if settings.graphiql {
        return graphiql::routes();
    }
    let word = "Switchboard: the graph answers at /graphql (POST, GET).\n";
    Router::new().route("/", get(word).fallback(async || HttpError::method("GET, HEAD")))
}

/// Answers differ by whoever asks and by what they take; caches in between are told so even where they may keep
/// nothing, since a private cache may.
async fn varying(response: Response) -> Response {
    with(response, VARY, "Authorization, x-api-key, Accept, Accept-Encoding, Origin")
}

async fn unsniffed(response: Response) -> Response {
    with(response, X_CONTENT_TYPE_OPTIONS, "nosniff")
}

fn with(mut response: Response, name: HeaderName, value: &'static str) -> Response {
    response.headers_mut().insert(name, HeaderValue::from_static(value));
    response
}
