//! The graph over an in-process sandbox. No sockets are used, so a paused clock does not advance while work
//! is pending.

use std::ffi::OsString;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use async_graphql::{Request, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::BoxFuture;
use http_body_util::BodyExt;
use jiff::Timestamp;
use serde_json::{Value, json};
use switchboard::app::wiring::{Networks, graph_over};
use switchboard::config::{self, ApiKeys, Config};
use switchboard::domain::caller::{self, Caller};
use switchboard::domain::clock::Clock;
use switchboard::domain::credential::Credential;
use switchboard::graphql::graph::Graph;
use switchboard::graphql::subscription::Event;
use switchboard::loaders::cache::upstream_cache::DataState;
use switchboard::loaders::settings::Shares;
use switchboard::loaders::stats::OperationStats;
use switchboard::loaders::watch::feed::FeedPosition;
use switchboard::loaders::watch::feed::SubscribeError;
use switchboard::operation::request::OperationRequest;
use switchboard::operation::settings::LimitSettings;
use switchboard::operation::subscription::{OperationOutput, Subscription};
use switchboard::operation::{
    EventSource, Executor, OperationEngine, OperationResponse, Outcome, TransportRules,
};
use switchboard::replicas::store::Store;
use switchboard::sandbox::{self, LEADLEX_PATH, Sandbox, Tenant};
use switchboard::telemetry::metrics::Metrics;
use switchboard::upstream::settings::UpstreamSettings;
use switchboard::upstream::transport::Network;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, ServiceExt, service_fn};

/// A graph over its sandbox.
pub(crate) struct World {
    pub(crate) sandbox: Sandbox,
    pub(crate) operations: OperationEngine,
    graph: CountingExecutor,
    shares: Shares,
    clock: Clock,
}

/// The graph, with a count of its executions.
#[derive(Clone)]
struct CountingExecutor {
    graph: Graph,
    executions: Arc<AtomicUsize>,
}

impl Executor for CountingExecutor {
    fn sdl(&self) -> String {
        self.graph.sdl()
    }

    fn published_sdl(&self) -> String {
        self.graph.published_sdl()
    }

    fn execute(
        &self,
        request: Request,
        caller: Caller,
        stats: Arc<OperationStats>,
    ) -> BoxFuture<'_, Response> {
        self.executions.fetch_add(1, Ordering::Relaxed);
        Executor::execute(&self.graph, request, caller, stats)
    }

    fn data_state(&self, caller: &Caller) -> DataState {
        self.graph.data_state(caller)
    }

    fn metrics(&self) -> Metrics {
        self.graph.metrics()
    }

    fn accounts_changed(&self, tenant: &caller::Tenant) {
        self.graph.accounts_changed(tenant);
    }

    fn subscribe(
        &self,
        field: &str,
        caller: &Caller,
        after: Option<FeedPosition>,
    ) -> Result<EventSource, SubscribeError> {
        Executor::subscribe(&self.graph, field, caller, after)
    }

    fn execute_event(
        &self,
        request: Request,
        caller: Caller,
        stats: Arc<OperationStats>,
        event: Event,
    ) -> BoxFuture<'_, Option<Response>> {
        self.executions.fetch_add(1, Ordering::Relaxed);
        Executor::execute_event(&self.graph, request, caller, stats, event)
    }
}

pub(crate) const NOW: &str = "2026-11-21T12:00:00Z";

/// Rows of an upstream page unless a test sets it: the default of `lists.page_rows`.
pub(crate) const PAGE_ROWS: usize = 100;

/// The longest time that any value stays fresh.
pub(crate) const LONGEST_TTL: Duration = Duration::from_secs(60);

/// The only call that the graph sends to LeadLex.
pub(crate) const PROVIDERS: &str = "GET /functions/v1/api-gateway/v1/settings/providers";

const NEWEST_FIRST: &str = "order_by=created_at&order_direction=desc";

