//! Runs the tests' fuzz targets with libFuzzer. `SWITCHBOARD_FUZZ` selects one; `make fuzz` runs all of them.
//!
//! The targets are included from the test files by path: a shared library would have to be a part of the product.

#![no_main]
#![allow(dead_code, reason = "the world has more than the targets need")]
#![allow(missing_docs, reason = "tests are read, not called")]

use std::sync::LazyLock;

#[path = "../../tests/it/fuzz/targets/mod.rs"]
mod targets;
#[path = "../../tests/it/world.rs"]
mod world;

static TARGET: LazyLock<fn(&[u8])> = LazyLock::new(|| {
    let named = std::env::var("SWITCHBOARD_FUZZ").unwrap_or_default();
    let found = targets::TARGETS.into_iter().find(|(name, _)| *name == named);
    found.unwrap_or_else(|| panic!("SWITCHBOARD_FUZZ names no target: `{named}`")).1
});

libfuzzer_sys::fuzz_target!(init: seed(), |bytes: &[u8]| TARGET(bytes));

/// Writes the target's seeds into the corpus before it is read.
fn seed() {
    if let Ok(corpus) = std::env::var("SWITCHBOARD_FUZZ_SEEDS") {
        let named = std::env::var("SWITCHBOARD_FUZZ").unwrap_or_default();
        for (nth, seed) in targets::seeds::seeds(&named).into_iter().enumerate() {
            std::fs::write(format!("{corpus}/seed-{nth}"), seed).expect("the corpus is writable");
        }
    }
}
