//! Switchboard beside other GraphQL servers on the same job: `benches/peers/run` builds and starts this.
//!
//! Three programs in one: `run` starts every server, compares their responses, loads them in turn and writes
//! the table. The other two are the Rust servers [`bare`] and [`plain`]. They share one binary, so that all
//! are built in the same way as Switchboard.

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
    /// Serves the bytes of two files: the upper limit for any server. The upstreams come from the environment.
    Bare {
        /// The listen address.
        listen: SocketAddr,
        /// The hot response.
        hot: PathBuf,
        /// The response after one upstream call.
        unique: PathBuf,
    },
    /// Serves the job with async-graphql and its DataLoader. The upstreams come from the environment.
    Plain {
        /// The listen address.
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
    // One thread for the driver, so that no request moves between threads. The servers use the runtime of
    // `#[tokio::main]`, as Switchboard does.
    let driver = || Builder::new_current_thread().enable_all().build();
    let server = || Builder::new_multi_thread().enable_all().build();
    match command {
        Command::Run(arguments) => driver()?.block_on(run::run(arguments)),
        Command::Bare { listen, hot, unique } => server()?.block_on(bare::serve(listen, &hot, &unique)),
        Command::Plain { listen } => server()?.block_on(plain::serve(listen)),
    }
}
