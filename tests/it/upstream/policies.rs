//! Handling of failed calls with the default settings: retried, abandoned, or not made.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt as _};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use switchboard::domain::filters::{AccountFilter, AccountOrder};
use switchboard::sandbox::{EmulatedUpstream, Fault, Settings};
use switchboard::upstream::breaker::BreakerState;
use switchboard::upstream::counts::HoldReason;
use switchboard::upstream::error::UpstreamFailure;
use switchboard::upstream::quota::Purpose::Needed;
use switchboard::upstream::settings::UpstreamSettings;
use switchboard::upstream::status::UpstreamState;
use switchboard::upstream::transport::Network;
use tokio::time::Instant;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, ServiceExt, service_fn};

use super::{CallResult, UpstreamClients, advance_secs, without_retries};

const COMPOSIO: EmulatedUpstream = EmulatedUpstream::Composio;

/// The default settings.
fn clients() -> UpstreamClients {
    UpstreamClients::with_policies(Settings::default(), |_| {}, |network| network)
}

#[track_caller]
fn failed(result: CallResult) -> (UpstreamFailure, Option<Duration>) {
    let error = result.unwrap_err();
    (error.failure, error.retry_after)
}

#[tokio::test(start_paused = true)]
async fn transient_failures_are_retried_and_others_returned_immediately() {
    for (fault, calls) in [
        ("status=500; times=2", 3),
        ("status=546; times=1", 2),
        ("status=503; retry-after=1; times=1", 2),
        ("status=429; retry-after=1; times=1", 2),
        ("status=429; times=2", 3),
        ("status=408; times=1", 2),
        ("cut=1; times=2", 3),
        ("garbage=1; times=1", 2),
        ("empty=1; times=1", 2),
        ("latency-ms=5001; times=1", 2),
    ] {
        let clients = clients();
        clients.inject_fault(COMPOSIO, fault);
        let began = Instant::now();
        clients.page(Needed).await.unwrap_or_else(|error| panic!("{fault}: {error:?}"));
        assert_eq!(clients.calls(), calls, "{fault}");
        let counts = clients.accounts.transport.counts();
        assert_eq!((counts.succeeded, counts.retried), (1, calls as u64 - 1), "{fault}");
        if fault.contains("retry-after") {
            assert!(began.elapsed() >= Duration::from_secs(1), "{fault}: {:?}", began.elapsed());
        }
    }
    for fault in [
        "status=400",
        "status=401",
        "status=403",
        "status=404",
        "status=422",
        "status=429; retry-after=3",
        "status=503; retry-after=3",
    ] {
        let clients = clients();
        clients.inject_fault(COMPOSIO, fault);
        let began = Instant::now();
        clients.page(Needed).await.unwrap_err();
        assert_eq!((clients.calls(), began.elapsed()), (1, Duration::ZERO), "{fault}");
    }
}

