//! Tests of the cache on the paused clock. Times are in seconds; a value contains the number of its fetch.

use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::*;
use crate::domain::change::ChangeCause;
use crate::domain::clock::Clock;
use crate::domain::credential::{Credential, Fingerprint};
use crate::domain::upstream_name::{Composio, UpstreamName};
use crate::loaders::cache::dependencies::Dependencies;
use crate::loaders::cache::freshness::FreshnessState::{self, Fresh, Stale, StaleOnError};
use crate::loaders::cache::key::Weigh;
use crate::loaders::cache::upstream_cache::DataState;
use crate::loaders::settings::CacheSettings;
use crate::upstream::error::UpstreamFailure;

const TTL: u64 = 100;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Name(u32, Fingerprint<Composio>);

impl Weigh for Name {
    fn weight_bytes(&self) -> usize {
        size_of::<Self>()
    }
}

impl CacheKey for Name {
    type Upstream = Composio;

    fn credential(&self) -> Fingerprint<Composio> {
        self.1
    }
}

impl Weigh for Arc<str> {
    fn weight_bytes(&self) -> usize {
        self.len()
    }
}

fn name(number: u32) -> Name {
    Name(number, Credential::new("ak_a").unwrap().fingerprint())
}

/// A cache over an upstream that returns the number of the call, or the configured error.
struct TestCache {
    cache: Arc<Cache<Name, Arc<str>>>,
    upstream_cache: Arc<UpstreamCache<Composio>>,
    clock: Clock,
    upstream: Arc<TestUpstream>,
}

#[derive(Default)]
struct TestUpstream {
    calls: Mutex<Vec<Purpose>>,
    failing: Mutex<Option<UpstreamError>>,
    takes_seconds: AtomicU32,
}

impl TestCache {
    fn new() -> Self {
        Self::limited(1 << 20)
    }

    fn limited(limit_bytes: u64) -> Self {
        let settings = CacheSettings {
            limit_bytes,
            providers_ttl_ms: TTL * 1_000,
            accounts_ttl_ms: TTL * 1_000,
            stale_while_revalidate_ms: 50_000,
            stale_if_error_ms: 1_000_000,
            toolkits_ttl_ms: 0,
            toolkits_stale_ms: 0,
            jitter_percent: 0,
        };
        let clock = Clock::starting_at("2026-11-21T12:00:00Z".parse().unwrap());
        let upstream_cache = UpstreamCache::sharing(settings, clock, None, |_| {});
        Self {
            cache: Arc::new(Cache::new(&upstream_cache, limit_bytes, "test_cache")),
            upstream_cache,
            clock,
            upstream: Arc::default(),
        }
    }

    fn read(&self) -> impl Future<Output = Result<Cached<Arc<str>>, UpstreamError>> + Send + 'static {
        let (cache, upstream) = (Arc::clone(&self.cache), Arc::clone(&self.upstream));
        async move {
            let fetch = move |purpose| {
                let upstream = Arc::clone(&upstream);
                async move {
                    let call = {
                        let mut calls = upstream.calls.lock().unwrap();
                        calls.push(purpose);
                        calls.len()
                    };
                    tokio::time::sleep(Duration::from_secs(upstream.takes_seconds.load(SeqCst).into())).await;
                    match upstream.failing.lock().unwrap().clone() {
                        Some(error) => Err(error),
                        None => Ok((Arc::from(format!("call {call}")), Duration::from_secs(TTL))),
                    }
                }
            };
            cache.get(name(1), StalePolicy::AllowStale, &no_deadline(), fetch).await.0
        }
    }

    /// Returns the served value and its state, after background tasks have run.
    async fn get(&self) -> (String, FreshnessState) {
        let cached = self.read().await.unwrap();
        assert!(cached.freshness.fetched_at <= self.clock.now(), "from the future");
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        (cached.value.to_string(), cached.freshness.state)
    }

    fn fails_with(&self, error: impl Into<Option<UpstreamError>>) {
        *self.upstream.failing.lock().unwrap() = error.into();
    }

    fn calls(&self) -> Vec<Purpose> {
        std::mem::take(&mut self.upstream.calls.lock().unwrap())
    }
}

