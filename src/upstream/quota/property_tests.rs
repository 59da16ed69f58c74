//! For any sequence of calls, answers, losses and other programs' calls: what the model lets go never
//! exceeds a limit by our own calls.
//!
//! Each call is sent, counted by the upstream some time later, and comes back later still or never; the
//! upstream refuses what is over its day or its minute. A refusal is of our making if our own calls, and
//! the others' of which an answer had told before the call was sent, used the limit up.

use std::time::Duration;

use http::{HeaderMap, HeaderName};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use tokio::time::Instant;

use super::{Call, PROBE_AFTER, Purpose, Quota, QuotaSettings, Verdict};

const DAY: u64 = 86_400_000;
const MINUTE: u64 = 60_000;

/// The calls of a day and of a minute; the latter the quota knows from LeadLex's plans.
const PER_MINUTE: u64 = 10;

#[derive(Debug, Clone)]
enum Step {
    Wait(u64),
    /// Up to that many calls, as far as they may go.
    Ask(Purpose, u8),
    /// The upstream counts one of the calls that are on their way.
    Count(prop::sample::Index),
    /// One of those counted comes back.
    Return(prop::sample::Index),
    /// One is never heard of again.
    Lose(prop::sample::Index),
    Others(u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let purpose = prop_oneof![Just(Purpose::Needed), Just(Purpose::Refresh)];
    let step = prop_oneof![
        3 => (0..9_000_u64).prop_map(Step::Wait),
        2 => (0..DAY / 3).prop_map(Step::Wait),
        6 => (purpose, 1..15_u8).prop_map(|(purpose, calls)| Step::Ask(purpose, calls)),
        8 => any::<prop::sample::Index>().prop_map(Step::Count),
        8 => any::<prop::sample::Index>().prop_map(Step::Return),
        1 => any::<prop::sample::Index>().prop_map(Step::Lose),
        1 => (1..10_u8).prop_map(Step::Others),
    ];
    prop::collection::vec(step, 1..400)
}

struct OnItsWay {
    call: Call,
    sent: u64,
    /// Whether any answer had been read when it was sent, and what it and others had told.
    known: Option<Known>,
    /// Whether it was a probe after a silence in which calls were lost.
    probe: bool,
}

/// What answers have told: others' calls of the day that ends then.
#[derive(Clone, Copy)]
struct Known {
    day: u64,
    others: u64,
}

struct World {
    origin: Instant,
    now: u64,
    quota: Quota,
    per_day: u64,
    day: u64,
    ours: u64,
    others: u64,
    ours_at: Vec<u64>,
    on_their_way: Vec<OnItsWay>,
    counted: Vec<(OnItsWay, bool, HeaderMap, Known)>,
    known: Option<Known>,
    lost: bool,
    last_sent: u64,
}

impl World {
    fn new(per_day: u64, reserve_percent: u8) -> Self {
        let settings = QuotaSettings { reserve_percent, ..QuotaSettings::default() };
        Self {
            origin: Instant::now(),
            now: DAY / 2,
            quota: Quota::new(settings),
            per_day,
            day: 0,
            ours: 0,
            others: 0,
            ours_at: Vec::new(),
            on_their_way: Vec::new(),
            counted: Vec::new(),
            known: None,
            lost: false,
            last_sent: 0,
        }
    }

    fn instant(&self) -> Instant {
        self.origin + Duration::from_millis(self.now)
    }

    /// The local clock is ten minutes off.
    fn wall(&self) -> Timestamp {
        wall(self.now + 600_000)
    }

    fn step(&mut self, step: Step) -> Result<(), TestCaseError> {
        match step {
            Step::Wait(time) => self.wait(time)?,
            Step::Ask(purpose, calls) => (0..calls).for_each(|_| self.ask(purpose)),
            Step::Count(which) => {
                if !self.on_their_way.is_empty() {
                    self.count(which.index(self.on_their_way.len()))?;
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
            Step::Others(calls) => {
                self.turn_day();
                self.others +=
                    u64::from(calls).min(self.per_day - (self.ours + self.others).min(self.per_day));
            }
        }
        Ok(())
    }

    /// Nothing is under way for longer than 10 s.
    fn wait(&mut self, time: u64) -> Result<(), TestCaseError> {
        if time > 9_000 {
            self.now += 500;
            while !self.on_their_way.is_empty() {
                self.count(0)?;
            }
            while let Some(back) = self.counted.pop() {
                self.come_back(back);
            }
        } else if self
            .on_their_way
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
        if self.quota.may_call(self.instant(), purpose) != Verdict::Now {
            return;
        }
        let silence = u64::try_from(PROBE_AFTER.as_millis()).unwrap();
        let probe = self.lost && self.now >= self.last_sent + silence;
        let call = self.quota.sent(self.instant());
        self.last_sent = self.now;
        self.on_their_way.push(OnItsWay { call, sent: self.now, known: self.known, probe });
    }

    fn turn_day(&mut self) {
        if self.day != self.now / DAY {
            (self.day, self.ours, self.others) = (self.now / DAY, 0, 0);
        }
    }

    fn count(&mut self, place: usize) -> Result<(), TestCaseError> {
        let call = self.on_their_way.remove(place);
        self.turn_day();
        let in_minute = self.ours_at.iter().filter(|at| **at + MINUTE > self.now).count() as u64;
        let refused = self.ours + self.others >= self.per_day || in_minute >= PER_MINUTE;
        if refused
            && let Some(known) = call.known
            && !call.probe
        {
            let others = if known.day == self.day { known.others } else { 0 };
            prop_assert!(in_minute < PER_MINUTE, "over the minute's limit at {}", self.now);
            prop_assert!(self.ours + others < self.per_day, "over the day's limit at {}", self.now);
        }
        if !refused {
            self.ours += 1;
            self.ours_at.push(self.now);
        }
        let known = Known { day: self.day, others: self.others };
        let told = self.headers();
        self.counted.push((call, refused, told, known));
        Ok(())
    }

    fn headers(&self) -> HeaderMap {
        let left = i128::from(self.per_day) - i128::from(self.ours + self.others);
        [
            ("x-ratelimit-limit", self.per_day.to_string()),
            ("x-ratelimit-remaining", left.to_string()),
            ("x-ratelimit-reset", wall((self.day + 1) * DAY).as_second().to_string()),
            ("date", wall(self.now).strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()),
        ]
        .into_iter()
        .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
        .collect()
    }

    fn come_back(&mut self, (call, refused, headers, told): (OnItsWay, bool, HeaderMap, Known)) {
        let (now, wall) = (self.instant(), self.wall());
        if refused {
            self.quota.refused(&call.call, now, wall, &headers, 0.5);
        } else {
            self.quota.answered(&call.call, now, wall, &headers);
        }
        if self.known.is_none_or(|known| (known.day, known.others) < (told.day, told.others)) {
            self.known = Some(told);
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
        per_day in prop_oneof![1..12_u64, 12..=100_u64],
        reserve_percent in prop_oneof![Just(0_u8), Just(10), 0..=100_u8],
        steps in steps(),
    ) {
        let mut world = World::new(per_day, reserve_percent);
        for step in steps {
            world.step(step)?;
        }
    }
}
