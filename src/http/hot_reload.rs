//! Replacing the configuration while requests are served.
//!
//! [`ReloadableEdge`] is the entry point. A listener reads [`CurrentRouter`] at each request, so each request is
//! answered by exactly one configuration. A subscription has the edge with which it started, and learns from
//! [`Edge::wait_for_replacement`] which edge has replaced it. Its caller is then authenticated again.
//! Rejected: a lock per setting. A request could use a mix of two configurations.

use std::convert::Infallible;

use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use futures_util::future::Either;
use tokio::sync::watch;
use tower::{ServiceExt as _, service_fn};

use super::body::BodyBudget;
use super::edge::{Edge, EdgeParts};
use super::routes::Routes;
use super::shutdown::ShutdownToken;
use crate::domain::clock::Clock;
use crate::telemetry::traces::RequestTracer;

/// The routes of a listener that are in force.
#[derive(Clone)]
pub struct CurrentRouter(watch::Receiver<ListenerRoutes>);

/// The routes of a listener.
#[derive(Clone)]
pub(super) enum ListenerRoutes {
    /// Of the public listener.
    Public(Routes),
    /// Of another listener, such as the one for probes.
    Router(Router),
}

impl ListenerRoutes {
    pub(super) fn handle(
        self,
        mut request: Request,
        shutdown: ShutdownToken,
    ) -> impl Future<Output = Response> + Send {
        match self {
            Self::Public(routes) => Either::Left(routes.handle(request, shutdown)),
            // Boxed: requests of the public listener do not need it.
            Self::Router(router) => Either::Right(Box::pin(async {
                request.extensions_mut().insert(shutdown);
                router.oneshot(request).await.unwrap_or_else(|never| match never {})
            })),
        }
    }
}

impl CurrentRouter {
    pub(super) fn now(&self) -> ListenerRoutes {
        self.0.borrow().clone()
    }
}

/// A router that is never replaced.
impl From<Router> for CurrentRouter {
    fn from(router: Router) -> Self {
        Self(watch::channel(ListenerRoutes::Router(router)).1)
    }
}

/// The edge of the public listener, replaceable at runtime.
pub struct ReloadableEdge {
    routes: watch::Sender<ListenerRoutes>,
    edge: Edge,
    replacement_sender: watch::Sender<Option<Edge>>,
    tracer: Option<RequestTracer>,
}

impl ReloadableEdge {
    /// Creates the edge of these parts. Requests are traced if there is a tracer.
    #[must_use]
    pub fn new(parts: EdgeParts, tracer: Option<RequestTracer>) -> Self {
        let bodies = BodyBudget::new(&parts.settings);
        let (replacement_sender, edge) = Edge::new(parts, bodies);
        let routes = ListenerRoutes::Public(Routes::new(edge.clone(), tracer.clone()));
        Self { routes: watch::channel(routes).0, edge, replacement_sender, tracer }
    }

    /// Returns the router for a listener.
    #[must_use]
    pub fn routes(&self) -> CurrentRouter {
        CurrentRouter(self.routes.subscribe())
    }

    /// Returns the authenticator in force.
    #[must_use]
    pub fn callers(&self) -> &super::caller::Authenticator {
        &self.edge.callers
    }

    /// Returns the operation engine in force.
    #[must_use]
    pub fn operations(&self) -> &crate::operation::OperationEngine {
        &self.edge.operations
    }

    /// Replaces the edge for all further requests. The body budget and the known webhook deliveries carry over.
    pub fn replace(&mut self, parts: EdgeParts) {
        let webhooks = parts.webhooks.sharing_ids_with(&self.edge.webhooks);
        let bodies = self.edge.bodies.with_settings(&parts.settings);
        let (replacement_sender, edge) = Edge::new(EdgeParts { webhooks, ..parts }, bodies);
        let routes = ListenerRoutes::Public(Routes::new(edge.clone(), self.tracer.clone()));
        drop(self.routes.send_replace(routes));
        let old_edge = std::mem::replace(&mut self.edge, edge.clone());
        // Running subscriptions keep the old engine, but send no new operations to it.
        old_edge.operations.clear_caches();
        std::mem::replace(&mut self.replacement_sender, replacement_sender).send_replace(Some(edge));
    }
}

/// Returns the routes of the public listener as an axum router, without reloading.
pub fn router(parts: EdgeParts) -> Router {
    traced_router(parts, None)
}

/// Like [`router`]; requests are traced if there is a tracer.
pub fn traced_router(parts: EdgeParts, tracer: Option<RequestTracer>) -> Router {
    let routes = ReloadableEdge::new(parts, tracer).routes().now();
    Router::new().fallback_service(service_fn(move |request: Request| {
        // Switchboard's own listeners do this for each request, before its routes.
        Clock::follow_system();
        let (routes, shutdown) = (routes.clone(), ShutdownToken::from_extensions(request.extensions()));
        async { Ok::<_, Infallible>(routes.handle(request, shutdown).await) }
    }))
}
