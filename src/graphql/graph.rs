//! [`Graph`]: executes operations against the schema, over the parts that all operations share.

use std::pin::pin;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use async_graphql::{Request, Response};
use futures_util::StreamExt as _;
use futures_util::future::{BoxFuture, FutureExt as _};

use super::executor::{EventSource, Executor};
use super::federation::{self, FederationSettings};
use super::operation_context::{GraphParts, LazyText, OperationContext};
use super::schema::{self, GraphSchema, schema};
use super::stitching;
use super::subscription::Event;
use crate::domain::caller::{Caller, Tenant};
use crate::domain::change::ChangeCause;
use crate::domain::health::HealthRules;
use crate::domain::toolkits::ToolkitMapping;
use crate::loaders::actions::AccountActions;
use crate::loaders::actions::settings::ActionSettings;
use crate::loaders::batch_scheduler::BatchScheduler;
use crate::loaders::cache::upstream_cache::DataState;
use crate::loaders::data_sources::DataSources;
use crate::loaders::settings::ConnectionSettings;
use crate::loaders::stats::OperationStats;
use crate::loaders::watch::feed::{FeedPosition, SubscribeError};
use crate::loaders::watch::feeds::ChangeFeeds;
use crate::telemetry::metrics::Metrics;
use crate::upstream::counts::CallCounts;

/// The schema for stitching, which has no settings, printed on first use.
static STITCHING_SCHEMA: LazyLock<String> = LazyLock::new(stitching::sdl);

/// The graph: schema and shared parts. Cheap to clone.
#[derive(Clone)]
pub struct Graph {
    schema: GraphSchema,
    parts: Arc<GraphParts>,
    metrics: Metrics,
}

impl Graph {
    /// Creates a graph over data sources.
    #[must_use]
    pub fn new(
        sources: Arc<DataSources>,
        mapping: ToolkitMapping,
        change_feeds: Arc<ChangeFeeds>,
        connections: ConnectionSettings,
        actions: AccountActions,
        federation: FederationSettings,
    ) -> Self {
        let federation_schema = federation_schema(federation, connections.clone());
        let parts = GraphParts {
            sources,
            mapping,
            change_feeds,
            connections,
            actions,
            federation_schema,
            stitching_schema: &STITCHING_SCHEMA,
        };
        Self { schema: schema(), parts: Arc::new(parts), metrics: Metrics::default() }
    }

    /// Registers the graph's counts with the metrics, which engines over it use too.
    #[must_use]
    pub fn measured_by(self, metrics: Metrics) -> Self {
        let parts = Arc::clone(&self.parts);
        metrics.register("graph", move |readings| {
            parts.sources.read_metrics(readings);
            parts.change_feeds.read_metrics(readings);
            parts.actions.read_metrics(readings);
        });
        Self { metrics, ..self }
    }

    /// Creates a graph with other settings over the same sources and change feeds: cached data and subscriptions
    /// continue.
    #[must_use]
    pub fn with_settings(
        &self,
        mapping: ToolkitMapping,
        connections: ConnectionSettings,
        federation: FederationSettings,
        health: HealthRules,
        actions: ActionSettings,
    ) -> Self {
        let sources = Arc::new(DataSources { health, ..DataSources::clone(&self.parts.sources) });
        let change_feeds = Arc::clone(&self.parts.change_feeds);
        let actions = self.parts.actions.with_settings(actions);
        Self::new(sources, mapping, change_feeds, connections, actions, federation)
            .measured_by(self.metrics())
    }

    /// Returns the counts of upstream calls by outcome: LeadLex, then Composio.
    #[must_use]
    pub fn calls(&self) -> [CallCounts; 2] {
        self.parts.sources.calls()
    }

    /// Delivers pending messages to other replicas, as [`DataSources::flush`].
    pub async fn flush(&self, at_most: Duration) {
        self.parts.sources.flush(at_most).await;
    }

    /// Expires all cached data of a caller's tenant.
    pub fn expire(&self, caller: &Caller) {
        self.parts.sources.expire(&caller.tenant);
    }

    /// Returns all cached values and upstream states of a tenant, for tests that search them for secrets.
    #[must_use]
    pub fn dump(&self, caller: &Caller) -> String {
        self.parts.sources.dump(&caller.tenant)
    }
}

impl Executor for Graph {
    fn sdl(&self) -> String {
        schema::printed(&self.schema)
    }

    fn published_sdl(&self) -> String {
        schema::sdl()
    }

    fn execute(
        &self,
        request: Request,
        caller: Caller,
        stats: Arc<OperationStats>,
    ) -> BoxFuture<'_, Response> {
        let executed = async move {
            let batches = BatchScheduler::default();
            let context = OperationContext::new(Arc::clone(&self.parts), caller, stats, batches.clone());
            // Pinned here: `drive` would move it, and it is large.
            let execution = pin!(self.schema.execute(request.data(context)));
            batches.drive(execution).await
        };
        executed.boxed()
    }

    fn data_state(&self, caller: &Caller) -> DataState {
        self.parts.sources.state_of(&caller.tenant)
    }

    fn accounts_changed(&self, tenant: &Tenant) {
        self.parts.sources.accounts_changed(tenant, ChangeCause::Webhook);
    }

    fn metrics(&self) -> Metrics {
        self.metrics.clone()
    }

    fn subscribe(
        &self,
        field: &str,
        caller: &Caller,
        after: Option<FeedPosition>,
    ) -> Result<EventSource, SubscribeError> {
        let feeds = &self.parts.change_feeds;
        match field {
            "providerChanged" => feeds.providers(caller, after).map(EventSource::Providers),
            _ => feeds.accounts(caller, after).map(EventSource::Accounts),
        }
    }

    fn execute_event(
        &self,
        request: Request,
        caller: Caller,
        stats: Arc<OperationStats>,
        event: Event,
    ) -> BoxFuture<'_, Option<Response>> {
        let executed = async move {
            let batches = BatchScheduler::default();
            let context = OperationContext::new(Arc::clone(&self.parts), caller, stats, batches.clone());
            batches.drive(self.schema.execute_stream(request.data(context).data(event)).next()).await
        };
        executed.boxed()
    }
}

fn federation_schema(federation: FederationSettings, connections: ConnectionSettings) -> LazyText {
    LazyText::new(Box::new(move || federation::sdl(&federation, &connections)))
}
