//! The schema, and one operation's execution against it.

use std::sync::Arc;
use std::time::Duration;

use async_graphql::{MergedObject, ObjectType, Request, Response, SDLExportOptions, Schema, ValidationMode};
use futures_util::StreamExt as _;

use super::federation::FederationSettings;
use super::larger_graphs::{LargerGraphs, Texts};
use super::operation_context::OperationContext;
use super::query::Query;
use super::subscription::{Event, Subscription};
use super::upstreams::Mutation;
use crate::domain::caller::{Caller, Tenant};
use crate::domain::health::HealthRules;
use crate::domain::toolkits::ToolkitMapping;
use crate::loaders::batch_scheduler::Batches;
use crate::loaders::cache::upstream_cache::Revision;
use crate::loaders::loader::Sources;
use crate::loaders::settings::{ConnectionSettings, WatchSettings};
use crate::loaders::stats::Ledger;
use crate::loaders::watch::Watches;
use crate::telemetry::metrics::Metrics;
use crate::upstream::counts::CallCounts;

/// The parts that all operations share.
pub struct GraphParts {
    /// Where values come from.
    pub sources: Arc<Sources>,
    /// Which toolkits stand for which provider.
    pub mapping: ToolkitMapping,
    /// What is listened to.
    pub watches: Arc<Watches>,
    /// Sizes of connections and of by-ids fields.
    pub connections: ConnectionSettings,
    /// The schema as others read it that this one is a part of.
    pub(super) texts: Texts,
}

impl GraphParts {
    /// The parts of a graph that can be one of a larger one.
    #[must_use]
    pub fn new(
        sources: Arc<Sources>,
        mapping: ToolkitMapping,
        connections: ConnectionSettings,
        federation: FederationSettings,
        watching: WatchSettings,
    ) -> Self {
        let texts = Texts::new(federation, connections.clone());
        let watches = Arc::new(Watches::new(Arc::clone(&sources), watching));
        Self { sources, mapping, watches, connections, texts }
    }
}

/// The graph: executes operations for callers.
#[derive(Clone)]
pub struct Graph {
    schema: GraphSchema,
    parts: Arc<GraphParts>,
    metrics: Metrics,
}

type GraphSchema = Schema<Root, Mutation, Subscription>;

/// The root of every query.
#[derive(MergedObject)]
#[graphql(name = "Query")]
struct Plain(Query);

/// The root of every query.
// What stands last is looked into first.
#[derive(MergedObject)]
#[graphql(name = "Query")]
struct Root(LargerGraphs, Query);

/// The schema with these queries.
fn schema<Q: ObjectType + 'static>(query: Q) -> Schema<Q, Mutation, Subscription> {
    // No extension is registered, not even one that does nothing: one alone doubles the time of
    // execution. Documents are validated before they get here, so the fast mode is enough.
    Schema::build(query, Mutation, Subscription).validation_mode(ValidationMode::Fast).finish()
}

/// The schema in GraphQL's schema definition language, as `schema.graphql` holds it.
#[must_use]
pub fn sdl() -> String {
    printed(&schema(Plain(Query)))
}

/// The same with the root fields that gateways ask: what documents are judged by.
#[must_use]
pub fn whole_sdl() -> String {
    printed(&schema(Root(LargerGraphs, Query)))
}

fn printed<Q: ObjectType + 'static>(schema: &Schema<Q, Mutation, Subscription>) -> String {
    let options = SDLExportOptions::new().prefer_single_line_descriptions().use_space_ident().indent_width(2);
    let sdl = schema.sdl_with_options(options);
    // `@include` and `@skip` are every server's own, and not this schema's to define.
    let (definitions, _directives) = sdl.split_once("\"Directs the executor").unwrap_or((&sdl, ""));
    format!("{}\n", definitions.trim())
}

impl Graph {
    /// A graph over some parts.
    #[must_use]
    pub fn new(parts: GraphParts) -> Self {
        let metrics = Metrics::default();
        Self { schema: schema(Root(LargerGraphs, Query)), parts: Arc::new(parts), metrics }
    }

    /// The same, whose figures are read by metrics, as are those of whatever runs its operations.
    #[must_use]
    pub fn measured_by(self, metrics: Metrics) -> Self {
        let (sources, watches) = (Arc::clone(&self.parts.sources), Arc::clone(&self.parts.watches));
        metrics.read("graph", move |readings| {
            sources.read_metrics(readings);
            watches.read_metrics(readings);
        });
        Self { metrics, ..self }
    }

    /// What measures it.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        self.metrics.clone()
    }

    /// The same sources and watches under other rules: what is kept stays, and what is watched is watched on.
    #[must_use]
    pub fn under(
        &self,
        mapping: ToolkitMapping,
        connections: ConnectionSettings,
        federation: FederationSettings,
        health: HealthRules,
    ) -> Self {
        let sources = Arc::new(Sources { health, ..Sources::clone(&self.parts.sources) });
        let watches = Arc::clone(&self.parts.watches);
        let texts = Texts::new(federation, connections.clone());
        Self::new(GraphParts { sources, mapping, watches, connections, texts }).measured_by(self.metrics())
    }

    /// In which state everything is that a caller's answers are made of.
    #[must_use]
    pub fn revision(&self, caller: &Caller) -> Revision {
        self.parts.sources.revision(&caller.tenant)
    }

    /// What became of all upstream calls: to LeadLex, then to Composio.
    #[must_use]
    pub fn calls(&self) -> [CallCounts; 2] {
        self.parts.sources.calls()
    }

    /// As [`Sources::flush`].
    pub async fn flush(&self, at_most: Duration) {
        self.parts.sources.flush(at_most).await;
    }

    /// Has everything of a caller's tenant read again before it is served.
    pub fn expire(&self, caller: &Caller) {
        self.parts.sources.expire(&caller.tenant);
    }

    /// As [`Sources::dump`].
    #[cfg(test)]
    pub(crate) fn dump(&self, caller: &Caller) -> String {
        self.parts.sources.dump(&caller.tenant)
    }

    /// Executes one operation on a caller's behalf; its document has passed validation. What it costs
    /// upstream is entered in the ledger, where there is one.
    pub async fn execute(&self, request: Request, caller: Caller, ledger: Arc<Ledger>) -> Response {
        let batches = Batches::default();
        let context = OperationContext::new(Arc::clone(&self.parts), caller, ledger, batches.clone());
        batches.drive(self.schema.execute(request.data(context))).await
    }

    /// A tenant's accounts are not what they were: all of them are read again before they are served.
    pub fn accounts_changed(&self, tenant: &Tenant) {
        self.parts.sources.accounts_changed(tenant);
    }

    /// What can be listened to.
    #[must_use]
    pub fn watches(&self) -> &Arc<Watches> {
        &self.parts.watches
    }

    /// Executes a subscription for one event; no answer where it is none for this caller, or not asked for. Without an
    /// event it is an answer only where it cannot be listened with.
    pub async fn execute_event(
        &self,
        request: Request,
        caller: Caller,
        ledger: Arc<Ledger>,
        event: Event,
    ) -> Option<Response> {
        let batches = Batches::default();
        let context = OperationContext::new(Arc::clone(&self.parts), caller, ledger, batches.clone());
        let mut answers = self.schema.execute_stream(request.data(context).data(event));
        batches.drive(answers.next()).await
    }
}
