//! Snapshot of a quota, for a replica that starts or may have missed messages.
//!
//! It contains the latest window in the form of response headers, and the calls of the last two minutes,
//! because LeadLex's limit per minute has no header. A limit inferred from a 429 is not included: each replica
//! infers it itself.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::replica_calls::{CallId, ReplicaCalls, age};
use super::window::Window;
use super::{MINUTE, Quota, QuotaHeaders};

/// Maximum number of calls listed; more than any limit per minute without a header
/// (docs/upstreams.md#leadlex-rate-limits).
const CALLS_MAX: usize = 256;

/// Longer holds are implausible (docs/upstreams.md#rate-limit-reset).
const HOLD_MAX: Duration = Duration::from_secs(31 * 86_400);

/// A quota as one replica sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::upstream) struct QuotaSnapshot {
    /// Time on the sender's clock. All other times are milliseconds before or after it.
    at: Timestamp,
    #[serde(rename = "told")]
    headers: Option<QuotaHeaders>,
    /// Calls sent since the window began.
    made: u64,
    /// Remaining time for which a 429 holds calls.
    held: u64,
    /// Age of the last call.
    last: Option<u64>,
    calls: Vec<SnapshotCall>,
}

/// A call: id, age, time since its end, and whether a response confirmed the remaining calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct SnapshotCall(CallId, u64, Option<u64>, bool);

impl QuotaSnapshot {
    /// Time for which the snapshot stays relevant.
    pub(in crate::upstream) fn ttl(&self) -> Duration {
        let window = self.headers.map(|headers| headers.resets_in).unwrap_or_default();
        window.max(Duration::from_millis(self.held)).max(MINUTE).min(HOLD_MAX)
    }
}

impl Quota {
    /// Returns the current state, including other replicas' calls.
    pub(in crate::upstream) fn snapshot(
        &mut self,
        replica_calls: &ReplicaCalls,
        now: Instant,
        wall: Timestamp,
    ) -> QuotaSnapshot {
        self.advance(now);
        let ago = |at: Instant| millis(now.saturating_duration_since(at));
        let latest = self.calls.latest(CALLS_MAX).filter_map(|(call, recent)| {
            Some(SnapshotCall(
                replica_calls.id_of(call)?,
                ago(recent.sent),
                recent.ended.map(ago),
                recent.is_confirmed,
            ))
        });
        let calls: Vec<_> = latest.collect();
        let unconfirmed_listed = calls.iter().filter(|call| !call.3).count() as u64;
        let unconfirmed = self.calls.unconfirmed().saturating_sub(unconfirmed_listed);
        QuotaSnapshot {
            at: wall,
            headers: self.window.and_then(|window| window.headers(now, unconfirmed)),
            made: self.window.map_or(0, |window| window.ours()),
            held: self.held_until.map_or(0, |until| millis(until.saturating_duration_since(now))),
            last: self.calls.last().map(ago),
            calls,
        }
    }

    /// Merges a snapshot of another replica. Known calls are not counted twice.
    pub(in crate::upstream) fn merge_snapshot(
        &mut self,
        replica_calls: &mut ReplicaCalls,
        now: Instant,
        wall: Timestamp,
        snapshot: &QuotaSnapshot,
    ) {
        let age = age(wall, snapshot.at);
        let then = |ago: u64| now.checked_sub(age.saturating_add(Duration::from_millis(ago))).unwrap_or(now);
        self.advance(now);
        if let Some(headers) = snapshot.headers.and_then(|headers| headers.after(age)) {
            // Even a recent snapshot may repeat an old response.
            let headers = QuotaHeaders { is_late: true, ..headers };
            if self.window.is_none() && (headers.has_counts() || self.settings.per_day > 0) {
                self.window = Some(Window::unknown(now));
            }
            if let Some(window) = &mut self.window {
                window.on_headers(&headers, now);
                window.count_up_to(snapshot.made, &headers);
            }
        }
        for SnapshotCall(id, sent, ended, is_confirmed) in snapshot.calls.iter().copied().take(CALLS_MAX) {
            let Some(call) = replica_calls.past_call(self, now, id, then(sent), ended.map(then)) else {
                continue;
            };
            if age.is_zero() {
                // After an older snapshot the number of later calls is unknown.
                replica_calls.expect_after(id);
            }
            if let Some(ended) = ended {
                self.calls.end(&call, then(ended));
            }
            if is_confirmed {
                self.calls.confirm(&call);
            }
        }
        if let Some(ago) = snapshot.last {
            self.calls.had_left(then(ago));
        }
        let held = Duration::from_millis(snapshot.held).min(HOLD_MAX).saturating_sub(age);
        if !held.is_zero() {
            self.held_until = self.held_until.max(Some(now + held));
        }
        self.advance(now);
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
