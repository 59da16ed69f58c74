//! Times that replicas exchange: milliseconds of the wall clock, where the model has [`Instant`]s.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

pub(super) const DAY: Duration = Duration::from_secs(86_400);
pub(super) const MINUTE: Duration = Duration::from_secs(60);

/// Assumed maximum clock difference between replicas. Times of others are treated as this much later.
pub(super) const CLOCK_SKEW_MAX: Duration = Duration::from_secs(5);

/// Later times are implausible and ignored (docs/upstreams.md#rate-limit-reset).
pub(super) const FUTURE_MAX: Duration = Duration::from_secs(31 * 86_400);

/// One moment on both clocks; converts times.
#[derive(Debug, Clone, Copy)]
pub(in crate::upstream) struct Moment {
    pub(in crate::upstream) now: Instant,
    pub(in crate::upstream) wall: Timestamp,
}

impl Moment {
    /// Milliseconds since 1970, rounded up.
    pub(super) fn millis(self, at: Instant) -> u64 {
        let wall = self.wall.duration_since(Timestamp::UNIX_EPOCH);
        let ahead = SignedDuration::try_from(at.saturating_duration_since(self.now)).unwrap_or_default();
        let ago = SignedDuration::try_from(self.now.saturating_duration_since(at)).unwrap_or_default();
        let at = wall
            .saturating_add(ahead)
            .saturating_sub(ago)
            .saturating_add(SignedDuration::from_nanos(999_999));
        u64::try_from(at.as_millis()).unwrap_or_default()
    }

    /// The instant of a time, at most [`FUTURE_MAX`] from now.
    pub(super) fn instant(self, millis: u64) -> Instant {
        let now = u64::try_from(self.wall.as_millisecond()).unwrap_or_default();
        match millis.checked_sub(now) {
            Some(ahead) => self.now + Duration::from_millis(ahead).min(FUTURE_MAX),
            None => self.now.checked_sub(Duration::from_millis(now - millis)).unwrap_or(self.now),
        }
    }
}
