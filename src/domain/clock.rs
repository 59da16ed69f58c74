//! Wall-clock time that follows Tokio's clock, so that a test that pauses time pauses all of it.

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// Tells the wall-clock time: the moment it was made, and what has passed on Tokio's clock since.
///
/// A step of the machine's clock after the start is not followed; ages and deadlines are counted
/// on the monotonic clock anyway.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    started_at: Timestamp,
    started: Instant,
}

impl Clock {
    /// A clock that shows the machine's time now.
    #[must_use]
    pub fn system() -> Self {
        // The one place that reads the machine's clock: everything else asks this one.
        #[expect(clippy::disallowed_methods)]
        Self::starting_at(Timestamp::now())
    }

    /// A clock that shows `moment` now.
    #[must_use]
    pub fn starting_at(moment: Timestamp) -> Self {
        Self { started_at: moment, started: Instant::now() }
    }

    /// The time now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.at(Instant::now())
    }

    /// The time at an instant of Tokio's clock.
    #[must_use]
    pub fn at(&self, instant: Instant) -> Timestamp {
        let passed = match instant.checked_duration_since(self.started) {
            Some(since) => SignedDuration::try_from(since),
            None => SignedDuration::try_from(self.started.duration_since(instant)).map(|before| -before),
        };
        self.started_at.saturating_add(passed.unwrap_or(SignedDuration::MAX)).unwrap_or(Timestamp::MAX)
    }

    /// The instant of Tokio's clock at which the time is, was or will be `moment`.
    #[must_use]
    pub fn instant(&self, moment: Timestamp) -> Instant {
        let passed = moment.duration_since(self.started_at);
        let distance = passed.unsigned_abs();
        let instant = if passed.is_negative() {
            self.started.checked_sub(distance)
        } else {
            self.started.checked_add(distance)
        };
        instant.unwrap_or(self.started)
    }
}
