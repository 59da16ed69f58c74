//! What becomes of calls that fail, with the default settings: repeated, given up, or not made at all.

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
use switchboard::upstream::counts::Hold;
use switchboard::upstream::error::UpstreamFailure;
use switchboard::upstream::quota::Purpose::Needed;
use switchboard::upstream::settings::UpstreamSettings;
use switchboard::upstream::standing::UpstreamState;
use switchboard::upstream::transport::Network;
use tokio::time::Instant;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, ServiceExt, service_fn};

use super::{Ended, Roads, never_again, pass};

const COMPOSIO: EmulatedUpstream = EmulatedUpstream::Composio;

/// Everything as it is by default.
fn roads() -> Roads {
    Roads::wired(Settings::default(), |_| {}, |network| network)
}

#[track_caller]
fn failed(ended: Ended) -> (UpstreamFailure, Option<Duration>) {
    let error = ended.unwrap_err();
    (error.failure, error.retry_after)
}

#[tokio::test(start_paused = true)]
async fn what_may_pass_is_asked_again_and_what_may_not_is_told_at_once() {
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
        let roads = roads();
        roads.strike(COMPOSIO, fault);
        let began = Instant::now();
        roads.page(Needed).await.unwrap_or_else(|error| panic!("{fault}: {error:?}"));
        assert_eq!(roads.calls(), calls, "{fault}");
        let counts = roads.accounts.counts();
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
        let roads = roads();
        roads.strike(COMPOSIO, fault);
        let began = Instant::now();
        roads.page(Needed).await.unwrap_err();
        assert_eq!((roads.calls(), began.elapsed()), (1, Duration::ZERO), "{fault}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_question_ends_before_its_deadline_whatever_happens() {
    for fault in
        ["status=500", "latency-ms=600000", "status=503; retry-after=2", "latency-ms=4000; status=502"]
    {
        let roads = roads();
        roads.strike(COMPOSIO, fault);
        let began = Instant::now();
        roads.page(Needed).await.unwrap_err();
        assert!(began.elapsed() <= Duration::from_secs(15), "{fault}: {:?}", began.elapsed());
    }
    // The attempt that the deadline leaves little time is told as what it is, and says nothing of the upstream.
    let short = |upstream: &mut UpstreamSettings| upstream.deadline_ms = 7_000;
    let roads = Roads::wired(Settings::default(), short, |network| network);
    roads.strike(COMPOSIO, "latency-ms=600000");
    let began = Instant::now();
    assert_eq!(failed(roads.page(Needed).await), (UpstreamFailure::Timeout, None));
    assert_eq!(began.elapsed(), Duration::from_secs(7));
    let counts = roads.accounts.counts();
    assert_eq!((counts.failed["UPSTREAM_TIMEOUT"], counts.cancelled), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn five_failures_in_a_row_open_the_breaker_and_one_try_closes_it() {
    let roads = roads();
    roads.strike(COMPOSIO, "status=500");
    assert_eq!(failed(roads.page(Needed).await), (UpstreamFailure::Unavailable, None));
    let opened = roads.page(Needed).await.unwrap_err();
    assert_eq!((opened.is_held(), opened.status), (false, Some(500)), "the upstream's own failure");
    assert_eq!(roads.calls(), 5, "three, and two more");

    let standing = || roads.accounts.standing(&roads.composio);
    assert_eq!((standing().state, standing().breaker), (UpstreamState::Down, BreakerState::Open));
    for _ in 0..100 {
        let held = roads.page(Needed).await.unwrap_err();
        assert_eq!((held.failure, held.is_held(), held.status), (UpstreamFailure::Unavailable, true, None));
        assert_eq!(held.retry_after, Some(Duration::from_secs(1)));
    }
    assert_eq!(roads.accounts.may_refresh(&roads.composio), Some(Duration::from_secs(1)));
    assert_eq!(roads.calls(), 0);
    let counts = roads.accounts.counts();
    assert_eq!((counts.held[&Hold::Breaker], counts.breakers_open), (100, 1));

    let other = switchboard::domain::credential::Credential::new("ak_sandbox_b").unwrap();
    let (filter, order) = (AccountFilter::default(), AccountOrder::NEWEST_FIRST);
    roads.sandbox.emulate(COMPOSIO, None);
    let of_another = roads.accounts.fetch_page(&other, &filter, order, None, 100, Needed);
    of_another.await.expect("another key's breaker is its own");
    assert_eq!(roads.calls(), 1);

    // One try, which fails: no second, and twice the time. Until somebody tries nobody is held back.
    roads.strike(COMPOSIO, "status=500");
    pass(1).await;
    assert_eq!((standing().breaker, roads.accounts.counts().breakers_open), (BreakerState::HalfOpen, 0));
    assert_eq!(failed(roads.page(Needed).await), (UpstreamFailure::Unavailable, None));
    assert_eq!(roads.calls(), 1);
    assert_eq!(failed(roads.page(Needed).await).1, Some(Duration::from_secs(2)));

    roads.sandbox.emulate(COMPOSIO, None);
    pass(2).await;
    roads.page(Needed).await.expect("the try");
    roads.page(Needed).await.expect("and all others");
    assert_eq!((standing().state, standing().breaker), (UpstreamState::Up, BreakerState::Closed));
    assert_eq!(roads.accounts.counts().breakers_open, 0);
}

#[tokio::test(start_paused = true)]
async fn while_one_tries_the_others_are_told_at_once() {
    let roads = Roads::over(Settings::default());
    roads.strike(COMPOSIO, "status=500");
    for _ in 0..5 {
        roads.page(Needed).await.unwrap_err();
    }
    pass(1).await;
    roads.calls();
    roads.strike(COMPOSIO, "latency-ms=300");
    let ended = join_all((0..20).map(|_| roads.page(Needed))).await;
    assert_eq!(ended.iter().filter(|ended| ended.is_ok()).count(), 1);
    assert_eq!(roads.calls(), 1);

    // A try that nobody waits for any more leaves its place to the next.
    roads.strike(COMPOSIO, "status=500");
    for _ in 0..5 {
        roads.page(Needed).await.unwrap_err();
    }
    pass(1).await;
    roads.strike(COMPOSIO, "latency-ms=300");
    let cancelled = tokio::time::timeout(Duration::from_millis(100), roads.page(Needed)).await;
    assert!(cancelled.is_err());
    roads.page(Needed).await.expect("the next one tries");
}

#[tokio::test(start_paused = true)]
async fn refusals_of_the_question_or_the_key_open_no_breaker() {
    for fault in ["status=400", "status=403", "status=404", "status=422"] {
        let roads = roads();
        roads.strike(COMPOSIO, fault);
        for _ in 0..20 {
            roads.page(Needed).await.unwrap_err();
        }
        assert_eq!(roads.calls(), 20, "{fault}");
        assert_eq!(roads.accounts.standing(&roads.composio).breaker, BreakerState::Closed, "{fault}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_is_down_is_asked_little_more_often_than_it_was() {
    // Without the breaker, the budget alone.
    let no_breaker = |upstream: &mut UpstreamSettings| upstream.breaker.failures = 0;
    let roads = Roads::wired(Settings::default(), no_breaker, |network| network);
    roads.strike(COMPOSIO, "status=500");
    for _ in 0..50 {
        join_all((0..20).map(|_| roads.page(Needed))).await;
    }
    let counts = roads.accounts.counts();
    assert_eq!(counts.failed["UPSTREAM_UNAVAILABLE"], 1_000 + counts.retried);
    assert!((200..=400).contains(&counts.retried), "{counts:?}");
}

/// The most calls that were under way at once.
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
async fn no_more_calls_than_allowed_are_under_way_and_the_line_is_no_longer_than_its_wait() {
    let most = Arc::new(AtomicUsize::new(0));
    let slow = Settings { latency_ms: 1_000, ..Settings::default() };
    let roads = Roads::wired(slow, |_| {}, |network| watched(network, Arc::clone(&most)));
    // 32 at once, a second each, for five seconds: those who stand further back are told so.
    let ended = join_all((0..250).map(|_| roads.page(Needed))).await;
    let answered = ended.iter().filter(|ended| ended.is_ok()).count();
    assert_eq!(most.load(Ordering::SeqCst), 32);
    assert!((160..=192).contains(&answered), "{answered} answered");
    assert_eq!(roads.calls(), answered);
    for refused in ended.into_iter().filter(Result::is_err) {
        let error = refused.as_ref().unwrap_err();
        assert!(error.is_held());
        assert_eq!(failed(refused), (UpstreamFailure::Unavailable, Some(Duration::from_secs(1))));
    }
    assert_eq!(roads.accounts.counts().held[&Hold::Concurrency], 250 - answered as u64);
    assert_eq!(roads.accounts.standing(&roads.composio).breaker, BreakerState::Closed);

    // Those who hang up, in line or under way, leave their places to others.
    let hurried =
        join_all((0..100).map(|_| tokio::time::timeout(Duration::from_millis(10), roads.page(Needed))));
    assert!(hurried.await.iter().all(Result::is_err));
    roads.calls();
    let ended = join_all((0..32).map(|_| roads.page(Needed))).await;
    assert!(ended.iter().all(Result::is_ok));
    assert_eq!(roads.calls(), 32);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_the_quota_holds_for_a_moment_is_waited_for() {
    let roads = roads();
    roads.strike(COMPOSIO, "status=429; times=1");
    let began = Instant::now();
    let (first, second) = tokio::join!(roads.page(Needed), async {
        tokio::task::yield_now().await;
        roads.page(Needed).await
    });
    first.unwrap();
    second.unwrap();
    assert!(began.elapsed() >= Duration::from_secs(1));
    assert!(began.elapsed() <= Duration::from_secs(3), "{:?}", began.elapsed());
    assert_eq!(roads.calls(), 3, "the one that was refused, and one for each");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_too_large_is_dropped_where_it_is_and_not_kept() {
    let roads = Roads::wired(Settings::default(), never_again, |network| network);
    let fault = Fault::parse("size=10485760").unwrap();
    roads.sandbox.emulate(COMPOSIO, Some(fault));
    assert_eq!(failed(roads.page(Needed).await), (UpstreamFailure::BadResponse, None));
    assert_eq!(roads.accounts.counts().failed["UPSTREAM_BAD_RESPONSE"], 1);
}

/// An upstream that answers this much of a response, and then nothing more.
fn silent_after(status: Option<u16>) -> Network {
    BoxCloneSyncService::new(service_fn(move |_: http::Request<Bytes>| async move {
        let Some(status) = status else { return std::future::pending().await };
        let begun = stream::iter([Ok(Frame::data(Bytes::from_static(b"{\"error\":")))]);
        let body = StreamBody::new(begun.chain(stream::pending::<Result<_, BoxError>>()));
        Ok(http::Response::builder().status(status).body(body.boxed_unsync())?)
    }))
}

#[tokio::test(start_paused = true)]
async fn a_status_is_believed_though_its_body_never_comes() {
    for (status, failure) in [
        (401, UpstreamFailure::Unauthorized),
        (403, UpstreamFailure::Forbidden),
        (404, UpstreamFailure::Rejected),
        (429, UpstreamFailure::RateLimited),
        (503, UpstreamFailure::Unavailable),
    ] {
        let roads = Roads::wired(Settings::default(), never_again, |_| silent_after(Some(status)));
        let began = Instant::now();
        assert_eq!(failed(roads.page(Needed).await).0, failure, "{status}");
        assert_eq!(began.elapsed(), Duration::from_secs(1), "{status}");
        if status == 401 {
            assert_eq!(failed(roads.page(Needed).await).0, failure, "it is remembered");
            assert_eq!(began.elapsed(), Duration::from_secs(1));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn silence_counts_for_the_breaker_where_the_deadline_is_nearer_than_the_timeout_too() {
    let short = |upstream: &mut UpstreamSettings| {
        (upstream.timeout_ms, upstream.deadline_ms, upstream.retry.retries_max) = (10_000, 1_000, 0);
    };
    let roads = Roads::wired(Settings::default(), short, |_| silent_after(None));
    for _ in 0..5 {
        assert_eq!(failed(roads.page(Needed).await).0, UpstreamFailure::Timeout);
    }
    let began = Instant::now();
    assert_eq!(failed(roads.page(Needed).await).0, UpstreamFailure::Unavailable);
    assert_eq!(began.elapsed(), Duration::ZERO, "it was not asked");
}
