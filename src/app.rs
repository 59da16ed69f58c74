//! The only file that constructs shared parts and wires them: a configuration becomes a running
//! process, from the upstreams' clients up to the listeners; [`hot_reload`] puts another configuration in its place.

pub mod embedding;
pub mod hot_reload;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use secrecy::{ExposeSecret, SecretString};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::time::timeout;
use url::Url;

use self::hot_reload::HotReload;
use crate::config::Config;
use crate::domain::caller::Tenant;
use crate::domain::clock::Clock;
use crate::domain::credential::Credential;
use crate::domain::upstream_name::UpstreamName;
use crate::graphql::graph::Graph;
use crate::http::caller::Authenticator;
use crate::http::caller::jwks;
use crate::http::caller::jwt::Verifier;
use crate::http::caller::settings::{AuthMode, JwtSettings};
use crate::http::caller::tokens::{Tenants, Tokens};
use crate::http::hot_reload::CurrentRouter;
use crate::http::ops::Readiness;
use crate::http::settings::ServerSettings;
use crate::http::webhook::{self, Webhooks};
use crate::http::{self, EdgeParts};
use crate::loaders::cache::upstream_cache::Holdings;
use crate::loaders::lists::account_lists::Lists;
use crate::loaders::lists::by_id::AccountsById;
use crate::loaders::lists::providers::Providers;
use crate::loaders::loader::Sources;
use crate::operation::OperationEngine;
use crate::replicas::Replicas;
use crate::replicas::redis::RedisStore;
use crate::replicas::redis::probe::{self, ProbeFailure};
use crate::replicas::settings::ReplicaSettings;
use crate::replicas::store::Store;
use crate::telemetry::connections::Connections;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::traces::Traces;
use crate::upstream::accounts::AccountsClient;
use crate::upstream::error::{UpstreamError, UpstreamFailure};
use crate::upstream::probe::ProbeReport;
use crate::upstream::providers::ProvidersClient;
use crate::upstream::settings::UpstreamSettings;
use crate::upstream::transport::{self, Network, Transport};

/// The graph and its probes on bound listeners, not answering yet.
pub struct App {
    http: Server,
    ops: Server,
    live: HotReload,
    readiness: Readiness,
    traces: Option<Traces>,
}

struct Server {
    listener: TcpListener,
    address: SocketAddr,
    routes: CurrentRouter,
    settings: ServerSettings,
    connections: Arc<Connections>,
}

impl App {
    /// Builds every part and takes both ports.
    ///
    /// # Errors
    /// Where a port cannot be had, TLS cannot be set up, or the mapping of toolkits cannot be read
    /// any more.
    pub async fn start(config: &Config) -> anyhow::Result<Self> {
        let clock = Clock::system();
        let graph = graph_over(config, clock, &Networks::real(config)?)?;
        let operations = operations_of(graph.clone(), config, clock)?;
        for (id, why) in operations.broken() {
            tracing::warn!(id, why, "a trusted document cannot be run");
        }
        let (callers, webhooks, settings) = (callers(config)?, webhooks(config), config.http.clone());
        let readiness = Readiness::default();
        let ops = http::ops::router(&callers, &readiness, graph.metrics()).into();
        let edge = EdgeParts { operations, callers, webhooks, settings };
        let traces = traces(config)?;
        let [public, probes] =
            ["public", "ops"].map(|listener| Connections::measured_by(&graph.metrics(), listener));
        let live = HotReload::new(config.clone(), graph, edge, traces.as_ref().map(Traces::root));
        Ok(Self {
            http: Server::bind("http.listen", config.http.listen, live.routes(), &config.server, public)
                .await?,
            ops: Server::bind("ops.listen", config.ops.listen, ops, &config.server, probes).await?,
            live,
            readiness,
            traces,
        })
    }

    /// What it serves: for whoever counts its upstream calls.
    #[must_use]
    pub fn graph(&self) -> Graph {
        self.live.graph()
    }

    /// What puts another configuration in this one's place.
    #[must_use]
    pub fn live(&self) -> HotReload {
        self.live.clone()
    }

    /// Where clients connect; the port is the one taken, where the setting left it open.
    #[must_use]
    pub fn http_address(&self) -> SocketAddr {
        self.http.address
    }

