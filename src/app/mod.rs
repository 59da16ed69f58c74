//! The running process: both listeners, from start to graceful shutdown.
//!
//! [`App::start`] builds all parts from a [`Config`] and binds the ports; [`App::run`] serves until it is asked to
//! stop. The parts below HTTP are constructed in [`wiring`], authentication in [`access`]; [`hot_reload`] replaces the
//! configuration of a running process, [`clock_jumps`] follows the system's clock, [`open_files`] raises the limit of
//! open files, [`probes`] makes the calls of `switchboard check`, and [`embedding`] is the library's public API.

pub mod access;
mod clock_jumps;
pub mod embedding;
pub mod hot_reload;
pub mod open_files;
pub mod probes;
pub mod wiring;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime;
use tokio::sync::oneshot;
use tokio::time::timeout;

use self::access::{callers, webhooks};
use self::hot_reload::HotReload;
use self::open_files::{ConnectionLimits, raise_limit};
use self::wiring::{Networks, graph_over, operations_of};
use crate::config::Config;
use crate::domain::clock::Clock;
use crate::graphql::executor::Executor as _;
use crate::graphql::graph::Graph;
use crate::http::hot_reload::CurrentRouter;
use crate::http::ops::Readiness;
use crate::http::settings::ServerSettings;
use crate::http::{self, EdgeParts};
use crate::telemetry::connections::Connections;
use crate::telemetry::traces::Traces;
use crate::upstream::transport;

/// Both listeners, bound and not yet serving.
pub struct App {
    http: Server,
    ops: Server,
    hot_reload: HotReload,
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
    /// Builds all parts and binds both ports.
    ///
    /// # Errors
    /// If a port cannot be bound or TLS cannot be set up.
    pub async fn start(config: &Config) -> anyhow::Result<Self> {
        let clock = Clock::system();
        let graph = graph_over(config, clock, &Networks::real(config)?);
        let operations = operations_of(graph.clone(), config, clock)?;
        for (id, why) in operations.invalid_trusted_documents() {
            tracing::warn!(id, why, "a trusted document is not valid and will be refused");
        }
        let (callers, webhooks, settings) = (callers(config)?, webhooks(config), config.http.clone());
        let readiness = Readiness::default();
        let ops = http::ops::router(&callers, &readiness, graph.metrics()).into();
        let edge = EdgeParts { operations, callers, webhooks, settings };
        let traces = traces(config)?;
        let [public, probes] =
            ["public", "ops"].map(|listener| Connections::measured_by(&graph.metrics(), listener));
        let hot_reload = HotReload::new(config.clone(), graph, edge, traces.as_ref().map(Traces::root));
        let routes = hot_reload.routes();
        let limits = ConnectionLimits::new(config, raise_limit());
        if let Some(warning) = limits.warning() {
            tracing::warn!("{warning}");
        }
        let settings = |connections_max| ServerSettings { connections_max, ..config.server.clone() };
        let (public_settings, ops_settings) = (settings(limits.public), settings(limits.ops));
        Ok(Self {
            http: Server::bind("http.listen", config.http.listen, routes, public_settings, public)?,
            ops: Server::bind("ops.listen", config.ops.listen, ops, ops_settings, probes)?,
            hot_reload,
            readiness,
            traces,
        })
    }

    /// Returns the served graph, for tests that count its upstream calls.
    #[must_use]
    pub fn graph(&self) -> Graph {
        self.hot_reload.graph()
    }

    /// Returns the handle that replaces the configuration.
    #[must_use]
    pub fn hot_reload(&self) -> HotReload {
        self.hot_reload.clone()
    }

    /// Returns the address of the public listener, with the port that was bound if the setting is 0.
    #[must_use]
    pub fn http_address(&self) -> SocketAddr {
        self.http.address
    }

    /// Returns the address of the listener for probes.
    #[must_use]
    pub fn ops_address(&self) -> SocketAddr {
        self.ops.address
    }

