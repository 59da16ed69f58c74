//! Each rule of the quota as one example on a simple timeline.

mod rate_limited;
mod unknown_limits;

use std::time::Duration;

use http::{HeaderMap, HeaderName};
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::super::rate_limit::upstream_now;
use super::moment::{DAY, MINUTE};
use super::{Call, CallDecision, Purpose, Quota, QuotaHeaders, QuotaSettings};
use Purpose::{Needed, Refresh};

const NOON: &str = "2026-11-21T12:00:00Z";
const MIDNIGHT: i64 = 1_795_305_600;
const HALF_DAY: Duration = Duration::from_secs(43_200);

/// A quota at a time that starts at noon UTC.
struct Timeline {
    quota: Quota,
    noon: Instant,
    now: Instant,
}

impl Timeline {
    fn new(settings: QuotaSettings) -> Self {
        let noon = Instant::now();
        Self { quota: Quota::new(settings), noon, now: noon }
    }

    /// Creates a quota that received its limit at noon.
    fn with_limit(limit: i64, remaining: i64) -> Self {
        let mut timeline = Self::new(QuotaSettings::default());
        timeline.call(&leadlex(limit, remaining));
        timeline
    }

    fn at(&mut self, after_noon: Duration) -> &mut Self {
        self.now = self.noon + after_noon;
        self
    }

    fn wall(&self) -> Timestamp {
        let noon: Timestamp = NOON.parse().unwrap();
        noon + SignedDuration::try_from(self.now - self.noon).unwrap()
    }

    fn sent(&mut self) -> Call {
        self.quota.on_sent(self.now)
    }

    fn answered(&mut self, call: &Call, headers: &HeaderMap) {
        self.quota.on_response(
            call,
            self.now,
            &QuotaHeaders::read(headers, upstream_now(headers, self.wall())),
        );
    }

    fn call(&mut self, headers: &HeaderMap) {
        let call = self.sent();
        self.answered(&call, headers);
    }

    fn refused(&mut self, headers: &HeaderMap) {
        let call = self.sent();
        self.quota.on_rate_limited(
            &call,
            self.now,
            &QuotaHeaders::read(headers, upstream_now(headers, self.wall())),
            0.0,
        );
    }

    /// Returns how long a call has to wait, to the millisecond.
    fn wait(&self, purpose: Purpose) -> Duration {
        match self.quota.may_call(self.now, purpose) {
            CallDecision::Allowed => Duration::ZERO,
            CallDecision::NotBefore(at) => rounded(at - self.now),
        }
    }

    fn fresh_for(&self, ttl: Duration, keys: usize) -> Duration {
        rounded(self.quota.fresh_for(self.now, ttl, keys))
    }

    fn remaining(&self) -> Option<u64> {
        self.quota.figures(self.now).remaining
    }
}

