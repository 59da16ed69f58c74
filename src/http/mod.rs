//! The HTTP edge: all code between a client's connection and the operation engine.
//!
//! Entry points are [`hot_reload::ReloadableEdge`] (the routes) and [`serve`] (the listeners). An `Edge` is the state
//! behind the routes of one configuration; a reload replaces it.
//!
//! - Every request passes [`framing`], if enabled [`mod@traced`], and [`middleware`], which gives it a [`request_id`]
//!   and records it ([`request_recorder`]).
//! - `/graphql` is [`graphql`]: [`media`] types, [`origin`] and [`cors`], [`caller`], [`body`], then the operation
//!   engine. [`conditional`] answers 304.
//! - Subscriptions are a [`response_stream`]: [`streaming`] sends it over HTTP as [`event_stream`] or [`multipart`], or
//!   a [`websocket`] sends it. A [`shutdown`] token ends it.
//! - Pages are [`graphiql`] and [`example`], served as a [`bundle`]; Composio calls [`webhook`]; [`ops`] serves probes.
//! - All refusals of this layer are one [`error`] type. [`rate_limit`] has the headers of the caller's limits over
//!   time.
//! - Each [`connection`] has a [`socket`] and its [`activity`]; a [`stream_reset`] ends one HTTP/2 stream of it.

mod activity;
mod body;
mod bundle;
pub mod caller;
mod conditional;
mod connection;
pub mod cors;
mod date;
mod error;
mod event_stream;
mod example;
mod framing;
mod graphiql;
mod graphql;
pub mod hot_reload;
mod media;
mod middleware;
mod multipart;
pub mod ops;
mod origin;
mod rate_limit;
mod request_id;
mod request_recorder;
mod response_stream;
pub mod serve;
pub mod settings;
mod shutdown;
mod socket;
mod stream_format;
mod stream_reset;
mod streaming;
mod traced;
pub mod webhook;
mod websocket;

use std::ops::Deref;
use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
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

/// State that all requests of a configuration share. A pointer, because routing clones it several times per request.
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

/// Returns the routes of the public listener, without reloading.
pub fn router(parts: EdgeParts) -> Router {
    ReloadableEdge::new(parts, None).routes().now()
}

fn routes(edge: Edge) -> Router {
    let settings = &edge.settings;
    let (front_page, graph) = (front_page(settings), graph(settings));
    let example = if settings.example { example::routes() } else { Router::new() };
    Router::new()
        .merge(front_page)
        .merge(example)
        .route("/graphql", graph)
        .route("/webhooks/composio", any(webhook::handle))
        .fallback(async || HttpError::not_found())
        .layer(from_fn_with_state(edge.clone(), middleware::handle))
        .with_state(edge)
}

/// Returns the route `/graphql` with compression and CORS.
fn graph(settings: &HttpSettings) -> MethodRouter<Edge> {
    let mut route = any(graphql::handle);
    if settings.compression {
        // Streams are not compressed, because compression would delay their frames.
        let worth_it = SizeAbove::new(COMPRESSED_FROM_BYTES)
            .and(NotForContentType::SSE)
            .and(NotForContentType::const_new("multipart/"));
        route =
            route.layer(CompressionLayer::new().quality(CompressionLevel::Fastest).compress_when(worth_it));
    }
    if let Some(cors) = settings.cors_origins.layer() {
        route = route.layer(cors);
    }
    route
}

/// Minimum size of a compressed response in bytes. Smaller ones fit into one packet anyway.
const COMPRESSED_FROM_BYTES: u64 = 1_400;

/// Returns the route `/`: GraphiQL if it is enabled, otherwise a short text.
fn front_page(settings: &HttpSettings) -> Router<Edge> {
    if settings.graphiql {
        return graphiql::routes();
    }
    let text = "Switchboard: GraphQL is served at /graphql (POST, GET).\n";
    Router::new().route("/", get(text).fallback(async || HttpError::method_not_allowed("GET, HEAD")))
}
