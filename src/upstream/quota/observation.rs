//! What is known of a quota, for a replica that starts or has missed something.
//!
//! It is what the upstream has told last, in the words in which replicas pass answers on, and the calls of the last two
//! minutes, of which LeadLex's limit by the minute has no header. A limit that a 429 has taught is not in it: whoever
//! does not know it learns it in the same way.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::fleet::{CallId, Fleet, age};
use super::window::Window;
use super::{MINUTE, Quota, Told};

/// The most calls that are told by themselves: more than any limit by the minute that has no header (UPSTREAMS.md B1.6).
const CALLS_MAX: usize = 256;

/// Holds that are longer are nonsense (UPSTREAMS.md B3).
const HOLD_MAX: Duration = Duration::from_secs(31 * 86_400);

/// A quota as one replica sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::upstream) struct Observation {
    /// When, on the clock of whoever saw it. What follows is in milliseconds before or after.
    at: Timestamp,
    told: Option<Told>,
    /// The calls that left since the window began.
    made: u64,
    /// How much longer a 429 holds calls back.
    held: u64,
    /// How long ago the last call left.
    last: Option<u64>,
    calls: Vec<Seen>,
}

/// A call: whose, how long ago it left, how long ago it came back, and whether it told what was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Seen(CallId, u64, Option<u64>, bool);

impl Observation {
    /// How long it matters.
    pub(in crate::upstream) fn keep_for(&self) -> Duration {
        let window = self.told.map(|told| told.resets_in).unwrap_or_default();
        window.max(Duration::from_millis(self.held)).max(MINUTE).min(HOLD_MAX)
    }
}

impl Quota {
    /// What is known now, of the calls of all.
    pub(in crate::upstream) fn observe(
        &mut self,
        fleet: &Fleet,
        now: Instant,
        wall: Timestamp,
    ) -> Observation {
        self.settle(now);
        let ago = |at: Instant| millis(now.saturating_duration_since(at));
        let latest = self.calls.latest(CALLS_MAX).filter_map(|(call, recent)| {
            Some(Seen(fleet.id_of(call)?, ago(recent.sent), recent.ended.map(ago), recent.heard))
        });
        let calls: Vec<_> = latest.collect();
        let told_apart = calls.iter().filter(|call| !call.3).count() as u64;
        let unheard = self.calls.unheard().saturating_sub(told_apart);
        Observation {
            at: wall,
            told: self.window.and_then(|window| window.told(now, unheard)),
            made: self.window.map_or(0, |window| window.ours()),
            held: self.held_until.map_or(0, |until| millis(until.saturating_duration_since(now))),
            last: self.calls.last().map(ago),
            calls,
        }
    }

    /// Takes in what another replica has seen; what is known already is not counted again.
    pub(in crate::upstream) fn recall(
        &mut self,
        fleet: &mut Fleet,
        now: Instant,
        wall: Timestamp,
        seen: &Observation,
    ) {
        let age = age(wall, seen.at);
        let then = |ago: u64| now.checked_sub(age.saturating_add(Duration::from_millis(ago))).unwrap_or(now);
        self.settle(now);
        if let Some(told) = seen.told.and_then(|told| told.after(age)) {
            // However young the observation is: an answer may have told it long ago.
            let told = Told { is_late: true, ..told };
            if self.window.is_none() && (told.counts() || self.settings.per_day > 0) {
                self.window = Some(Window::untold(now));
            }
            if let Some(window) = &mut self.window {
                window.hear(&told, now);
                window.count_up_to(seen.made, &told);
            }
        }
        for Seen(id, sent, ended, heard) in seen.calls.iter().copied().take(CALLS_MAX) {
            let Some(call) = fleet.call_of_past(self, now, id, then(sent), ended.map(then)) else { continue };
            if age.is_zero() {
                // In an older one, nobody knows how many have followed.
                fleet.expect_after(id);
            }
            if let Some(ended) = ended {
                self.calls.end(&call, then(ended));
            }
            if heard {
                self.calls.hear(&call);
            }
        }
        if let Some(ago) = seen.last {
            self.calls.had_left(then(ago));
        }
        let held = Duration::from_millis(seen.held).min(HOLD_MAX).saturating_sub(age);
        if !held.is_zero() {
            self.held_until = self.held_until.max(Some(now + held));
        }
        self.settle(now);
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
