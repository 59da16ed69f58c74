//! Random jitter, so that calls that failed together are not repeated together.

use std::hash::{BuildHasher, RandomState};

/// Returns a random number between 0 and 1. The standard library seeds each hasher randomly, which is good
/// enough here and needs no other crate.
pub(super) fn jitter() -> f64 {
    let random = RandomState::new().hash_one(());
    f64::from(u32::try_from(random >> 32).unwrap_or(0)) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_is_spread_between_0_and_1() {
        let drawn: Vec<_> = (0..1_000).map(|_| jitter()).collect();
        assert!(drawn.iter().all(|number| (0.0..=1.0).contains(number)));
        for part in [0.0, 0.25, 0.5, 0.75] {
            assert!(drawn.iter().any(|number| (part..part + 0.25).contains(number)), "{part}");
        }
    }
}
