//! Another configuration in this one's place, while requests come.
//!
//! A listener asks which router is in force at each request ([`CurrentRouter`]), so that a request is answered by one configuration
//! whole, and ends with it. What goes on for longer knows the edge that it began with, and from that the one which took its
//! place ([`Replacement`]): whoever it is for must then be let in again, by what it showed. A lock around each setting, the rejected
//! choice, would let a request see some of the one and some of the other.

use std::sync::Arc;

use axum::Router;
use tokio::sync::watch;

use super::body::BodyBudget;
use super::traced::traced;
use super::{Edge, EdgeParts, EdgeState, routes};
use crate::telemetry::traces::Root;

/// The router that is in force.
#[derive(Clone)]
pub struct CurrentRouter(watch::Receiver<Router>);

impl CurrentRouter {
    pub(crate) fn now(&self) -> Router {
        self.0.borrow().clone()
    }
}

/// One that stays.
impl From<Router> for CurrentRouter {
    fn from(router: Router) -> Self {
        Self(watch::channel(router).1)
    }
}

/// The edge that takes an edge's place, once there is one.
#[derive(Clone)]
pub(super) struct Replacement(watch::Receiver<Option<Edge>>);

impl Replacement {
    pub(super) fn channel() -> (watch::Sender<Option<Edge>>, Self) {
        let (announcer, announced) = watch::channel(None);
        (announcer, Self(announced))
    }
}

impl Edge {
    /// Waits until another has taken this one's place.
    pub(super) async fn replaced(&self) -> Self {
        let mut replacement = self.replacement.0.clone();
        let found = replacement.wait_for(Option::is_some).await.ok().and_then(|edge| edge.clone());
        match found {
            Some(edge) => edge,
            // Nobody is left to put one there.
            None => std::future::pending().await,
        }
    }
}

/// What the public listener serves.
pub struct ReloadableEdge {
    routes: watch::Sender<Router>,
    edge: Edge,
    announcer: watch::Sender<Option<Edge>>,
    root: Option<Root>,
}

impl ReloadableEdge {
    /// Serves these; requests are traced from a root, where there is one.
    #[must_use]
    pub fn new(parts: EdgeParts, root: Option<Root>) -> Self {
        let bodies = BodyBudget::new(&parts.settings);
        let (announcer, edge) = Edge::new(parts, bodies);
        let routes = traced(routes(edge.clone()), root.clone());
        Self { routes: watch::channel(routes).0, edge, announcer, root }
    }

    /// What a listener answers by.
    #[must_use]
    pub fn routes(&self) -> CurrentRouter {
        CurrentRouter(self.routes.subscribe())
    }

    /// How callers are known.
    #[must_use]
    pub fn callers(&self) -> &super::caller::Authenticator {
        &self.edge.callers
    }

    /// What runs operations.
    #[must_use]
    pub fn operations(&self) -> &crate::operation::OperationEngine {
        &self.edge.operations
    }

    /// Serves others from the next request on. The room for bodies and the deliveries that were taken are one with those before.
    pub fn replace(&mut self, parts: EdgeParts) {
        let webhooks = parts.webhooks.remembering(&self.edge.webhooks);
        let bodies = self.edge.bodies.with_settings(&parts.settings);
        let (announcer, edge) = Edge::new(EdgeParts { webhooks, ..parts }, bodies);
        drop(self.routes.send_replace(traced(routes(edge.clone()), self.root.clone())));
        let before = std::mem::replace(&mut self.edge, edge.clone());
        // What still listens holds its operations on, which are asked for nothing new.
        before.operations.forget();
        std::mem::replace(&mut self.announcer, announcer).send_replace(Some(edge));
    }
}

impl Edge {
    fn new(parts: EdgeParts, bodies: BodyBudget) -> (watch::Sender<Option<Self>>, Self) {
        let EdgeParts { operations, callers, webhooks, settings } = parts;
        let (announcer, replacement) = Replacement::channel();
        let (cors_origins, settings) = (settings.cors_origins.clone(), Arc::new(settings));
        let (bodies, webhooks) = (Arc::new(bodies), Arc::new(webhooks));
        (
            announcer,
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