fn headers(pairs: &[(&'static str, String)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
}

fn leadlex(limit: i64, remaining: i64) -> HeaderMap {
    leadlex_until(limit, remaining, MIDNIGHT)
}

fn leadlex_until(limit: i64, remaining: i64, reset: i64) -> HeaderMap {
    headers(&[
        ("x-ratelimit-limit", limit.to_string()),
        ("x-ratelimit-remaining", remaining.to_string()),
        ("x-ratelimit-reset", reset.to_string()),
    ])
}

fn composio(limit: u32, remaining: u32) -> HeaderMap {
    headers(&[
        ("x-ratelimit", limit.to_string()),
        ("x-ratelimit-remaining", remaining.to_string()),
        ("x-ratelimit-window-size", "60s".to_owned()),
    ])
}

fn rounded(time: Duration) -> Duration {
    Duration::from_millis(u64::try_from((time.as_nanos() + 500_000) / 1_000_000).unwrap())
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn without_headers_every_call_is_allowed() {
    let mut timeline = Timeline::new(QuotaSettings::default());
    for _ in 0..10_000 {
        timeline.call(&HeaderMap::new());
        assert_eq!((timeline.wait(Refresh), timeline.wait(Needed)), (Duration::ZERO, Duration::ZERO));
    }
    assert_eq!(timeline.fresh_for(MINUTE, 1_000), MINUTE);
    assert_eq!(timeline.quota.figures(timeline.now).limit, None);
}

#[test]
fn figures_come_from_the_headers() {
    let mut timeline = Timeline::with_limit(1_000, 995);
    let figures = timeline.quota.figures(timeline.now);
    assert_eq!((figures.limit, figures.remaining), (Some(1_000), Some(995)));
    assert_eq!(figures.resets_at.unwrap().to_string(), "2026-11-22T00:00:00Z");
    let _under_way = timeline.sent();
    assert_eq!(timeline.remaining(), Some(994));
}

#[test]
fn every_form_of_a_reset_is_the_same_midnight() {
    for reset in
        ["1795305600", "1795305600000", "43200", "2026-11-22T00:00:00Z", "Sun, 22 Nov 2026 00:00:00 GMT"]
    {
        let mut timeline = Timeline::new(QuotaSettings::default());
        let mut headers = leadlex(100, 0);
        headers.insert("x-ratelimit-reset", reset.parse().unwrap());
        timeline.call(&headers);
        assert_eq!(timeline.wait(Needed), HALF_DAY, "{reset}");
        assert_eq!(timeline.quota.figures(timeline.now).resets_at.unwrap().as_second(), MIDNIGHT, "{reset}");
    }
}

#[test]
fn a_missing_or_implausible_reset_is_midnight_utc() {
    for reset in ["", "soon", "NaN", "-3", "1e300", "99999999"] {
        let mut timeline = Timeline::new(QuotaSettings::default());
        let mut headers = leadlex(100, 0);
        headers.insert("x-ratelimit-reset", reset.parse().unwrap());
        timeline.call(&headers);
        assert_eq!(timeline.wait(Needed), HALF_DAY, "{reset}");
    }
}

#[test]
fn the_smallest_remaining_number_wins() {
    let mut timeline = Timeline::with_limit(100, 90);
    let (first, second) = (timeline.sent(), timeline.sent());
    timeline.answered(&second, &leadlex(100, 80));
    assert_eq!(timeline.remaining(), Some(79), "the first call may not be counted yet");
    timeline.answered(&first, &leadlex(100, 81));
    assert_eq!(timeline.remaining(), Some(80));
}

#[test]
fn missing_and_negative_numbers_are_clamped() {
    let mut timeline = Timeline::with_limit(100, -1);
    assert_eq!((timeline.remaining(), timeline.wait(Needed)), (Some(0), HALF_DAY));

    timeline = Timeline::with_limit(100, 120);
    assert_eq!(timeline.remaining(), Some(100));

    timeline = Timeline::new(QuotaSettings::default());
    timeline.call(&headers(&[("x-ratelimit-remaining", "40".to_owned())]));
    assert_eq!((timeline.quota.figures(timeline.now).limit, timeline.remaining()), (Some(40), Some(40)));

    timeline = Timeline::new(QuotaSettings::default());
    timeline.call(&headers(&[("x-ratelimit-limit", "100".to_owned())]));
    timeline.call(&headers(&[("x-ratelimit-limit", "100".to_owned())]));
    assert_eq!(timeline.remaining(), Some(98), "without a remaining, our own calls are counted");
}

#[test]
fn refreshes_keep_the_reserve_and_needed_calls_keep_half_of_it() {
    let mut timeline = Timeline::with_limit(100, 10);
    assert_eq!(timeline.wait(Refresh), HALF_DAY);
    assert_eq!(timeline.wait(Needed), Duration::ZERO);
    timeline.at(MINUTE).call(&leadlex(100, 6));
    assert_eq!(timeline.wait(Needed), Duration::ZERO);
    timeline.at(MINUTE * 2).call(&leadlex(100, 5));
    assert_eq!(timeline.wait(Needed), HALF_DAY - MINUTE * 2);
}

#[test]
fn refreshes_are_spread_evenly_until_the_reset() {
    let mut timeline = Timeline::with_limit(100, 46);
    // 36 refreshes divide half a day into 37 intervals.
    let piece = HALF_DAY / 37;
    assert_eq!(timeline.wait(Refresh), rounded(piece));
    assert_eq!(timeline.fresh_for(MINUTE, 1), rounded(piece));
    assert_eq!(timeline.fresh_for(MINUTE, 2), rounded(piece * 2));
    assert_eq!(timeline.fresh_for(DAY, 2), DAY, "never shorter than asked for");
    let beyond = HALF_DAY + DAY.mul_f64(3.0 / 91.0);
    assert_eq!(timeline.fresh_for(MINUTE, 40), rounded(beyond), "the next day's pace goes on");
    assert_eq!(timeline.at(piece + Duration::from_nanos(1)).wait(Refresh), Duration::ZERO);
}

#[test]
fn an_ample_quota_changes_nothing() {
    let mut timeline = Timeline::new(QuotaSettings::default());
    timeline.call(&composio(2_000, 1_999));
    timeline.at(seconds(10));
    assert_eq!(timeline.fresh_for(seconds(30), 100), seconds(30));
    for _ in 0..100 {
        assert_eq!(timeline.wait(Refresh), Duration::ZERO);
        let _under_way = timeline.sent();
    }
}

#[test]
fn calls_left_from_quiet_hours_may_be_sent_at_once() {
    let mut timeline = Timeline::with_limit(1_000, 1_000);
    for left in (990..1_000).rev() {
        assert_eq!(timeline.wait(Refresh), Duration::ZERO);
        timeline.call(&leadlex(1_000, left));
    }
}

#[test]
fn the_pace_adapts_to_calls_of_other_programs() {
    let mut timeline = Timeline::with_limit(100, 46);
    let alone = timeline.wait(Refresh);
    timeline.call(&leadlex(100, 20));
    assert_eq!(timeline.wait(Refresh), rounded(HALF_DAY / 11));
    assert!(timeline.wait(Refresh) > alone * 3);
}

#[test]
fn after_the_reset_the_known_limit_is_spent_evenly() {
    let mut timeline = Timeline::with_limit(100, 0);
    timeline.at(HALF_DAY - seconds(1));
    assert_eq!((timeline.wait(Refresh), timeline.wait(Needed)), (seconds(1), seconds(1)));
    timeline.at(HALF_DAY);
    assert_eq!(timeline.remaining(), Some(100));
    assert_eq!(timeline.quota.figures(timeline.now).resets_at.unwrap().as_second(), MIDNIGHT + 86_400);
    assert_eq!(timeline.wait(Refresh), Duration::ZERO, "the last call was at noon");
    timeline.call(&leadlex_until(100, 99, MIDNIGHT + 86_400));
    assert_eq!(timeline.wait(Refresh), DAY / 90);
    timeline.at(HALF_DAY + DAY * 3);
    assert_eq!(timeline.remaining(), Some(100), "days without a call");
    assert_eq!(timeline.quota.figures(timeline.now).resets_at.unwrap().as_second(), MIDNIGHT + 86_400 * 4);
}

#[test]
fn the_first_refresh_after_a_reset_keeps_the_interval() {
    let mut timeline = Timeline::with_limit(100, 100);
    timeline.at(HALF_DAY - seconds(60)).call(&leadlex(100, 50));
    timeline.at(HALF_DAY);
    assert_eq!(timeline.wait(Refresh), rounded(DAY / 91 - seconds(60)));
}

#[test]
fn a_response_from_before_midnight_does_not_affect_the_new_day() {
    let mut timeline = Timeline::with_limit(100, 3);
    let slow = timeline.at(HALF_DAY - seconds(1)).sent();
    timeline.at(HALF_DAY + seconds(3)).answered(&slow, &leadlex(100, 2));
    assert_eq!(timeline.remaining(), Some(99), "it may have been counted on either day");
    timeline.call(&leadlex_until(100, 99, MIDNIGHT + 86_400));
    timeline.at(HALF_DAY + MINUTE * 3).call(&leadlex_until(100, 98, MIDNIGHT + 86_400));
    assert_eq!(timeline.remaining(), Some(98));
}

#[test]
fn a_clock_that_is_ten_minutes_off_does_not_matter() {
    for date in ["Sat, 21 Nov 2026 11:50:00 GMT", "Sat, 21 Nov 2026 12:10:00 GMT"] {
        let mut timeline = Timeline::new(QuotaSettings::default());
        let mut headers = leadlex(100, 0);
        headers.insert("date", date.parse().unwrap());
        let upstreams_noon: i64 = if date.contains("11:50") { -600 } else { 600 };
        headers.insert("x-ratelimit-reset", (MIDNIGHT + upstreams_noon).into());
        timeline.call(&headers);
        assert_eq!(timeline.wait(Needed), HALF_DAY, "{date}");
    }
}

#[test]
fn the_limit_per_minute_follows_from_the_limit_per_day() {
    for (limit, per_minute) in [(100, 10), (1_000, 50), (10_000, 200)] {
        let mut timeline = Timeline::new(QuotaSettings { reserve_percent: 0, ..QuotaSettings::default() });
        timeline.call(&leadlex(limit, limit));
        for gone in 1..per_minute {
            assert_eq!(timeline.wait(Needed), Duration::ZERO, "{limit}: {gone}");
            timeline.at(Duration::from_millis(gone)).call(&leadlex(limit, limit));
        }
        assert_eq!(timeline.wait(Needed), MINUTE - Duration::from_millis(per_minute - 1), "{limit}");
        timeline.at(MINUTE);
        assert_eq!(timeline.wait(Needed), Duration::ZERO);
    }
    let mut timeline = Timeline::with_limit(100_000, 100_000);
    for _ in 0..500 {
        timeline.call(&leadlex(100_000, 100_000));
    }
    assert_eq!(timeline.wait(Needed), Duration::ZERO, "no plan of that size is known");
}

#[test]
fn a_slow_call_counts_until_one_minute_after_its_response() {
    let mut timeline = Timeline::new(QuotaSettings { per_minute: 1, ..QuotaSettings::default() });
    let slow = timeline.sent();
    timeline.at(seconds(9)).answered(&slow, &HeaderMap::new());
    assert_eq!(timeline.wait(Needed), MINUTE);
}

#[test]
fn settings_limit_a_larger_quota_and_replace_missing_headers() {
    let mut timeline = Timeline::new(QuotaSettings { per_day: 3, per_minute: 100, reserve_percent: 0 });
    for headers in [HeaderMap::new(), leadlex(1_000, 900), leadlex(1_000, 899)] {
        assert_eq!(timeline.wait(Needed), Duration::ZERO);
        timeline.call(&headers);
    }
    assert_eq!(timeline.wait(Needed), HALF_DAY);
    assert_eq!(timeline.quota.figures(timeline.now).limit, Some(3));

    timeline = Timeline::new(QuotaSettings { per_day: 2, ..QuotaSettings::default() });
    timeline.call(&HeaderMap::new());
    timeline.call(&HeaderMap::new());
    assert_eq!(timeline.wait(Needed), HALF_DAY, "the day ends at midnight UTC");

    timeline = Timeline::new(QuotaSettings { per_day: 1_000, ..QuotaSettings::default() });
    timeline.call(&leadlex(100, 0));
    assert_eq!(timeline.wait(Needed), HALF_DAY, "headers that allow less win");
}

#[test]
fn composios_window_ends_within_a_minute_of_its_first_response() {
    let mut timeline = Timeline::new(QuotaSettings::default());
    timeline.call(&composio(2_000, 0));
    assert_eq!(timeline.wait(Needed), MINUTE);
    let mut headers = composio(2_000, 0);
    headers.insert("retry-after", 20.into());
    timeline.refused(&headers);
    assert_eq!(timeline.wait(Needed), seconds(20), "the stated delay wins");
    timeline.at(seconds(20));
    assert_eq!((timeline.wait(Needed), timeline.remaining()), (Duration::ZERO, Some(2_000)));
    timeline.at(seconds(25)).call(&composio(2_000, 40));
    timeline.at(seconds(30)).call(&composio(2_000, 1_999));
    assert_eq!(timeline.remaining(), Some(1_999), "a rise is a new minute");
}

#[test]
fn a_larger_plan_applies_from_its_first_response() {
    let mut timeline = Timeline::with_limit(100, 3);
    timeline.call(&leadlex(1_000, 902));
    assert_eq!(timeline.remaining(), Some(902));
}