fn served(text: &str, state: FreshnessState) -> (String, FreshnessState) {
    (text.to_owned(), state)
}

fn unavailable() -> UpstreamError {
    UpstreamError::new(UpstreamName::Composio, UpstreamFailure::Unavailable)
}

fn held(seconds: u64) -> UpstreamError {
    UpstreamError::held(UpstreamName::Composio, UpstreamFailure::RateLimited, Duration::from_secs(seconds))
}

async fn pass(seconds: u64) {
    tokio::time::advance(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn an_expired_value_is_served_once_more_during_its_refresh() {
    let test_cache = TestCache::new();
    assert_eq!(test_cache.get().await, served("call 1", Fresh));
    pass(TTL - 1).await;
    assert_eq!(test_cache.get().await, served("call 1", Fresh));
    assert_eq!(test_cache.calls(), [Purpose::Needed]);
    pass(1).await;
    assert_eq!(test_cache.get().await, served("call 1", Stale));
    assert_eq!(test_cache.get().await, served("call 1", Fresh), "the refresh");
    assert_eq!(test_cache.calls(), [Purpose::Refresh]);
}

#[tokio::test(start_paused = true)]
async fn many_stale_reads_start_one_refresh() {
    let test_cache = TestCache::new();
    test_cache.get().await;
    pass(TTL).await;
    test_cache.upstream.takes_seconds.store(1, SeqCst);
    test_cache.calls();
    for _ in 0..100 {
        assert_eq!(test_cache.get().await, served("call 1", Stale));
    }
    assert_eq!(test_cache.calls(), [Purpose::Refresh]);
}

#[tokio::test(start_paused = true)]
async fn a_value_past_the_revalidation_window_is_fetched_first() {
    let test_cache = TestCache::new();
    test_cache.get().await;
    pass(TTL + 50).await;
    assert_eq!(test_cache.get().await, served("call 2", Fresh));
}

#[tokio::test(start_paused = true)]
async fn during_failures_the_last_value_is_served_and_retries_back_off() {
    let test_cache = TestCache::new();
    test_cache.get().await;
    test_cache.fails_with(unavailable());
    pass(TTL).await;
    assert_eq!(test_cache.get().await, served("call 1", Stale), "the failure is not known yet");
    test_cache.calls();
    let mut attempts = Vec::new();
    for second in 0..120 {
        assert_eq!(test_cache.get().await, served("call 1", StaleOnError));
        attempts.extend(test_cache.calls().into_iter().map(|_| second));
        pass(1).await;
    }
    assert_eq!(attempts, [5, 15, 35, 75]);
    test_cache.fails_with(None);
    pass(60).await;
    assert_eq!(test_cache.get().await, served("call 1", Fresh), "past both windows it is read first");
}

#[tokio::test(start_paused = true)]
async fn no_value_is_served_after_stale_if_error() {
    let test_cache = TestCache::new();
    test_cache.get().await;
    test_cache.fails_with(unavailable());
    pass(TTL + 999).await;
    assert_eq!(test_cache.get().await, served("call 1", StaleOnError));
    pass(1).await;
    assert_eq!(test_cache.read().await.unwrap_err().failure, UpstreamFailure::Unavailable);
}

#[tokio::test(start_paused = true)]
async fn an_exhausted_rate_limit_is_not_a_failure_and_sets_the_refresh_time() {
    let test_cache = TestCache::new();
    test_cache.get().await;
    test_cache.fails_with(held(600));
    pass(TTL).await;
    assert_eq!(test_cache.get().await, served("call 1", Stale));
    test_cache.calls();
    pass(599).await;
    assert_eq!(test_cache.get().await, served("call 1", Stale));
    assert_eq!(test_cache.calls(), [], "not before its time");
    let cached = test_cache.read().await.unwrap();
    assert_eq!(
        cached.freshness.refresh_due_at,
        test_cache.clock.at(tokio::time::Instant::now() + Duration::from_secs(1))
    );
    test_cache.fails_with(None);
    pass(1).await;
    assert_eq!(test_cache.get().await, served("call 1", Fresh), "past the window it is read first");
}

#[tokio::test(start_paused = true)]
async fn a_failure_without_a_cached_value_is_an_error_and_is_not_cached() {
    let test_cache = TestCache::new();
    test_cache.fails_with(unavailable());
    assert_eq!(test_cache.read().await.unwrap_err().failure, UpstreamFailure::Unavailable);
    test_cache.fails_with(None);
    assert_eq!(test_cache.get().await, served("call 2", Fresh));
}

#[tokio::test(start_paused = true)]
async fn a_hot_entry_is_refreshed_before_it_expires() {
    let test_cache = TestCache::new();
    test_cache.get().await;
    test_cache.get().await;
    test_cache.get().await;
    pass(TTL * 9 / 10 - 1).await;
    test_cache.get().await;
    assert_eq!(test_cache.calls().len(), 1);
    pass(1).await;
    assert_eq!(test_cache.get().await, served("call 1", Fresh));
    assert_eq!(test_cache.calls(), [Purpose::Refresh]);
    pass(10).await;
    assert_eq!(test_cache.get().await, served("call 1", Fresh), "the first of the new count");
}

#[tokio::test(start_paused = true)]
async fn an_invalidated_entry_is_fetched_first_and_served_stale_if_that_fails() {
    let test_cache = TestCache::new();
    test_cache.get().await;
    let revision = || test_cache.upstream_cache.state_of(&name(1).credential()).data.newest(u64::MAX);
    let before = revision();
    test_cache.upstream_cache.expire(&name(1).credential(), ChangeCause::Refresh);
    assert_ne!(revision(), before);
    test_cache.fails_with(unavailable());
    assert_eq!(test_cache.get().await, served("call 1", StaleOnError));
    test_cache.upstream_cache.expire(&name(1).credential(), ChangeCause::Refresh);
    test_cache.fails_with(None);
    assert_eq!(test_cache.get().await.1, Fresh);
    assert_eq!(test_cache.calls().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn no_response_is_valid_after_the_state_of_its_credential_is_evicted() {
    let upstream_cache = TestCache::new().upstream_cache;
    let credential =
        |number: u32| Credential::<Composio>::new(&format!("ak_{number}")).unwrap().fingerprint();
    let reach_limit = |from: u32| {
        for number in from..from + 10_000 {
            upstream_cache.state_of(&credential(number));
        }
    };
    reach_limit(1);
    let composio = Some(Arc::clone(&upstream_cache.state_of(&credential(0)).data));
    let data = DataState { composio, leadlex: None };
    let before = data.revision(Dependencies::ALL);
    assert!(before.is_unchanged_since(&before));
    reach_limit(10_001);
    let after = data.revision(Dependencies::ALL);
    assert_ne!(after, before, "a response that was stored before the eviction");
    assert!(!after.is_unchanged_since(&before), "an execution that began before it");
    assert!(!after.is_unchanged_since(&after), "an execution that began after it, with the evicted state");
    upstream_cache.expire(&credential(0), ChangeCause::Refresh);
    assert_eq!(data.revision(Dependencies::ALL), after);
}

#[tokio::test(start_paused = true)]
async fn a_fetch_from_before_an_invalidation_is_not_reused() {
    let test_cache = TestCache::new();
    test_cache.upstream.takes_seconds.store(1, SeqCst);
    let before = tokio::spawn(test_cache.read());
    tokio::task::yield_now().await;
    test_cache.upstream_cache.expire(&name(1).credential(), ChangeCause::Refresh);
    assert_eq!(&*before.await.unwrap().unwrap().value, "call 1");
    assert_eq!(test_cache.get().await, served("call 2", Fresh));
}

#[tokio::test(start_paused = true)]
async fn a_rejected_key_withdraws_older_values_only() {
    let test_cache = TestCache::new();
    let cache = &test_cache.cache;
    let refused = UpstreamError::new(UpstreamName::Composio, UpstreamFailure::Unauthorized);
    let (value, ttl) = (Arc::from("value"), Duration::from_secs(TTL));
    let before = cache.entries.begin(&name(1));
    cache.entries.store(name(1), Arc::clone(&value), before, ttl);
    assert!(cache.entries.peek(&name(1)).is_some());
    assert!(cache.entries.fall_back(&name(2), before, &refused).is_none());
    assert!(cache.entries.peek(&name(1)).is_none() && cache.entries.stale_fallback(&name(1)).is_none());
    // A fetch from before the rejection returns its value to its callers but is not cached.
    cache.entries.store(name(1), Arc::clone(&value), before, ttl);
    assert!(cache.entries.peek(&name(1)).is_none());
    // The key is accepted again; an earlier rejection does not affect it.
    cache.entries.store(name(1), value, cache.entries.begin(&name(1)), ttl);
    assert!(cache.entries.fall_back(&name(2), before, &refused).is_none());
    assert!(cache.entries.peek(&name(1)).is_some());
}

#[tokio::test(start_paused = true)]
async fn a_thousand_concurrent_reads_share_one_fetch_even_if_the_first_is_cancelled() {
    let test_cache = TestCache::new();
    test_cache.upstream.takes_seconds.store(1, SeqCst);
    let first = tokio::spawn(test_cache.read());
    tokio::task::yield_now().await;
    let followers: Vec<_> = (0..1_000).map(|_| tokio::spawn(test_cache.read())).collect();
    tokio::task::yield_now().await;
    first.abort();
    for follower in followers {
        assert_eq!(&*follower.await.unwrap().unwrap().value, "call 1");
    }
    assert_eq!(test_cache.calls(), [Purpose::Needed]);
}

#[tokio::test(start_paused = true)]
async fn a_panic_fails_its_waiters_and_leaves_the_key_usable() {
    let test_cache = TestCache::new();
    let panicked = test_cache
        .cache
        .get(name(1), StalePolicy::AllowStale, &no_deadline(), |_| async { panic!("in a fetch") })
        .await
        .0;
    let error = panicked.unwrap_err();
    assert_eq!(error.failure, UpstreamFailure::Internal);
    assert!(!error.to_string().contains("in a fetch"));
    assert_eq!(test_cache.get().await, served("call 1", Fresh));
}

#[tokio::test(start_paused = true)]
async fn a_hanging_fetch_times_out() {
    let test_cache = TestCache::new();
    let (never, source) = test_cache
        .cache
        .get(name(1), StalePolicy::AllowStale, &no_deadline(), |_| {
            std::future::pending::<Result<(Arc<str>, Duration), _>>()
        })
        .await;
    assert_eq!((never.unwrap_err().failure, source), (UpstreamFailure::Timeout, ValueSource::Fetched));
    assert_eq!(test_cache.get().await, served("call 1", Fresh));
}

#[tokio::test(start_paused = true)]
async fn an_operation_past_its_deadline_starts_no_fetch_and_uses_the_cache() {
    let test_cache = TestCache::new();
    let ended = UpstreamDeadline::new(tokio::time::Instant::now());
    let fetch = |_| async { panic!("a fetch was started") };
    let never: Result<Cached<Arc<str>>, _> =
        test_cache.cache.get(name(1), StalePolicy::AllowStale, &ended, fetch).await.0;
    let error = never.unwrap_err();
    assert_eq!(error.failure, UpstreamFailure::DeadlineExceeded);
    assert_eq!(
        error.to_string(),
        "The operation's deadline passed before the connected-accounts API (Composio) was called."
    );
    assert!(ended.is_exceeded());

    assert_eq!(test_cache.get().await, served("call 1", Fresh));
    let fetch = |_| async { panic!("a fetch was started") };
    let cached = test_cache.cache.get(name(1), StalePolicy::AllowStale, &ended, fetch).await.0;
    assert_eq!(&*cached.unwrap().value, "call 1");
}

#[tokio::test(start_paused = true)]
async fn cached_values_stay_within_the_limit_and_are_counted() {
    let test_cache = TestCache::limited(64 * 1024);
    for number in 0..1_000 {
        let began = test_cache.cache.entries.begin(&name(number));
        test_cache.cache.entries.store(
            name(number),
            Arc::from("x".repeat(1_024)),
            began,
            Duration::from_secs(9),
        );
    }
    let (entries, weight) = test_cache.cache.entries.settled_size();
    assert!(weight <= 64 * 1024 && entries > 10, "{entries} entries of {weight} bytes");
    assert_eq!(test_cache.upstream_cache.statistics(&name(0).credential()).entries, entries);
}

/// A deadline that is never reached.
fn no_deadline() -> UpstreamDeadline {
    UpstreamDeadline::never()
}
