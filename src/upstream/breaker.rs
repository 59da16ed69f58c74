//! The breaker: an upstream that only fails is left alone for a while, and those who ask hear so at once.
//!
//! Closed = traffic flows. A row of failures opens it; when its time is over, one call tries (half-open), and
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
    /// One call tries, or may.
    HalfOpen,
}

/// The breaker of one credential.
#[derive(Debug)]
pub(super) struct Breaker {
    settings: BreakerSettings,
    state: State,
    /// Counts the changes of state: an outcome of a call that left before the last one is no news.
    era: u64,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Closed {
        failures: u32,
    },
    /// Until that moment, after so many tries that failed.
    Open {
        until: Instant,
        tries: u32,
    },
    HalfOpen {
        tries: u32,
    },
}

/// A call that the breaker let pass.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ticket {
    era: u64,
}

impl Breaker {
    pub(super) fn new(settings: BreakerSettings) -> Self {
        Self { settings, state: State::Closed { failures: 0 }, era: 0 }
    }

    /// How long a call has to wait; none where it may go.
    pub(super) fn holds(&self, now: Instant) -> Option<Duration> {
        match self.state {
            State::Closed { .. } => None,
            State::Open { until, .. } => until.checked_duration_since(now).filter(|wait| !wait.is_zero()),
            // How long the try will take nobody knows.
            State::HalfOpen { .. } => Some(self.open_for(0)),
        }
    }

    /// A call leaves, which [`Self::holds`] did not hold. It must come back in one of the three below.
    pub(super) fn leave(&mut self) -> Ticket {
        if let State::Open { tries, .. } = self.state {
            self.turn(State::HalfOpen { tries });
        }
        Ticket { era: self.era }
    }

    /// The upstream answered, if only to refuse.
    pub(super) fn answered(&mut self, ticket: Ticket) {
        if ticket.era != self.era {
            return;
        }
        match &mut self.state {
            State::Closed { failures } => *failures = 0,
            State::Open { .. } | State::HalfOpen { .. } => self.turn(State::Closed { failures: 0 }),
        }
    }

    /// It failed: no answer, none in time, or one that cannot be read.
    pub(super) fn failed(&mut self, ticket: Ticket, now: Instant) {
        if ticket.era != self.era {
            return;
        }
        match &mut self.state {
            State::Closed { failures } => {
                *failures = failures.saturating_add(1);
                if *failures == self.settings.failures {
                    self.turn(State::Open { until: now + self.open_for(0), tries: 0 });
                }
            }
            State::Open { tries, .. } | State::HalfOpen { tries } => {
                let tries = tries.saturating_add(1);
                self.turn(State::Open { until: now + self.open_for(tries), tries });
            }
        }
    }

    /// It was cancelled, which says nothing; where it was the try, the next call is.
    pub(super) fn cancelled(&mut self, ticket: Ticket, now: Instant) {
        if let (State::HalfOpen { tries }, true) = (self.state, ticket.era == self.era) {
            self.turn(State::Open { until: now, tries });
        }
    }

    pub(super) fn state(&self, now: Instant) -> BreakerState {
        match self.state {
            State::Closed { .. } => BreakerState::Closed,
            State::Open { until, .. } if until > now => BreakerState::Open,
            State::Open { .. } | State::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }

    fn turn(&mut self, state: State) {
        self.state = state;
        self.era += 1;
    }

    fn open_for(&self, tries: u32) -> Duration {
        let doubled = self.settings.open_ms.saturating_mul(2_u64.saturating_pow(tries));
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
            assert_eq!(breaker.holds(now), None);
            let ticket = breaker.leave();
            breaker.failed(ticket, now);
        }
        breaker
    }

    #[tokio::test(start_paused = true)]
    async fn it_opens_after_a_row_of_failures_tries_one_call_and_waits_longer_each_time() {
        let mut breaker = open(Instant::now());
        for open_for in [1_000, 2_000, 3_000, 3_000] {
            assert_eq!(breaker.state(Instant::now()), BreakerState::Open);
            assert_eq!(breaker.holds(Instant::now()), Some(ms(open_for)));
            tokio::time::advance(ms(open_for - 1)).await;
            assert_eq!(breaker.holds(Instant::now()), Some(ms(1)));
            tokio::time::advance(ms(1)).await;
            assert_eq!(breaker.holds(Instant::now()), None);
            let try_one = breaker.leave();
            assert_eq!(breaker.state(Instant::now()), BreakerState::HalfOpen);
            assert_eq!(breaker.holds(Instant::now()), Some(ms(1_000)), "one call, and no other");
            breaker.failed(try_one, Instant::now());
        }
        tokio::time::advance(ms(3_000)).await;
        let try_one = breaker.leave();
        breaker.answered(try_one);
        assert_eq!(
            (breaker.state(Instant::now()), breaker.holds(Instant::now())),
            (BreakerState::Closed, None)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_ends_the_row() {
        let (mut breaker, now) = (breaker(), Instant::now());
        for _ in 0..10 {
            for fails in [true, true, false] {
                let ticket = breaker.leave();
                if fails { breaker.failed(ticket, now) } else { breaker.answered(ticket) }
            }
        }
        assert_eq!(breaker.state(now), BreakerState::Closed);
    }

    #[tokio::test(start_paused = true)]
    async fn a_try_that_is_cancelled_leaves_its_place_to_the_next() {
        let mut breaker = open(Instant::now());
        tokio::time::advance(ms(1_000)).await;
        let cancelled = breaker.leave();
        breaker.cancelled(cancelled, Instant::now());
        assert_eq!(breaker.holds(Instant::now()), None);
        let next = breaker.leave();
        breaker.failed(next, Instant::now());
        assert_eq!(breaker.holds(Instant::now()), Some(ms(2_000)), "the cancelled one was no failure");
    }

    #[tokio::test(start_paused = true)]
    async fn outcomes_of_calls_from_before_it_opened_change_nothing() {
        let mut breaker = breaker();
        let now = Instant::now();
        let early: Vec<_> = (0..6).map(|_| breaker.leave()).collect();
        for ticket in &early[..3] {
            breaker.failed(*ticket, now);
        }
        breaker.answered(early[3]);
        breaker.failed(early[4], now + ms(500));
        breaker.cancelled(early[5], now);
        assert_eq!(breaker.holds(now), Some(ms(1_000)));
    }

    #[tokio::test(start_paused = true)]
    async fn with_no_number_of_failures_it_never_opens() {
        let mut breaker = Breaker::new(BreakerSettings { failures: 0, open_ms: 1, open_max_ms: 1 });
        for _ in 0..1_000 {
            let ticket = breaker.leave();
            breaker.failed(ticket, Instant::now());
        }
        assert_eq!(breaker.holds(Instant::now()), None);
    }
}
