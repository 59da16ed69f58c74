//! State that all requests of one configuration share.

use std::ops::Deref;
use std::sync::Arc;

use tokio::sync::watch;

use super::body::BodyBudget;
use super::caller::Authenticator;
use super::cors::AllowedOrigins;
use super::settings::HttpSettings;
use super::webhook::verification::Webhooks;
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
pub(super) struct Edge(Arc<EdgeState>);

impl Deref for Edge {
    type Target = EdgeState;

    fn deref(&self) -> &EdgeState {
        &self.0
    }
}

pub(super) struct EdgeState {
    pub(super) operations: OperationEngine,
    pub(super) callers: Authenticator,
    pub(super) cors_origins: AllowedOrigins,
    pub(super) bodies: Arc<BodyBudget>,
    pub(super) webhooks: Arc<Webhooks>,
    pub(super) settings: Arc<HttpSettings>,
    pub(super) replacement: Replacement,
}

impl Edge {
    pub(super) fn new(parts: EdgeParts, bodies: BodyBudget) -> (watch::Sender<Option<Self>>, Self) {
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

/// Receiver of the edge that replaces another one.
#[derive(Clone)]
pub(super) struct Replacement(watch::Receiver<Option<Edge>>);

impl Replacement {
    pub(super) fn channel() -> (watch::Sender<Option<Edge>>, Self) {
        let (replacement_sender, replacement_receiver) = watch::channel(None);
        (replacement_sender, Self(replacement_receiver))
    }
}
