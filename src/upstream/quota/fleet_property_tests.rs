//! Nothing that replicas tell late, twice, in any order or by mistake lets one take the quota for larger than its own answers
//! tell, and others' that are just in, or makes its model fail.

use std::time::Duration;

use http::HeaderMap;
use proptest::prelude::*;

use super::fleet::age;
use super::fleet_tests::{DAY, Replica, Time, leadlex};
use super::{Call, CallId, CallNews, Event, Observation, Purpose, Told};
use Purpose::{Needed, Refresh};

#[derive(Debug, Clone)]
enum Step {
    Wait(u64),
    /// A call of this replica, or of another, leaves.
    Leave(bool),
    /// One that left comes back, within ten seconds or never; it was counted when it left.
    Return(prop::sample::Index),
    /// One of all news so far is heard, perhaps again.
    Hear(prop::sample::Index),
    /// The other's observation of that moment, or one of before, is read.
    Observe,
    Recall(prop::sample::Index),
    Miss,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let index = any::<prop::sample::Index>;
    let step = prop_oneof![
        3 => (0..9_000_u64).prop_map(Step::Wait),
        1 => (0..DAY / 3).prop_map(Step::Wait),
        6 => any::<bool>().prop_map(Step::Leave),
        6 => index().prop_map(Step::Return),
        10 => index().prop_map(Step::Hear),
        1 => Just(Step::Observe),
        2 => index().prop_map(Step::Recall),
        1 => Just(Step::Miss),
    ];
    prop::collection::vec(step, 1..200)
}

/// A starter's day that two replicas share, and one that goes by its own headers alone.
struct World {
    time: Time,
    /// The other's clock is that much ahead.
    ahead: u64,
    shared: Replica,
    alone: Replica,
    other: Replica,
    counted: (u64, u64),
    under_way: Vec<UnderWay>,
    fresh: Option<(u64, u64)>,
    news: Vec<CallNews>,
    seen: Vec<Observation>,
}

struct UnderWay {
    call: Call,
    /// What it is to the one that is alone, where it is its own.
    alone: Option<Call>,
    id: CallId,
    headers: HeaderMap,
    sent: u64,
}

impl World {
    fn step(&mut self, step: Step) {
        let (time, theirs) = (self.time, self.time.later(self.ahead));
        match step {
            Step::Wait(millis) => self.time.now += millis,
            Step::Leave(own) => {
                let headers = self.count();
                let (call, alone, news) = if own {
                    let (call, news) = self.shared.leave(time);
                    // It has another place where others' calls are not known.
                    (call, Some(self.alone.leave(time).0), news)
                } else {
                    let (call, left) = self.other.leave(time);
                    self.news.push(CallNews { at: theirs.wall(), ..left.clone() });
                    (call, None, left)
                };
                self.under_way.push(UnderWay { call, alone, id: news.call, headers, sent: time.now });
            }
            Step::Return(which) => {
                self.under_way.retain(|call| call.sent + 10_000 > time.now);
                if self.under_way.is_empty() {
                    return;
                }
                let UnderWay { call, alone, id, headers, .. } =
                    self.under_way.remove(which.index(self.under_way.len()));
                if let Some(alone) = alone {
                    self.shared.answered(time, (call, id), &headers);
                    self.alone.answered(time, (alone, id), &headers);
                } else {
                    let told = self.other.answered(time, (call, id), &headers);
                    self.news.push(CallNews { at: theirs.wall(), ..told });
                }
            }
            Step::Hear(which) => {
                if !self.news.is_empty() {
                    let news = self.news[which.index(self.news.len())].clone();
                    self.shared.hear(time, &news);
                    self.hear_fresh(&news);
                }
            }
            Step::Observe => {
                let seen = self.other.quota.observe(&self.other.fleet, time.instant(), theirs.wall());
                self.seen.push(seen);
            }
            Step::Recall(which) => {
                if !self.seen.is_empty() {
                    let seen = self.seen[which.index(self.seen.len())].clone();
                    self.shared.recall(time, &seen);
                }
            }
            Step::Miss => self.shared.fleet.may_have_missed(),
        }
    }

