//! A number by chance, to keep those apart who failed together.

use std::hash::{BuildHasher, RandomState};

/// A number in 0 to 1. The standard library draws a key of its own for each hasher; nothing here needs
/// better chance, and a crate for it would be one more.
pub(super) fn jitter() -> f64 {
    let drawn = RandomState::new().hash_one(());
    f64::from(u32::try_from(drawn >> 32).unwrap_or(0)) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_somewhere_between_0_and_1_and_not_always_there() {
        let drawn: Vec<_> = (0..1_000).map(|_| jitter()).collect();
        assert!(drawn.iter().all(|number| (0.0..=1.0).contains(number)));
        for part in [0.0, 0.25, 0.5, 0.75] {
            assert!(drawn.iter().any(|number| (part..part + 0.25).contains(number)), "{part}");
        }
    }
}
