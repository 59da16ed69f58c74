//! Replacement of the configuration of a running process, between two requests.
//!
//! Caches, quotas, circuit breakers, subscriptions and listeners are kept. Callers, limits, documents and the graph's
//! rules are rebuilt and replaced together, or not at all. A change of any other setting needs a restart and rejects
//! the whole reload: if it were ignored, the running configuration would be one that no file describes.

use std::sync::{Arc, Mutex, PoisonError};

use super::access::{callers, webhooks};
use super::wiring::operations_of;
use crate::config::{Config, ConfigErrors};
use crate::domain::clock::Clock;
use crate::graphql::executor::Executor as _;
use crate::graphql::graph::Graph;
use crate::http::EdgeParts;
use crate::http::hot_reload::{CurrentRouter, ReloadableEdge};
use crate::telemetry::reloads::Reloads;
use crate::telemetry::traces::RequestTracer;

/// Handle that replaces the configuration; cheap to clone.
#[derive(Clone)]
pub struct HotReload {
    state: Arc<Mutex<State>>,
    reloads: Arc<Reloads>,
}

struct State {
    config: Config,
    graph: Graph,
    edge: ReloadableEdge,
}

impl HotReload {
    pub(super) fn new(config: Config, graph: Graph, edge: EdgeParts, tracer: Option<RequestTracer>) -> Self {
        let reloads = Reloads::measured_by(&graph.metrics(), Clock::system().now());
        let state = State { config, graph, edge: ReloadableEdge::new(edge, tracer) };
        Self { state: Arc::new(Mutex::new(state)), reloads }
    }

    fn with_state<T>(&self, get: impl FnOnce(&mut State) -> T) -> T {
        // A reload changes the state only in its last step, so a panic leaves it valid and a poisoned lock is ignored.
        get(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn routes(&self) -> CurrentRouter {
        self.with_state(|state| state.edge.routes())
    }

    pub(super) fn graph(&self) -> Graph {
        self.with_state(|state| state.graph.clone())
    }

    /// Puts another configuration in force from the next request on; requests in flight complete with the old one.
    /// Returns the names of the changed settings. Blocks while it reads files and parses the schema.
    ///
    /// # Errors
    /// If the configuration could not be loaded, a setting changed that needs a restart, or a trusted document has
    /// become invalid; then nothing changes. A document that was invalid before is tolerated, as at the start, so that
    /// it does not delay the revocation of a token.
    pub fn reload(&self, next: Result<Config, ConfigErrors>) -> anyhow::Result<Vec<String>> {
        let reloaded = next.map_err(anyhow::Error::from);
        let reloaded = reloaded.and_then(|next| self.with_state(|state| state.reload(next)));
        match &reloaded {
            Ok(_) => self.reloads.succeeded(Clock::system().now()),
            Err(_) => self.reloads.record_refusal(),
        }
        reloaded
    }

    /// Authenticates the callers of open streams again, with the current configuration. Blocks as [`Self::reload`]
    /// does.
    ///
    /// # Errors
    /// If the key file of the token issuer has become unreadable.
    pub(super) fn authenticate_again(&self) -> anyhow::Result<()> {
        self.with_state(|state| state.reload(state.config.clone())).map(drop)
    }
}

impl State {
    fn reload(&mut self, next: Config) -> anyhow::Result<Vec<String>> {
        let changed = self.config.reloadable_changes(&next)?;
        let mapping = next.toolkit_mapping().clone();
        let (connections, federation) = (next.connections.clone(), next.federation.clone());
        let (health, actions) = (next.health.rules(), next.actions.clone());
        let graph = self.graph.with_settings(mapping, connections, federation, health, actions);
        let operations = operations_of(graph.clone(), &next, Clock::system())?;
        let known_invalid = self.edge.operations().invalid_trusted_documents();
        let is_new = |(id, _): &(String, String)| !known_invalid.iter().any(|(known, _)| known == id);
        Config::reject_documents(
            operations.invalid_trusted_documents().into_iter().filter(is_new).collect(),
        )?;
        let edge = EdgeParts {
            operations: operations
                .keeping_registered_documents(self.edge.operations())
                .keeping_usage_of(self.edge.operations()),
            callers: callers(&next)?.reusing_keys_of(self.edge.callers()),
            webhooks: webhooks(&next),
            settings: next.http.clone(),
        };
        // Nothing can fail from here on.
        self.edge.replace(edge);
        (self.config, self.graph) = (next, graph);
        Ok(changed)
    }
}
