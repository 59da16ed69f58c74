//! Fuzz targets: each takes any bytes and asserts properties of the result.
//!
//! The targets use the crate's public interface, so nothing private is exposed for them. Two drivers run
//! them: proptest over mutated documents in every test run, and libFuzzer from `fuzz/`.

pub(crate) mod coding;
mod configuration;
pub(crate) mod decoders;
mod headers;
pub(crate) mod http;
mod ids;
pub(crate) mod seeds;

use tokio::runtime::{Builder, Runtime};

/// A target: its name and its function.
pub(crate) type Target = (&'static str, fn(&[u8]));

/// All targets.
pub(crate) const TARGETS: [Target; 8] = [
    ("accounts", decoders::accounts),
    ("providers", decoders::providers),
    ("coding", coding::coding),
    ("headers", headers::headers),
    ("ids", ids::ids),
    ("configuration", configuration::configuration),
    ("http", http::http),
    ("documents", http::documents),
];

/// A runtime with a paused clock, on which timers cost no real time.
fn paused() -> Runtime {
    Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}

fn with_paused_clock<T>(done: impl Future<Output = T>) -> T {
    paused().block_on(done)
}
