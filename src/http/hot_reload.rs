//! Replacing the configuration while requests are served.
//!
//! [`ReloadableEdge`] is the entry point. A listener reads [`CurrentRouter`] at each request, so each request is
//! answered by exactly one configuration. A subscription has the edge with which it started, and learns from
//! [`Replacement`] which edge has replaced it. Its caller is then authenticated again. Rejected: a lock per setting. A
//! request could use a mix of two configurations.

use std::sync::Arc;

use axum::Router;
use tokio::sync::watch;

use super::body::BodyBudget;
use super::traced::traced;
use super::{Edge, EdgeParts, EdgeState, routes};
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

/// Receiver of the edge that replaces another one.
#[derive(Clone)]
pub(super) struct Replacement(watch::Receiver<Option<Edge>>);

impl Replacement {
    pub(super) fn channel() -> (watch::Sender<Option<Edge>>, Self) {
        let (replacement_sender, replacement_receiver) = watch::channel(None);
        (replacement_sender, Self(replacement_receiver))
    }
}

impl Edge {
    /// Waits until this edge is replaced, and returns the new one.
    pub(super) async fn wait_for_replacement(&self) -> Self {
        let mut replacement = self.replacement.0.clone();
        let new_edge = replacement.wait_for(Option::is_some).await.ok().and_then(|edge| edge.clone());
        match new_edge {
            Some(edge) => edge,
            // Without a sender no replacement can come.
            None => std::future::pending().await,
        }
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

impl Edge {
    fn new(parts: EdgeParts, bodies: BodyBudget) -> (watch::Sender<Option<Self>>, Self) {
        let EdgeParts { operations, callers, webhooks, settings } = parts;
        let (replacement_sender, replacement) = Replacement::channel();
        let (cors_origins, settings) = (settings.cors_origins.clone(), Arc::new(settings));
        let (bodies, webhooks) = (Arc::new(bodies), Arc::new(webhooks));
        (
            replacement_sender,
            Self(Arc::new(EdgeState {
                operations,
                callers,
                cors_origins,
                bodies,
                webhooks,
                settings,
                replacement,
            })),
        )
    }
}
