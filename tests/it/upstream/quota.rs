//! The quota sets the pace: no 429 of our making, and one that others made is heeded.

use std::time::Duration;

use serde_json::json;
use switchboard::domain::credential::Credential;
use switchboard::sandbox::{EmulatedUpstream, LeadlexPlan, Settings};
use switchboard::upstream::error::UpstreamFailure;
use switchboard::upstream::quota::Purpose::{Needed, Refresh};
use switchboard::upstream::standing::UpstreamState;
use switchboard::upstream::transport::Network;
use tower::util::BoxCloneSyncService;
use tower::{ServiceExt, service_fn};

use super::{Roads, held, never_again, pass};
use crate::world::{PROVIDERS, Setup, World, only_error};

const DAY: u64 = 86_400;
/// The sandbox starts at noon.
const UNTIL_MIDNIGHT: Duration = Duration::from_secs(DAY / 2);

fn starter() -> Settings {
    Settings { leadlex_plan: LeadlexPlan::Starter, ..Settings::default() }
}

/// Answers as they are, but for what they say of limits.
fn silent(network: Network) -> Network {
    BoxCloneSyncService::new(service_fn(move |request: http::Request<bytes::Bytes>| {
        let network = network.clone();
        async move {
            let mut answer = network.oneshot(request).await?;
            for name in ["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"] {
                answer.headers_mut().remove(name);
            }
            Ok(answer)
        }
    }))
}

#[tokio::test(start_paused = true)]
async fn a_starter_key_that_is_polled_far_too_often_is_never_refused() {
    let roads = Roads::over(starter());
    let mut refreshed = 0;
    for _ in 0..DAY / 10 {
        match roads.list(Refresh).await {
            Ok(()) => refreshed += 1,
            refused => assert!(held(refused) > Duration::ZERO),
        }
        pass(10).await;
    }
    assert_eq!(roads.calls(), refreshed);
    assert!((88..=135).contains(&refreshed), "{refreshed} calls: a day's 90, and what the morning left over");

    // Those who have nothing to show get half of the reserve too, ten a minute, and no more.
    let roads = Roads::over(starter());
    let mut answered = 0;
    for _ in 0..2 * 60 * 60 {
        match roads.list(Needed).await {
            Ok(()) => answered += 1,
            refused => assert!(held(refused) > Duration::ZERO),
        }
        pass(1).await;
    }
    assert_eq!((roads.calls(), answered), (95, 95));
    let wait = held(roads.list(Needed).await);
    assert_eq!(wait, UNTIL_MIDNIGHT - Duration::from_secs(2 * 60 * 60));
    tokio::time::advance(wait).await;
    roads.list(Needed).await.expect("a new day");
}

