//! Another configuration in the place of the one that is served, while requests come.
//!
//! What costs calls to win back (what is cached, what is known of quotas and breakers, what is watched) stays, and so do the
//! listeners; who may ask, what of it, and by which rules is made anew and put in its place at once, or not at all. Whatever else
//! has changed needs a restart and has the whole refused: to leave it out in silence would run another configuration than the
//! file says.

use std::sync::{Arc, Mutex, PoisonError};

use super::{callers, operations_of, webhooks};
use crate::config::{Config, ConfigErrors};
use crate::domain::clock::Clock;
use crate::graphql::graph::Graph;
use crate::http::EdgeParts;
use crate::http::hot_reload::{CurrentRouter, ReloadableEdge};
use crate::telemetry::reloads::Reloads;
use crate::telemetry::traces::Root;

/// What is served, and by which configuration; cheap to clone.
#[derive(Clone)]
pub struct HotReload {
    state: Arc<Mutex<State>>,
    reloads: Arc<Reloads>,
}

struct State {
    config: Config,
    graph: Graph,
    served: ReloadableEdge,
}

impl HotReload {
    pub(super) fn new(config: Config, graph: Graph, edge: EdgeParts, traced: Option<Root>) -> Self {
        let reloads = Reloads::measured_by(&graph.metrics(), Clock::system().now());
        let state = State { config, graph, served: ReloadableEdge::new(edge, traced) };
        Self { state: Arc::new(Mutex::new(state)), reloads }
    }

    fn with<T>(&self, get: impl FnOnce(&mut State) -> T) -> T {
        // Whatever panics before the last step has changed nothing.
        get(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn routes(&self) -> CurrentRouter {
        self.with(|state| state.served.routes())
    }

    pub(super) fn graph(&self) -> Graph {
        self.with(|state| state.graph.clone())
    }

    /// Serves by another configuration from the next request on; requests under way end by the one that they began with.
    /// Gives the names of the settings that have changed. It reads files, and takes the time of parsing a schema.
    ///
    /// # Errors
    /// Where it could not be read, a setting has changed that cannot change while it is served, or a trusted document cannot be
    /// run that could before, each named; then nothing has changed. (The start only warns of one: it has nothing better to go
    /// on with, and what was broken then holds no token's withdrawal up.)
    pub fn reload(&self, next: Result<Config, ConfigErrors>) -> anyhow::Result<Vec<String>> {
        let reloaded = next.map_err(anyhow::Error::from);
        let reloaded = reloaded.and_then(|next| self.with(|state| state.reload(next)));
        match &reloaded {
            Ok(_) => self.reloads.succeeded(Clock::system().now()),
            Err(_) => self.reloads.refused(),
        }
        reloaded
    }
}

impl State {
    fn reload(&mut self, next: Config) -> anyhow::Result<Vec<String>> {
        let changed = self.config.reloadable_changes(&next)?;
        let mapping = next.toolkit_mapping().clone();
        let (connections, federation) = (next.connections.clone(), next.federation.clone());
        let graph = self.graph.under(mapping, connections, federation, next.health.rules());
        let operations = operations_of(graph.clone(), &next, Clock::system())?;
        let known = self.served.operations().broken();
        let is_new = |(id, _): &(String, String)| !known.iter().any(|(known, _)| known == id);
        Config::reject_documents(operations.broken().into_iter().filter(is_new).collect())?;
        let edge = EdgeParts {
            operations: operations.succeeding(self.served.operations()),
            callers: callers(&next)?.reusing_keys_of(self.served.callers()),
            webhooks: webhooks(&next),
            settings: next.http.clone(),
        };
        // From here on nothing can fail.
        self.served.replace(edge);
        (self.config, self.graph) = (next, graph);
        Ok(changed)
    }
}
