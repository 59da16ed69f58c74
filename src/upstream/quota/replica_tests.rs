//! Messages between replicas, at the level of the model.

use std::time::Duration;

use http::{HeaderMap, HeaderName};
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::{
    Call, CallDecision, CallEvent, CallId, CallMessage, Purpose, Quota, QuotaHeaders, QuotaSettings,
    QuotaSnapshot, ReplicaCalls,
};
use Purpose::{Needed, Refresh};

pub(super) const DAY: u64 = 86_400_000;

/// JSON name of [`WindowEnd::Reset`](super::headers::WindowEnd::Reset).
pub(super) const RESET: &str = "told";

/// JSON name of the headers in a snapshot.
pub(super) const HEADERS: &str = RESET;

const NOON: u64 = DAY / 2;

/// A timeline in milliseconds since a midnight.
#[derive(Clone, Copy)]
pub(super) struct Time {
    origin: Instant,
    pub(super) now: u64,
}

impl Time {
    pub(super) fn noon() -> Self {
        Self { origin: Instant::now(), now: NOON }
    }

    pub(super) fn instant(self) -> Instant {
        self.origin + Duration::from_millis(self.now)
    }

    pub(super) fn later(self, millis: u64) -> Self {
        Self { now: self.now + millis, ..self }
    }

    pub(super) fn wall(self) -> Timestamp {
        wall(self.now)
    }
}

fn wall(at: u64) -> Timestamp {
    let midnight: Timestamp = "2026-11-21T00:00:00Z".parse().unwrap();
    midnight + SignedDuration::from_millis(at.try_into().unwrap())
}

