//! The only file that constructs shared parts and wires them: a configuration becomes a running
//! process, from the listeners down to the upstreams' clients.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, bail};
use axum::Router;
use secrecy::ExposeSecret;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::config::Config;
use crate::domain::caller::Tenant;
use crate::domain::credential::Credential;
use crate::domain::upstream_name::UpstreamName;
use crate::upstream::error::{UpstreamError, UpstreamFailure};
use crate::upstream::probe::ProbeReport;

/// How long requests under way may take to end once the process is asked to stop.
const DRAIN: Duration = Duration::from_secs(10);

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
}

impl App {
    /// Builds every part and takes both ports.
    ///
    /// # Errors
    /// Where a port cannot be had, or the mapping of toolkits cannot be read any more.
    pub async fn start(config: &Config) -> anyhow::Result<Self> {
        let _toolkits = config.toolkit_mapping()?;
        Ok(Self {
            http: Server::bind("http.listen", config.http.listen, Router::new()).await?,
            ops: Server::bind("ops.listen", config.ops.listen, Router::new()).await?,
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

    /// Answers until `stop`, and then until requests under way have ended, ten seconds at most.
    ///
    /// # Errors
    /// Where a listener fails.
    pub async fn run(self, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
        let (ask_to_stop, asked_to_stop) = watch::channel(());
        let servers = async {
            tokio::try_join!(self.http.run(asked_to_stop.clone()), self.ops.run(asked_to_stop.clone()))
        };
        tokio::pin!(servers);
        tokio::select! {
            ended = &mut servers => return ended.map(drop).context("a listener failed"),
            () = stop => drop(ask_to_stop),
        }
        match tokio::time::timeout(DRAIN, servers).await {
            Ok(ended) => ended.map(drop).context("a listener failed"),
            Err(_) => {
                tracing::warn!("requests under way were cut off after {} s", DRAIN.as_secs());
                Ok(())
            }
        }
    }
}

impl Server {
    async fn bind(setting: &str, address: SocketAddr, router: Router) -> anyhow::Result<Self> {
        let listener = bind(setting, address).await?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address, router })
    }

    async fn run(self, mut asked_to_stop: watch::Receiver<()>) -> io::Result<()> {
        axum::serve(self.listener, self.router)
            // The sender is dropped to ask: waiting for a value ends with an error then.
            .with_graceful_shutdown(async move { drop(asked_to_stop.changed().await) })
            .await
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

/// The schema in GraphQL's schema definition language; it needs no configuration.
#[must_use]
pub fn sdl() -> String {
    use async_graphql::{EmptyMutation, EmptySubscription, Schema};
    Schema::new(crate::graphql::schema::Query, EmptyMutation, EmptySubscription).sdl()
}

/// Calls both upstreams once with the configured keys, at the same time.
pub(crate) async fn probe(config: &Config) -> [(UpstreamName, Result<ProbeReport, UpstreamError>); 2] {
    let tenant = default_tenant(config);
    let failed = |upstream, has_key| {
        let failure = if has_key { UpstreamFailure::Unavailable } else { UpstreamFailure::NoCredential };
        (upstream, Err(UpstreamError::new(upstream, failure)))
    };
    [
        failed(UpstreamName::Leadlex, tenant.leadlex.is_some()),
        failed(UpstreamName::Composio, tenant.composio.is_some()),
    ]
}

/// The tenant `default`: the keys of the plain `upstream.*.api_key` settings.
fn default_tenant(config: &Config) -> Tenant {
    let [leadlex, composio] = [&config.upstream.leadlex, &config.upstream.composio]
        .map(|settings| settings.api_key.expose_secret());
    // A key that is set is one: the configuration was refused otherwise. An empty one is none.
    Tenant { leadlex: Credential::new(leadlex).ok(), composio: Credential::new(composio).ok() }
}
