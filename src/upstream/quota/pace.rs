//! Spreads the remaining calls over the remaining time.
//!
//! Refreshes are spaced evenly from reset to reset. Calls left over from quiet hours may be sent at once. A
//! bucket that fills at the reset would spend everything at midnight and leave stale data for the rest of the
//! day.

use std::time::Duration;

use tokio::time::Instant;

/// Maximum number of items; no quota keeps more fresh, and the times would overflow.
const ITEMS_MAX: usize = 1_000_000;

/// Refreshes at shorter intervals are not delayed: the reads of one page are not spread over milliseconds, and
/// the reserve still limits them.
const MIN_INTERVAL: Duration = Duration::from_secs(1);

/// Calls of one window that refreshes may use, without the reserve.
pub(super) struct Pace {
    /// All calls of the window.
    pub(super) total: u64,
    /// Calls that are left of them.
    pub(super) left: u64,
    pub(super) began: Instant,
    pub(super) resets: Instant,
    pub(super) length: Duration,
}

impl Pace {
    /// Returns when the next refresh may be sent, after the last call of any kind at `last`; `None` if it may
    /// be sent now.
    pub(super) fn next(&self, now: Instant, last: Option<Instant>) -> Option<Instant> {
        if self.left == 0 {
            return Some(self.resets);
        }
        let even_time = self.length.mul_f64(fraction(self.left - 1, self.total));
        if even_time >= self.resets.duration_since(now) {
            return None;
        }
        // The first refresh after a reset keeps the interval from the last call before it.
        let last = last?;
        let time_left = self.resets.duration_since(last.max(self.began));
        let interval = time_left.div_f64(intervals(self.left));
        (interval >= MIN_INTERVAL).then(|| self.began.max(last + interval))
    }

    /// Returns the interval between two refreshes of the same item, if there are `items` of them.
    pub(super) fn interval_per_item(&self, now: Instant, items: usize) -> Duration {
        let until_reset = self.resets.duration_since(now);
        let items = items.clamp(1, ITEMS_MAX) as u64;
        match items.checked_sub(self.left.saturating_add(1)) {
            None => until_reset.mul_f64(fraction(items, self.left.saturating_add(1))),
            Some(waiting) => {
                until_reset + self.length.mul_f64(fraction(waiting, self.total.saturating_add(1)))
            }
        }
    }
}

/// Returns the number of intervals that `calls` calls leave until the reset.
fn intervals(calls: u64) -> f64 {
    to_f64(calls) + 1.0
}

fn fraction(part: u64, total: u64) -> f64 {
    to_f64(part) / to_f64(total.max(1))
}

#[expect(clippy::cast_precision_loss, reason = "counts of calls; precision above 2^52 is not needed")]
fn to_f64(calls: u64) -> f64 {
    calls as f64
}
