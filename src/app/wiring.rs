//! Construction of the shared parts below HTTP: networks, upstream clients, caches, the graph, and the operation
//! engine.
//!
//! [`graph_over`] builds the graph, and [`operations_of`] the engine over it. They take the networks and the clock as
//! parameters, so that tests run the real wiring over the sandbox, on paused time.

use std::sync::Arc;

use anyhow::Context;

use crate::config::Config;
use crate::domain::clock::Clock;
use crate::domain::upstream_name::UpstreamName;
use crate::graphql::graph::Graph;
use crate::http::caller::settings::AuthMode;
use crate::loaders::actions::AccountActions;
use crate::loaders::cache::upstream_cache::UpstreamCache;
use crate::loaders::data_sources::DataSources;
use crate::loaders::lists::account_lists::AccountLists;
use crate::loaders::lists::by_id::AccountsById;
use crate::loaders::lists::providers::Providers;
use crate::loaders::toolkits::Toolkits;
use crate::loaders::watch::feeds::ChangeFeeds;
use crate::operation::OperationEngine;
use crate::replicas::Replicas;
use crate::replicas::redis::RedisStore;
use crate::replicas::settings::ReplicaSettings;
use crate::replicas::store::Store;
use crate::telemetry::metrics::Metrics;
use crate::upstream::accounts::AccountsClient;
use crate::upstream::providers::ProvidersClient;
use crate::upstream::transport::{self, Network, Transport};

/// Returns the operation engine over a graph, with its limits and documents.
///
/// # Errors
/// If the schema is not valid, which tests rule out.
pub fn operations_of(graph: Graph, config: &Config, clock: Clock) -> anyhow::Result<OperationEngine> {
    let (limits, connections, lists) =
        (config.limits.clone(), config.connections.clone(), config.lists.clone());
    let operations = OperationEngine::new(graph, &config.cache.shares(), clock, limits, connections, lists)
        .context("the schema is not valid")?;
    let tokens: &[_] = if config.auth.mode == AuthMode::Tokens { &config.auth.tokens } else { &[] };
    let tokens = tokens.iter().map(|token| (token.name.as_str().into(), token.rate_limits()));
    let operations = operations.with_rate_limits(&config.rate_limits, tokens);
    Ok(operations.with_documents(&config.documents, config.trusted_documents().cloned()))
}

/// Returns the graph over given networks, with its metrics and caches.
#[must_use]
pub fn graph_over(config: &Config, clock: Clock, networks: &Networks) -> Graph {
    let metrics = Metrics::new(&config.metrics, clock.now());
    let replicas = networks.store.clone().map(|store| Replicas::start(store, config.redis.clone()));
    if let Some(replicas) = replicas.clone() {
        metrics.register("replicas", move |readings| replicas.stats().read(readings));
    }
    let (providers, accounts) = clients(config, clock, networks, replicas.as_ref());
    let transport = providers.transport.clone();
    let forget = move |credential: &_| transport.forget_refusals(credential);
    let leadlex = UpstreamCache::sharing(config.cache.clone(), clock, replicas.clone(), forget);
    let transport = accounts.transport.clone();
    let forget = move |credential: &_| transport.forget_refusals(credential);
    let composio = UpstreamCache::sharing(config.cache.clone(), clock, replicas.clone(), forget);
    let actions = AccountActions::new(config.actions.clone(), replicas);
    let ids = config.ids.key();
    let toolkits = Arc::new(Toolkits::new(accounts.clone(), &composio));
    let lists = Arc::new(AccountLists::new(accounts, config.lists.clone(), composio, ids.clone()));
    let sources = DataSources {
        providers: Arc::new(Providers::new(providers, leadlex, ids, &config.toolkits.expected)),
        accounts_by_id: Arc::new(AccountsById::new(Arc::clone(&lists))),
        lists,
        toolkits,
        health: config.health.rules(),
        batch_sizes: Arc::default(),
    };
    let (mapping, connections) = (config.toolkit_mapping().clone(), config.connections.clone());
    let sources = Arc::new(sources);
    let change_feeds = Arc::new(ChangeFeeds::new(Arc::clone(&sources), config.subscriptions.clone()));
    let federation = config.federation.clone();
    Graph::new(sources, mapping, change_feeds, connections, actions, federation).measured_by(metrics)
}

/// The connections to both upstreams and to the shared store.
#[derive(Clone)]
pub struct Networks {
    /// To LeadLex.
    pub leadlex: Network,
    /// To Composio.
    pub composio: Network,
    /// To the store that replicas share; `None` without one.
    pub store: Option<Arc<dyn Store>>,
}

impl Networks {
    /// Returns the networks that the configuration names.
    ///
    /// # Errors
    /// If TLS cannot be set up, or `redis.ca_file` has become unreadable since the configuration was loaded.
    pub fn real(config: &Config) -> anyhow::Result<Self> {
        let base_urls = [&config.upstream.leadlex.base_url, &config.upstream.composio.base_url];
        let [leadlex, composio] = transport::networks(base_urls).context("cannot set up TLS")?;
        Ok(Self { leadlex, composio, store: store(&config.redis)? })
    }
}

/// Returns the store that replicas share, if `redis.url` is set.
fn store(settings: &ReplicaSettings) -> anyhow::Result<Option<Arc<dyn Store>>> {
    if settings.url.is_empty() {
        return Ok(None);
    }
    Ok(Some(Arc::new(RedisStore::new(settings).context("redis")?)))
}

/// Returns the clients of both upstreams. With replicas, they share their quotas.
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
