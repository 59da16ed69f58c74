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
mod collected;
mod collector;
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
mod modes;
#[cfg(unix)]
mod reload;
mod replicas;
mod sandbox;
mod secret_leak;
mod tidy;
mod upstream;
mod world;