/// A list call to Composio, newest first, with filters such as `toolkit_slugs=gmail`.
pub(crate) fn list(filters: &[&str]) -> String {
    let filters: String = filters.iter().map(|filter| format!("{filter}&")).collect();
    format!("GET /api/v3/connected_accounts?{filters}{NEWEST_FIRST}&limit={PAGE_ROWS}")
}

/// The call that counts a list.
pub(crate) fn count(filters: &[&str]) -> String {
    list(filters).replace("limit=100", "limit=1")
}

/// The call that reads accounts by their `ca_…` ids.
pub(crate) fn by_ids<'a>(ids: impl IntoIterator<Item = &'a str>) -> String {
    let mut ids: Vec<_> = ids.into_iter().collect();
    ids.sort_unstable();
    list(&[&format!("connected_account_ids={}", ids.join("%2C")), "account_type=ALL"])
}

/// The global id of an object of any type, existing or not.
pub(crate) fn global_id(kind: &str, own: &str) -> String {
    URL_SAFE_NO_PAD.encode(format!("{kind}:{own}"))
}

/// The value at a path such as `providers.nodes.0.name`. On a list, `*` collects the value of every item.
#[track_caller]
pub(crate) fn at(value: &Value, path: &str) -> Value {
    let (step, rest) = path.split_once('.').map_or((path, None), |(step, rest)| (step, Some(rest)));
    let follow = |value: &Value| rest.map_or_else(|| value.clone(), |rest| at(value, rest));
    match value {
        Value::Array(all) if step == "*" => Some(all.iter().map(follow).collect()),
        Value::Array(all) => step.parse().ok().and_then(|place: usize| all.get(place)).map(follow),
        Value::Object(fields) => fields.get(step).map(follow),
        _ => None,
    }
    .unwrap_or_else(|| panic!("nothing at `{path}` of {value}"))
}

/// A deadline that no test reaches.
pub(crate) fn distant_deadline() -> tokio::time::Instant {
    tokio::time::Instant::now() + Duration::from_secs(86_400)
}

/// The strings at a path with `*`.
#[track_caller]
pub(crate) fn strings_at(value: &Value, path: &str) -> Vec<String> {
    let list = at(value, path);
    let list = list.as_array().unwrap_or_else(|| panic!("no list at `{path}`: {list}"));
    list.iter().map(|text| text.as_str().unwrap_or_else(|| panic!("no text: {text}")).to_owned()).collect()
}

/// Runs a request as a client sends it.
pub(crate) async fn run(operations: &OperationEngine, caller: Caller, request: &Value) -> OperationResponse {
    let request = OperationRequest::from_json(request.to_string().as_bytes()).unwrap();
    operations.run(request, TransportRules { mutations: true }, caller).await
}

/// The only error of a response.
#[track_caller]
pub(crate) fn only_error(answer: &Value) -> &Value {
    match answer["errors"].as_array().map(Vec::as_slice) {
        Some([error]) => error,
        _ => panic!("not one error: {answer}"),
    }
}

/// The default settings of an upstream that is served by the sandbox at that path.
pub(crate) fn upstream_by_default(base: &str) -> UpstreamSettings {
    let base_url = format!("http://sandbox.invalid{base}").parse().unwrap();
    UpstreamSettings { base_url, timeout_ms: 5_000, ..DEFAULTS.upstream.composio.clone() }
}

/// The same settings without retries, so that an injected fault is not hidden by a second attempt.
pub(crate) fn upstream(base: &str) -> UpstreamSettings {
    let mut settings = upstream_by_default(base);
    settings.retry.retries_max = 0;
    settings
}

/// A network that sends every request to the sandbox's router.
pub(crate) fn network(sandbox: &Sandbox) -> Network {
    let router = sandbox.router();
    BoxCloneSyncService::new(service_fn(move |request: http::Request<bytes::Bytes>| {
        let router = router.clone();
        async move {
            let response = router.oneshot(request.map(axum::body::Body::from)).await?;
            Ok(response.map(|body| body.map_err(BoxError::from).boxed_unsync()))
        }
    }))
}