fn headers(pairs: &[(&'static str, String)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
}

/// LeadLex's headers at that time.
pub(super) fn leadlex(at: u64, limit: u64, left: u64) -> HeaderMap {
    headers(&[
        ("x-ratelimit-limit", limit.to_string()),
        ("x-ratelimit-remaining", left.to_string()),
        ("x-ratelimit-reset", wall((at / DAY + 1) * DAY).as_second().to_string()),
        ("date", wall(at).strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()),
    ])
}

fn composio(left: u64) -> HeaderMap {
    headers(&[
        ("x-ratelimit", "2000".to_owned()),
        ("x-ratelimit-remaining", left.to_string()),
        ("x-ratelimit-window-size", "60s".to_owned()),
    ])
}

/// The state of one replica.
pub(super) struct Replica {
    pub(super) quota: Quota,
    pub(super) replica_calls: ReplicaCalls,
}

impl Replica {
    pub(super) fn new(own: u64) -> Self {
        Self { quota: Quota::new(QuotaSettings::default()), replica_calls: ReplicaCalls::new(own) }
    }

    pub(super) fn leave(&mut self, time: Time) -> (Call, CallMessage) {
        let (call, id) = self.replica_calls.on_sent(&mut self.quota, time.instant());
        (call, CallMessage { call: id, event: CallEvent::Sent, at: time.wall() })
    }

    /// Records a response; returns the message to the others.
    pub(super) fn answered(&mut self, time: Time, call: (Call, CallId), headers: &HeaderMap) -> CallMessage {
        let headers = QuotaHeaders::read(headers, time.wall());
        self.quota.on_response_headers(&call.0, time.instant(), &headers);
        CallMessage { call: call.1, event: CallEvent::Answered(headers), at: time.wall() }
    }

    pub(super) fn call(&mut self, time: Time, headers: &HeaderMap) -> [CallMessage; 2] {
        let (call, left) = self.leave(time);
        let answered = self.answered(time, (call, left.call), headers);
        [left, answered]
    }

    pub(super) fn on_message(&mut self, time: Time, message: &CallMessage) {
        let headers: CallMessage = serde_json::from_str(&serde_json::to_string(message).unwrap()).unwrap();
        self.replica_calls.on_message(&mut self.quota, time.instant(), time.wall(), &headers, 0.0);
    }

    fn on_messages(&mut self, time: Time, message: &[CallMessage]) {
        message.iter().for_each(|message| self.on_message(time, message));
    }

    pub(super) fn snapshot(&mut self, time: Time) -> QuotaSnapshot {
        let snapshot = self.quota.snapshot(&self.replica_calls, time.instant(), time.wall());
        serde_json::from_str(&serde_json::to_string(&snapshot).unwrap()).unwrap()
    }

    pub(super) fn merge_snapshot(&mut self, time: Time, snapshot: &QuotaSnapshot) {
        self.quota.merge_snapshot(&mut self.replica_calls, time.instant(), time.wall(), snapshot);
    }

    pub(super) fn remaining(&self, time: Time) -> Option<u64> {
        self.quota.figures(time.instant()).remaining
    }

    pub(super) fn wait(&self, time: Time, purpose: Purpose) -> Duration {
        match self.quota.may_call(time.instant(), purpose) {
            CallDecision::Allowed => Duration::ZERO,
            CallDecision::NotBefore(at) => at - time.instant(),
        }
    }
}

#[test]
fn calls_of_other_replicas_count_as_own_calls() {
    let (mut one, mut two, time) = (Replica::new(1), Replica::new(2), Time::noon());
    let [left, answered] = one.call(time, &leadlex(NOON, 100, 30));
    two.on_message(time, &left);
    assert_eq!((two.remaining(time), two.quota.calls_in_minute(time.instant())), (None, 1));
    two.on_message(time, &answered);
    assert_eq!(two.remaining(time), Some(30));
    let (_, in_flight) = one.leave(time);
    two.on_message(time, &in_flight);
    assert_eq!((one.remaining(time), two.remaining(time)), (Some(29), Some(29)));
    assert!(two.wait(time, Refresh) > Duration::from_secs(600), "the other replica has just refreshed");
    assert!(one.wait(time, Refresh).abs_diff(two.wait(time, Refresh)) < Duration::from_secs(1));
}

#[test]
fn duplicate_messages_count_once_and_skipped_numbers_count() {
    let (mut one, mut two, time) = (Replica::new(1), Replica::new(2), Time::noon());
    let first = one.call(time, &leadlex(NOON, 100, 60));
    let lost: Vec<_> = (0..3).flat_map(|n| one.call(time, &leadlex(NOON, 100, 59 - n))).collect();
    let last = one.call(time, &leadlex(NOON, 100, 56));
    for _ in 0..3 {
        two.on_messages(time, &first);
    }
    let calls = |two: &Replica| two.quota.calls_in_minute(time.instant());
    assert_eq!(calls(&two), 1);
    two.on_messages(time, &last);
    assert_eq!((calls(&two), two.remaining(time)), (5, Some(53)), "three unconfirmed calls");
    // The lost messages arrive late, and a replica ignores messages about its own calls.
    two.on_messages(time, &lost);
    assert_eq!((calls(&two), two.remaining(time)), (5, Some(56)));
    one.on_messages(time, &lost);
    assert_eq!((one.quota.calls_in_minute(time.instant()), one.remaining(time)), (5, Some(56)));
}

#[test]
fn after_a_gap_skipped_numbers_do_not_count() {
    let (mut one, mut two, time) = (Replica::new(1), Replica::new(2), Time::noon());
    two.on_messages(time, &one.call(time, &leadlex(NOON, 100, 99)));
    for left in 60..90 {
        one.call(time, &leadlex(NOON, 100, left));
    }
    two.replica_calls.on_gap();
    two.on_messages(time, &one.call(time, &leadlex(NOON, 100, 59)));
    assert_eq!((two.quota.calls_in_minute(time.instant()), two.remaining(time)), (2, Some(59)));
}

#[test]
fn a_429_holds_all_replicas_including_new_ones() {
    let (mut one, mut two, mut three, mut time) =
        (Replica::new(1), Replica::new(2), Replica::new(3), Time::noon());
    let (call, left) = one.leave(time);
    let mut headers = leadlex(NOON, 100, 50);
    headers.insert("retry-after", 30.into());
    let headers = QuotaHeaders::read(&headers, time.wall());
    one.quota.on_rate_limited_headers(&call, time.instant(), &headers, 0.0);
    two.on_messages(time, &[left.clone(), CallMessage { event: CallEvent::RateLimited(headers), ..left }]);
    assert_eq!(two.wait(time, Needed), Duration::from_secs(30));
    let snapshot = one.snapshot(time);
    time.now += 10_000;
    three.merge_snapshot(time, &snapshot);
    // The clock may differ by five seconds.
    assert_eq!(three.wait(time, Needed), Duration::from_secs(25));
}

#[test]
fn a_new_replica_knows_the_remaining_calls_the_minute_and_the_pace() {
    let (mut one, mut two, mut time) = (Replica::new(1), Replica::new(2), Time::noon());
    for number in 0..9 {
        let _ = one.call(time, &leadlex(time.now, 100, 40 - number));
        time.now += 1_000;
    }
    let (call, in_flight) = one.leave(time);
    for _ in 0..2 {
        // A repeated snapshot changes nothing.
        let snapshot = one.snapshot(time);
        two.merge_snapshot(time, &snapshot);
        assert_eq!((two.remaining(time), one.remaining(time)), (Some(31), Some(31)));
        assert_eq!(two.quota.calls_in_minute(time.instant()), 10);
    }
    assert_eq!(
        two.wait(time, Needed),
        Duration::from_secs(52),
        "one call is left for the other replica; the first two expire"
    );
    assert!(one.wait(time, Refresh).abs_diff(two.wait(time, Refresh)) < Duration::from_secs(5));
    let answered = one.answered(time, (call, in_flight.call), &leadlex(time.now, 100, 31));
    two.on_message(time, &answered);
    assert_eq!((two.remaining(time), two.quota.calls_in_minute(time.instant())), (Some(31), 10));
}

#[test]
fn a_limit_in_the_settings_is_shared_and_survives_a_restart() {
    let settings = QuotaSettings { per_day: 5, ..QuotaSettings::default() };
    let time = Time::noon();
    let capped = |own| Replica { quota: Quota::new(settings.clone()), replica_calls: ReplicaCalls::new(own) };
    let (mut one, mut two, mut three) = (capped(1), capped(2), capped(3));
    for number in 0..3 {
        two.on_messages(time, &one.call(time, &leadlex(NOON, 1_000, 900 - number)));
    }
    assert_eq!(two.remaining(time), Some(2));
    let snapshot = two.snapshot(time);
    three.merge_snapshot(time, &snapshot);
    assert_eq!(three.remaining(time), Some(2));
}

#[test]
fn each_replica_leaves_one_call_per_other_replica() {
    let mut time = Time::noon();
    let mut all = [Replica::new(1), Replica::new(2), Replica::new(3)];
    let mut made = 0;
    loop {
        // All replicas decide before any message arrives.
        let going: Vec<_> =
            (0..3).filter(|number| all[*number].wait(time, Needed) == Duration::ZERO).collect();
        if going.is_empty() {
            break;
        }
        made += going.len() as u64;
        let message: Vec<_> =
            going.iter().flat_map(|n| all[*n].call(time, &leadlex(NOON, 100, 100 - made))).collect();
        all.iter_mut().for_each(|one| one.on_messages(time, &message));
        time.now += 100;
    }
    assert!((8..=10).contains(&made), "{made} of the ten of a minute");
}

#[test]
fn a_response_to_a_call_of_the_day_before_does_not_limit_the_new_day() {
    let (mut one, mut two, mut time) = (Replica::new(1), Replica::new(2), Time::noon());
    time.now = DAY - 4 * 3_600_000;
    two.on_messages(time, &one.call(time, &leadlex(time.now, 30, 29)));
    time.now = DAY - 5_855;
    let (headers, (call, left)) = (leadlex(time.now, 30, 28), two.leave(time));
    time.now = DAY;
    two.answered(time, (call, left.call), &headers);
    // The new day may count the call.
    assert_eq!(two.remaining(time), Some(29));
}

#[test]
fn late_messages_do_not_start_a_new_minute_at_composio() {
    let (mut one, mut two, mut time) = (Replica::new(1), Replica::new(2), Time::noon());
    let late = one.call(time, &composio(1_990));
    time.now += 20_000;
    two.call(time, &composio(10));
    two.on_messages(time, &late);
    assert_eq!(two.remaining(time), Some(10));
    let message = one.call(time, &composio(1_999));
    two.on_messages(time, &message);
    assert_eq!(two.remaining(time), Some(1_999));
}

#[test]
fn messages_contain_only_numbers_and_times() {
    let (mut one, time) = (Replica::new(7), Time::noon());
    let [left, answered] = one.call(time, &leadlex(NOON, 100, 60));
    assert_eq!(
        serde_json::to_string(&left).unwrap(),
        r#"{"call":[7,0],"event":"sent","at":"2026-11-21T12:00:00Z"}"#
    );
    let headers = format!(
        r#"{{"limit":100,"remaining":60,"ends":"{RESET}","resets_in":{{"secs":43200,"nanos":0}},"resets_at":"2026-11-22T00:00:00Z","wait":null,"asks_to_wait":false}}"#
    );
    assert_eq!(
        serde_json::to_string(&answered).unwrap(),
        format!(r#"{{"call":[7,0],"event":{{"answered":{headers}}},"at":"2026-11-21T12:00:00Z"}}"#)
    );
    assert_eq!(
        serde_json::to_string(&one.snapshot(time)).unwrap(),
        format!(
            r#"{{"at":"2026-11-21T12:00:00Z","{HEADERS}":{headers},"made":0,"held":0,"last":0,"calls":[[[7,0],0,0,true]]}}"#
        )
    );
    for garbage in ["", "{}", "null", "[7,0]", r#"{"call":[7,0],"event":"gone","at":"2026-11-21T12:00:00Z"}"#]
    {
        assert!(serde_json::from_str::<CallMessage>(garbage).is_err(), "{garbage}");
        assert!(serde_json::from_str::<QuotaSnapshot>(garbage).is_err(), "{garbage}");
    }
}
