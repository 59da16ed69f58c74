//! The routes of the public listener.
//!
//! [`Routes::handle`] handles each request. Rejected: one axum router with layers for all of it. Every layer boxes its
//! future and clones the services below it, which took a sixth of the time of a response from the cache. The router is
//! only used for pages and webhooks.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, HttpBody as _};
use axum::extract::Request;
use axum::http::header::{ACCEPT_ENCODING, CONTENT_LENGTH, ORIGIN};
use axum::http::{Method, Version};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{any, get};
use futures_util::future::Either;
use tower::util::BoxCloneSyncService;
use tower::{Layer as _, ServiceExt as _, service_fn};

use super::caller::check_host;
use super::compression::compressed;
use super::edge::Edge;
use super::error::HttpError;
use super::request_in_progress::{GRAPHQL, RequestInProgress, WEBHOOK};
use super::settings::HttpSettings;
use super::shutdown::ShutdownToken;
use super::{example, graphiql, graphql, traced, webhook};
use crate::telemetry::request_scope::in_request;
use crate::telemetry::traces::RequestTracer;

/// The routes of one configuration; cheap to clone.
#[derive(Clone)]
pub(super) struct Routes(Arc<RoutesState>);

struct RoutesState {
    edge: Edge,
    /// `/graphql` with compression and CORS; `None` if both are disabled.
    layered_graphql: Option<GraphqlService>,
    other_routes: Router,
    tracer: Option<RequestTracer>,
}

type GraphqlService = BoxCloneSyncService<Request, Response, Infallible>;

impl Routes {
    /// Creates the routes. Requests are traced if there is a tracer.
    pub(super) fn new(edge: Edge, tracer: Option<RequestTracer>) -> Self {
        Self(Arc::new(RoutesState {
            layered_graphql: layered_graphql(&edge),
            other_routes: other_routes(&edge.settings).with_state(edge.clone()),
            edge,
            tracer,
        }))
    }

    /// Handles a request.
    pub(super) fn handle(
        self,
        request: Request,
        shutdown: ShutdownToken,
    ) -> impl Future<Output = Response> + Send {
        match self.0.tracer.clone() {
            None => Either::Left(self.respond(request, shutdown)),
            Some(tracer) => Either::Right(Box::pin(async move {
                let route = self.0.pattern(request.uri().path());
                traced::follow(&tracer, route, request, |request| self.respond(request, shutdown)).await
            })),
        }
    }

    async fn respond(self, request: Request, shutdown: ShutdownToken) -> Response {
        let in_progress = RequestInProgress::begin(&self.0.edge, &request, shutdown.clone());
        let omits_body = request.method() == Method::HEAD && request.version() == Version::HTTP_2;
        let response = in_request(Some(in_progress.scope()), self.dispatch(request, shutdown)).await;
        let response = in_progress.finish(response);
        if omits_body { without_body(response) } else { response }
    }

    /// Calls the handler of the request's route.
    async fn dispatch(self, mut request: Request, shutdown: ShutdownToken) -> Response {
        let RoutesState { edge, layered_graphql, other_routes, tracer: _ } = &*self.0;
        if let Err(refused) = check_host(&edge.callers, &request) {
            return refused.into_response();
        }
        let service = match request.uri().path() {
            GRAPHQL => layered_graphql.as_ref().filter(|_| needs_layers(&request)).cloned(),
            _ => Some(BoxCloneSyncService::new(other_routes.clone())),
        };
        // Both boxed: they are large, and the futures around this one, which contain it, are moved several times.
        match service {
            None => Box::pin(graphql::handle(edge.clone(), request, shutdown)).await,
            Some(service) => {
                request.extensions_mut().insert(shutdown);
                Box::pin(service.oneshot(request)).await.unwrap_or_else(|never| match never {})
            }
        }
    }
}

impl RoutesState {
    /// Returns the pattern of the route of a path, for traces; `None` if there is no route.
    fn pattern(&self, path: &str) -> Option<&'static str> {
        let HttpSettings { graphiql, example, .. } = &self.edge.settings;
        Some(match path {
            GRAPHQL => GRAPHQL,
            WEBHOOK => WEBHOOK,
            "/" => "/",
            "/example" if *example => "/example",
            _ if *graphiql && path.starts_with("/graphiql/") => "/graphiql/{file}",
            _ if *example && path.starts_with("/example/") => "/example/{file}",
            _ => return None,
        })
    }
}

/// Removes the body of a response to HEAD, and keeps its length (RFC 9110, 9.3.2). hyper does that over HTTP/1 only.
fn without_body(mut response: Response) -> Response {
    if let Some(length) = response.body().size_hint().exact() {
        response.headers_mut().entry(CONTENT_LENGTH).or_insert_with(|| length.into());
    }
    response.map(|_| Body::empty())
}

/// Whether compression or CORS may change the response to a request.
fn needs_layers(request: &Request) -> bool {
    let headers = request.headers();
    headers.contains_key(ACCEPT_ENCODING)
        || headers.contains_key(ORIGIN)
        || request.method() == Method::OPTIONS
}

fn layered_graphql(edge: &Edge) -> Option<GraphqlService> {
    let edge_of_requests = edge.clone();
    let graphql = service_fn(move |request: Request| {
        let (edge, shutdown) =
            (edge_of_requests.clone(), ShutdownToken::from_extensions(request.extensions()));
        async { Ok(graphql::handle(edge, request, shutdown).await) }
    });
    Some(match (edge.settings.cors_origins.layer(), edge.settings.compression) {
        (None, false) => return None,
        (None, true) => BoxCloneSyncService::new(compressed(graphql)),
        (Some(cors), false) => BoxCloneSyncService::new(cors.layer(graphql)),
        (Some(cors), true) => BoxCloneSyncService::new(cors.layer(compressed(graphql))),
    })
}

/// Returns the routes apart from `/graphql`.
fn other_routes(settings: &HttpSettings) -> Router<Edge> {
    let example = if settings.example { example::routes(&settings.image_origins) } else { Router::new() };
    front_page(settings)
        .merge(example)
        .route(WEBHOOK, any(webhook::handle))
        .fallback(async || HttpError::not_found())
}

/// Returns the route `/`: GraphiQL if it is enabled, otherwise a short text.
fn front_page(settings: &HttpSettings) -> Router<Edge> {
    if settings.graphiql {
        return graphiql::routes();
    }
    let text = "Switchboard: GraphQL is served at /graphql (POST, GET).\n";
    Router::new().route("/", get(text).fallback(async || HttpError::method_not_allowed("GET, HEAD")))
}
