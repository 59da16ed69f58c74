//! Replicas that tell one another of their calls, at the level of the model: what each knows then.

use std::time::Duration;

use http::{HeaderMap, HeaderName};
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::{
    Call, CallId, CallNews, Event, Fleet, Observation, Purpose, Quota, QuotaSettings, Told, Verdict,
};
use Purpose::{Needed, Refresh};

pub(super) const DAY: u64 = 86_400_000;
const NOON: u64 = DAY / 2;

/// A plain timeline in milliseconds from a midnight on.
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

/// What a starter key is told at that moment.
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

/// One replica's view.
pub(super) struct Replica {
    pub(super) quota: Quota,
    pub(super) fleet: Fleet,
}

impl Replica {
    pub(super) fn new(own: u64) -> Self {
        Self { quota: Quota::new(QuotaSettings::default()), fleet: Fleet::new(own) }
    }

    pub(super) fn leave(&mut self, time: Time) -> (Call, CallNews) {
        let (call, id) = self.fleet.leave(&mut self.quota, time.instant());
        (call, CallNews { call: id, event: Event::Sent, at: time.wall() })
    }

    /// It comes back; what the others are told.
    pub(super) fn answered(&mut self, time: Time, call: (Call, CallId), headers: &HeaderMap) -> CallNews {
        let told = Told::read(headers, time.wall());
        self.quota.hear_answer(&call.0, time.instant(), &told);
        CallNews { call: call.1, event: Event::Answered(told), at: time.wall() }
    }

    pub(super) fn call(&mut self, time: Time, headers: &HeaderMap) -> [CallNews; 2] {
        let (call, left) = self.leave(time);
        let answered = self.answered(time, (call, left.call), headers);
        [left, answered]
    }

    pub(super) fn hear(&mut self, time: Time, news: &CallNews) {
        let told: CallNews = serde_json::from_str(&serde_json::to_string(news).unwrap()).unwrap();
        self.fleet.hear(&mut self.quota, time.instant(), time.wall(), &told, 0.0);
    }

    fn hear_all(&mut self, time: Time, news: &[CallNews]) {
        news.iter().for_each(|news| self.hear(time, news));
    }

    pub(super) fn observe(&mut self, time: Time) -> Observation {
        let seen = self.quota.observe(&self.fleet, time.instant(), time.wall());
        serde_json::from_str(&serde_json::to_string(&seen).unwrap()).unwrap()
    }

    pub(super) fn recall(&mut self, time: Time, seen: &Observation) {
        self.quota.recall(&mut self.fleet, time.instant(), time.wall(), seen);
    }

    pub(super) fn remaining(&self, time: Time) -> Option<u64> {
        self.quota.figures(time.instant()).remaining
    }

    pub(super) fn wait(&self, time: Time, purpose: Purpose) -> Duration {
        match self.quota.may_call(time.instant(), purpose) {
            Verdict::Now => Duration::ZERO,
            Verdict::At(at) => at - time.instant(),
        }
    }
}

#[test]
fn anothers_calls_count_as_ones_own() {
    let (mut one, mut two, time) = (Replica::new(1), Replica::new(2), Time::noon());
    let [left, answered] = one.call(time, &leadlex(NOON, 100, 30));
    two.hear(time, &left);
    assert_eq!((two.remaining(time), two.quota.calls_in_minute(time.instant())), (None, 1));
    two.hear(time, &answered);
    assert_eq!(two.remaining(time), Some(30));
    let (_, under_way) = one.leave(time);
    two.hear(time, &under_way);
    assert_eq!((one.remaining(time), two.remaining(time)), (Some(29), Some(29)));
    assert!(two.wait(time, Refresh) > Duration::from_secs(600), "one has just refreshed");
    assert!(one.wait(time, Refresh).abs_diff(two.wait(time, Refresh)) < Duration::from_secs(1));
}

#[test]
fn what_is_told_twice_counts_once_and_what_was_left_out_counts() {
    let (mut one, mut two, time) = (Replica::new(1), Replica::new(2), Time::noon());
    let first = one.call(time, &leadlex(NOON, 100, 60));
    let lost: Vec<_> = (0..3).flat_map(|n| one.call(time, &leadlex(NOON, 100, 59 - n))).collect();
    let last = one.call(time, &leadlex(NOON, 100, 56));
    for _ in 0..3 {
        two.hear_all(time, &first);
    }
    let calls = |two: &Replica| two.quota.calls_in_minute(time.instant());
    assert_eq!(calls(&two), 1);
    two.hear_all(time, &last);
    assert_eq!((calls(&two), two.remaining(time)), (5, Some(53)), "three of which nothing was heard");
    // They come late, and a replica that hears itself knows better.
    two.hear_all(time, &lost);
    assert_eq!((calls(&two), two.remaining(time)), (5, Some(56)));
    one.hear_all(time, &lost);
    assert_eq!((one.quota.calls_in_minute(time.instant()), one.remaining(time)), (5, Some(56)));
}

#[test]
fn after_a_time_in_which_some_may_have_been_missed_none_is_taken_for_left_out() {
    let (mut one, mut two, time) = (Replica::new(1), Replica::new(2), Time::noon());
    two.hear_all(time, &one.call(time, &leadlex(NOON, 100, 99)));
    for left in 60..90 {
        one.call(time, &leadlex(NOON, 100, left));
    }
    two.fleet.may_have_missed();
    two.hear_all(time, &one.call(time, &leadlex(NOON, 100, 59)));
    assert_eq!((two.quota.calls_in_minute(time.instant()), two.remaining(time)), (2, Some(59)));
}

