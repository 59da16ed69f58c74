//! Replacing the configuration while requests are served.
//!
//! [`ReloadableEdge`] is the entry point. A listener reads [`CurrentRouter`] at each request, so each request is
//! answered by exactly one configuration. A subscription has the edge with which it started, and learns from
//! [`Replacement`](super::edge::Replacement) which edge has replaced it. Its caller is then authenticated again.
//! Rejected: a lock per setting. A request could use a mix of two configurations.

use axum::Router;
use tokio::sync::watch;

use super::body::BodyBudget;
use super::edge::{Edge, EdgeParts};
use super::routes::routes;
use super::traced::traced;
use crate::telemetry::traces::RequestTracer;

/// The router in force.
#[derive(Clone)]
pub struct CurrentRouter(watch::Receiver<Router>);

impl CurrentRouter {
    pub(crate) fn now(&self) -> Router {
        self.0.borrow().clone()
    }
}

/// A router that is never replaced.
impl From<Router> for CurrentRouter {
    fn from(router: Router) -> Self {
        Self(watch::channel(router).1)
    }
}

/// The edge of the public listener, replaceable at runtime.
pub struct ReloadableEdge {
    routes: watch::Sender<Router>,
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
        let routes = traced(routes(edge.clone()), tracer.clone());
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
        drop(self.routes.send_replace(traced(routes(edge.clone()), self.tracer.clone())));
        let old_edge = std::mem::replace(&mut self.edge, edge.clone());
        // Running subscriptions keep the old engine, but send no new operations to it.
        old_edge.operations.clear_caches();
        std::mem::replace(&mut self.replacement_sender, replacement_sender).send_replace(Some(edge));
    }
}

/// Returns the routes of the public listener, without reloading.
pub fn router(parts: EdgeParts) -> Router {
    ReloadableEdge::new(parts, None).routes().now()
}
