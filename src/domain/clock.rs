//! Wall-clock time that follows Tokio's clock, so that pausing Tokio's clock in a test pauses this one too.

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// A wall clock: its start time plus the time passed on Tokio's clock.
///
/// It does not follow later adjustments of the system clock. Ages and deadlines use the monotonic clock anyway.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    started_at: Timestamp,
    started: Instant,
}

impl Clock {
    /// A clock that starts at the current system time.
    #[must_use]
    pub fn system() -> Self {
        // The only place that reads the system clock; everything else uses this type.
        #[expect(clippy::disallowed_methods)]
        Self::starting_at(Timestamp::now())
    }

    /// A clock that starts at `moment`.
    #[must_use]
    pub fn starting_at(moment: Timestamp) -> Self {
        Self { started_at: moment, started: Instant::now() }
    }

    /// The current time.
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

    /// The instant of Tokio's clock that corresponds to `moment`.
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
