//! Limits that headers do not state, or state in part.

use super::*;

#[test]
fn a_stated_reset_ends_the_wait_without_a_stated_limit() {
    for limit in [None, Some("many")] {
        let mut timeline = Timeline::new(QuotaSettings::default());
        let mut headers = HeaderMap::new();
        headers.insert("x-ratelimit-remaining", 0.into());
        headers.insert("x-ratelimit-reset", 2.into());
        limit.map(|limit| headers.insert("x-ratelimit-limit", limit.parse().unwrap()));
        timeline.call(&headers);
        assert_eq!(timeline.wait(Needed), seconds(2));
        timeline.at(seconds(2));
        for _ in 0..20 {
            assert_eq!(timeline.wait(Needed), Duration::ZERO);
            timeline.call(&HeaderMap::new());
        }
    }
}

#[test]
fn an_inferred_wait_is_at_most_five_minutes() {
    let mut timeline = Timeline::new(QuotaSettings::default());
    let mut headers = HeaderMap::new();
    headers.insert("x-ratelimit-remaining", 0.into());
    timeline.call(&headers);
    assert_eq!(timeline.wait(Needed), seconds(300));
}

#[test]
fn after_an_outage_one_call_is_allowed() {
    let mut timeline = Timeline::with_limit(20, 8);
    for minute in 1..=20 {
        // No call gets a response with headers.
        let call = timeline.at(MINUTE * minute).sent();
        timeline.answered(&call, &HeaderMap::new());
    }
    assert_eq!(timeline.remaining(), Some(0));
    assert_eq!(timeline.wait(Needed), seconds(600), "waiting until midnight would be useless");
    timeline.at(MINUTE * 30);
    assert_eq!(timeline.wait(Needed), Duration::ZERO);
    timeline.call(&leadlex(20, 7));
    assert_eq!(timeline.remaining(), Some(7), "none of them had been counted");
}