#[tokio::test(start_paused = true)]
async fn fetch_ends_before_its_deadline() {
    for fault in
        ["status=500", "latency-ms=600000", "status=503; retry-after=2", "latency-ms=4000; status=502"]
    {
        let clients = clients();
        clients.inject_fault(COMPOSIO, fault);
        let began = Instant::now();
        clients.page(Needed).await.unwrap_err();
        assert!(began.elapsed() <= Duration::from_secs(15), "{fault}: {:?}", began.elapsed());
    }
    // The last attempt has little time left. Its timeout is reported as such and does not count against the
    // upstream.
    let short = |upstream: &mut UpstreamSettings| upstream.deadline_ms = 7_000;
    let clients = UpstreamClients::with_policies(Settings::default(), short, |network| network);
    clients.inject_fault(COMPOSIO, "latency-ms=600000");
    let began = Instant::now();
    assert_eq!(failed(clients.page(Needed).await), (UpstreamFailure::Timeout, None));
    assert_eq!(began.elapsed(), Duration::from_secs(7));
    let counts = clients.accounts.transport.counts();
    assert_eq!((counts.failed["UPSTREAM_TIMEOUT"], counts.cancelled), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn five_failures_open_the_breaker_and_one_success_closes_it() {
    let clients = clients();
    clients.inject_fault(COMPOSIO, "status=500");
    assert_eq!(failed(clients.page(Needed).await), (UpstreamFailure::Unavailable, None));
    let opened = clients.page(Needed).await.unwrap_err();
    assert_eq!((opened.is_call_held(), opened.status), (false, Some(500)), "the failure of the upstream");
    assert_eq!(clients.calls(), 5, "three, and two more");

    let status = || clients.accounts.transport.status(&clients.composio);
    assert_eq!((status().state, status().breaker), (UpstreamState::Down, BreakerState::Open));
    for _ in 0..100 {
        let held = clients.page(Needed).await.unwrap_err();
        assert_eq!(
            (held.failure, held.is_call_held(), held.status),
            (UpstreamFailure::Unavailable, true, None)
        );
        assert_eq!(held.retry_after, Some(Duration::from_secs(1)));
    }
    assert_eq!(clients.accounts.transport.refresh_wait(&clients.composio), Some(Duration::from_secs(1)));
    assert_eq!(clients.calls(), 0);
    let counts = clients.accounts.transport.counts();
    assert_eq!((counts.held[&HoldReason::Breaker], counts.breakers_open), (100, 1));

    let other = switchboard::domain::credential::Credential::new("ak_sandbox_b").unwrap();
    let (filter, order) = (AccountFilter::default(), AccountOrder::NEWEST_FIRST);
    clients.sandbox.emulate(COMPOSIO, None);
    let of_another = clients.accounts.fetch_page(&other, &filter, order, None, 100, Needed);
    of_another.await.expect("each key has its own breaker");
    assert_eq!(clients.calls(), 1);

    // One failing trial: no second trial, and twice the wait. Until a trial begins, no call is refused.
    clients.inject_fault(COMPOSIO, "status=500");
    advance_secs(1).await;
    assert_eq!(
        (status().breaker, clients.accounts.transport.counts().breakers_open),
        (BreakerState::HalfOpen, 0)
    );
    assert_eq!(failed(clients.page(Needed).await), (UpstreamFailure::Unavailable, None));
    assert_eq!(clients.calls(), 1);
    assert_eq!(failed(clients.page(Needed).await).1, Some(Duration::from_secs(2)));

    clients.sandbox.emulate(COMPOSIO, None);
    advance_secs(2).await;
    clients.page(Needed).await.expect("the try");
    clients.page(Needed).await.expect("the breaker is closed");
    assert_eq!((status().state, status().breaker), (UpstreamState::Up, BreakerState::Closed));
    assert_eq!(clients.accounts.transport.counts().breakers_open, 0);
}

#[tokio::test(start_paused = true)]
async fn calls_during_the_trial_are_refused_immediately() {
    let clients = UpstreamClients::new(Settings::default());
    clients.inject_fault(COMPOSIO, "status=500");
    for _ in 0..5 {
        clients.page(Needed).await.unwrap_err();
    }
    advance_secs(1).await;
    clients.calls();
    clients.inject_fault(COMPOSIO, "latency-ms=300");
    let result = join_all((0..20).map(|_| clients.page(Needed))).await;
    assert_eq!(result.iter().filter(|result| result.is_ok()).count(), 1);
    assert_eq!(clients.calls(), 1);

    // A cancelled trial lets the next call try.
    clients.inject_fault(COMPOSIO, "status=500");
    for _ in 0..5 {
        clients.page(Needed).await.unwrap_err();
    }
    advance_secs(1).await;
    clients.inject_fault(COMPOSIO, "latency-ms=300");
    let cancelled = tokio::time::timeout(Duration::from_millis(100), clients.page(Needed)).await;
    assert!(cancelled.is_err());
    clients.page(Needed).await.expect("the next call is the trial");
}

#[tokio::test(start_paused = true)]
async fn client_errors_do_not_open_the_breaker() {
    for fault in ["status=400", "status=403", "status=404", "status=422"] {
        let clients = clients();
        clients.inject_fault(COMPOSIO, fault);
        for _ in 0..20 {
            clients.page(Needed).await.unwrap_err();
            advance_secs(5).await;
        }
        assert_eq!(clients.calls(), 20, "{fault}");
        assert_eq!(
            clients.accounts.transport.status(&clients.composio).breaker,
            BreakerState::Closed,
            "{fault}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn refused_request_is_not_sent_again_for_five_seconds() {
    for (status, failure) in [
        (400, UpstreamFailure::Rejected),
        (403, UpstreamFailure::Forbidden),
        (404, UpstreamFailure::Rejected),
        (422, UpstreamFailure::Rejected),
    ] {
        let clients = clients();
        clients.inject_fault(COMPOSIO, &format!("status={status}"));
        for _ in 0..300 {
            let refused = clients.page(Needed).await.unwrap_err();
            assert_eq!((refused.failure, refused.status), (failure, Some(status)));
        }
        assert_eq!(clients.calls(), 1, "{status}");
        assert_eq!(clients.accounts.transport.counts().held[&HoldReason::RefusedRequest], 299);
        // Another request, and another key, are sent.
        clients.sandbox.emulate(COMPOSIO, None);
        let (filter, order) = (AccountFilter::default(), AccountOrder::NEWEST_FIRST);
        let other = switchboard::domain::credential::Credential::new("ak_sandbox_b").unwrap();
        clients.accounts.fetch_page(&clients.composio, &filter, order, None, 99, Needed).await.unwrap();
        clients.accounts.fetch_page(&other, &filter, order, None, 100, Needed).await.unwrap();
        clients.page(Needed).await.unwrap_err();
        advance_secs(5).await;
        clients.page(Needed).await.unwrap();
        assert_eq!(clients.calls(), 3, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn retry_budget_bounds_calls_to_a_failing_upstream() {
    // Without the breaker, only the budget limits retries.
    let no_breaker = |upstream: &mut UpstreamSettings| upstream.breaker.failures = 0;
    let clients = UpstreamClients::with_policies(Settings::default(), no_breaker, |network| network);
    clients.inject_fault(COMPOSIO, "status=500");
    for _ in 0..50 {
        join_all((0..20).map(|_| clients.page(Needed))).await;
    }
    let counts = clients.accounts.transport.counts();
    assert_eq!(counts.failed["UPSTREAM_UNAVAILABLE"], 1_000 + counts.retried);
    assert!((200..=400).contains(&counts.retried), "{counts:?}");
}

/// Records the maximum number of concurrent calls.
fn watched(network: Network, most: Arc<AtomicUsize>) -> Network {
    let now = Arc::new(AtomicUsize::new(0));
    BoxCloneSyncService::new(service_fn(move |request: http::Request<Bytes>| {
        let (network, now, most) = (network.clone(), Arc::clone(&now), Arc::clone(&most));
        async move {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            let answer = network.oneshot(request).await;
            now.fetch_sub(1, Ordering::SeqCst);
            answer
        }
    }))
}

#[tokio::test(start_paused = true)]
async fn concurrent_calls_and_the_queue_are_limited() {
    let most = Arc::new(AtomicUsize::new(0));
    let slow = Settings { latency_ms: 1_000, ..Settings::default() };
    let clients = UpstreamClients::with_policies(slow, |_| {}, |network| watched(network, Arc::clone(&most)));
    // 32 concurrent calls of one second, for five seconds. Calls further back in the queue are refused.
    let result = join_all((0..250).map(|_| clients.page(Needed))).await;
    let answered = result.iter().filter(|result| result.is_ok()).count();
    assert_eq!(most.load(Ordering::SeqCst), 32);
    assert!((160..=192).contains(&answered), "{answered} answered");
    assert_eq!(clients.calls(), answered);
    for refused in result.into_iter().filter(Result::is_err) {
        let error = refused.as_ref().unwrap_err();
        assert!(error.is_call_held());
        assert_eq!(failed(refused), (UpstreamFailure::Unavailable, Some(Duration::from_secs(1))));
    }
    assert_eq!(clients.accounts.transport.counts().held[&HoldReason::Concurrency], 250 - answered as u64);
    assert_eq!(clients.accounts.transport.status(&clients.composio).breaker, BreakerState::Closed);

    // Cancelled calls, queued or in flight, free their slots.
    let hurried =
        join_all((0..100).map(|_| tokio::time::timeout(Duration::from_millis(10), clients.page(Needed))));
    assert!(hurried.await.iter().all(Result::is_err));
    clients.calls();
    let result = join_all((0..32).map(|_| clients.page(Needed))).await;
    assert!(result.iter().all(Result::is_ok));
    assert_eq!(clients.calls(), 32);
}

#[tokio::test(start_paused = true)]
async fn short_quota_wait_is_awaited() {
    let clients = clients();
    clients.inject_fault(COMPOSIO, "status=429; times=1");
    let began = Instant::now();
    let (first, second) = tokio::join!(clients.page(Needed), async {
        tokio::task::yield_now().await;
        clients.page(Needed).await
    });
    first.unwrap();
    second.unwrap();
    assert!(began.elapsed() >= Duration::from_secs(1));
    assert!(began.elapsed() <= Duration::from_secs(3), "{:?}", began.elapsed());
    assert_eq!(clients.calls(), 3, "the refused call, and one for each");
}

#[tokio::test(start_paused = true)]
async fn oversized_response_is_dropped_and_not_buffered() {
    let clients = UpstreamClients::with_policies(Settings::default(), without_retries, |network| network);
    let fault = Fault::parse("size=10485760").unwrap();
    clients.sandbox.emulate(COMPOSIO, Some(fault));
    assert_eq!(failed(clients.page(Needed).await), (UpstreamFailure::BadResponse, None));
    assert_eq!(clients.accounts.transport.counts().failed["UPSTREAM_BAD_RESPONSE"], 1);
}

/// An upstream that stops after the given part of a response.
fn silent_after(status: Option<u16>) -> Network {
    BoxCloneSyncService::new(service_fn(move |_: http::Request<Bytes>| async move {
        let Some(status) = status else { return std::future::pending().await };
        let begun = stream::iter([Ok(Frame::data(Bytes::from_static(b"{\"error\":")))]);
        let body = StreamBody::new(begun.chain(stream::pending::<Result<_, BoxError>>()));
        Ok(http::Response::builder().status(status).body(body.boxed_unsync())?)
    }))
}

#[tokio::test(start_paused = true)]
async fn status_decides_the_error_even_if_the_body_never_arrives() {
    for (status, failure) in [
        (401, UpstreamFailure::Unauthorized),
        (403, UpstreamFailure::Forbidden),
        (404, UpstreamFailure::Rejected),
        (429, UpstreamFailure::RateLimited),
        (503, UpstreamFailure::Unavailable),
    ] {
        let clients = UpstreamClients::with_policies(Settings::default(), without_retries, |_| {
            silent_after(Some(status))
        });
        let began = Instant::now();
        assert_eq!(failed(clients.page(Needed).await).0, failure, "{status}");
        assert_eq!(began.elapsed(), Duration::from_secs(1), "{status}");
        if status == 401 {
            assert_eq!(failed(clients.page(Needed).await).0, failure, "the failure is remembered");
            assert_eq!(began.elapsed(), Duration::from_secs(1));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn silent_upstream_counts_for_the_breaker_under_a_short_deadline() {
    let short = |upstream: &mut UpstreamSettings| {
        (upstream.timeout_ms, upstream.deadline_ms, upstream.retry.retries_max) = (10_000, 1_000, 0);
    };
    let clients = UpstreamClients::with_policies(Settings::default(), short, |_| silent_after(None));
    for _ in 0..5 {
        assert_eq!(failed(clients.page(Needed).await).0, UpstreamFailure::Timeout);
    }
    let began = Instant::now();
    assert_eq!(failed(clients.page(Needed).await).0, UpstreamFailure::Unavailable);
    assert_eq!(began.elapsed(), Duration::ZERO, "no call was made");
}
