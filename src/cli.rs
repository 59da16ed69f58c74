//! The commands.

use std::io::Write;
use std::net::SocketAddr;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::sandbox;

/// One GraphQL graph over LeadLex's integration status and Composio's connected accounts.
#[derive(Parser, Debug)]
#[command(version)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Only the two emulated REST APIs, for other people's tests.
    Sandbox {
        /// Where to listen; port 0 takes a free one.
        #[arg(long, default_value = "127.0.0.1:8090")]
        listen: SocketAddr,

        #[command(flatten)]
        settings: sandbox::Settings,
    },
}

/// Runs one command to its end.
pub async fn run(cli: Cli) -> ExitCode {
    let done = match cli.command {
        Command::Sandbox { listen, settings } => sandbox::run(listen, settings, interrupted()).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Where even this cannot be written, the exit code still tells.
            let _ = writeln!(std::io::stderr(), "switchboard: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Ends with the first SIGINT or SIGTERM.
async fn interrupted() {
    let interrupt = async {
        let _ = tokio::signal::ctrl_c().await;
    };
    #[cfg(unix)]
    let terminate = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    #[cfg(not(unix))]
    let terminate = std::future::pending::<()>();
    tokio::select! {
        () = interrupt => {}
        () = terminate => {}
    }
}
