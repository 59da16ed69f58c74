//! The edge: HTTP in, HTTP out.
//!
//! A request passes [`request_id`], is [`request_recorder`] when it is answered, is routed, and at `/graphql` goes through [`graphql`]: [`media`] type,
//! [`origin`] and [`cors`], [`caller`], [`body`], then down into the operation layer; what a client has already it is not
//! sent again ([`conditional`]). What goes on is [`response_stream`] its answers one after the other: [`streaming`] over HTTP, as an
//! [`event_stream`] or [`multipart`], for as long as its [`shutdown`] is; or over a [`websocket`]. Whatever is refused on the
//! way is one [`error`] type, [`framing`]'s before all others. [`graphiql`] is the page at `/`, [`example`] the one at
//! `/example`, each a [`bundle`]; [`webhook`] is where Composio tells of what has expired.
//! All of it may be [`mod@traced`]. [`ops`] is the second listener's, [`serve`] runs either: each [`connection`] is a [`socket`] with a [`activity`]. Of configurations one
//! takes another's place in [`hot_reload`].

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

/// What the edge is made of.
pub struct EdgeParts {
    /// What runs operations.
    pub operations: OperationEngine,
    /// How callers are known.
    pub callers: Authenticator,
    /// Whose webhooks are taken.
    pub webhooks: Webhooks,
    /// `[http]`
    pub settings: HttpSettings,
}

/// What requests to the graph share; routing clones it several times a request.
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

/// The public listener's routes, and around them what every request passes, the outermost last.
pub fn router(parts: EdgeParts) -> Router {
    ReloadableEdge::new(parts, None).routes().now()
}

fn routes(edge: Edge) -> Router {
    let settings = &edge.settings;
    let (front, graph) = (front(settings), graph(settings));
    let example = if settings.example { example::routes() } else { Router::new() };
    let callers = edge.callers.clone();
    let requests = Arc::clone(edge.operations.metrics().requests());
    let routes = Router::new()
        .merge(front)
        .merge(example)
        .route("/graphql", graph)
        .route("/webhooks/composio", any(webhook::take))
        .fallback(async || HttpError::not_found())
        .layer(map_response(no_sniff));
    let recorded = from_fn_with_state(requests, request_recorder::record);
    guarded(routes, &callers).layer(recorded).layer(from_fn(request_id::named)).with_state(edge)
}

/// Where everybody on this machine is an administrator, all that a listener answers is for those alone who call it by this
/// machine's names: GraphiQL too, which a rebound page could steer.
fn guarded<S: Clone + Send + Sync + 'static>(routes: Router<S>, callers: &Authenticator) -> Router<S> {
    match callers {
        Authenticator::Open(_) => routes.layer(from_fn(caller::require_loopback_host)),
        _ => routes,
    }
}

/// `/graphql`, and what is done about its answers.
fn graph(settings: &HttpSettings) -> MethodRouter<Edge> {
    let mut route = any(graphql::answer);
    if settings.compression {
        // What goes on would be held back until there is enough of it to compress.
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

/// From which size on an answer is compressed, in bytes: below, a packet takes it as it is.
const COMPRESSED_FROM_BYTES: u64 = 1_400;

/// `/`: GraphiQL where it is switched on, else a word to whoever looks.
fn front(settings: &HttpSettings) -> Router<Edge> {
    if settings.graphiql {
        return graphiql::routes();
    }
    let word = "Switchboard: the graph answers at /graphql (POST, GET).\n";
    Router::new().route("/", get(word).fallback(async || HttpError::method_not_allowed("GET, HEAD")))
}

/// Answers differ by whoever asks and by what they take; caches in between are told so even where they may keep
/// nothing, since a private cache may.
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
