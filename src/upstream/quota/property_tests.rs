//! Property: for any sequence of calls, responses, losses and calls of other programs, our own calls never
//! exceed a limit.
//!
//! Each call is sent, counted by the upstream some time later, and answered later still or never. The upstream
//! returns 429 above the limit of its window or of its minute. A 429 is our fault if our own calls, plus the
//! other programs' calls reported before the call was sent, used up the limit.

use std::time::Duration;

use http::{HeaderMap, HeaderName};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use tokio::time::Instant;

use super::super::rate_limit::upstream_now;
use super::credential_quota::PROBE_AFTER;
use super::{Call, CallDecision, Purpose, Quota, QuotaHeaders, QuotaSettings};

const DAY: u64 = 86_400_000;
const MINUTE: u64 = 60_000;

/// LeadLex's limit per minute, which the quota derives from the limit per day.
const PER_MINUTE: u64 = 10;

#[derive(Debug, Clone)]
enum Step {
    Wait(u64),
    /// Up to that many calls, as far as allowed.
    Send(Purpose, u8),
    /// The upstream counts one of the calls in flight.
    Count(prop::sample::Index),
    /// The response of a counted call arrives.
    Return(prop::sample::Index),
    /// The response of a counted call is lost.
    Lose(prop::sample::Index),
    Others(u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let purpose = prop_oneof![Just(Purpose::Needed), Just(Purpose::Refresh)];
    let step = prop_oneof![
        3 => (0..9_000_u64).prop_map(Step::Wait),
        2 => (0..DAY / 3).prop_map(Step::Wait),
        6 => (purpose, 1..15_u8).prop_map(|(purpose, calls)| Step::Send(purpose, calls)),
        8 => any::<prop::sample::Index>().prop_map(Step::Count),
        8 => any::<prop::sample::Index>().prop_map(Step::Return),
        1 => any::<prop::sample::Index>().prop_map(Step::Lose),
        1 => (1..10_u8).prop_map(Step::Others),
    ];
    prop::collection::vec(step, 1..400)
}

/// Counting and headers of the upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dialect {
    /// Per day and per minute; the end of the day as a timestamp, with a `Date`.
    Leadlex,
    /// As [`Self::Leadlex`], with the end of the day as a delay.
    Delay,
    /// Per minute, starting at any second, without a reset.
    Composio,
}

struct InFlightCall {
    call: Call,
    sent: u64,
    /// Reports received before the call was sent, if any.
    known: Option<Known>,
    /// Whether the call was a probe after lost calls and a pause.
    probe: bool,
}

/// Other programs' calls in a window, as reported by responses.
#[derive(Clone, Copy)]
struct Known {
    window: u64,
    others: u64,
}

struct World {
    origin: Instant,
    now: u64,
    quota: Quota,
    dialect: Dialect,
    limit: u64,
    /// Number of the current window.
    window: u64,
    own_calls: u64,
    others: u64,
    ours_at: Vec<u64>,
    in_flight: Vec<InFlightCall>,
    counted: Vec<(InFlightCall, bool, HeaderMap, Known)>,
    known: Option<Known>,
    lost: bool,
    last_sent: u64,
}

impl World {
    fn new(dialect: Dialect, limit: u64, reserve_percent: u8) -> Self {
        let settings = QuotaSettings { reserve_percent, ..QuotaSettings::default() };
        Self {
            origin: Instant::now(),
            now: DAY / 2 + 17_000,
            quota: Quota::new(settings),
            dialect,
            limit,
            window: 0,
            own_calls: 0,
            others: 0,
            ours_at: Vec::new(),
            in_flight: Vec::new(),
            counted: Vec::new(),
            known: None,
            lost: false,
            last_sent: 0,
        }
    }

    fn instant(&self) -> Instant {
        self.origin + Duration::from_millis(self.now)
    }

    /// Returns the local clock is ten minutes off.
    fn wall(&self) -> Timestamp {
        wall(self.now + 600_000)
    }

    fn step(&mut self, step: Step) -> Result<(), TestCaseError> {
        match step {
            Step::Wait(time) => self.wait(time)?,
            Step::Send(purpose, calls) => (0..calls).for_each(|_| self.ask(purpose)),
            Step::Count(which) => {
                if !self.in_flight.is_empty() {
                    self.count(which.index(self.in_flight.len()))?;
                }
            }
            Step::Return(which) => {
                if !self.counted.is_empty() {
                    let back = self.counted.remove(which.index(self.counted.len()));
                    self.come_back(back);
                }
            }
            Step::Lose(which) => {
                if !self.counted.is_empty() {
                    self.counted.remove(which.index(self.counted.len()));
                    self.lost = true;
                }
            }
            // Without a reset time, other programs' calls may be forgotten too early.
            Step::Others(_) if self.dialect == Dialect::Composio => {}
            Step::Others(calls) => {
                self.turn_window();
                self.others +=
                    u64::from(calls).min(self.limit - (self.own_calls + self.others).min(self.limit));
            }
        }
        Ok(())
    }

