//! The routes of the public listener.

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, any, get};
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{NotForContentType, Predicate as _, SizeAbove};

use super::edge::Edge;
use super::error::HttpError;
use super::settings::HttpSettings;
use super::{example, graphiql, graphql, middleware, webhook};

pub(super) fn routes(edge: Edge) -> Router {
    let settings = &edge.settings;
    let (front_page, graph) = (front_page(settings), graph(settings));
    let example = if settings.example { example::routes(&settings.image_origins) } else { Router::new() };
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