    /// What another's answer that is just in tells of this day, at the least.
    fn hear_fresh(&mut self, news: &CallNews) {
        let day = self.time.now / DAY;
        if let Event::Answered(Told { remaining: Some(left), .. }) = news.event
            && age(self.time.wall(), news.at).is_zero()
        {
            let least = self.fresh.filter(|(of, _)| *of == day).map_or(left, |(_, least)| least.min(left));
            self.fresh = Some((day, least));
        }
    }

    fn count(&mut self) -> HeaderMap {
        let now = self.time.now;
        if self.counted.0 != now / DAY {
            self.counted = (now / DAY, 0);
        }
        self.counted.1 = (self.counted.1 + 1).min(30);
        leadlex(now, 30, 30 - self.counted.1)
    }
}

/// Any number in each place of what replicas tell.
fn garbage() -> impl Strategy<Value = (String, String)> {
    let number = || prop_oneof![Just(0), Just(1), 0..100_000_u64, any::<u64>()];
    let ends = prop_oneof![
        Just(r#""told""#.to_owned()),
        Just(r#""untold""#.to_owned()),
        any::<u64>().prop_map(|secs| format!(r#"{{"within":{{"secs":{secs},"nanos":0}}}}"#)),
        (0..90_u64).prop_map(|secs| format!(r#"{{"within":{{"secs":{secs},"nanos":0}}}}"#)),
    ];
    let moment = || {
        prop_oneof![
            Just("2026-11-21T12:00:00Z"),
            Just("-009999-01-02T01:59:59Z"),
            Just("9999-12-30T22:00:00Z"),
            Just("2026-11-21T23:59:59.9Z")
        ]
    };
    let told = (number(), number(), ends, number(), moment(), number()).prop_map(
        |(limit, left, ends, secs, at, wait)| {
            format!(
                r#"{{"limit":{limit},"remaining":{left},"ends":{ends},"resets_in":{{"secs":{secs},"nanos":1}},"resets_at":"{at}","wait":{{"secs":{wait},"nanos":0}},"asks_to_wait":true}}"#
            )
        },
    );
    (told, number(), number(), number(), number(), moment(), any::<bool>()).prop_map(
        |(told, a, b, c, d, at, refused)| {
            let event = if refused { "refused" } else { "answered" };
            (
                format!(r#"{{"call":[{a},{b}],"event":{{"{event}":{told}}},"at":"{at}"}}"#),
                format!(
                    r#"{{"at":"{at}","told":{told},"made":{a},"held":{b},"last":{c},"calls":[[[{a},{b}],{c},{d},{refused}],[[1,2],{d},null,false]]}}"#
                ),
            )
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_order_of_news_makes_the_quota_look_larger_than_headers_tell(
        steps in steps(),
        ahead in 0..4_000_u64,
    ) {
        let mut world = World {
            time: Time::noon(),
            ahead,
            shared: Replica::new(1),
            alone: Replica::new(1),
            other: Replica::new(2),
            counted: (0, 0),
            under_way: Vec::new(),
            fresh: None,
            news: Vec::new(),
            seen: Vec::new(),
        };
        for step in steps {
            world.step(step);
            // As any call would: what is long lost is of the window in which it was.
            world.alone.quota.settle(world.time.instant());
            let (shared, alone) = (world.shared.remaining(world.time), world.alone.remaining(world.time));
            // An answer that is just in, whosever, ends what was presumed of the calls before it.
            let fresh = world.fresh.filter(|(day, _)| *day == world.time.now / DAY).map_or(0, |(_, left)| left);
            let most = alone.map(|alone| alone.max(fresh));
            prop_assert!(most.is_none() || shared <= most && shared.is_some(), "{shared:?}, alone {alone:?}");
        }
    }

}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn nothing_that_is_told_makes_the_model_fail(told in prop::collection::vec((garbage(), 0..90_000_u64), 1..20)) {
        let (mut one, mut time) = (Replica::new(1), Time::noon());
        for ((news, seen), wait) in told {
            if let Ok(news) = serde_json::from_str::<CallNews>(&news) {
                one.hear(time, &news);
            }
            if let Ok(seen) = serde_json::from_str::<Observation>(&seen) {
                one.recall(time, &seen);
            }
            time.now += wait;
            let _ = one.call(time, &leadlex(time.now, 100, 50));
            let _ = (one.wait(time, Needed), one.wait(time, Refresh), one.remaining(time));
            let _ = (one.observe(time), one.quota.fresh_for(time.instant(), Duration::from_secs(60), 1));
        }
    }
}
