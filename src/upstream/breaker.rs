//! The breaker: an upstream that only fails is left alone for a while, and those who ask hear so at once.
//!
//! Closed = traffic flows. A row of failures opens it; when its time is over, one call failed_trials (half-open), and
//! its outcome closes the breaker or opens it for twice as long. There is one for each credential, as one
//! tenant's broken workspace is no other's.
//!
//! What counts is failures *in a row*, and no share of a window's calls: a starter key makes a call in a
//! quarter of an hour, of which no share can be told; and an upstream that answers half of the time is worth
//! its retries.
//!
//! An own one: `recloser` and `failsafe` read the machine's clock, which no test can pause, and judge by
//! shares alone.

use std::time::Duration;

use crate::domain::settings::Ranges;
use serde::Deserialize;
use tokio::time::Instant;

/// The settings of the breaker of each key at one upstream.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BreakerSettings {
    /// How many failures in a row open it; 0: none do.
    pub failures: u32,
    /// For how long it opens first, in milliseconds; twice as long each time that the try fails.
    pub open_ms: u64,
    /// For how long it opens at most, in milliseconds.
    pub open_max_ms: u64,
}

impl BreakerSettings {
    /// Allowed ranges.
    pub(crate) const RANGES: Ranges =
        &[("failures", 0..=1_000_000), ("open_ms", 1..=3_600_000), ("open_max_ms", 1..=3_600_000)];
}

/// Whether traffic flows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BreakerState {
    /// It does.
    Closed,
    /// It does not.
    Open,
    /// One call failed_trials, or may.
    HalfOpen,
}

/// The breaker of one credential.
#[derive(Debug)]
pub(super) struct Breaker {
    settings: BreakerSettings,
    state: Phase,
    /// Counts the changes of state: an outcome of a call that left before the last one is no news.
    generation: u64,
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    Closed {
        failures: u32,
    },
    /// Until that moment, after so many failed_trials that failed.
    Open {
        until: Instant,
        failed_trials: u32,
    },
    HalfOpen {
        failed_trials: u32,
    },
}

/// A call that the breaker let pass.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ticket {
    generation: u64,
}

impl Breaker {
    pub(super) fn new(settings: BreakerSettings) -> Self {
        Self { settings, state: Phase::Closed { failures: 0 }, generation: 0 }
    }

    /// How long a call has to wait; none where it may go.
    pub(super) fn wait(&self, now: Instant) -> Option<Duration> {
        match self.state {
            Phase::Closed { .. } => None,
            Phase::Open { until, .. } => until.checked_duration_since(now).filter(|wait| !wait.is_zero()),
            // How long the try will take nobody knows.
            Phase::HalfOpen { .. } => Some(self.open_for(0)),
        }
    }

    /// A call leaves, which [`Self::wait`] did not hold. It must come back in one of the three below.
    pub(super) fn start_call(&mut self) -> Ticket {
        if let Phase::Open { failed_trials, .. } = self.state {
            self.set_phase(Phase::HalfOpen { failed_trials });
        }
        Ticket { generation: self.generation }
    }

    /// The upstream answered, if only to refuse.
    pub(super) fn on_response(&mut self, ticket: Ticket) {
        if ticket.generation != self.generation {
            return;
        }
        match &mut self.state {
            Phase::Closed { failures } => *failures = 0,
            Phase::Open { .. } | Phase::HalfOpen { .. } => self.set_phase(Phase::Closed { failures: 0 }),
        }
    }

    /// It failed: no answer, none in time, or one that cannot be read.
    pub(super) fn on_failure(&mut self, ticket: Ticket, now: Instant) {
        if ticket.generation != self.generation {
            return;
        }
        match &mut self.state {
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

    /// It was cancelled, which says nothing; where it was the try, the next call is.
    pub(super) fn on_cancelled(&mut self, ticket: Ticket, now: Instant) {
        if let (Phase::HalfOpen { failed_trials }, true) = (self.state, ticket.generation == self.generation)
        {
            self.set_phase(Phase::Open { until: now, failed_trials });
        }
    }

    pub(super) fn state(&self, now: Instant) -> BreakerState {
        match self.state {
            Phase::Closed { .. } => BreakerState::Closed,
            Phase::Open { until, .. } if until > now => BreakerState::Open,
            Phase::Open { .. } | Phase::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }

    fn set_phase(&mut self, state: Phase) {
        self.state = state;
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
    async fn it_opens_after_a_row_of_failures_tries_one_call_and_waits_longer_each_time() {
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
            assert_eq!(breaker.wait(Instant::now()), Some(ms(1_000)), "one call, and no other");
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
    async fn an_answer_ends_the_row() {
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
    async fn a_try_that_is_cancelled_leaves_its_place_to_the_next() {
        let mut breaker = open(Instant::now());
        tokio::time::advance(ms(1_000)).await;
        let cancelled = breaker.start_call();
        breaker.on_cancelled(cancelled, Instant::now());
        assert_eq!(breaker.wait(Instant::now()), None);
        let next = breaker.start_call();
        breaker.on_failure(next, Instant::now());
        assert_eq!(breaker.wait(Instant::now()), Some(ms(2_000)), "the cancelled one was no failure");
    }

    #[tokio::test(start_paused = true)]
    async fn outcomes_of_calls_from_before_it_opened_change_nothing() {
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
    async fn with_no_number_of_failures_it_never_opens() {
        let mut breaker = Breaker::new(BreakerSettings { failures: 0, open_ms: 1, open_max_ms: 1 });
        for _ in 0..1_000 {
            let ticket = breaker.start_call();
            breaker.on_failure(ticket, Instant::now());
        }
        assert_eq!(breaker.wait(Instant::now()), None);
    }
}
