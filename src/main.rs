//! Runs the command line.

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// A response makes thousands of small allocations, which are slower in glibc's allocator.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    switchboard::cli::main()
}
