//! The integration tests, in one binary.

#![allow(missing_docs, reason = "tests are read, not called")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, in its helpers too"
)]

mod abuse;
mod actions;
mod auth_modes;
#[cfg(target_os = "linux")]
mod clock_jumps;
mod config;
mod edge;
mod executor_pin;
mod faults;
mod fleet;
mod fuzz;
mod graph;
mod laws;
mod limits;
mod memory;
#[cfg(unix)]
mod reload;
mod replicas;
mod sandbox;
mod secret_leak;
#[cfg(unix)]
mod test_tools;
mod tidy;
mod trace_collector;
mod trace_export;
mod upstream;
mod world;
