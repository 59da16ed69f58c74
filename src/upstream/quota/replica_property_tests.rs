//! Properties: late, duplicate, reordered or wrong messages of replicas never make the quota look larger than
//! recent headers state, and never make the model panic.

use std::time::Duration;

use http::HeaderMap;
use proptest::prelude::*;

use super::replica_calls::age;
use super::replica_tests::{DAY, HEADERS, RESET, Replica, Time, leadlex};
use super::{Call, CallEvent, CallId, CallMessage, Purpose, QuotaHeaders, QuotaSnapshot};
use Purpose::{Needed, Refresh};

/// Calls per day.
const LIMIT: u64 = 30;

#[derive(Debug, Clone)]
enum Step {
    Wait(u64),
    /// This replica (true) or another one sends a call.
    Leave(bool),
    /// A response arrives within ten seconds or never; the upstream counted the call when it was sent.
    Return(prop::sample::Index),
    /// One of all earlier messages arrives, perhaps again.
    Receive(prop::sample::Index),
    /// The other replica takes a snapshot.
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
        10 => index().prop_map(Step::Receive),
        1 => Just(Step::Observe),
        2 => index().prop_map(Step::Recall),
        1 => Just(Step::Miss),
    ];
    prop::collection::vec(step, 1..200)
}

/// A starter key's day shared by two replicas, and a third replica that uses only its own headers.
struct World {
    time: Time,
    /// Milliseconds by which the other replica's clock is ahead.
    ahead: u64,
    shared: Replica,
    alone: Replica,
    other: Replica,
    counted: (u64, u64),
    in_flight: Vec<InFlightCall>,
    fresh: Option<(u64, u64)>,
    message: Vec<CallMessage>,
    snapshot: Vec<QuotaSnapshot>,
}

struct InFlightCall {
    call: Call,
    /// The same call in the replica that is alone, if this replica sent it.
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
                let (call, alone, message) = if own {
                    let (call, message) = self.shared.leave(time);
                    // It has another number where other replicas' calls are not known.
                    (call, Some(self.alone.leave(time).0), message)
                } else {
                    let (call, left) = self.other.leave(time);
                    self.message.push(CallMessage { at: theirs.wall(), ..left.clone() });
                    (call, None, left)
                };
                self.in_flight.push(InFlightCall { call, alone, id: message.call, headers, sent: time.now });
            }
            Step::Return(which) => {
                self.in_flight.retain(|call| call.sent + 10_000 > time.now);
                if self.in_flight.is_empty() {
                    return;
                }
                let InFlightCall { call, alone, id, headers, .. } =
                    self.in_flight.remove(which.index(self.in_flight.len()));
                if let Some(alone) = alone {
                    self.shared.answered(time, (call, id), &headers);
                    self.alone.answered(time, (alone, id), &headers);
                } else {
                    let headers = self.other.answered(time, (call, id), &headers);
                    self.message.push(CallMessage { at: theirs.wall(), ..headers });
                }
            }
            Step::Receive(which) => {
                if !self.message.is_empty() {
                    let message = self.message[which.index(self.message.len())].clone();
                    self.shared.on_message(time, &message);
                    self.on_recent_message(&message);
                }
            }
            Step::Observe => {
                let snapshot =
                    self.other.quota.snapshot(&self.other.replica_calls, time.instant(), theirs.wall());
                self.snapshot.push(snapshot);
            }
            Step::Recall(which) => {
                if !self.snapshot.is_empty() {
                    let snapshot = self.snapshot[which.index(self.snapshot.len())].clone();
                    self.shared.merge_snapshot(time, &snapshot);
                }
            }
            Step::Miss => self.shared.replica_calls.on_gap(),
        }
    }

    /// Smallest remaining number that a recent message reports for this day.
    fn on_recent_message(&mut self, message: &CallMessage) {
        let day = self.time.now / DAY;
        if let CallEvent::Answered(QuotaHeaders { remaining: Some(left), .. }) = message.event
            && age(self.time.wall(), message.at).is_zero()
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
        self.counted.1 = (self.counted.1 + 1).min(LIMIT);
        leadlex(now, LIMIT, LIMIT - self.counted.1)
    }
}

/// Arbitrary numbers in every field of a message and a snapshot.
fn garbage() -> impl Strategy<Value = (String, String)> {
    let number = || prop_oneof![Just(0), Just(1), 0..100_000_u64, any::<u64>()];
    let ends = prop_oneof![
        Just(format!(r#""{RESET}""#)),
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
    let headers = (number(), number(), ends, number(), moment(), number()).prop_map(
        |(limit, left, ends, secs, at, wait)| {
            format!(
                r#"{{"limit":{limit},"remaining":{left},"ends":{ends},"resets_in":{{"secs":{secs},"nanos":1}},"resets_at":"{at}","wait":{{"secs":{wait},"nanos":0}},"asks_to_wait":true}}"#
            )
        },
    );
    (headers, number(), number(), number(), number(), moment(), any::<bool>()).prop_map(
        |(headers, a, b, c, d, at, refused)| {
            let event = if refused { "refused" } else { "answered" };
            (
                format!(r#"{{"call":[{a},{b}],"event":{{"{event}":{headers}}},"at":"{at}"}}"#),
                format!(
                    r#"{{"at":"{at}","{HEADERS}":{headers},"made":{a},"held":{b},"last":{c},"calls":[[[{a},{b}],{c},{d},{refused}],[[1,2],{d},null,false]]}}"#
                ),
            )
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_order_of_messages_makes_the_quota_look_larger_than_headers_state(
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
            in_flight: Vec::new(),
            fresh: None,
            message: Vec::new(),
            snapshot: Vec::new(),
        };
        for step in steps {
            world.step(step);
            // As with any call: lost calls belong to the window in which they were sent.
            let now = world.time.instant();
            world.alone.quota.advance(now);
            let (shared, alone) = (world.shared.remaining(world.time), world.alone.quota.figures(now));
            // A replica estimates the end of its window late by the latency of its first response. Another replica may
            // know that the next day has begun.
            let has_ended = alone.resets_at.is_some_and(|at| at <= world.time.wall());
            let alone = alone.remaining.map(|left| if has_ended { LIMIT } else { left });
            // A recent response of any replica replaces the assumption about earlier calls.
            let fresh = world.fresh.filter(|(day, _)| *day == world.time.now / DAY).map_or(0, |(_, left)| left);
            let most = alone.map(|alone| alone.max(fresh));
            prop_assert!(most.is_none() || shared <= most && shared.is_some(), "{shared:?}, alone {alone:?}");
        }
    }

}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn arbitrary_messages_do_not_panic(messages in prop::collection::vec((garbage(), 0..90_000_u64), 1..20)) {
        let (mut one, mut time) = (Replica::new(1), Time::noon());
        for ((message, snapshot), wait) in messages {
            if let Ok(message) = serde_json::from_str::<CallMessage>(&message) {
                one.on_message(time, &message);
            }
            if let Ok(snapshot) = serde_json::from_str::<QuotaSnapshot>(&snapshot) {
                one.merge_snapshot(time, &snapshot);
            }
            time.now += wait;
            let _ = one.call(time, &leadlex(time.now, 100, 50));
            let _ = (one.wait(time, Needed), one.wait(time, Refresh), one.remaining(time));
            let _ = (one.snapshot(time), one.quota.fresh_for(time.instant(), Duration::from_secs(60), 1));
        }
    }
}
