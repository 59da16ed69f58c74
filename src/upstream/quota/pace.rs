//! Spreads the calls that are left over the time that is left.
//!
//! Refreshes go evenly from reset to reset. What quiet hours leave over may go at once; a bucket that
//! fills at the reset would let all of it go at midnight and have stale data for the rest of the day.

use std::time::Duration;

use tokio::time::Instant;

/// More things than this cannot be kept fresh by any quota; the times would only grow beyond all clocks.
const KEYS_MAX: usize = 1_000_000;

/// Refreshes that would go closer together than this go as they come: what one page needs at one moment is not
/// drawn out by milliseconds, and the floor under the window's calls holds all the same.
const MIN_INTERVAL: Duration = Duration::from_secs(1);

/// The calls of one window that refreshes may take, the reserve taken off.
pub(super) struct Pace {
    pub(super) whole: u64,
    pub(super) left: u64,
    pub(super) began: Instant,
    pub(super) resets: Instant,
    pub(super) length: Duration,
}

impl Pace {
    /// When the next refresh may go, after a call of any kind at `last`; none where it may now.
    pub(super) fn next(&self, now: Instant, last: Option<Instant>) -> Option<Instant> {
        if self.left == 0 {
            return Some(self.resets);
        }
        let due = self.length.mul_f64(share(self.left - 1, self.whole));
        if due >= self.resets.duration_since(now) {
            return None;
        }
        // The first one after the reset keeps its distance from the last one before it.
        let last = last?;
        let over = self.resets.duration_since(last.max(self.began));
        let apart = over.div_f64(intervals(self.left));
        (apart >= MIN_INTERVAL).then(|| self.began.max(last + apart))
    }

    /// The time between two refreshes of the same of `keys` things.
    pub(super) fn each(&self, now: Instant, keys: usize) -> Duration {
        let until_reset = self.resets.duration_since(now);
        let keys = keys.clamp(1, KEYS_MAX) as u64;
        match keys.checked_sub(self.left.saturating_add(1)) {
            None => until_reset.mul_f64(share(keys, self.left.saturating_add(1))),
            Some(later) => until_reset + self.length.mul_f64(share(later, self.whole.saturating_add(1))),
        }
    }
}

/// That many calls cut a time into one more pieces, the last of which ends at the reset.
fn intervals(calls: u64) -> f64 {
    to_f64(calls) + 1.0
}

fn share(part: u64, whole: u64) -> f64 {
    to_f64(part) / to_f64(whole.max(1))
}

#[expect(clippy::cast_precision_loss, reason = "a count of calls; and no harm where it is beyond 2^52")]
fn to_f64(calls: u64) -> f64 {
    calls as f64
}
