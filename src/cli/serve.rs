//! `switchboard serve`: the graph over the real upstreams, until a signal stops it.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use super::arguments::hidden_port_flag;
use super::output::{Failure, print_in_background};
use super::reload::{ReloadSignal, ServeSources};
use super::systemd;
use crate::app::App;
use crate::telemetry::{self, LogFormat};

/// Arguments of `serve`.
#[derive(clap::Args, Debug)]
#[command(arg = hidden_port_flag())]
pub(super) struct Arguments {
    /// Configuration file (TOML) with the settings that differ from the defaults.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Address of /graphql and GraphiQL (setting http.listen); port 0 picks a free one.
    #[arg(long, value_name = "ADDR", value_parser = super::arguments::address)]
    listen: Option<SocketAddr>,
    /// Address of /live, /ready and /metrics (setting ops.listen); port 0 picks a free one.
    #[arg(long, value_name = "ADDR", value_parser = super::arguments::address)]
    ops_listen: Option<SocketAddr>,
}

pub(super) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let (stop, again, reloads) = (StopSignal::listen()?, StopSignal::listen()?, ReloadSignal::listen()?);
    let mut flags = Vec::new();
    if let Some(address) = arguments.listen {
        flags.push(("http.listen", "--listen", address.to_string()));
    }
    if let Some(address) = arguments.ops_listen {
        flags.push(("ops.listen", "--ops-listen", address.to_string()));
    }
    let sources = ServeSources { file: arguments.config, flags };
    let config = sources.load()?;
    let level = telemetry::start(&config.log)?;
    for warning in config.warnings() {
        tracing::warn!("{warning}");
    }
    let app = App::start(&config).await?;
    let (graph, ops) = (app.http_address(), app.ops_address());
    tracing::info!(version = env!("CARGO_PKG_VERSION"), %graph, %ops, "serving");
    if config.log.format == LogFormat::Pretty {
        // For people only: a program that reads JSON lines cannot parse plain ones.
        print_in_background(greeting(graph, ops, config.http.graphiql));
    }
    let reloading = reloads.run(sources, app.hot_reload(), level);
    systemd::ready();
    let stopped = async {
        stop.received().await;
        systemd::stopping();
    };
    tokio::select! {
        ended = app.run(stopped, again.received_twice()) => Ok(ended?),
        () = reloading => Ok(()),
    }
}

fn greeting(graph: SocketAddr, ops: SocketAddr, graphiql: bool) -> String {
    let graphiql = if graphiql { format!("GraphiQL: http://{graph}/\n") } else { String::new() };
    format!("listening on http://{graph}/graphql\n{graphiql}Probes: http://{ops}/live, http://{ops}/ready\n")
}

/// The signals that request shutdown: SIGINT (Ctrl-C) and SIGTERM.
///
/// They are caught from [`Self::listen`] on, so that a signal during the start is not lost.
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
        // If Ctrl-C cannot be caught, the process ends by other means.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl StopSignal {
    pub(super) async fn received(mut self) {
        self.next().await;
    }

    /// Waits for the second signal, which skips the drain period.
    async fn received_twice(mut self) {
        self.next().await;
        self.next().await;
    }
}
