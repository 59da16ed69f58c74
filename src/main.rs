//! Parses the command line and runs the command.

use std::process::ExitCode;

use clap::Parser;
use mimalloc::MiMalloc;

/// A response makes thousands of small allocations, which are slower in glibc's allocator.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    switchboard::cli::run(switchboard::cli::Cli::parse()).await
}
