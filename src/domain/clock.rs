//! Wall-clock time that follows Tokio's clock, so that pausing Tokio's clock in a test pauses this one too.
//!
//! The wall clock can jump: it may be corrected, and Tokio's clock stands still while the machine is suspended. A
//! [`Clock`] therefore has its own timeline: Tokio's clock plus all forward jumps of the wall clock. Ages and expiry
//! times of data are [`Instant`]s of that timeline ([`Clock::instant_now`]), so data ages by the larger of both clocks.
//! [`Clock::timer`] converts such an instant for Tokio's timers.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// Smallest difference between the clocks that counts as a jump, because reading two clocks takes time.
const JUMP_MIN: Duration = Duration::from_secs(1);

/// Minimum time between two comparisons with the system's clock.
const FOLLOW_INTERVAL: Duration = Duration::from_millis(20);

/// Maximum duration of a comparison of the clocks. A longer one is too imprecise and is discarded.
const READ_TIME_MAX: Duration = Duration::from_millis(500);

/// A wall clock: its start time plus the time passed on Tokio's clock, corrected by the detected jumps.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    started_at: Timestamp,
    started_instant: Instant,
    jumps: &'static Jumps,
}

/// Sums of the detected jumps, in nanoseconds.
#[derive(Debug, Default)]
struct Jumps {
    forward: AtomicU64,
    back: AtomicU64,
}

/// The jumps of the wall clock since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ClockJumps {
    /// All jumps forward.
    pub forward: Duration,
    /// All jumps back.
    pub back: Duration,
}

impl Clock {
    /// Returns the clock of the process.
    #[must_use]
    pub fn system() -> Self {
        static JUMPS: Jumps = Jumps { forward: AtomicU64::new(0), back: AtomicU64::new(0) };
        static SYSTEM: OnceLock<Clock> = OnceLock::new();
        *SYSTEM.get_or_init(|| Self {
            started_at: system_time(),
            started_instant: Instant::from_std(unpaused_now()),
            jumps: &JUMPS,
        })
    }

    /// Creates a clock that starts at `moment`. It does not follow the system's; [`Self::follow`] makes it jump.
    #[must_use]
    pub fn starting_at(moment: Timestamp) -> Self {
        // Leaked, so that a clock can be copied: 16 bytes for each clock of a test.
        Self { started_at: moment, started_instant: Instant::now(), jumps: Box::leak(Box::default()) }
    }

    /// Returns the current time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.at(self.instant_now())
    }

    /// Returns the current instant of this clock's timeline.
    #[must_use]
    pub fn instant_now(&self) -> Instant {
        Instant::now() + self.jumps().forward
    }

    /// Returns the instant of Tokio's clock at which a timer for `instant` is due.
    #[must_use]
    pub fn timer(&self, instant: Instant) -> Instant {
        instant.checked_sub(self.jumps().forward).unwrap_or_else(Instant::now)
    }

    /// Returns the time at an instant of this clock's timeline.
    #[must_use]
    pub fn at(&self, instant: Instant) -> Timestamp {
        let elapsed = match instant.checked_duration_since(self.started_instant) {
            Some(since) => signed(since),
            None => -signed(self.started_instant.duration_since(instant)),
        };
        let since_epoch = self.corrected_start().saturating_add(elapsed);
        let limit = if since_epoch.is_negative() { Timestamp::MIN } else { Timestamp::MAX };
        Timestamp::from_duration(since_epoch).unwrap_or(limit)
    }

    /// Returns the instant of this clock's timeline that corresponds to `moment`.
    #[must_use]
    pub fn instant(&self, moment: Timestamp) -> Instant {
        let elapsed = moment.as_duration().saturating_sub(self.corrected_start());
        let distance = elapsed.unsigned_abs();
        let instant = if elapsed.is_negative() {
            self.started_instant.checked_sub(distance)
        } else {
            self.started_instant.checked_add(distance)
        };
        instant.unwrap_or(self.started_instant)
    }

    /// Returns the instant of Tokio's clock that corresponds to `moment` of this clock.
    #[must_use]
    pub fn tokio_instant(&self, moment: Timestamp) -> Instant {
        self.timer(self.instant(moment))
    }

    /// Returns the jumps detected so far.
    #[must_use]
    pub fn jumps(&self) -> ClockJumps {
        let sum = |nanoseconds: &AtomicU64| Duration::from_nanos(nanoseconds.load(Ordering::Acquire));
        ClockJumps { forward: sum(&self.jumps.forward), back: sum(&self.jumps.back) }
    }

    /// Compares [`Self::system`] with the system's clock, at most once in [`FOLLOW_INTERVAL`], and follows a jump. Each
    /// request calls it, also in a program that embeds the library.
    pub fn follow_system() {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let (system, before) = (Self::system(), Instant::now());
        let now = before.saturating_duration_since(system.started_instant);
        if now < Duration::from_nanos(NEXT.load(Ordering::Relaxed)) {
            return;
        }
        let wall = system_time();
        let unpaused = Instant::from_std(unpaused_now());
        // There is nothing to compare while a test pauses or advances Tokio's clock, or if this thread was suspended
        // meanwhile.
        let is_paused = before > unpaused || unpaused - before >= READ_TIME_MAX;
        if !is_paused && before.elapsed() < READ_TIME_MAX {
            NEXT.store(nanoseconds(now + FOLLOW_INTERVAL), Ordering::Relaxed);
            system.correct(wall, before);
        }
    }

    /// Follows a wall clock that shows `wall` now.
    pub fn follow(&self, wall: Timestamp) {
        self.correct(wall, Instant::now());
    }

    /// Follows a wall clock that showed `wall` at an instant of Tokio's clock.
    fn correct(&self, wall: Timestamp, instant: Instant) {
        let Jumps { forward, back } = self.jumps;
        let (forward_before, back_before) = (forward.load(Ordering::Acquire), back.load(Ordering::Acquire));
        let expected = self.at(instant + Duration::from_nanos(forward_before));
        let ahead = wall.duration_since(expected);
        let distance = ahead.unsigned_abs();
        if distance < JUMP_MIN {
            return;
        }
        let (sum, before) = if ahead.is_negative() { (back, back_before) } else { (forward, forward_before) };
        let after = before.saturating_add(nanoseconds(distance));
        // If several threads see the same jump, one of them adds it.
        let _ = sum.compare_exchange(before, after, Ordering::AcqRel, Ordering::Acquire);
    }

    /// Returns the start as a time since the Unix epoch.
    fn corrected_start(&self) -> SignedDuration {
        self.started_at.as_duration().saturating_sub(signed(self.jumps().back))
    }
}

fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Returns the system's clock. Everything else uses a [`Clock`].
#[expect(clippy::disallowed_methods)]
fn system_time() -> Timestamp {
    Timestamp::now()
}

/// Returns the monotonic clock of the system, which a test cannot pause.
#[expect(clippy::disallowed_methods)]
fn unpaused_now() -> std::time::Instant {
    std::time::Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(hours: i64) -> SignedDuration {
        SignedDuration::from_hours(hours)
    }

    fn clock() -> (Clock, Timestamp) {
        let noon = "2026-11-21T12:00:00Z".parse().unwrap();
        (Clock::starting_at(noon), noon)
    }

    #[tokio::test(start_paused = true)]
    async fn a_forward_jump_ages_earlier_instants_and_keeps_their_times() {
        let (clock, noon) = clock();
        let read = clock.instant_now();
        tokio::time::advance(Duration::from_secs(60)).await;
        clock.follow(noon + hours(8));
        assert_eq!(clock.now(), noon + hours(8));
        assert_eq!(clock.instant_now() - read, Duration::from_secs(8 * 3_600));
        assert_eq!((clock.at(read), clock.instant(noon)), (noon, read));
        // A timer does not wait for the time that was skipped.
        let due = clock.instant_now() + Duration::from_secs(5);
        assert_eq!(clock.timer(due), Instant::now() + Duration::from_secs(5));
    }

    #[tokio::test(start_paused = true)]
    async fn a_jump_back_ages_nothing_and_moves_earlier_times() {
        let (clock, noon) = clock();
        let read = clock.instant_now();
        tokio::time::advance(Duration::from_secs(60)).await;
        clock.follow(noon - hours(2));
        assert_eq!(clock.now(), noon - hours(2));
        assert_eq!(clock.instant_now() - read, Duration::from_secs(60));
        assert_eq!(clock.at(read), noon - hours(2) - SignedDuration::from_secs(60));
        assert_eq!(clock.jumps().back, Duration::from_secs(2 * 3_600 + 60));
    }

    #[tokio::test(start_paused = true)]
    async fn small_and_already_known_differences_are_not_jumps() {
        let (clock, noon) = clock();
        clock.follow(noon + SignedDuration::from_millis(999));
        assert_eq!(clock.jumps(), ClockJumps::default());
        clock.follow(noon + hours(1));
        clock.follow(noon + hours(1));
        assert_eq!(clock.jumps().forward, Duration::from_secs(3_600));
    }

    #[tokio::test(start_paused = true)]
    async fn the_system_clock_does_not_follow_while_time_is_paused() {
        let before = Clock::system().now();
        tokio::time::advance(Duration::from_secs(86_400)).await;
        Clock::follow_system();
        assert_eq!(Clock::system().now(), before + hours(24));
        assert_eq!(Clock::system().jumps(), ClockJumps::default());
    }
}