pub(crate) fn caller(leadlex: Option<&str>, composio: Option<&str>) -> Caller {
    let tenant = caller::Tenant {
        leadlex: leadlex.map(|key| Credential::new(key).unwrap()),
        composio: composio.map(|key| Credential::new(key).unwrap()),
    };
    Caller::admin("test", tenant)
}

pub(crate) fn tenant_a() -> Caller {
    caller(Some("wbk_sandbox_a"), Some("ak_sandbox_a"))
}

pub(crate) fn tenant_b() -> Caller {
    caller(Some("wbk_sandbox_b"), Some("ak_sandbox_b"))
}

/// The settings of a test world. They are the product's defaults, except that stale values are not served:
/// tests of the list engine assert what is cached and what is not.
pub(crate) struct Setup {
    pub(crate) sandbox: sandbox::Settings,
    pub(crate) config: Config,
    /// Wraps the network between the graph and its sandbox.
    pub(crate) wrap_network: Box<dyn FnOnce(Network) -> Network>,
}

impl Default for Setup {
    fn default() -> Self {
        let mut config = DEFAULTS.clone();
        config.cache.stale_while_revalidate_ms = 0;
        config.cache.stale_if_error_ms = 0;
        config.cache.jitter_percent = 0;
        config.upstream.leadlex = upstream(LEADLEX_PATH);
        config.upstream.composio = upstream("/");
        Self { sandbox: sandbox::Settings::default(), config, wrap_network: Box::new(|network| network) }
    }
}

impl Setup {
    /// The product's own defaults, without the random parts: early expiry (jitter) and retries.
    pub(crate) fn as_shipped() -> Self {
        let mut setup = Self { config: DEFAULTS.clone(), ..Self::default() };
        setup.config.cache.jitter_percent = 0;
        setup.config.upstream.leadlex.retry.retries_max = 0;
        setup.config.upstream.composio.retry.retries_max = 0;
        setup
    }
}

static DEFAULTS: LazyLock<Config> = LazyLock::new(|| {
    let base = |upstream: &str, path: &str| {
        let setting = format!("SWITCHBOARD__UPSTREAM__{upstream}__BASE_URL");
        (OsString::from(setting), OsString::from(format!("http://sandbox.invalid{path}")))
    };
    let variables = vec![base("LEADLEX", LEADLEX_PATH), base("COMPOSIO", "/")];
    Config::load(config::ConfigSources { variables, keys: ApiKeys::Optional, ..Default::default() }).unwrap()
});

/// Limits that no test reaches.
pub(crate) fn without_limits() -> LimitSettings {
    LimitSettings {
        depth: usize::MAX,
        complexity: u64::MAX,
        aliases: 1_000_000,
        directives: 1_000_000,
        tokens: usize::MAX,
        upstream_calls: u64::MAX,
        response_bytes: u64::MAX,
        operation_timeout_ms: 86_400_000,
        complexity_at_once: u32::MAX,
        wait_ms: 86_400_000,
        introspection: true,
        suggestions: true,
    }
}

/// An engine with the default settings of connections and lists.
pub(crate) fn engine(
    executor: impl Executor,
    shares: &Shares,
    clock: Clock,
    limits: LimitSettings,
) -> OperationEngine {
    let (connections, lists) = (DEFAULTS.connections.clone(), DEFAULTS.lists.clone());
    OperationEngine::new(executor, shares, clock, limits, connections, lists).unwrap()
}

impl World {
    pub(crate) fn new() -> Self {
        Self::new_with(Setup::default())
    }

    pub(crate) fn with_sandbox(sandbox: sandbox::Settings) -> Self {
        Self::new_with(Setup { sandbox, ..Setup::default() })
    }

