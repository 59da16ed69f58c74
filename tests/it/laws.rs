//! Property tests of the list engine over random data: the view of any client, for all kinds of cursors and
//! equal timestamps of the upstream.
//!
//! `expected_lists` computes the expected list from the sandbox's data. `bench` is the list engine over the sandbox
//! without the graph, which takes longer to build than most cases run. `graph` checks the same properties
//! through GraphQL. `serialized_rows` checks that both ways to produce a response agree. `PROPTEST_CASES` sets the
//! number of cases (default 1,000). A failure prints its seed and its smallest case.

mod actions;
mod batching;
mod bench;
mod calls;
mod changing;
mod costs;
mod counting;
mod cursors;
mod expected_lists;
mod feeds;
mod graph;
mod isolation;
mod members;
mod misbehaving;
mod network_recorder;
mod paging;
mod paging_client;
pub(crate) mod polling_day;
mod refetching;
mod response_cache;
mod serialized_rows;
mod shared_day;

use std::hash::{BuildHasher, RandomState};

use proptest::prelude::ProptestConfig;
use proptest::test_runner::RngSeed;

/// 1,000 cases unless `PROPTEST_CASES` sets another number.
#[expect(clippy::print_stderr, reason = "the harness shows it where the property fails")]
fn cases() -> ProptestConfig {
    let mut config =
        ProptestConfig { failure_persistence: None, max_shrink_iters: 500, ..ProptestConfig::default() };
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = 1_000;
    }
    if config.rng_seed == RngSeed::Random {
        config.rng_seed = RngSeed::Fixed(RandomState::new().hash_one("law"));
    }
    if let RngSeed::Fixed(seed) = config.rng_seed {
        // Printed on failure: how to run the same cases again.
        eprintln!("PROPTEST_RNG_SEED={seed}");
    }
    config
}

/// A tenth of the cases, for tests that are expensive to build.
fn one_tenth(config: ProptestConfig) -> ProptestConfig {
    ProptestConfig { cases: config.cases.div_ceil(10), ..config }
}

/// Runs background tasks until they wait for time.
async fn settle() {
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}

/// Runs one case on a paused clock.
fn with_paused_clock(case: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(case);
}
