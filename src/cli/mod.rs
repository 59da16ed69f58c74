//! The command line. Each command has a file, except `schema`, which is here. `check` also has `upstream_check` and
//! `redis_check`, and `serve` has `reload` and `systemd`.
//!
//! Results go to standard output, error lines (`switchboard: …`) and the log to standard error. Exit codes: 0 for
//! success, 1 for a failure while the command ran, 2 for wrong usage or a wrong configuration.

mod arguments;
pub mod check;
mod demo;
mod output;
mod ready;
mod redis_check;
mod reload;
mod sandbox;
mod serve;
mod systemd;
mod token;
mod upstream_check;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};

use self::arguments::configuration;
use self::output::{Failure, print};
use crate::config::ApiKeys;
use crate::graphql::{federation, schema, stitching};
use crate::telemetry::log_writer;

/// End of the help of commands that read settings: the sources of settings.
const SETTINGS_HELP: &str = "Settings come from the defaults, the file of --config, environment variables and flags; later \
    ones win. The variable of http.listen is SWITCHBOARD__HTTP__LISTEN. `switchboard check --all` prints the settings in force. \
    All settings: https://github.com/switchboard-graphql/switchboard/blob/main/docs/configuration.md";

/// One GraphQL API over two REST APIs: LeadLex's integrations and Composio's connected accounts.
#[derive(Parser, Debug)]
#[command(
    version,
    after_help = "Start with `switchboard demo`. `switchboard help COMMAND` describes a command."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Serves the graph and GraphiQL over emulated upstreams, without keys and network.
    Demo(demo::Arguments),
    /// Serves the graph over the real upstreams, until SIGINT or SIGTERM; SIGHUP reloads the configuration.
    #[command(after_help = SETTINGS_HELP)]
    Serve(serve::Arguments),
    /// Serves the two emulated REST APIs without the graph, for tests of other programs.
    Sandbox(sandbox::Arguments),
    /// Prints the schema in GraphQL's schema definition language.
    Schema {
        /// Form of the schema.
        #[arg(long, value_enum, default_value_t = SchemaFormat::Plain)]
        format: SchemaFormat,
        /// Configuration file (TOML), of which `[federation]` is used.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Creates tokens for callers.
    #[command(subcommand)]
    Token(token::Command),
    /// Checks whether `serve` on this machine is ready: exits with 0 (ready), 1 (not ready) or 2 (address unknown).
    Ready(ready::Arguments),
    /// Calls both upstreams once, prints the settings that differ from the defaults, and exits with 1 if there are
    /// problems.
    #[command(after_help = SETTINGS_HELP)]
    Check {
        /// Configuration file (TOML) with the settings that differ from the defaults.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// Prints all settings in force, not only those that differ from the defaults.
        #[arg(long)]
        all: bool,
    },
}

#[derive(ValueEnum, Debug, Clone, Copy)]
enum SchemaFormat {
    /// The schema for clients.
    Plain,
    /// A subgraph for Apollo Federation 2.
    Federation,
    /// A subschema with the directives for schema stitching.
    Stitching,
}

/// Parses the command line and runs the command to its end.
///
/// The runtime is started here and not in the binary: a future is compiled where it is polled, so the binary would
/// contain a second copy of all that the commands share with the library.
#[tokio::main]
pub async fn main() -> ExitCode {
    let ended = match Cli::parse().command {
        Command::Demo(arguments) => demo::run(arguments).await,
        Command::Serve(arguments) => serve::run(arguments).await,
        Command::Sandbox(arguments) => sandbox::run(arguments).await,
        Command::Schema { format, config } => print_schema(format, config),
        Command::Token(command) => token::run(command),
        Command::Ready(arguments) => ready::run(arguments).await,
        Command::Check { config, all } => check::run(config, all).await,
    };
    let code = match ended {
        Ok(()) => ExitCode::SUCCESS,
        // The reader has closed the pipe, as `head` does in `switchboard schema | head`.
        Err(Failure::Run(error)) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(Failure::Run(error)) => {
            print_errors([format!("{error:#}")]);
            ExitCode::FAILURE
        }
        Err(Failure::Config(errors)) => {
            print_errors(errors.iter().map(ToString::to_string));
            ExitCode::from(2)
        }
    };
    log_writer::flush(LOG_FLUSH_TIMEOUT);
    code
}

/// Timeout for writing the last log lines at exit.
const LOG_FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

fn print_schema(format: SchemaFormat, file: Option<PathBuf>) -> Result<(), Failure> {
    let text = match format {
        SchemaFormat::Plain => schema::sdl(),
        SchemaFormat::Federation => {
            let config = configuration(file, Vec::new(), ApiKeys::Optional)?;
            federation::sdl(&config.federation, &config.connections)
        }
        SchemaFormat::Stitching => stitching::sdl(),
    };
    Ok(print(&text)?)
}

/// Writes error lines; an error of standard error itself is ignored.
fn print_errors(lines: impl IntoIterator<Item = String>) {
    for line in lines {
        log_writer::write_line(&format!("switchboard: {line}"));
    }
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
