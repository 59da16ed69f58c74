//! `switchboard serve`: the graph over the real upstreams, until it is told to stop.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use super::reload::{Origins, Reloads};
use super::{Failure, print};
use crate::app::App;
use crate::telemetry::{self, LogFormat};

/// What `serve` takes.
#[derive(clap::Args, Debug)]
pub(super) struct Arguments {
    /// A TOML file over the defaults; `switchboard.default.toml` shows its shape.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where clients connect (`http.listen`).
    #[arg(long, value_name = "ADDR", value_parser = super::address)]
    listen: Option<SocketAddr>,
    /// Where probes connect (`ops.listen`).
    #[arg(long, value_name = "ADDR", value_parser = super::address)]
    ops_listen: Option<SocketAddr>,
}

pub(super) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let (stop, again, reloads) = (StopSignal::listen()?, StopSignal::listen()?, Reloads::listen()?);
    let mut flags = Vec::new();
    if let Some(address) = arguments.listen {
        flags.push(("http.listen", "--listen", address.to_string()));
    }
    if let Some(address) = arguments.ops_listen {
        flags.push(("ops.listen", "--ops-listen", address.to_string()));
    }
    let origins = Origins { file: arguments.config, flags };
    let config = origins.read()?;
    let level = telemetry::start(&config.log).map_err(anyhow::Error::from)?;
    for warning in config.warnings() {
        tracing::warn!("{warning}");
    }
    let app = App::start(&config).await?;
    let (graph, ops) = (app.http_address(), app.ops_address());
    tracing::info!(version = env!("CARGO_PKG_VERSION"), %graph, %ops, "serving");
    if config.log.format == LogFormat::Pretty {
        // For people: whatever reads objects would stumble over lines between them.
        print(&greeting(graph, ops, config.http.graphiql))?;
    }
    let reloading = reloads.obey(origins, app.live(), level);
    tokio::select! {
        ended = app.run(stop.received(), again.received_twice()) => Ok(ended?),
        () = reloading => Ok(()),
    }
}

fn greeting(graph: SocketAddr, ops: SocketAddr, graphiql: bool) -> String {
    let graphiql = if graphiql { format!("GraphiQL: http://{graph}/\n") } else { String::new() };
    format!("listening on http://{graph}/graphql\n{graphiql}Probes: http://{ops}/live, http://{ops}/ready\n")
}

/// The signals by which a process is asked to stop: SIGINT (Ctrl-C) and SIGTERM.
///
/// They are caught from the moment this is made, so that one that comes early is not lost.
pub(super) struct StopSignal {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl StopSignal {
    pub(super) fn listen() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(not(unix))]
impl StopSignal {
    pub(super) fn listen() -> io::Result<Self> {
        Ok(Self {})
    }

    async fn next(&mut self) {
        // Where Ctrl-C cannot be caught, the process ends by other means.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl StopSignal {
    pub(super) async fn received(mut self) {
        self.next().await;
    }

    /// That it came once more: whoever asked will not wait.
    async fn received_twice(mut self) {
        self.next().await;
        self.next().await;
    }
}
