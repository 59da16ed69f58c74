//! The HTTP edge: from a client's request to the operation engine and back.
//!
//! Entry points are [`hot_reload::ReloadableEdge`] (the routes) and [`serve`] (the listeners).
//!
//! - Every request passes [`framing`], [`request_id`], [`request_recorder`] and, if enabled, [`mod@traced`].
//! - `/graphql` is [`graphql`]: [`media`] types, [`origin`] and [`cors`], [`caller`], [`body`], then the operation engine.
//!   [`conditional`] answers 304.
//! - Subscriptions are a [`response_stream`]: [`streaming`] over HTTP as [`event_stream`] or [`multipart`], or a
//!   [`websocket`]. They end by their [`shutdown`] token.
//! - Pages are [`graphiql`] and [`example`], served as a [`bundle`]; Composio calls [`webhook`]; [`ops`] serves probes.
//! - Refusals are one [`error`] type.
//! - Each [`connection`] has a [`socket`] and its [`activity`].

mod activity;
mod body;
mod bundle;
pub mod caller;
mod conditional;
mod connection;
pub mod cors;
mod error;
mod event_stream;
mod example;
mod framing;
mod graphiql;
mod graphql;
pub mod hot_reload;
mod media;
mod multipart;
pub mod ops;
mod origin;
mod request_id;
mod request_recorder;
mod response_stream;
pub mod serve;
pub mod settings;
mod shutdown;
mod socket;
mod stream_format;
mod streaming;
mod traced;
pub mod webhook;
mod websocket;

use std::ops::Deref;
use std::sync::Arc;

use axum::Router;
use axum::http::header::{VARY, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::{from_fn, from_fn_with_state, map_response};
use axum::response::Response;
use axum::routing::{MethodRouter, any, get};
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{NotForContentType, Predicate as _, SizeAbove};

use self::body::BodyBudget;
use self::caller::Authenticator;
use self::cors::AllowedOrigins;
use self::error::HttpError;
use self::hot_reload::{ReloadableEdge, Replacement};
use self::settings::HttpSettings;
pub use self::traced::traced;
use self::webhook::Webhooks;
use crate::operation::OperationEngine;

/// The parts of an edge.
pub struct EdgeParts {
    /// The engine that executes operations.
    pub operations: OperationEngine,
    /// The authenticator of callers.
    pub callers: Authenticator,
    /// The webhook verification.
    pub webhooks: Webhooks,
    /// `[http]`
    pub settings: HttpSettings,
}

/// State that all requests of a configuration share; a pointer, because routing clones it several times per request.
#[derive(Clone)]
struct Edge(Arc<EdgeState>);

impl Deref for Edge {
    type Target = EdgeState;

    fn deref(&self) -> &EdgeState {
        &self.0
    }
}

struct EdgeState {
    operations: OperationEngine,
    callers: Authenticator,
    cors_origins: AllowedOrigins,
    bodies: Arc<BodyBudget>,
    webhooks: Arc<Webhooks>,
    settings: Arc<HttpSettings>,
    replacement: Replacement,
}

/// The routes of the public listener, without reloading.
pub fn router(parts: EdgeParts) -> Router {
    ReloadableEdge::new(parts, None).routes().now()
}

fn routes(edge: Edge) -> Router {
    let settings = &edge.settings;
    let (front_page, graph) = (front_page(settings), graph(settings));
    let example = if settings.example { example::routes() } else { Router::new() };
    let callers = edge.callers.clone();
    let requests = Arc::clone(edge.operations.metrics().requests());
    let routes = Router::new()
        .merge(front_page)
        .merge(example)
        .route("/graphql", graph)
        .route("/webhooks/composio", any(webhook::handle))
        .fallback(async || HttpError::not_found())
        .layer(map_response(no_sniff));
    let recorded = from_fn_with_state(requests, request_recorder::record);
    restrict_host(routes, &callers).layer(recorded).layer(from_fn(request_id::assign)).with_state(edge)
}

/// Restricts a listener without authentication to clients that address it by a loopback name. This includes GraphiQL,
/// which a page could otherwise control by DNS rebinding.
fn restrict_host<S: Clone + Send + Sync + 'static>(routes: Router<S>, callers: &Authenticator) -> Router<S> {
    match callers {
        Authenticator::Open(_) => routes.layer(from_fn(caller::require_loopback_host)),
        _ => routes,
    }
}

/// `/graphql` with compression, CORS and `Vary`.
fn graph(settings: &HttpSettings) -> MethodRouter<Edge> {
    let mut route = any(graphql::answer);
    if settings.compression {
        // Compression would hold back the frames of a stream.
        let worth_it = SizeAbove::new(COMPRESSED_FROM_BYTES)
            .and(NotForContentType::SSE)
            .and(NotForContentType::const_new("multipart/"));
        route =
            route.layer(CompressionLayer::new().quality(CompressionLevel::Fastest).compress_when(worth_it));
    }
    if let Some(cors) = settings.cors_origins.layer() {
        route = route.layer(cors);
    }
    route.layer(map_response(add_vary))
}

/// Minimum size of a compressed response in bytes; smaller ones fit into a packet anyway.
const COMPRESSED_FROM_BYTES: u64 = 1_400;

/// `/`: GraphiQL if it is enabled, otherwise a short text.
fn front_page(settings: &HttpSettings) -> Router<Edge> {
    if settings.graphiql {
        return graphiql::routes();
    }
    let text = "Switchboard: GraphQL is served at /graphql (POST, GET).\n";
    Router::new().route("/", get(text).fallback(async || HttpError::method_not_allowed("GET, HEAD")))
}

/// Responses depend on the caller and on what it accepts. `Vary` is set on every response, because a private cache
/// may store some.
async fn add_vary(response: Response) -> Response {
    with(response, VARY, "Authorization, x-api-key, Accept, Accept-Encoding, Origin")
}

async fn no_sniff(response: Response) -> Response {
    with(response, X_CONTENT_TYPE_OPTIONS, "nosniff")
}

fn with(mut response: Response, name: HeaderName, value: &'static str) -> Response {
    response.headers_mut().insert(name, HeaderValue::from_static(value));
    response
}