    /// A world whose sandbox has only these accounts and upstream pages of this length.
    pub(crate) fn with_accounts(accounts: Vec<sandbox::Account>, page_rows: usize) -> Self {
        let settings = sandbox::Settings { accounts: 0, ..sandbox::Settings::default() };
        let world = Self::with_network(settings, page_rows, |network| network);
        world.sandbox.change_accounts(Tenant::A, |rows| *rows = accounts);
        world
    }

    /// A world with a wrapped network between the graph and its sandbox.
    pub(crate) fn with_network(
        sandbox: sandbox::Settings,
        page_rows: usize,
        wrap_network: impl FnOnce(Network) -> Network + 'static,
    ) -> Self {
        let mut setup = Setup { sandbox, wrap_network: Box::new(wrap_network), ..Setup::default() };
        setup.config.lists.page_rows = page_rows;
        Self::new_with(setup)
    }

    pub(crate) fn new_with(setup: Setup) -> Self {
        let mut replicas = Self::replicas(setup, [None]);
        replicas.pop().unwrap()
    }

    /// Replicas over one sandbox, each with its own connection to the shared store.
    pub(crate) fn replicas(
        setup: Setup,
        stores: impl IntoIterator<Item = Option<Arc<dyn Store>>>,
    ) -> Vec<Self> {
        let clock = Clock::starting_at(NOW.parse::<Timestamp>().unwrap());
        let sandbox = Sandbox::new(setup.sandbox, sandbox::Clock::new(move || clock.now()));
        let network = (setup.wrap_network)(network(&sandbox));
        let replica = |store| Self::replica(&setup.config, &sandbox, network.clone(), clock, store);
        stores.into_iter().map(replica).collect()
    }

    /// Adds a replica over the same sandbox. The sandbox settings of `setup` are not used.
    pub(crate) fn add_replica(&self, setup: Setup, store: Arc<dyn Store>) -> Self {
        let network = (setup.wrap_network)(network(&self.sandbox));
        Self::replica(&setup.config, &self.sandbox, network, self.clock, Some(store))
    }

    fn replica(
        config: &Config,
        sandbox: &Sandbox,
        network: Network,
        clock: Clock,
        store: Option<Arc<dyn Store>>,
    ) -> Self {
        let networks = Networks { leadlex: network.clone(), composio: network, store };
        let graph =
            CountingExecutor { graph: graph_over(config, clock, &networks), executions: Arc::default() };
        let shares = config.cache.shares();
        let operations = engine(graph.clone(), &shares, clock, without_limits());
        Self { sandbox: sandbox.clone(), operations, graph, shares, clock }
    }

    /// Invalidates tenant A's accounts, as a webhook of Composio does.
    pub(crate) fn accounts_changed(&self) {
        self.operations.accounts_changed(&tenant_a().tenant);
    }

    /// An engine over the same graph that caches no responses.
    pub(crate) fn operations_that_execute(&self) -> OperationEngine {
        engine(self.graph.graph.clone(), &Shares::of(0), self.clock, without_limits())
    }

    /// All cached values of a caller's tenant, as text.
    pub(crate) fn dump(&self, caller: &Caller) -> String {
        self.graph.graph.dump(caller)
    }

    /// Drops every value that is cached for a caller's credentials.
    pub(crate) fn expire(&self, caller: &Caller) {
        self.graph.graph.expire(caller);
    }

    /// The number of operations executed since the last call.
    pub(crate) fn executions(&self) -> usize {
        self.graph.executions.swap(0, Ordering::Relaxed)
    }

    /// The same world with other operation limits.
    pub(crate) fn with_limits(self, limits: LimitSettings) -> Self {
        Self { operations: engine(self.graph.clone(), &self.shares, self.clock, limits), ..self }
    }

    /// The same world after a reload with these settings of actions.
    pub(crate) fn reloaded(&self, config: &Config) -> Self {
        let graph = self.graph.graph.with_settings(
            config.toolkit_mapping().clone(),
            config.connections.clone(),
            config.federation.clone(),
            config.health.rules(),
            config.actions.clone(),
        );
        let graph = CountingExecutor { graph, executions: Arc::default() };
        let shares = config.cache.shares();
        let operations = engine(graph.clone(), &shares, self.clock, without_limits());
        Self { sandbox: self.sandbox.clone(), operations, graph, shares, clock: self.clock }
    }

