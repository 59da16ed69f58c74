//! The laws of the list engine, held over random data: what any client sees, whatever the upstream's cursors and ties are.
//!
//! `truth` knows the true list from the sandbox's own data, `bench` is the list engine over the sandbox without the
//! graph above it, which costs more to build than most cases take; `graph` asks the same laws through GraphQL, and
//! `written` holds that answers are the same whichever way they come about. The number of cases is `PROPTEST_CASES`, 1,000 unless set; a failure prints its seed and its smallest case.

mod bench;
mod calls;
mod changing;
mod counting;
mod cursors;
pub(crate) mod day;
mod feeds;
mod finished;
mod graph;
mod isolation;
mod joined;
mod members;
mod prices;
mod shared_day;
mod truth;
mod walker;
mod walking;
mod wire;
mod written;

use std::hash::{BuildHasher, RandomState};

use proptest::prelude::ProptestConfig;
use proptest::test_runner::RngSeed;

/// 1,000 cases unless `PROPTEST_CASES` says otherwise.
#[expect(clippy::print_stderr, reason = "the harness shows it where the law fails")]
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
        // Seen where the law fails: the same cases once more.
        eprintln!("PROPTEST_RNG_SEED={seed}");
    }
    config
}

/// A tenth of the cases, for what is dear to build.
fn a_tenth(config: ProptestConfig) -> ProptestConfig {
    ProptestConfig { cases: config.cases.div_ceil(10), ..config }
}

/// Lets what runs behind come to rest, as far as it need not wait for time to pass.
async fn settle() {
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}

/// Runs one case on a clock that stands still.
fn on_a_paused_clock(case: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(case);
}