    /// Where probes connect.
    #[must_use]
    pub fn ops_address(&self) -> SocketAddr {
        self.ops.address
    }

    /// Answers until `stop`; then is not ready any more, and takes requests for `server.drain_ms` all the same, or until
    /// `at_once`; then takes none, and answers until those under way have ended. Probes are answered to the end.
    ///
    /// # Errors
    /// Where a listener fails.
    pub async fn run(
        self,
        stop: impl Future<Output = ()> + Send,
        at_once: impl Future<Output = ()> + Send,
    ) -> anyhow::Result<()> {
        let Self { http, ops, live, readiness, traces } = self;
        let drain = http.settings.drain();
        let stop = async {
            stop.await;
            readiness.withdraw();
            if drain.is_zero() {
                tracing::info!("told to stop: no more requests are taken, those under way are answered");
            } else {
                tracing::info!("told to stop: not ready any more, takes requests for {drain:?} more");
                let _ = timeout(drain, at_once).await;
            }
        };
        let (clients_have_gone, clients_going) = oneshot::channel::<()>();
        let http = async {
            let ended = http.run(stop).await;
            drop(clients_have_gone);
            ended
        };
        let ops = ops.run(async { drop(clients_going.await) });
        let ended = tokio::try_join!(http, ops);
        live.graph().flush(FLUSHED_WITHIN).await;
        if let Some(traces) = traces {
            traces.end().await;
        }
        ended.map(drop).context("a listener failed")
    }
}

/// The tracing of requests, where it is configured.
fn traces(config: &Config) -> anyhow::Result<Option<Traces>> {
    let Some(url) = config.traces.url() else { return Ok(None) };
    let post = transport::post(&url).context("TLS cannot be set up")?;
    Ok(Some(Traces::start(&config.traces, post).context("traces.headers")?))
}

/// How long the end waits until other replicas know of what was dropped here.
const FLUSHED_WITHIN: Duration = Duration::from_secs(1);

impl Server {
    async fn bind(
        setting: &str,
        address: SocketAddr,
        routes: CurrentRouter,
        settings: &ServerSettings,
        connections: Arc<Connections>,
    ) -> anyhow::Result<Self> {
        let listener = bind(setting, address).await?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address, routes, settings: settings.clone(), connections })
    }

    async fn run(self, shutdown: impl Future<Output = ()> + Send) -> io::Result<()> {
        let Self { listener, address: _, routes, settings, connections } = self;
        http::serve::serve_counted(listener, routes, settings, connections, shutdown).await
    }
}

/// Takes a port; `setting` is what the message names where it cannot be had.
pub(crate) async fn bind(setting: &str, address: SocketAddr) -> anyhow::Result<TcpListener> {
    match TcpListener::bind(address).await {
        Ok(listener) => Ok(listener),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            bail!(
                "{setting}: {address} is taken by another program: stop it, or set another port (0 takes a free one)"
            )
        }
        Err(error) => bail!("{setting}: cannot listen on {address}: {error}"),
    }
}

/// What runs operations, without the edge: for programs that embed the graph, and for benchmarks.
///
/// # Errors
/// Where TLS cannot be set up, or the mapping of toolkits cannot be read any more.
pub fn operations(config: &Config) -> anyhow::Result<OperationEngine> {
    operations_over(config, Clock::system(), &Networks::real(config)?)
}

/// The same over other networks, by another clock: for tests, which plug the sandbox in.
///
/// # Errors
/// Where the mapping of toolkits cannot be read any more.
pub fn operations_over(
    config: &Config,
    clock: Clock,
    networks: &Networks,
) -> anyhow::Result<OperationEngine> {
    operations_of(graph_over(config, clock, networks)?, config, clock)
}

fn operations_of(graph: Graph, config: &Config, clock: Clock) -> anyhow::Result<OperationEngine> {
    let operations = OperationEngine::new(graph, &config.cache.shares(), clock);
    let operations = operations.context("the schema contradicts itself")?;
    let limits = config.limits.clone();
    let operations = operations.within(limits, config.connections.clone(), config.lists.clone());
    Ok(operations.naming(&config.documents, config.trusted_documents().cloned()))
}

