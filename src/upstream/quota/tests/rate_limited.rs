//! Responses with status 429.

use super::*;

#[test]
fn repeated_429s_hold_longer_each_time_up_to_a_minute() {
    let mut timeline = Timeline::with_limit(100, 90);
    let mut now = Duration::ZERO;
    for hold in [1, 2, 4, 8, 16, 32, 60, 60] {
        timeline.at(now).refused(&leadlex(100, 90));
        assert_eq!((timeline.wait(Needed), timeline.wait(Refresh) >= seconds(hold)), (seconds(hold), true));
        now += seconds(hold);
    }
    timeline.at(now).call(&leadlex(100, 89));
    timeline.refused(&leadlex(100, 89));
    assert_eq!(timeline.wait(Needed), seconds(1), "a response resets the count");
}

#[test]
fn simultaneous_429s_count_once() {
    let mut timeline = Timeline::with_limit(100, 90);
    for _ in 0..5 {
        timeline.refused(&leadlex(100, 90));
    }
    assert_eq!(timeline.wait(Needed), seconds(1));
}

#[test]
fn jitter_shortens_a_hold_by_up_to_half() {
    for (jitter, millis) in [(0.0, 4_000), (0.5, 3_000), (1.0, 2_000), (7.0, 2_000), (f64::NAN, 4_000)] {
        let hold = super::super::credential_quota::backoff(3, jitter);
        assert_eq!(hold, Duration::from_millis(millis), "{jitter}");
    }
    assert_eq!(super::super::credential_quota::backoff(1, 1.0), seconds(1), "never under a second");
}

#[test]
fn a_429_without_remaining_calls_holds_until_the_reset() {
    let mut timeline = Timeline::with_limit(100, 90);
    timeline.refused(&leadlex(100, 0));
    assert_eq!((timeline.wait(Needed), timeline.wait(Refresh)), (HALF_DAY, HALF_DAY));
}

#[test]
fn retry_after_is_honoured_up_to_31_days() {
    for (asked, hold) in [(7, 7), (86_400 * 31, 86_400 * 31), (86_400 * 32, 1)] {
        let mut timeline = Timeline::with_limit(100, 90);
        let mut headers = leadlex(100, 90);
        headers.insert("retry-after", asked.into());
        timeline.refused(&headers);
        assert_eq!(timeline.wait(Needed), seconds(hold), "{asked}");
    }
}

#[test]
fn a_429_without_headers_holds_only_for_its_own_delay() {
    let mut timeline = Timeline::new(QuotaSettings { reserve_percent: 0, ..QuotaSettings::default() });
    let mut headers = HeaderMap::new();
    headers.insert("retry-after", 1.into());
    timeline.refused(&headers);
    assert_eq!(timeline.wait(Needed), seconds(1));
    timeline.at(seconds(1));
    for _ in 0..20 {
        assert_eq!(timeline.wait(Needed), Duration::ZERO);
        timeline.call(&HeaderMap::new());
    }
}

#[test]
fn a_429_without_headers_sets_no_limit_although_calls_remained_before() {
    let mut timeline = Timeline::new(QuotaSettings { reserve_percent: 0, ..QuotaSettings::default() });
    let counted = leadlex(100_000, 50_000);
    for _ in 0..4 {
        timeline.call(&counted);
    }
    timeline.refused(&HeaderMap::new());
    timeline.at(seconds(1));
    for _ in 0..20 {
        assert_eq!(timeline.wait(Needed), Duration::ZERO);
        timeline.call(&counted);
    }
}

#[test]
fn a_429_with_remaining_calls_sets_a_limit_for_five_minutes() {
    let mut timeline = Timeline::new(QuotaSettings { reserve_percent: 0, ..QuotaSettings::default() });
    let counted = leadlex(100_000, 50_000);
    for _ in 0..4 {
        timeline.call(&counted);
    }
    timeline.refused(&counted);
    timeline.at(MINUTE);
    for _ in 0..4 {
        assert_eq!(timeline.wait(Needed), Duration::ZERO);
        timeline.call(&counted);
    }
    assert_eq!(timeline.wait(Needed), MINUTE);
    timeline.at(seconds(300));
    for _ in 0..20 {
        timeline.call(&counted);
    }
    assert_eq!(timeline.wait(Needed), Duration::ZERO);
}