    /// No call is in flight for longer than 10 s.
    fn wait(&mut self, time: u64) -> Result<(), TestCaseError> {
        if time > 9_000 {
            self.now += 500;
            while !self.in_flight.is_empty() {
                self.count(0)?;
            }
            while let Some(back) = self.counted.pop() {
                self.come_back(back);
            }
        } else if self
            .in_flight
            .iter()
            .chain(self.counted.iter().map(|c| &c.0))
            .any(|c| c.sent + 10_000 < self.now + time)
        {
            return self.wait(10_000);
        }
        self.now += time;
        Ok(())
    }

    fn ask(&mut self, purpose: Purpose) {
        if self.quota.may_call(self.instant(), purpose) != CallDecision::Allowed {
            return;
        }
        let silence = u64::try_from(PROBE_AFTER.as_millis()).unwrap();
        let probe = self.lost && self.now >= self.last_sent + silence;
        let call = self.quota.on_sent(self.instant());
        self.last_sent = self.now;
        self.in_flight.push(InFlightCall { call, sent: self.now, known: self.known, probe });
    }

    fn turn_window(&mut self) {
        if self.window != self.now / self.length() {
            (self.window, self.own_calls, self.others) = (self.now / self.length(), 0, 0);
        }
    }

    fn length(&self) -> u64 {
        if self.dialect == Dialect::Composio { MINUTE } else { DAY }
    }

    fn per_minute(&self) -> u64 {
        if self.dialect == Dialect::Composio { self.limit } else { PER_MINUTE }
    }

    fn count(&mut self, place: usize) -> Result<(), TestCaseError> {
        let call = self.in_flight.remove(place);
        self.turn_window();
        let in_minute = self.ours_at.iter().filter(|at| **at + MINUTE > self.now).count() as u64;
        let refused = self.own_calls + self.others >= self.limit
            || (self.dialect != Dialect::Composio && in_minute >= PER_MINUTE);
        if refused
            && let Some(known) = call.known
            && !call.probe
        {
            let others = if known.window == self.window { known.others } else { 0 };
            prop_assert!(in_minute < self.per_minute(), "over the minute's limit at {}", self.now);
            prop_assert!(self.own_calls + others < self.limit, "over the window's limit at {}", self.now);
        }
        if !refused {
            self.own_calls += 1;
            self.ours_at.push(self.now);
        }
        let known = Known { window: self.window, others: self.others };
        let headers = self.headers();
        self.counted.push((call, refused, headers, known));
        Ok(())
    }

    fn headers(&self) -> HeaderMap {
        let left = i128::from(self.limit) - i128::from(self.own_calls + self.others);
        let end = (self.window + 1) * self.length();
        let (limit, ends, end) = match self.dialect {
            Dialect::Leadlex => ("x-ratelimit-limit", "x-ratelimit-reset", wall(end).as_second().to_string()),
            Dialect::Delay => {
                ("x-ratelimit-limit", "ratelimit-reset", (end - self.now).div_ceil(1_000).to_string())
            }
            Dialect::Composio => ("x-ratelimit", "x-ratelimit-window-size", "60s".to_owned()),
        };
        [
            (limit, self.limit.to_string()),
            ("x-ratelimit-remaining", left.to_string()),
            (ends, end),
            ("date", wall(self.now).strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()),
        ]
        .into_iter()
        .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
        .collect()
    }

    fn come_back(&mut self, (call, refused, headers, known): (InFlightCall, bool, HeaderMap, Known)) {
        let headers = QuotaHeaders::read(&headers, upstream_now(&headers, self.wall()));
        let now = self.instant();
        if refused {
            self.quota.on_rate_limited(&call.call, now, &headers, 0.5);
        } else {
            self.quota.on_response(&call.call, now, &headers);
        }
        if self.known.is_none_or(|earlier| (earlier.window, earlier.others) < (known.window, known.others)) {
            self.known = Some(known);
        }
    }
}

fn wall(at: u64) -> Timestamp {
    let midnight: Timestamp = "2026-11-21T00:00:00Z".parse().unwrap();
    midnight + SignedDuration::from_millis(at.try_into().unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn our_own_calls_never_exceed_a_limit_that_is_known(
        dialect in prop_oneof![Just(Dialect::Leadlex), Just(Dialect::Delay), Just(Dialect::Composio)],
        limit in prop_oneof![1..12_u64, 12..=100_u64],
        reserve_percent in prop_oneof![Just(0_u8), Just(10), 0..=100_u8],
        steps in steps(),
    ) {
        let mut world = World::new(dialect, limit, reserve_percent);
        for step in steps {
            world.step(step)?;
        }
    }
}
