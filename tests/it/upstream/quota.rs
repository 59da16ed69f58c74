//! Rate limiting by the upstream's quota: Switchboard never causes a 429, and respects a 429 that others
//! caused.

use std::time::Duration;

use serde_json::json;
use switchboard::domain::credential::Credential;
use switchboard::sandbox::{EmulatedUpstream, LeadlexPlan, Settings};
use switchboard::upstream::error::UpstreamFailure;
use switchboard::upstream::quota::Purpose::{Needed, Refresh};
use switchboard::upstream::status::UpstreamState;
use switchboard::upstream::transport::Network;
use tower::util::BoxCloneSyncService;
use tower::{ServiceExt, service_fn};

use super::{UpstreamClients, advance_secs, held_for, without_retries};
use crate::world::{PROVIDERS, Setup, World, only_error};

const DAY: u64 = 86_400;
/// The sandbox starts at noon.
const UNTIL_MIDNIGHT: Duration = Duration::from_secs(DAY / 2);

fn starter() -> Settings {
    Settings { leadlex_plan: LeadlexPlan::Starter, ..Settings::default() }
}

/// Responses without rate-limit headers.
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
async fn excessive_polling_never_causes_a_429() {
    let clients = UpstreamClients::new(starter());
    let mut refreshed = 0;
    for _ in 0..DAY / 10 {
        match clients.list(Refresh).await {
            Ok(()) => refreshed += 1,
            refused => assert!(held_for(refused) > Duration::ZERO),
        }
        advance_secs(10).await;
    }
    assert_eq!(clients.calls(), refreshed);
    assert!((88..=135).contains(&refreshed), "{refreshed} calls: a day's 90, and what the morning left over");

    // Calls without cached data may also use half of the reserve, ten calls a minute.
    let clients = UpstreamClients::new(starter());
    let mut answered = 0;
    for _ in 0..2 * 60 * 60 {
        match clients.list(Needed).await {
            Ok(()) => answered += 1,
            refused => assert!(held_for(refused) > Duration::ZERO),
        }
        advance_secs(1).await;
    }
    assert_eq!((clients.calls(), answered), (95, 95));
    let wait = held_for(clients.list(Needed).await);
    assert_eq!(wait, UNTIL_MIDNIGHT - Duration::from_secs(2 * 60 * 60));
    tokio::time::advance(wait).await;
    clients.list(Needed).await.expect("a new day");
}

