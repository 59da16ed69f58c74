//! Parses the command line, runs the command, prints one error line.

use std::process::ExitCode;

use clap::Parser;

#[tokio::main]
async fn main() -> ExitCode {
    switchboard::cli::run(switchboard::cli::Cli::parse()).await
}
