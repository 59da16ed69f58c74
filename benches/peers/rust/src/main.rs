//! Switchboard beside other GraphQL servers on the same job: `benches/peers/run` builds this and starts it.
//!
//! Three programs in one: `run`, which starts every server, compares their answers, loads them in turn and writes the
//! table; and the two servers that are Rust and not Switchboard, [`bare`] and [`plain`]. One binary, so that all of them are
//! built alike, and as Switchboard is.

mod bare;
mod cold;
mod http;
mod job;
mod load;
mod plain;
mod process;
mod rest;
mod run;
mod sandbox;
mod servers;
mod steady;
mod table;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;
use mimalloc::MiMalloc;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

#[derive(Parser)]
enum Command {
    /// Runs the benchmark and writes the table.
    Run(run::Arguments),
    /// Serves the bytes of one file: what no server can beat.
    Bare {
        /// Where to listen.
        listen: SocketAddr,
        /// The file.
        file: PathBuf,
    },
    /// Serves the job by async-graphql with its DataLoader; the upstreams come from the environment.
    Plain {
        /// Where to listen.
        listen: SocketAddr,
    },
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    match Command::parse() {
        Command::Run(arguments) => run::run(arguments).await,
        Command::Bare { listen, file } => bare::serve(listen, &file).await,
        Command::Plain { listen } => plain::serve(listen).await,
    }
}