/// The graph alone: for tests, which put something between it and the operations.
///
/// # Errors
/// Where the mapping of toolkits cannot be read any more.
pub fn graph_over(config: &Config, clock: Clock, networks: &Networks) -> anyhow::Result<Graph> {
    let metrics = Metrics::new(&config.metrics, clock.now());
    let replicas = networks.store.clone().map(|store| Replicas::start(store, config.redis.clone()));
    if let Some(replicas) = replicas.clone() {
        metrics.read("replicas", move |readings| replicas.stats().read(readings));
    }
    let (providers, accounts) = clients(config, clock, networks, replicas.as_ref());
    let leadlex = Holdings::sharing(config.cache.clone(), clock, replicas.clone());
    let composio = Holdings::sharing(config.cache.clone(), clock, replicas);
    let ids = config.ids.key();
    let lists = Arc::new(Lists::new(accounts, config.lists.clone(), composio, ids.clone()));
    let sources = Sources {
        providers: Arc::new(Providers::new(providers, leadlex, ids, &config.toolkits.expected)),
        accounts_by_id: Arc::new(AccountsById::new(Arc::clone(&lists))),
        lists,
        health: config.health.rules(),
        batch_sizes: Arc::default(),
    };
    let (mapping, connections) = (config.toolkit_mapping().clone(), config.connections.clone());
    let (federation, watching) = (config.federation.clone(), config.subscriptions.clone());
    let graph = Graph::new(Arc::new(sources), mapping, connections, federation, watching);
    Ok(graph.measured_by(metrics))
}

/// What carries the calls to both upstreams.
#[derive(Clone)]
pub struct Networks {
    /// To LeadLex.
    pub leadlex: Network,
    /// To Composio.
    pub composio: Network,
    /// To what replicas share; none where there is nothing.
    pub store: Option<Arc<dyn Store>>,
}

impl Networks {
    /// The real ones.
    ///
    /// # Errors
    /// Where TLS cannot be set up, or what `[redis]` names has changed for the worse since the configuration was loaded.
    pub fn real(config: &Config) -> anyhow::Result<Self> {
        let network = |settings: &UpstreamSettings| {
            transport::network(&settings.base_url).context("TLS cannot be set up")
        };
        Ok(Self {
            leadlex: network(&config.upstream.leadlex)?,
            composio: network(&config.upstream.composio)?,
            store: store(&config.redis)?,
        })
    }
}

/// What replicas share, where anything is.
fn store(settings: &ReplicaSettings) -> anyhow::Result<Option<Arc<dyn Store>>> {
    if settings.url.is_empty() {
        return Ok(None);
    }
    Ok(Some(Arc::new(RedisStore::new(settings).context("redis")?)))
}

/// The clients of both upstreams, which share their quotas with other replicas' where there are any.
pub fn clients(
    config: &Config,
    clock: Clock,
    networks: &Networks,
    replicas: Option<&Replicas>,
) -> (ProvidersClient, AccountsClient) {
    let Networks { leadlex, composio, store: _ } = networks.clone();
    let leadlex = Transport::new(UpstreamName::Leadlex, config.upstream.leadlex.clone(), leadlex, clock);
    let composio = Transport::new(UpstreamName::Composio, config.upstream.composio.clone(), composio, clock);
    (ProvidersClient::new(leadlex.sharing(replicas)), AccountsClient::new(composio.sharing(replicas)))
}

/// How callers are known.
pub fn callers(config: &Config) -> anyhow::Result<Authenticator> {
    // Whoever brings a token has no key to add to a tenant's.
    let tenants = || {
        let mut tenants = tenants(config);
        tenants.retain(|_, tenant| tenant.leadlex.is_some() && tenant.composio.is_some());
        tenants
    };
    Ok(match config.auth.mode {
        AuthMode::None => Authenticator::Open(default_tenant(config)),
        AuthMode::Tokens => {
            let tokens = Tokens::new(&config.auth.tokens, &tenants()).context("auth.tokens")?;
            Authenticator::Tokens(Arc::new(tokens))
        }
        AuthMode::Jwt => {
            let (jwt, clock) = (config.auth.jwt.clone(), Clock::system());
            let keys = issuer_keys(&jwt)?;
            Authenticator::Jwt(Arc::new(Verifier::new(jwt, keys, tenants(), clock)))
        }
        AuthMode::Passthrough => Authenticator::Passthrough,
    })
}