    /// The engine that an edge in front of this world uses.
    pub(crate) fn operations(&self) -> OperationEngine {
        self.operations.clone()
    }

    /// The clock of the graph.
    pub(crate) fn clock(&self) -> Clock {
        self.clock
    }

    /// Runs a complete request of tenant A.
    pub(crate) async fn outcome(&self, request: Value) -> (Value, Outcome) {
        let request = OperationRequest::from_json(request.to_string().as_bytes()).unwrap();
        let answer = self.operations.run(request, TransportRules { mutations: true }, tenant_a()).await;
        (serde_json::from_slice(&answer.body).unwrap(), answer.outcome)
    }

    /// Runs a query of tenant A.
    pub(crate) async fn query(&self, query: &str) -> Value {
        self.query_as(tenant_a(), query, json!({})).await
    }

    /// The data of a query of tenant A, which must return no errors.
    pub(crate) async fn data(&self, query: &str) -> Value {
        self.data_with(query, json!({})).await
    }

    pub(crate) async fn data_with(&self, query: &str, variables: Value) -> Value {
        let mut answer = self.query_as(tenant_a(), query, variables).await;
        assert_eq!(answer.get("errors"), None, "{query}");
        answer["data"].take()
    }

    pub(crate) async fn query_as(&self, caller: Caller, query: &str, variables: Value) -> Value {
        self.run_json(caller, json!({ "query": query, "variables": variables })).await
    }

    /// Runs a query that asks for its cost in `extensions`.
    pub(crate) async fn query_traced(&self, caller: Caller, query: &str, traced: bool) -> Value {
        let extensions = json!({ "switchboard": { "trace": traced } });
        self.run_json(caller, json!({ "query": query, "extensions": extensions })).await
    }

    async fn run_json(&self, caller: Caller, request: Value) -> Value {
        let answer = self.run(caller, &request).await;
        serde_json::from_slice(&answer.body).unwrap()
    }

    /// Subscribes with a request of any form.
    pub(crate) async fn open(&self, caller: Caller, request: Value) -> Result<Subscription, Value> {
        let request = OperationRequest::from_json(request.to_string().as_bytes()).unwrap();
        match self
            .operations
            .run_or_subscribe(request, TransportRules { mutations: true }, caller, None)
            .await
        {
            OperationOutput::Subscription(subscription) => Ok(*subscription),
            OperationOutput::Response(answer) => Err(serde_json::from_slice(&answer.body).unwrap()),
        }
    }

    /// Subscribes and waits until the first state is read.
    pub(crate) async fn subscribe(&self, caller: Caller, query: &str) -> Subscription {
        let subscription = self.open(caller, json!({ "query": query })).await.ok().unwrap();
        self.settle().await;
        subscription
    }

    /// Runs a request as a client sends it.
    pub(crate) async fn run(&self, caller: Caller, request: &Value) -> OperationResponse {
        run(&self.operations, caller, request).await
    }

    /// The calls that the sandbox received since the last look, as `GET path?query`.
    pub(crate) fn calls(&self) -> Vec<String> {
        let calls =
            self.sandbox.requests().iter().map(|call| format!("{} {}", call.method, call.target)).collect();
        self.sandbox.clear_requests();
        calls
    }

    /// The same calls, sorted: concurrent calls arrive in any order.
    pub(crate) fn calls_sorted(&self) -> Vec<String> {
        let mut calls = self.calls();
        calls.sort_unstable();
        calls
    }

    /// Runs background tasks until they wait for time or for a call.
    pub(crate) async fn settle(&self) {
        for _ in 0..200 {
            tokio::task::yield_now().await;
        }
    }

    /// Advances the paused clock.
    pub(crate) async fn advance(&self, time: Duration) {
        tokio::time::advance(time).await;
    }
}
