//! Simulated days with the starter plan, with a hundred times as many requests as it allows.
//!
//! The upstream is a pair of counters that enforces the limits per day and per minute. Requests come in four
//! patterns, and a simple cache serves them as the model allows. The test prints the age of the data: `cargo
//! test --lib quota::day -- --nocapture`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::Write;
use std::time::Duration;

use http::{HeaderMap, HeaderName};
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::super::rate_limit::upstream_now;
use super::{Call, CallDecision, Purpose, Quota, QuotaHeaders, QuotaSettings};

/// Milliseconds since the first midnight UTC.
type Millis = u64;

const DAY: Millis = 86_400_000;
const MINUTE: Millis = 60_000;
const TTL: Millis = 60_000;
/// The simulation starts in the morning and includes two midnights.
const START: Millis = 9 * 3_600_000;
const END: Millis = 3 * DAY;
const REQUESTS_PER_DAY: u64 = 10_000;

/// The starter plan.
#[derive(Default)]
struct Upstream {
    day: (u64, u64),
    recent: VecDeque<Millis>,
    refused: u64,
    counted_at: Vec<Millis>,
}

impl Upstream {
    fn call(&mut self, now: Millis) -> HeaderMap {
        if self.day.0 != now / DAY {
            self.day = (now / DAY, 0);
        }
        self.recent.retain(|at| at + MINUTE > now);
        if self.day.1 < 100 && self.recent.len() < 10 {
            self.day.1 += 1;
            self.recent.push_back(now);
            self.counted_at.push(now);
        } else {
            self.refused += 1;
        }
        let date = wall(now).strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        [
            ("x-ratelimit-limit", "100".to_owned()),
            ("x-ratelimit-remaining", (100 - self.day.1).to_string()),
            ("x-ratelimit-reset", wall((now / DAY + 1) * DAY).as_second().to_string()),
            ("date", date),
        ]
        .into_iter()
        .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
        .collect()
    }
}

fn wall(at: Millis) -> Timestamp {
    let midnight: Timestamp = "2026-11-21T00:00:00Z".parse().unwrap();
    midnight + SignedDuration::from_millis(at.try_into().unwrap())
}

/// Deterministic pseudo-random numbers (SplitMix64).
struct Rng(u64);

impl Rng {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % end
    }
}

/// Cache entry of one key.
#[derive(Clone, Copy, Default)]
struct Entry {
    /// When the value was read, and until when it is fresh.
    value: Option<(Millis, Millis)>,
    in_flight: bool,
}

/// A call in flight.
enum CallEvent {
    Arrives(Call, usize),
    Returns(Call, usize, Millis, HeaderMap),
}

struct Day {
    origin: Instant,
    quota: Quota,
    upstream: Upstream,
    rng: Rng,
    entries: Vec<Entry>,
    /// Future events by time.
    events: BTreeMap<(Millis, u64), CallEvent>,
    ages: Vec<Millis>,
    /// Minutes in which a request had neither data nor a call to wait for.
    unanswered: BTreeSet<Millis>,
    happened: u64,
}

impl Day {
    fn new(keys: usize, seed: u64) -> Self {
        Self {
            origin: Instant::now(),
            // Before any response only the settings can state a limit per minute that is lower than the number
            // of keys.
            quota: Quota::new(QuotaSettings {
                per_minute: if keys > 10 { 10 } else { 0 },
                ..Default::default()
            }),
            upstream: Upstream::default(),
            rng: Rng(seed),
            entries: vec![Entry::default(); keys],
            events: BTreeMap::new(),
            ages: Vec::new(),
            unanswered: BTreeSet::new(),
            happened: 0,
        }
    }

    fn instant(&self, at: Millis) -> Instant {
        self.origin + Duration::from_millis(at)
    }

    fn request(&mut self, now: Millis, key: usize) {
        self.pass(now);
        let Entry { value, in_flight } = self.entries[key];
        self.ages.extend(value.map(|(read, _)| now - read));
        if in_flight || value.is_some_and(|(_, fresh_until)| now < fresh_until) {
            return;
        }
        let purpose = if value.is_some() { Purpose::Refresh } else { Purpose::Needed };
        if self.quota.may_call(self.instant(now), purpose) == CallDecision::Allowed {
            let call = self.quota.on_sent(self.instant(now));
            self.entries[key].in_flight = true;
            self.after(now, CallEvent::Arrives(call, key));
        } else if value.is_none() {
            self.unanswered.insert(now / MINUTE);
        }
    }

    fn after(&mut self, now: Millis, event: CallEvent) {
        self.happened += 1;
        self.events.insert((now + self.rng.below(1_500), self.happened), event);
    }

