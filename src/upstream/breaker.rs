//! Circuit breaker: after repeated failures an upstream is not called for a while, and callers get an error at
//! once.
//!
//! While the breaker is closed, calls are sent. A number of consecutive failures opens it. When its time is over, one
//! trial call is sent (half-open). The trial's outcome closes the breaker, or opens it for twice as long. There is one
//! breaker per credential, because one tenant's broken workspace must not affect others.
//!
//! Consecutive failures count instead of a failure rate. With a starter key there is one call in a quarter of an hour,
//! too few for a rate, and an upstream that answers half of the calls is worth its retries.
//!
//! Rejected: the crates `recloser` and `failsafe`. They read the system clock, which tests cannot pause, and support
//! only rates.

use std::time::Duration;

use crate::domain::settings::Ranges;
use serde::Deserialize;
use tokio::time::Instant;

/// Settings of each key's breaker at one upstream.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BreakerSettings {
    /// Consecutive failures that open the breaker; 0 disables it.
    pub failures: u32,
    /// Time it stays open at first, in milliseconds; doubled after each failed trial.
    pub open_ms: u64,
    /// Maximum time it stays open, in milliseconds.
    pub open_max_ms: u64,
}

impl BreakerSettings {
    /// Allowed ranges.
    pub(crate) const RANGES: Ranges =
        &[("failures", 0..=1_000_000), ("open_ms", 1..=3_600_000), ("open_max_ms", 1..=3_600_000)];
}

/// State of a breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BreakerState {
    /// Calls are sent.
    Closed,
    /// No calls are sent.
    Open,
    /// One trial call is in flight, or may be sent.
    HalfOpen,
}

/// Breaker of one credential.
#[derive(Debug)]
pub(super) struct Breaker {
    settings: BreakerSettings,
    phase: Phase,
    /// Number of state changes. The outcome of a call from before the last change is ignored.
    generation: u64,
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    Closed {
        failures: u32,
    },
    /// Open until that time, after this many failed trials.
    Open {
        until: Instant,
        failed_trials: u32,
    },
    HalfOpen {
        failed_trials: u32,
    },
}

/// A call that the breaker has allowed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ticket {
    generation: u64,
}

impl Breaker {
    pub(super) fn new(settings: BreakerSettings) -> Self {
        Self { settings, phase: Phase::Closed { failures: 0 }, generation: 0 }
    }

    /// Returns the time that a call has to wait; `None` if it may be sent.
    pub(super) fn wait(&self, now: Instant) -> Option<Duration> {
        match self.phase {
            Phase::Closed { .. } => None,
            Phase::Open { until, .. } => until.checked_duration_since(now).filter(|wait| !wait.is_zero()),
            // The duration of the trial is unknown, so this is an estimate.
            Phase::HalfOpen { .. } => Some(self.open_for(0)),
        }
    }

    /// Records that a call is sent, after [`Self::wait`] returned `None`. One of the next three methods must
    /// follow.
    pub(super) fn start_call(&mut self) -> Ticket {
        if let Phase::Open { failed_trials, .. } = self.phase {
            self.set_phase(Phase::HalfOpen { failed_trials });
        }
        Ticket { generation: self.generation }
    }

    /// Records a response, including a refusal.
    pub(super) fn on_response(&mut self, ticket: Ticket) {
        if ticket.generation != self.generation {
            return;
        }
        match &mut self.phase {
            Phase::Closed { failures } => *failures = 0,
            Phase::Open { .. } | Phase::HalfOpen { .. } => self.set_phase(Phase::Closed { failures: 0 }),
        }
    }

    /// Records a failure: no response, a timeout, or an unreadable response.
    pub(super) fn on_failure(&mut self, ticket: Ticket, now: Instant) {
        if ticket.generation != self.generation {
            return;
        }
        match &mut self.phase {
            Phase::Closed { failures } => {
                *failures = failures.saturating_add(1);
                if *failures == self.settings.failures {
                    self.set_phase(Phase::Open { until: now + self.open_for(0), failed_trials: 0 });
                }
            }
            Phase::Open { failed_trials, .. } | Phase::HalfOpen { failed_trials } => {
                let failed_trials = failed_trials.saturating_add(1);
                self.set_phase(Phase::Open { until: now + self.open_for(failed_trials), failed_trials });
            }
        }
    }

