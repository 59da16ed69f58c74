//! The size of a run.

use std::time::Duration;

use crate::servers::Keeps;

/// Sample counts and durations.
pub(crate) struct Plan {
    pub(crate) rounds: usize,
    pub(crate) round: Duration,
    pub(crate) warm: Duration,
    pub(crate) cold_samples: usize,
    pub(crate) stampede: usize,
}

pub(crate) const FULL: Plan = Plan {
    rounds: 9,
    round: Duration::from_secs(2),
    warm: Duration::from_secs(3),
    cold_samples: 9,
    stampede: 1_000,
};
pub(crate) const QUICK: Plan = Plan {
    rounds: 1,
    round: Duration::from_millis(500),
    warm: Duration::from_millis(500),
    cold_samples: 1,
    stampede: 1_000,
};

/// Longer than a run.
pub(crate) const LONG: Keeps = Keeps(3_600);
/// Numbers of filters that no round reaches, for comparison and warm-up.
pub(crate) const ASIDE: usize = 400_000;
