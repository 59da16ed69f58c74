//! Switchboard beside other GraphQL servers on the same job: `benches/peers/run` builds this and starts it.
//!
//! Three programs in one: `run`, which starts every server, compares their answers, loads them in turn and writes the
//! table; and the two servers that are Rust and not Switchboard, [`bare`] and [`plain`]. One binary, so that all of them are
//! built alike, and as Switchboard is.

mod bare;
mod cold;
mod http;
mod job;
mod lane;
mod load;
mod plain;
mod plan;
mod process;
mod rest;
mod run;
mod sandbox;
mod servers;
mod steady;
mod table;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use mimalloc::MiMalloc;
use tokio::runtime::Builder;

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

fn main() -> ExitCode {
    match run(Command::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-peers: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    // One thread for the driver, so that no request is handed from one to another; the servers are as `#[tokio::main]` would have
    // them, which is as Switchboard is.
    let driver = || Builder::new_current_thread().enable_all().build();
    let server = || Builder::new_multi_thread().enable_all().build();
    match command {
        Command::Run(arguments) => driver()?.block_on(run::run(arguments)),
        Command::Bare { listen, file } => server()?.block_on(bare::serve(listen, &file)),
        Command::Plain { listen } => server()?.block_on(plain::serve(listen)),
    }
}
