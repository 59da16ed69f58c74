//! What replicas share, over a store in memory on the paused clock and over a real server.

mod contract;
pub(crate) mod memory;
