//! The commands.

use std::net::SocketAddr;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

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
    },
}

/// Runs one command to its end.
pub async fn run(cli: Cli) -> ExitCode {
    match cli.command {
        Command::Sandbox { listen: _ } => ExitCode::SUCCESS,
    }
}