#[tokio::test(start_paused = true)]
async fn a_429_with_retry_after_is_honoured() {
    let roads = Roads::over(Settings::default());
    roads.strike(EmulatedUpstream::Composio, "status=429; retry-after=30; times=1");
    let refused = roads.page(Needed).await.unwrap_err();
    assert_eq!((refused.is_held(), refused.status), (false, Some(429)));
    assert_eq!(refused.retry_after, Some(Duration::from_secs(30)));
    assert!(refused.request_id.is_some());

    pass(29).await;
    assert_eq!(held(roads.page(Needed).await), Duration::from_secs(1));
    assert_eq!(roads.accounts.may_refresh(&roads.composio), Some(Duration::from_secs(1)));
    assert_eq!(roads.calls(), 1);
    pass(1).await;
    roads.page(Needed).await.expect("its time is over");
    assert_eq!(roads.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn with_nothing_left_nothing_goes_until_the_reset() {
    // Another program has the whole day's calls.
    let roads = Roads::over(starter());
    let router = roads.sandbox.router();
    for minute in 0..10 {
        for _ in 0..10 {
            let request = http::Request::get("/functions/v1/api-gateway/v1/settings/providers")
                .header("authorization", "Bearer wbk_sandbox_a")
                .body(axum::body::Body::empty())
                .unwrap();
            assert_eq!(router.clone().oneshot(request).await.unwrap().status(), 200, "in minute {minute}");
        }
        pass(60).await;
    }
    roads.calls();
    let refused = roads.list(Needed).await.unwrap_err();
    assert_eq!((refused.status, refused.is_held()), (Some(429), false));
    let until_midnight = UNTIL_MIDNIGHT - Duration::from_secs(600);
    assert_eq!(refused.retry_after, Some(until_midnight));
    for _ in 0..100 {
        held(roads.list(Needed).await);
        pass(60).await;
    }
    assert_eq!(roads.calls(), 1, "one refusal tells it all");
    tokio::time::advance(until_midnight - Duration::from_secs(6_000)).await;
    roads.list(Needed).await.expect("a new day");
}

#[tokio::test(start_paused = true)]
async fn a_429_without_headers_holds_calls_longer_each_time() {
    let roads = Roads::wired(starter(), never_again, silent);
    for _ in 0..10 {
        roads.list(Needed).await.expect("ten a minute");
    }
    let refused = roads.list(Needed).await.unwrap_err();
    assert_eq!((refused.status, refused.retry_after), (Some(429), Some(Duration::from_secs(1))));
    roads.calls();
    for _ in 0..5 * 60 {
        pass(1).await;
        let Err(refused) = roads.list(Needed).await else { continue };
        if refused.status.is_none() {
            held(Err(refused));
        }
    }
    // Ten a minute, and refusals at 1, 3, 7, 15 and 31 s.
    let calls = roads.calls();
    assert!((50..=5 * (10 + 6)).contains(&calls), "{calls} calls in five minutes");
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_is_set_holds_from_the_first_call_on() {
    let roads =
        Roads::wired(Settings::default(), |upstream| upstream.quota.per_minute = 3, |network| network);
    for _ in 0..3 {
        roads.list(Needed).await.unwrap();
    }
    assert_eq!(held(roads.list(Needed).await), Duration::from_secs(60));
    roads.page(Needed).await.expect("another upstream's quota is its own");
    let other = Credential::new("wbk_sandbox_b").unwrap();
    roads.providers.fetch_list(&other, Needed).await.expect("another key's quota is its own");
    assert_eq!(roads.calls(), 5);
}

#[tokio::test(start_paused = true)]
async fn the_fresh_window_is_stretched_to_what_the_quota_allows() {
    let minute = Duration::from_secs(60);
    let roads = Roads::over(starter());
    let fresh = || roads.providers.fresh_for(&roads.leadlex, minute);
    assert_eq!(fresh(), minute, "nothing was heard yet");
    roads.list(Needed).await.unwrap();
    // Half a day is left, and 89 of the 90 calls that are no reserve: 90 pieces.
    assert_eq!(fresh(), UNTIL_MIDNIGHT / 90);
    roads.page(Needed).await.unwrap();
    assert_eq!(roads.accounts.fresh_for(&roads.composio, minute), minute, "10,000 calls a minute are enough");
    assert_eq!(roads.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_cancelled_counts_until_an_answer_tells() {
    let roads = Roads::over(Settings { latency_ms: 1_000, ..starter() });
    roads.list(Needed).await.unwrap();
    let left = || roads.providers.standing(&roads.leadlex).quota.remaining;
    assert_eq!(left(), Some(99));
    let cancelled = tokio::time::timeout(Duration::from_millis(500), roads.list(Needed)).await;
    assert!(cancelled.is_err());
    assert_eq!(left(), Some(98), "it may have been counted");
    assert_eq!(roads.providers.standing(&roads.leadlex).last_error, None, "it says nothing of the upstream");
    roads.list(Needed).await.unwrap();
    assert_eq!(left(), Some(97), "and was not, but nobody can know");
}

#[tokio::test(start_paused = true)]
async fn the_standing_is_what_calls_told_and_costs_none() {
    let roads = Roads::over(starter());
    let standing = || roads.providers.standing(&roads.leadlex);
    let unknown = standing();
    assert_eq!((unknown.state, unknown.last_success_at), (UpstreamState::Unknown, None));
    assert_eq!((unknown.quota.limit, unknown.quota.remaining), (None, None));

    roads.list(Needed).await.unwrap();
    let up = standing();
    assert_eq!((up.state, up.last_error.clone()), (UpstreamState::Up, None));
    assert_eq!(up.last_success_at.unwrap().to_string(), "2026-11-21T12:00:00Z");
    assert_eq!((up.quota.limit, up.quota.remaining), (Some(100), Some(99)));
    assert_eq!(up.quota.resets_at.unwrap().to_string(), "2026-11-22T00:00:00Z");

    for (fault, state, code) in [
        ("status=503", UpstreamState::Degraded, "UPSTREAM_UNAVAILABLE"),
        ("garbage=1", UpstreamState::Degraded, "UPSTREAM_BAD_RESPONSE"),
        ("status=429; retry-after=9", UpstreamState::RateLimited, "UPSTREAM_RATE_LIMITED"),
        ("status=401", UpstreamState::Unauthorized, "UPSTREAM_UNAUTHORIZED"),
        ("status=403", UpstreamState::Unauthorized, "UPSTREAM_FORBIDDEN"),
    ] {
        pass(60).await;
        roads.strike(EmulatedUpstream::Leadlex, fault);
        let refused = roads.list(Needed).await.unwrap_err();
        let standing = standing();
        assert_eq!(standing.state, state, "{fault}");
        let error = standing.last_error.unwrap();
        assert_eq!((error.code, error.request_id), (code, refused.request_id), "{fault}");
        assert_eq!(standing.last_success_at, up.last_success_at, "{fault}");
    }
    pass(60).await;
    roads.sandbox.emulate(EmulatedUpstream::Leadlex, None);
    assert_eq!(roads.calls(), 6);
    roads.list(Needed).await.unwrap();
    let again = standing();
    assert_eq!(again.state, UpstreamState::Up);
    assert_eq!(again.last_error.unwrap().at.to_string(), "2026-11-21T12:05:00Z", "the last failure stays");
}

#[tokio::test(start_paused = true)]
async fn a_client_is_told_when_to_come_back() {
    // Nothing is kept, so every request needs a call.
    let mut setup = Setup { sandbox: starter(), ..Setup::default() };
    setup.config.cache.providers_ttl_ms = 0;
    let world = World::new_with(setup);
    let query = "{ providers { totalCount } connectedAccounts(first: 1) { nodes { id } } }";
    let mut made = 0;
    loop {
        let answer = world.query(query).await;
        made += world.calls().iter().filter(|call| *call == PROVIDERS).count();
        if answer.get("errors").is_none() {
            world.advance(Duration::from_secs(61)).await;
            continue;
        }
        let extensions = &only_error(&answer)["extensions"];
        assert_eq!(extensions["code"], UpstreamFailure::RateLimited.code());
        assert_eq!((&extensions["upstream"], &extensions["retryable"]), (&json!("LEADLEX"), &json!(true)));
        let until_midnight = UNTIL_MIDNIGHT - Duration::from_secs(95 * 61);
        assert_eq!(extensions["retryAfterMs"], json!(u64::try_from(until_midnight.as_millis()).unwrap()));
        assert_eq!(answer["data"]["connectedAccounts"]["nodes"].as_array().unwrap().len(), 1);
        break;
    }
    assert_eq!(made, 95);
}