fn issuer_keys(jwt: &JwtSettings) -> anyhow::Result<jwks::Source> {
    if let Some(path) = jwt.jwks_file() {
        return Ok(jwks::Source::File(path.to_owned()));
    }
    let url = Url::parse(&jwt.jwks_url).context("auth.jwt.jwks_url is no URL")?;
    let network = transport::network(&url).context("TLS cannot be set up")?;
    Ok(jwks::Source::Url(network, url))
}

/// Whose deliveries are taken: those of all customers who have a secret.
fn webhooks(config: &Config) -> Webhooks {
    let named = config.tenants.iter().map(|tenant| {
        (keys(&tenant.leadlex_api_key, &tenant.composio_api_key), &tenant.composio_webhook_secrets)
    });
    let all = named.chain([(default_tenant(config), &config.webhooks.composio_secrets)]);
    let secrets = all.flat_map(|(tenant, setting)| {
        webhook::settings::secrets(setting).into_iter().map(move |secret| (secret, tenant.clone()))
    });
    Webhooks::new(secrets.collect(), Clock::system())
}

/// All customers, by their names.
fn tenants(config: &Config) -> Tenants {
    let named = config
        .tenants
        .iter()
        .map(|tenant| (tenant.name.clone(), keys(&tenant.leadlex_api_key, &tenant.composio_api_key)));
    // Without keys it is nobody.
    let plain = Some(default_tenant(config)).filter(|own| own.leadlex.is_some() || own.composio.is_some());
    named.chain(plain.map(|own| ("default".to_owned(), own))).collect()
}

/// The tenant `default`: the keys of the plain `upstream.*.api_key` settings.
fn default_tenant(config: &Config) -> Tenant {
    keys(&config.upstream.leadlex.api_key, &config.upstream.composio.api_key)
}

/// A key that is set is one: the configuration was refused otherwise. An empty one is none.
fn keys(leadlex: &SecretString, composio: &SecretString) -> Tenant {
    Tenant {
        leadlex: Credential::new(leadlex.expose_secret()).ok(),
        composio: Credential::new(composio.expose_secret()).ok(),
    }
}

/// What calling an upstream once has told.
pub(crate) type Probed = Result<ProbeReport, UpstreamError>;

/// Calls both upstreams once with each tenant's keys: by the tenant's name, what they told.
pub(crate) async fn probe(
    config: &Config,
    networks: &Networks,
) -> Vec<(String, [(UpstreamName, Probed); 2])> {
    let mut tenants = tenants(config);
    if tenants.is_empty() {
        tenants.insert("default".to_owned(), default_tenant(config));
    }
    let (providers, accounts) = clients(config, Clock::system(), networks, None);
    let mut told = Vec::new();
    for (name, tenant) in tenants {
        told.push((name, probe_tenant(&providers, &accounts, &tenant).await));
    }
    told
}

/// Asks the server that replicas share once, and tells how long an answer takes; none where there is none.
pub(crate) async fn probe_redis(config: &Config) -> Option<Result<Duration, ProbeFailure>> {
    let is_set = !config.redis.url.is_empty();
    if is_set { Some(probe::probe(&config.redis).await) } else { None }
}

/// Reads the keys of the issuer of tokens once, and tells how many there are.
pub(crate) async fn probe_issuer(config: &Config) -> anyhow::Result<Result<usize, jwks::Unread>> {
    Ok(issuer_keys(&config.auth.jwt)?.read().await.map(|keys| keys.count()))
}

/// Calls both at the same time.
async fn probe_tenant(
    providers: &ProvidersClient,
    accounts: &AccountsClient,
    tenant: &Tenant,
) -> [(UpstreamName, Probed); 2] {
    let without_key = |upstream| Err(UpstreamError::new(upstream, UpstreamFailure::NoCredential));
    let leadlex = async {
        match &tenant.leadlex {
            Some(key) => providers.probe(key).await,
            None => without_key(UpstreamName::Leadlex),
        }
    };
    let composio = async {
        match &tenant.composio {
            Some(key) => accounts.probe(key).await,
            None => without_key(UpstreamName::Composio),
        }
    };
    let (leadlex, composio) = tokio::join!(leadlex, composio);
    [(UpstreamName::Leadlex, leadlex), (UpstreamName::Composio, composio)]
}