    /// Records a cancelled call, which says nothing about the upstream. If it was the trial, the next call is the
    /// trial.
    pub(super) fn on_cancelled(&mut self, ticket: Ticket, now: Instant) {
        if let (Phase::HalfOpen { failed_trials }, true) = (self.phase, ticket.generation == self.generation)
        {
            self.set_phase(Phase::Open { until: now, failed_trials });
        }
    }

    pub(super) fn state(&self, now: Instant) -> BreakerState {
        match self.phase {
            Phase::Closed { .. } => BreakerState::Closed,
            Phase::Open { until, .. } if until > now => BreakerState::Open,
            Phase::Open { .. } | Phase::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }

    fn set_phase(&mut self, phase: Phase) {
        self.phase = phase;
        self.generation += 1;
    }

    fn open_for(&self, failed_trials: u32) -> Duration {
        let doubled = self.settings.open_ms.saturating_mul(2_u64.saturating_pow(failed_trials));
        Duration::from_millis(doubled.min(self.settings.open_max_ms.max(self.settings.open_ms)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn breaker() -> Breaker {
        Breaker::new(BreakerSettings { failures: 3, open_ms: 1_000, open_max_ms: 3_000 })
    }

    /// A breaker that has just opened.
    fn open(now: Instant) -> Breaker {
        let mut breaker = breaker();
        for _ in 0..3 {
            assert_eq!(breaker.wait(now), None);
            let ticket = breaker.start_call();
            breaker.on_failure(ticket, now);
        }
        breaker
    }

    #[tokio::test(start_paused = true)]
    async fn the_breaker_opens_after_consecutive_failures_and_for_longer_after_each_failed_trial() {
        let mut breaker = open(Instant::now());
        for open_for in [1_000, 2_000, 3_000, 3_000] {
            assert_eq!(breaker.state(Instant::now()), BreakerState::Open);
            assert_eq!(breaker.wait(Instant::now()), Some(ms(open_for)));
            tokio::time::advance(ms(open_for - 1)).await;
            assert_eq!(breaker.wait(Instant::now()), Some(ms(1)));
            tokio::time::advance(ms(1)).await;
            assert_eq!(breaker.wait(Instant::now()), None);
            let trial = breaker.start_call();
            assert_eq!(breaker.state(Instant::now()), BreakerState::HalfOpen);
            assert_eq!(breaker.wait(Instant::now()), Some(ms(1_000)), "only one trial call");
            breaker.on_failure(trial, Instant::now());
        }
        tokio::time::advance(ms(3_000)).await;
        let trial = breaker.start_call();
        breaker.on_response(trial);
        assert_eq!(
            (breaker.state(Instant::now()), breaker.wait(Instant::now())),
            (BreakerState::Closed, None)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_response_resets_the_failure_count() {
        let (mut breaker, now) = (breaker(), Instant::now());
        for _ in 0..10 {
            for fails in [true, true, false] {
                let ticket = breaker.start_call();
                if fails { breaker.on_failure(ticket, now) } else { breaker.on_response(ticket) }
            }
        }
        assert_eq!(breaker.state(now), BreakerState::Closed);
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_cancelled_trial_the_next_call_is_the_trial() {
        let mut breaker = open(Instant::now());
        tokio::time::advance(ms(1_000)).await;
        let cancelled = breaker.start_call();
        breaker.on_cancelled(cancelled, Instant::now());
        assert_eq!(breaker.wait(Instant::now()), None);
        let next = breaker.start_call();
        breaker.on_failure(next, Instant::now());
        assert_eq!(breaker.wait(Instant::now()), Some(ms(2_000)), "a cancelled call is not a failure");
    }

    #[tokio::test(start_paused = true)]
    async fn outcomes_of_calls_sent_before_the_breaker_opened_are_ignored() {
        let mut breaker = breaker();
        let now = Instant::now();
        let early: Vec<_> = (0..6).map(|_| breaker.start_call()).collect();
        for ticket in &early[..3] {
            breaker.on_failure(*ticket, now);
        }
        breaker.on_response(early[3]);
        breaker.on_failure(early[4], now + ms(500));
        breaker.on_cancelled(early[5], now);
        assert_eq!(breaker.wait(now), Some(ms(1_000)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_threshold_of_zero_failures_disables_the_breaker() {
        let mut breaker = Breaker::new(BreakerSettings { failures: 0, open_ms: 1, open_max_ms: 1 });
        for _ in 0..1_000 {
            let ticket = breaker.start_call();
            breaker.on_failure(ticket, Instant::now());
        }
        assert_eq!(breaker.wait(Instant::now()), None);
    }
}
