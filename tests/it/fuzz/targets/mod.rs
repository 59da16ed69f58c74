//! What is fuzzed: each target takes any bytes and asserts laws of what this layer makes of them.
//!
//! The targets go through what the crate shows anyway, so that nothing private is opened for them, and are driven from two
//! sides: by proptest over mutated documents in every run of the tests, and by libFuzzer from `fuzz/`.

mod configuration;
pub(crate) mod decoders;
mod headers;
pub(crate) mod http;
mod ids;
pub(crate) mod seeds;

use tokio::runtime::{Builder, Runtime};

/// A target: its name, and what it does with bytes.
pub(crate) type Target = (&'static str, fn(&[u8]));

/// All of them.
pub(crate) const TARGETS: [Target; 6] = [
    ("accounts", decoders::accounts),
    ("providers", decoders::providers),
    ("headers", headers::headers),
    ("ids", ids::ids),
    ("configuration", configuration::configuration),
    ("http", http::http),
];

/// A clock of its own that is paused: whoever waits for nothing is not waited for.
fn paused() -> Runtime {
    Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}

fn on_a_paused_clock<T>(done: impl Future<Output = T>) -> T {
    paused().block_on(done)
}
