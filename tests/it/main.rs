//! Switchboard from the outside: one module for each thing that users meet.

// The lints' own exception for tests covers `#[test]` functions, not what these share.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod config;
