//! State that all requests of one configuration share.

use std::ops::Deref;
use std::sync::Arc;

use tokio::sync::watch;

use super::body::BodyBudget;
use super::caller::Authenticator;
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
    pub(super) bodies: BodyBudget,
    pub(super) webhooks: Webhooks,
    pub(super) settings: HttpSettings,
    /// The edge that replaces this one, once there is one.
    replacement: watch::Receiver<Option<Edge>>,
}

impl Edge {
    pub(super) fn new(parts: EdgeParts, bodies: BodyBudget) -> (watch::Sender<Option<Self>>, Self) {
        let EdgeParts { operations, callers, webhooks, settings } = parts;
        let (replacement_sender, replacement) = watch::channel(None);
        let state = EdgeState { operations, callers, bodies, webhooks, settings, replacement };
        (replacement_sender, Self(Arc::new(state)))
    }

    /// Waits until this edge is replaced, and returns the new one.
    pub(super) async fn wait_for_replacement(&self) -> Self {
        let mut replacement = self.replacement.clone();
        let new_edge = replacement.wait_for(Option::is_some).await.ok().and_then(|edge| edge.clone());
        match new_edge {
            Some(edge) => edge,
            // Without a sender no replacement can come.
            None => std::future::pending().await,
        }
    }
}
