//! Parses the command line, runs the command, prints one error line.

use std::process::ExitCode;

use clap::Parser;
use mimalloc::MiMalloc;

/// An answer is thousands of small allocations, which glibc's allocator takes longer for.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    switchboard::cli::run(switchboard::cli::Cli::parse()).await
}