#[test]
fn a_429_holds_all_and_who_starts_knows_of_it() {
    let (mut one, mut two, mut three, mut time) =
        (Replica::new(1), Replica::new(2), Replica::new(3), Time::noon());
    let (call, left) = one.leave(time);
    let mut told = leadlex(NOON, 100, 50);
    told.insert("retry-after", 30.into());
    let told = Told::read(&told, time.wall());
    one.quota.hear_refusal(&call, time.instant(), &told, 0.0);
    two.hear_all(time, &[left.clone(), CallNews { event: Event::Refused(told), ..left }]);
    assert_eq!(two.wait(time, Needed), Duration::from_secs(30));
    let seen = one.observe(time);
    time.now += 10_000;
    three.recall(time, &seen);
    // Its clock may be five seconds off.
    assert_eq!(three.wait(time, Needed), Duration::from_secs(25));
}

#[test]
fn who_starts_knows_what_is_left_the_minute_and_the_pace() {
    let (mut one, mut two, mut time) = (Replica::new(1), Replica::new(2), Time::noon());
    for number in 0..9 {
        let _ = one.call(time, &leadlex(time.now, 100, 40 - number));
        time.now += 1_000;
    }
    let (call, under_way) = one.leave(time);
    for _ in 0..2 {
        // Twice is once.
        let seen = one.observe(time);
        two.recall(time, &seen);
        assert_eq!((two.remaining(time), one.remaining(time)), (Some(31), Some(31)));
        assert_eq!(two.quota.calls_in_minute(time.instant()), 10);
    }
    assert_eq!(two.wait(time, Needed), Duration::from_secs(52), "one for the other, and the first two go");
    assert!(one.wait(time, Refresh).abs_diff(two.wait(time, Refresh)) < Duration::from_secs(5));
    let answered = one.answered(time, (call, under_way.call), &leadlex(time.now, 100, 31));
    two.hear(time, &answered);
    assert_eq!((two.remaining(time), two.quota.calls_in_minute(time.instant())), (Some(31), 10));
}

#[test]
fn a_cap_of_the_settings_is_that_of_all_and_outlives_a_restart() {
    let settings = QuotaSettings { per_day: 5, ..QuotaSettings::default() };
    let time = Time::noon();
    let capped = |own| Replica { quota: Quota::new(settings.clone()), fleet: Fleet::new(own) };
    let (mut one, mut two, mut three) = (capped(1), capped(2), capped(3));
    for number in 0..3 {
        two.hear_all(time, &one.call(time, &leadlex(NOON, 1_000, 900 - number)));
    }
    assert_eq!(two.remaining(time), Some(2));
    let seen = two.observe(time);
    three.recall(time, &seen);
    assert_eq!(three.remaining(time), Some(2));
}

#[test]
fn each_leaves_a_call_for_each_other_that_may_call_at_the_same_moment() {
    let mut time = Time::noon();
    let mut all = [Replica::new(1), Replica::new(2), Replica::new(3)];
    let mut made = 0;
    loop {
        // All ask before any news arrive.
        let going: Vec<_> =
            (0..3).filter(|number| all[*number].wait(time, Needed) == Duration::ZERO).collect();
        if going.is_empty() {
            break;
        }
        made += going.len() as u64;
        let news: Vec<_> =
            going.iter().flat_map(|n| all[*n].call(time, &leadlex(NOON, 100, 100 - made))).collect();
        all.iter_mut().for_each(|one| one.hear_all(time, &news));
        time.now += 100;
    }
    assert!((8..=10).contains(&made), "{made} of the ten of a minute");
}

#[test]
fn what_comes_late_begins_no_minute_of_composios() {
    let (mut one, mut two, mut time) = (Replica::new(1), Replica::new(2), Time::noon());
    let late = one.call(time, &composio(1_990));
    time.now += 20_000;
    two.call(time, &composio(10));
    two.hear_all(time, &late);
    assert_eq!(two.remaining(time), Some(10));
    let news = one.call(time, &composio(1_999));
    two.hear_all(time, &news);
    assert_eq!(two.remaining(time), Some(1_999));
}

#[test]
fn news_are_numbers_and_moments() {
    let (mut one, time) = (Replica::new(7), Time::noon());
    let [left, answered] = one.call(time, &leadlex(NOON, 100, 60));
    assert_eq!(
        serde_json::to_string(&left).unwrap(),
        r#"{"call":[7,0],"event":"sent","at":"2026-11-21T12:00:00Z"}"#
    );
    assert_eq!(
        serde_json::to_string(&answered).unwrap(),
        r#"{"call":[7,0],"event":{"answered":{"limit":100,"remaining":60,"ends":"told","resets_in":{"secs":43200,"nanos":0},"resets_at":"2026-11-22T00:00:00Z","wait":null,"asks_to_wait":false}},"at":"2026-11-21T12:00:00Z"}"#
    );
    assert_eq!(
        serde_json::to_string(&one.observe(time)).unwrap(),
        r#"{"at":"2026-11-21T12:00:00Z","told":{"limit":100,"remaining":60,"ends":"told","resets_in":{"secs":43200,"nanos":0},"resets_at":"2026-11-22T00:00:00Z","wait":null,"asks_to_wait":false},"made":0,"held":0,"last":0,"calls":[[[7,0],0,0,true]]}"#
    );
    for garbage in ["", "{}", "null", "[7,0]", r#"{"call":[7,0],"event":"gone","at":"2026-11-21T12:00:00Z"}"#]
    {
        assert!(serde_json::from_str::<CallNews>(garbage).is_err(), "{garbage}");
        assert!(serde_json::from_str::<Observation>(garbage).is_err(), "{garbage}");
    }
}