    fn pass(&mut self, now: Millis) {
        while let Some(next) = self.events.first_entry()
            && next.key().0 <= now
        {
            match next.remove_entry() {
                ((at, _), CallEvent::Arrives(call, key)) => {
                    let headers = self.upstream.call(at);
                    assert_eq!(self.upstream.refused, 0, "a 429 that we caused");
                    self.after(at, CallEvent::Returns(call, key, at, headers));
                }
                ((at, _), CallEvent::Returns(call, key, read, headers)) => {
                    let now = self.instant(at);
                    self.quota.on_response(
                        &call,
                        now,
                        &QuotaHeaders::read(&headers, upstream_now(&headers, wall(at))),
                    );
                    let ttl = Duration::from_millis(TTL);
                    let fresh = self.quota.fresh_for(now, ttl, self.entries.len());
                    let fresh_until = at + u64::try_from(fresh.as_millis()).unwrap();
                    self.entries[key] = Entry { value: Some((read, fresh_until)), in_flight: false };
                }
            }
        }
    }

    fn mean_age_s(&self) -> u64 {
        self.ages.iter().sum::<u64>() / self.ages.len() as u64 / 1_000
    }

    fn calls_between(&self, from: Millis, to: Millis) -> usize {
        self.upstream.counted_at.iter().filter(|at| (from..to).contains(*at)).count()
    }
}

/// Times of requests, in order.
fn pattern(name: &str, rng: &mut Rng) -> Vec<Millis> {
    let days = (END - START) as f64 / DAY as f64;
    let count = (REQUESTS_PER_DAY as f64 * days) as u64;
    let span = END - START;
    let mut moments: Vec<_> = match name {
        "steady" => (0..count).map(|_| START + rng.below(span)).collect(),
        "polling" => (0..span / 5_000).map(|turn| START + turn * 5_000).collect(),
        "bursts" => (0..count / 500)
            .flat_map(|_| {
                let begins = START + rng.below(span - 600_000);
                (0..500).map(|_| begins + rng.below(600_000)).collect::<Vec<_>>()
            })
            .collect(),
        "office hours" => (0..count)
            .map(|_| {
                let day = rng.below(END / DAY);
                day * DAY + START + rng.below(8 * 3_600_000)
            })
            .collect(),
        other => panic!("no pattern {other}"),
    };
    moments.sort_unstable();
    moments
}

/// Mean age if that many calls are spread evenly over each day (the first is shorter): the minimum for evenly
/// spread requests.
fn even_mean_age_s(keys: u64, per_day: u64) -> u64 {
    let days = [DAY - START, DAY, DAY].map(|day| day / 1_000);
    days.map(|day| day * day * keys / per_day / 2).iter().sum::<u64>() / days.iter().sum::<u64>()
}

fn simulate(name: &str, keys: usize, seed: u64) -> Day {
    let mut rng = Rng(seed);
    let mut day = Day::new(keys, seed + 1);
    for moment in pattern(name, &mut rng) {
        if name == "polling" {
            // A page polls all keys.
            (0..keys).for_each(|key| day.request(moment, key));
        } else {
            day.request(moment, usize::try_from(rng.below(keys as u64)).unwrap());
        }
    }
    day.pass(Millis::MAX);
    let per_day: Vec<_> = (0..3).map(|number| day.calls_between(number * DAY, (number + 1) * DAY)).collect();
    writeln!(
        std::io::stderr(),
        "{name}, {keys} key(s): {} requests, calls by day {per_day:?}, mean age {} s, oldest {} s; \
         all 100 calls evenly: {} s, the 90 outside the reserve: {} s",
        day.ages.len(),
        day.mean_age_s(),
        day.ages.iter().max().unwrap() / 1_000,
        even_mean_age_s(keys as u64, 100),
        even_mean_age_s(keys as u64, 90),
    )
    .unwrap();
    day
}

#[test]
fn every_pattern_of_requests_is_answered_within_the_quota() {
    for (number, name) in ["steady", "polling", "bursts", "office hours"].into_iter().enumerate() {
        for keys in [1, 2, 20] {
            let day = simulate(name, keys, number as u64 * 100);
            assert_eq!(day.upstream.refused, 0);
            let minutes = day.unanswered.len();
            assert!(minutes <= keys / 9, "{name}, {keys}: unanswered for {minutes} min");
            assert!(day.ages.iter().max().unwrap() < &(DAY * 2));
            for midnight in [DAY, 2 * DAY] {
                let hour = day.calls_between(midnight, midnight + 3_600_000);
                assert!(hour <= 6, "{name}: {hour} calls in the hour after midnight, 4 are its share");
                assert!(day.calls_between(midnight, midnight + MINUTE) <= 2, "{name}");
            }
        }
    }
}

#[test]
fn the_age_of_served_data_is_close_to_the_minimum() {
    for name in ["steady", "polling"] {
        for keys in [1, 2] {
            let day = simulate(name, keys, 7);
            let best = even_mean_age_s(keys as u64, 90);
            let mean = day.mean_age_s();
            assert!(mean * 100 <= best * 102, "{name}, {keys}: {mean} s, at best {best} s");
        }
    }
}
