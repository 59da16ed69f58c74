//! The only file that constructs shared parts and wires them: a configuration becomes a running
//! process, from the upstreams' clients up to the listeners.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, bail};
use axum::Router;
use secrecy::ExposeSecret;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::config::Config;
use crate::domain::caller::Tenant;
use crate::domain::clock::Clock;
use crate::domain::credential::Credential;
use crate::domain::upstream_name::UpstreamName;
use crate::graphql::schema::{Graph, GraphParts};
use crate::http::caller::Callers;
use crate::http::settings::{AuthMode, ServerSettings};
use crate::http::{self, EdgeParts};
use crate::loaders::batch::Sources;
use crate::loaders::by_id::AccountsById;
use crate::loaders::lists::Lists;
use crate::loaders::providers::Providers;
use crate::operation::Operations;
use crate::upstream::accounts::AccountsClient;
use crate::upstream::error::{UpstreamError, UpstreamFailure};
use crate::upstream::probe::ProbeReport;
use crate::upstream::providers::ProvidersClient;
use crate::upstream::settings::UpstreamSettings;
use crate::upstream::transport::{self, Transport};

/// The graph and its probes on bound listeners, not answering yet.
#[derive(Debug)]
pub struct App {
    http: Server,
    ops: Server,
}

#[derive(Debug)]
struct Server {
    listener: TcpListener,
    address: SocketAddr,
    router: Router,
    settings: ServerSettings,
}

impl App {
    /// Builds every part and takes both ports.
    ///
    /// # Errors
    /// Where a port cannot be had, TLS cannot be set up, or the mapping of toolkits cannot be read
    /// any more.
    pub async fn start(config: &Config) -> anyhow::Result<Self> {
        let operations = operations(config)?;
        let callers = match config.auth.mode {
            AuthMode::None => Callers::Anybody(default_tenant(config)),
            AuthMode::Passthrough => Callers::TheirOwnKeys,
        };
        let edge = EdgeParts { operations, callers, settings: config.http.clone() };
        Ok(Self {
            http: Server::bind("http.listen", config.http.listen, http::router(edge), &config.server).await?,
            ops: Server::bind("ops.listen", config.ops.listen, http::ops::router(), &config.server).await?,
        })
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

    /// Answers until `stop`, and then until requests under way have ended.
    ///
    /// # Errors
    /// Where a listener fails.
    pub async fn run(self, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
        let (ask_to_stop, asked_to_stop) = watch::channel(());
        let stop = async {
            stop.await;
            drop(ask_to_stop);
        };
        let servers = async {
            tokio::try_join!(self.http.run(asked_to_stop.clone()), self.ops.run(asked_to_stop.clone()))
        };
        // The servers end after `stop` has, or when a listener fails: then there is none to wait for.
        tokio::pin!(servers);
        tokio::select! {
            ended = &mut servers => ended,
            () = stop => servers.await,
        }
        .map(drop)
        .context("a listener failed")
    }
}

impl Server {
    async fn bind(
        setting: &str,
        address: SocketAddr,
        router: Router,
        settings: &ServerSettings,
    ) -> anyhow::Result<Self> {
        let listener = bind(setting, address).await?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address, router, settings: settings.clone() })
    }

    async fn run(self, mut asked_to_stop: watch::Receiver<()>) -> io::Result<()> {
        // The sender is dropped to ask: waiting for a value ends with an error then.
        let shutdown = async move { drop(asked_to_stop.changed().await) };
        http::serve::serve(self.listener, self.router, self.settings, shutdown).await
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
pub fn operations(config: &Config) -> anyhow::Result<Operations> {
    let operations = Operations::new(graph(config)?).context("the schema contradicts itself")?;
    let limits = config.limits.clone();
    let operations = operations.within(limits, config.connections.clone(), config.lists.clone());
    let operations = operations.context("the schema contradicts itself")?;
    Ok(operations.naming(&config.documents, config.trusted_documents()?))
}

fn graph(config: &Config) -> anyhow::Result<Graph> {
    let (providers, accounts) = clients(config, Clock::system())?;
    let lists = Lists::new(accounts, config.lists.clone(), &config.cache, config.ids.key());
    let lists = Arc::new(lists);
    let sources = Sources {
        providers: Providers::new(providers, &config.cache, config.ids.key(), &config.toolkits.expected),
        accounts_by_id: AccountsById::new(Arc::clone(&lists), &config.cache),
        lists,
    };
    Ok(Graph::new(GraphParts {
        sources: Arc::new(sources),
        mapping: config.toolkit_mapping()?,
        connections: config.connections.clone(),
    }))
}

fn clients(config: &Config, clock: Clock) -> anyhow::Result<(ProvidersClient, AccountsClient)> {
    let transport = |upstream, settings: &UpstreamSettings| {
        let network = transport::network(&settings.base_url).context("TLS cannot be set up")?;
        anyhow::Ok(Transport::new(upstream, settings.clone(), network, clock))
    };
    let leadlex = transport(UpstreamName::Leadlex, &config.upstream.leadlex)?;
    let composio = transport(UpstreamName::Composio, &config.upstream.composio)?;
    Ok((ProvidersClient::new(leadlex), AccountsClient::new(composio)))
}

/// The tenant `default`: the keys of the plain `upstream.*.api_key` settings.
fn default_tenant(config: &Config) -> Tenant {
    let [leadlex, composio] = [&config.upstream.leadlex, &config.upstream.composio]
        .map(|settings| settings.api_key.expose_secret());
    // A key that is set is one: the configuration was refused otherwise. An empty one is none.
    Tenant { leadlex: Credential::new(leadlex).ok(), composio: Credential::new(composio).ok() }
}

/// What calling an upstream once has told.
pub(crate) type Probed = Result<ProbeReport, UpstreamError>;

/// Calls both upstreams once with the configured keys, at the same time.
pub(crate) async fn probe(config: &Config) -> anyhow::Result<[(UpstreamName, Probed); 2]> {
    let (providers, accounts) = clients(config, Clock::system())?;
    let tenant = default_tenant(config);
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
    Ok([(UpstreamName::Leadlex, leadlex), (UpstreamName::Composio, composio)])
}
