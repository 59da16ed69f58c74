//! Fixed windows of calls: a day and a minute for LeadLex, a minute for Composio.
//!
//! Windows are aligned to the epoch: a day ends at midnight UTC (docs/upstreams.md#leadlex-rate-limits), a minute at
//! the full minute. Neither upstream is known to have sliding windows.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

use super::settings::{ComposioPlan, LeadlexPlan};

pub(super) const MINUTE: i64 = 60;
pub(super) const DAY: i64 = 86_400;

/// A limit of `calls` in every window of `seconds`.
#[derive(Clone, Copy)]
struct Limit {
    seconds: i64,
    calls: u64,
}

/// The state of one key's window.
pub(super) struct WindowState {
    pub(super) limit: u64,
    pub(super) remaining: u64,
    /// End of the window in seconds since the Unix epoch.
    pub(super) ends_at_epoch_s: i64,
}

/// The number of calls by key and window.
pub(super) struct Quota {
    limits: Vec<Limit>,
    /// By key and window length: the window's start and the calls made in it.
    used: Mutex<HashMap<(String, i64), (i64, u64)>>,
}

impl Quota {
    pub(super) fn leadlex(plan: LeadlexPlan) -> Self {
        let (day, minute) = match plan {
            LeadlexPlan::Starter => (100, 10),
            LeadlexPlan::Pro => (1_000, 50),
            LeadlexPlan::Org => (10_000, 200),
            LeadlexPlan::Unmetered => return Self::new(Vec::new()),
        };
        Self::new(vec![Limit { seconds: DAY, calls: day }, Limit { seconds: MINUTE, calls: minute }])
    }

    pub(super) fn composio(plan: ComposioPlan) -> Self {
        let calls = match plan {
            ComposioPlan::Hobby => 2_000,
            ComposioPlan::Pro => 10_000,
            ComposioPlan::Enterprise => 1_000_000,
        };
        Self::new(vec![Limit { seconds: MINUTE, calls }])
    }

    fn new(limits: Vec<Limit>) -> Self {
        Self { limits, used: Mutex::default() }
    }

    /// Counts one call of `key` and returns true. If a window is exhausted, counts nothing and returns false.
    pub(super) fn admit(&self, key: &str, now: Timestamp) -> bool {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let key_of = |limit: &Limit| (key.to_owned(), limit.seconds);
        for limit in &self.limits {
            let window = used.entry(key_of(limit)).or_default();
            let start = start(now, limit.seconds);
            if window.0 != start {
                *window = (start, 0);
            }
            if window.1 >= limit.calls {
                return false;
            }
        }
        for limit in &self.limits {
            used.entry(key_of(limit)).or_default().1 += 1;
        }
        true
    }

    /// Returns the state of `key`'s window of that many seconds; `None` if there is no such limit.
    pub(super) fn window(&self, key: &str, seconds: i64, now: Timestamp) -> Option<WindowState> {
        let limit = self.limits.iter().find(|limit| limit.seconds == seconds)?;
        let start = start(now, seconds);
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let spent =
            used.get(&(key.to_owned(), seconds)).filter(|window| window.0 == start).map_or(0, |w| w.1);
        Some(WindowState {
            limit: limit.calls,
            remaining: limit.calls.saturating_sub(spent),
            ends_at_epoch_s: start + seconds,
        })
    }
}

fn start(now: Timestamp, seconds: i64) -> i64 {
    now.as_second().div_euclid(seconds) * seconds
}