    /// Serves until `stop`, then shuts down in two phases:
    ///
    /// 1. For `server.drain_ms`, or until `at_once`, requests are still accepted, while `/ready` returns 503.
    /// 2. No connection is accepted, and requests in flight are completed.
    ///
    /// Probes are answered until the end.
    ///
    /// # Errors
    /// If a listener fails.
    pub async fn run(
        self,
        stop: impl Future<Output = ()> + Send,
        at_once: impl Future<Output = ()> + Send,
    ) -> anyhow::Result<()> {
        let Self { http, ops, hot_reload, readiness, traces } = self;
        let drain = http.settings.drain();
        let stop = async {
            stop.await;
            readiness.set_not_ready();
            if drain.is_zero() {
                tracing::info!("shutdown requested: accepting no requests, completing those in flight");
            } else {
                tracing::info!("shutdown requested: draining for {drain:?}, /ready now returns 503");
                let _ = timeout(drain, at_once).await;
            }
        };
        let (http_ended, wait_for_http) = oneshot::channel::<()>();
        let http = async {
            let result = http.run(stop).await;
            drop(http_ended);
            result
        };
        let ops = ops.run_on_own_thread(async { drop(wait_for_http.await) });
        let result = tokio::select! {
            result = async { tokio::try_join!(http, ops) } => result,
            never = clock_jumps::follow(&hot_reload) => match never {},
        };
        hot_reload.graph().flush(FLUSH_TIMEOUT).await;
        if let Some(traces) = traces {
            traces.end().await;
        }
        result.map(drop).context("a listener failed")
    }
}

/// Returns the exporter of traces, if `traces.endpoint` is set.
fn traces(config: &Config) -> anyhow::Result<Option<Traces>> {
    let Some(url) = config.traces.url() else { return Ok(None) };
    let post = transport::post(&url).context("cannot set up TLS")?;
    Ok(Some(Traces::start(&config.traces, post)?))
}

/// Timeout for delivering the last invalidations to other replicas on shutdown.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

impl Server {
    fn bind(
        setting: &str,
        address: SocketAddr,
        routes: CurrentRouter,
        settings: ServerSettings,
        connections: Arc<Connections>,
    ) -> anyhow::Result<Self> {
        let listener = bind(setting, address)?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address, routes, settings, connections })
    }

    async fn run(self, shutdown: impl Future<Output = ()> + Send) -> io::Result<()> {
        let Self { listener, address: _, routes, settings, connections } = self;
        http::serve::serve_counted(listener, routes, settings, connections, shutdown).await
    }

    /// Serves on a thread and a runtime of its own, so that probes are answered while all workers are busy.
    async fn run_on_own_thread(self, shutdown: impl Future<Output = ()> + Send + 'static) -> io::Result<()> {
        let Self { listener, address: _, routes, settings, connections } = self;
        let listener = listener.into_std()?;
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let (result_sender, result) = oneshot::channel();
        thread::Builder::new().name("ops".to_owned()).spawn(move || {
            let served = runtime.block_on(async {
                let listener = TcpListener::from_std(listener)?;
                http::serve::serve_counted(listener, routes, settings, connections, shutdown).await
            });
            // Fails only if the receiving future was dropped, which needs no result.
            drop(result_sender.send(served));
        })?;
        result.await.map_err(|_| io::Error::other("the thread of the ops listener panicked"))?
    }
}

/// Binds a port. The error names the setting and its flag.
pub(crate) fn bind(setting: &str, address: SocketAddr) -> anyhow::Result<TcpListener> {
    match listen(address) {
        Ok(listener) => Ok(listener),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            let flag = match setting {
                "http.listen" => "--listen",
                "ops.listen" => "--ops-listen",
                flag => flag,
            };
            bail!(
                "{setting}: {address} is already in use. Stop the other process, or choose another address with {flag} (port 0 picks a free one)."
            )
        }
        Err(error) => bail!("{setting}: cannot listen on {address}: {error}"),
    }
}

/// Listens with the longest queue of new connections that the system allows. The default of 128 overflows in a burst,
/// and each client that finds it full retries only after a second.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // As the standard library does. On Windows, the option would let another process take over the port.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use futures_util::future::try_join_all;
    use tokio::net::TcpStream;

    use super::*;

    #[tokio::test]
    async fn connections_of_a_burst_are_queued() {
        let listener = bind("http.listen", (Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let address = listener.local_addr().unwrap();
        let burst = try_join_all((0..300).map(|_| TcpStream::connect(address)));
        let connected = timeout(Duration::from_secs(30), burst).await;
        assert_eq!(connected.expect("the queue is too short").unwrap().len(), 300);
    }
}
