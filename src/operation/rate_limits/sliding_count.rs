//! A count over a sliding window, in constant memory.
//!
//! It has the counts of two adjoining windows. Of the previous one, the share counts that the sliding window still
//! covers, as if its events had been spread evenly. All arithmetic is in integers, so a request fits exactly after the
//! computed wait.

use std::time::Duration;

use tokio::time::Instant;

/// The counts of the current window and of the one before.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct SlidingCount {
    /// Start of the current window.
    started_at: Option<Instant>,
    current: u64,
    previous: u64,
}

impl SlidingCount {
    /// Adds units.
    pub(super) fn add(&mut self, amount: u64, now: Instant, window: Duration) {
        *self = self.at(now, window);
        self.started_at.get_or_insert(now);
        self.current = self.current.saturating_add(amount);
    }

    /// Returns the units that are left of a quota.
    pub(super) fn remaining(&self, quota: u64, now: Instant, window: Duration) -> u64 {
        let count = self.at(now, window);
        let left = window.as_nanos().saturating_sub(count.elapsed(now));
        let previous_share = (u128::from(count.previous) * left).div_ceil(window.as_nanos().max(1));
        let used = u128::from(count.current) + previous_share;
        u64::try_from(u128::from(quota).saturating_sub(used)).unwrap_or(u64::MAX)
    }

    /// Returns the time until `amount` units fit into a quota; zero if they do now. An amount above the quota fits when
    /// nothing is used.
    pub(super) fn wait(&self, amount: u64, quota: u64, now: Instant, window: Duration) -> Duration {
        let (count, length) = (self.at(now, window), window.as_nanos());
        let (elapsed, room) = (count.elapsed(now), quota - amount.min(quota));
        // The time after the start of a window at which at most `room` events of the previous window still count.
        let freed_after = |events: u64, room: u64| match events {
            0 => 0,
            _ => length.saturating_sub(u128::from(room) * length / u128::from(events)),
        };
        let nanos = match room.checked_sub(count.current) {
            Some(room) => freed_after(count.previous, room).saturating_sub(elapsed),
            None => length.saturating_sub(elapsed) + freed_after(count.current, room),
        };
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// Returns the counts at a later time.
    fn at(&self, now: Instant, window: Duration) -> Self {
        let Some(started_at) = self.started_at else { return *self };
        match self.elapsed(now) / window.as_nanos().max(1) {
            0 => *self,
            1 => Self { started_at: started_at.checked_add(window), current: 0, previous: self.current },
            _ => Self::default(),
        }
    }

    fn elapsed(&self, now: Instant) -> u128 {
        self.started_at.map_or(0, |started_at| now.saturating_duration_since(started_at).as_nanos())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WINDOW: Duration = Duration::from_secs(60);

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[tokio::test(start_paused = true)]
    async fn units_are_available_again_as_the_window_slides() {
        let (start, mut count) = (Instant::now(), SlidingCount::default());
        assert_eq!((count.remaining(6, start, WINDOW), count.wait(6, 6, start, WINDOW)), (6, Duration::ZERO));
        count.add(6, start, WINDOW);
        assert_eq!((count.remaining(6, start, WINDOW), count.wait(1, 6, start, WINDOW)), (0, seconds(70)));
        assert_eq!(count.wait(6, 6, start, WINDOW), seconds(120));
        let later = start + seconds(90);
        assert_eq!((count.remaining(6, later, WINDOW), count.wait(3, 6, later, WINDOW)), (3, Duration::ZERO));
        count.add(2, later, WINDOW);
        assert_eq!((count.remaining(6, later, WINDOW), count.wait(4, 6, later, WINDOW)), (1, seconds(30)));
        for (time, remaining) in [(120, 4), (150, 5), (180, 6), (1_000, 6)] {
            assert_eq!(count.remaining(6, start + seconds(time), WINDOW), remaining);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn more_than_the_quota_fits_when_nothing_is_used() {
        let (now, mut count) = (Instant::now(), SlidingCount::default());
        assert_eq!(count.wait(100, 6, now, WINDOW), Duration::ZERO);
        count.add(100, now, WINDOW);
        assert_eq!((count.remaining(6, now, WINDOW), count.wait(1, 6, now, WINDOW)), (0, seconds(117)));
        assert_eq!(count.wait(100, 6, now, WINDOW), seconds(120));
    }

    proptest! {
        #[test]
        fn amounts_fit_after_the_wait_and_not_before(
            events in prop::collection::vec((0_u64..50, 0_u64..40_000), 1..20),
            amount in 1_u64..30,
            quota in 1_u64..25,
        ) {
            let mut now = Instant::now();
            let mut count = SlidingCount::default();
            for (units, pause) in events {
                now += Duration::from_millis(pause);
                count.add(units, now, WINDOW);
            }
            let wait = count.wait(amount, quota, now, WINDOW);
            prop_assert!(wait <= 2 * WINDOW);
            prop_assert_eq!(count.wait(amount, quota, now + wait, WINDOW), Duration::ZERO);
            if let Some(before) = wait.checked_sub(Duration::from_nanos(1)) {
                prop_assert_ne!(count.wait(amount, quota, now + before, WINDOW), Duration::ZERO);
            }
            let remaining = count.remaining(quota, now, WINDOW);
            prop_assert_eq!(amount.min(quota) <= remaining, wait.is_zero());
        }
    }
}