#[tokio::test(start_paused = true)]
async fn retry_after_of_a_429_is_respected() {
    let clients = UpstreamClients::new(Settings::default());
    clients.inject_fault(EmulatedUpstream::Composio, "status=429; retry-after=30; times=1");
    let refused = clients.page(Needed).await.unwrap_err();
    assert_eq!((refused.is_call_held(), refused.status), (false, Some(429)));
    assert_eq!(refused.retry_after, Some(Duration::from_secs(30)));
    assert!(refused.request_id.is_some());

    advance_secs(29).await;
    assert_eq!(held_for(clients.page(Needed).await), Duration::from_secs(1));
    assert_eq!(clients.accounts.transport.refresh_wait(&clients.composio), Some(Duration::from_secs(1)));
    assert_eq!(clients.calls(), 1);
    advance_secs(1).await;
    clients.page(Needed).await.expect("the retry time has passed");
    assert_eq!(clients.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn exhausted_quota_stops_calls_until_the_reset() {
    // Another program used the whole day's calls.
    let clients = UpstreamClients::new(starter());
    let router = clients.sandbox.router();
    for minute in 0..10 {
        for _ in 0..10 {
            let request = http::Request::get("/functions/v1/api-gateway/v1/settings/providers")
                .header("authorization", "Bearer wbk_sandbox_a")
                .body(axum::body::Body::empty())
                .unwrap();
            assert_eq!(router.clone().oneshot(request).await.unwrap().status(), 200, "in minute {minute}");
        }
        advance_secs(60).await;
    }
    clients.calls();
    let refused = clients.list(Needed).await.unwrap_err();
    assert_eq!((refused.status, refused.is_call_held()), (Some(429), false));
    let until_midnight = UNTIL_MIDNIGHT - Duration::from_secs(600);
    assert_eq!(refused.retry_after, Some(until_midnight));
    for _ in 0..100 {
        held_for(clients.list(Needed).await);
        advance_secs(60).await;
    }
    assert_eq!(clients.calls(), 1, "one refused call is enough");
    tokio::time::advance(until_midnight - Duration::from_secs(6_000)).await;
    clients.list(Needed).await.expect("a new day");
}

#[tokio::test(start_paused = true)]
async fn a_429_without_headers_holds_calls_longer_each_time() {
    let clients = UpstreamClients::with_policies(starter(), without_retries, silent);
    for _ in 0..10 {
        clients.list(Needed).await.expect("ten a minute");
    }
    let refused = clients.list(Needed).await.unwrap_err();
    assert_eq!((refused.status, refused.retry_after), (Some(429), Some(Duration::from_secs(1))));
    clients.calls();
    for _ in 0..5 * 60 {
        advance_secs(1).await;
        let Err(refused) = clients.list(Needed).await else { continue };
        if refused.status.is_none() {
            held_for(Err(refused));
        }
    }
    // Ten calls in each of the four minutes that begin here, and at most six refused calls a minute. Their number depends
    // on the random part of the waits.
    let calls = clients.calls();
    assert!((4 * 10..=5 * (10 + 6)).contains(&calls), "{calls} calls in five minutes");
}

#[tokio::test(start_paused = true)]
async fn configured_limit_applies_from_the_first_call() {
    let clients = UpstreamClients::with_policies(
        Settings::default(),
        |upstream| upstream.quota.per_minute = 3,
        |network| network,
    );
    for _ in 0..3 {
        clients.list(Needed).await.unwrap();
    }
    assert_eq!(held_for(clients.list(Needed).await), Duration::from_secs(60));
    clients.page(Needed).await.expect("each upstream has its own quota");
    let other = Credential::new("wbk_sandbox_b").unwrap();
    clients.providers.fetch_list(&other, Needed).await.expect("each key has its own quota");
    assert_eq!(clients.calls(), 5);
}

#[tokio::test(start_paused = true)]
async fn data_stays_fresh_longer_if_the_quota_is_nearly_exhausted() {
    let minute = Duration::from_secs(60);
    let clients = UpstreamClients::new(starter());
    let fresh = || clients.providers.transport.fresh_for(&clients.leadlex, minute);
    assert_eq!(fresh(), minute, "no response yet");
    clients.list(Needed).await.unwrap();
    // Half a day and 89 of the 90 calls outside the reserve are left: 90 intervals.
    assert_eq!(fresh(), UNTIL_MIDNIGHT / 90);
    clients.page(Needed).await.unwrap();
    assert_eq!(
        clients.accounts.transport.fresh_for(&clients.composio, minute),
        minute,
        "10,000 calls a minute suffice"
    );
    assert_eq!(clients.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn cancelled_call_counts_until_a_response_corrects_it() {
    let clients = UpstreamClients::new(Settings { latency_ms: 1_000, ..starter() });
    clients.list(Needed).await.unwrap();
    let left = || clients.providers.transport.status(&clients.leadlex).quota.remaining;
    assert_eq!(left(), Some(99));
    let cancelled = tokio::time::timeout(Duration::from_millis(500), clients.list(Needed)).await;
    assert!(cancelled.is_err());
    assert_eq!(left(), Some(98), "the upstream may have counted it");
    assert_eq!(
        clients.providers.transport.status(&clients.leadlex).last_error,
        None,
        "a cancelled call is no upstream failure"
    );
    clients.list(Needed).await.unwrap();
    assert_eq!(left(), Some(97), "the upstream did not count it, but that is unknown");
}

#[tokio::test(start_paused = true)]
async fn upstream_status_comes_from_calls_and_costs_none() {
    let clients = UpstreamClients::new(starter());
    let status = || clients.providers.transport.status(&clients.leadlex);
    let unknown = status();
    assert_eq!((unknown.state, unknown.last_success_at), (UpstreamState::Unknown, None));
    assert_eq!((unknown.quota.limit, unknown.quota.remaining), (None, None));

    clients.list(Needed).await.unwrap();
    let up = status();
    assert_eq!((up.state, up.last_error.clone()), (UpstreamState::Up, None));
    assert_eq!(up.last_success_at.unwrap().to_string(), "2026-11-21T12:00:00Z");
    assert_eq!((up.quota.limit, up.quota.remaining), (Some(100), Some(99)));
    assert_eq!(up.quota.resets_at.unwrap().to_string(), "2026-11-22T00:00:00Z");

    for (fault, state, code) in [
        ("status=503", UpstreamState::Down, "UPSTREAM_UNAVAILABLE"),
        ("garbage=1", UpstreamState::Degraded, "UPSTREAM_BAD_RESPONSE"),
        ("status=429; retry-after=9", UpstreamState::RateLimited, "UPSTREAM_RATE_LIMITED"),
        ("status=401", UpstreamState::Unauthorized, "UPSTREAM_UNAUTHORIZED"),
        ("status=403", UpstreamState::Unauthorized, "UPSTREAM_FORBIDDEN"),
    ] {
        advance_secs(60).await;
        clients.inject_fault(EmulatedUpstream::Leadlex, fault);
        let refused = clients.list(Needed).await.unwrap_err();
        let status = status();
        assert_eq!(status.state, state, "{fault}");
        let error = status.last_error.unwrap();
        assert_eq!((error.code, error.request_id), (code, refused.request_id), "{fault}");
        assert_eq!(status.last_success_at, up.last_success_at, "{fault}");
    }
    advance_secs(60).await;
    clients.sandbox.emulate(EmulatedUpstream::Leadlex, None);
    assert_eq!(clients.calls(), 6);
    clients.list(Needed).await.unwrap();
    let again = status();
    assert_eq!(again.state, UpstreamState::Up);
    assert_eq!(
        again.last_error.unwrap().at.to_string(),
        "2026-11-21T12:05:00Z",
        "the last failure is still reported"
    );
}

#[tokio::test(start_paused = true)]
async fn quota_error_has_a_retry_time() {
    // Nothing is cached, so every request needs a call.
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
