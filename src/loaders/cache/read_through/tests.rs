//! A cache's life on the paused clock: times are in seconds, values tell the fetch that brought them.

use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::*;
use crate::domain::change::ChangeCause;
use crate::domain::clock::Clock;
use crate::domain::credential::Credential;
use crate::domain::credential::Fingerprint;
use crate::domain::upstream_name::{Composio, UpstreamName};
use crate::loaders::cache::freshness::FreshnessState::{self, Fresh, Stale, StaleOnError};
use crate::loaders::cache::key::Weigh;
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

/// A cache, and an upstream that answers with the number of the call, or fails as it is told.
struct Story {
    cache: Arc<Cache<Name, Arc<str>>>,
    upstream_cache: Arc<UpstreamCache<Composio>>,
    clock: Clock,
    upstream: Arc<Counted>,
}

#[derive(Default)]
struct Counted {
    calls: Mutex<Vec<Purpose>>,
    failing: Mutex<Option<UpstreamError>>,
    takes_seconds: AtomicU32,
}

impl Story {
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
            jitter_percent: 0,
        };
        let clock = Clock::starting_at("2026-11-21T12:00:00Z".parse().unwrap());
        let upstream_cache = Arc::new(UpstreamCache::new(settings, clock));
        Self {
            cache: Arc::new(Cache::new(&upstream_cache, limit_bytes, "story")),
            upstream_cache,
            clock,
            upstream: Arc::default(),
        }
    }

    fn asking(&self) -> impl Future<Output = Result<Cached<Arc<str>>, UpstreamError>> + Send + 'static {
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
            cache.get(name(1), StalePolicy::AllowStale, &patient(), fetch).await.0
        }
    }

    /// What is served, and how; what runs behind it is let run.
    async fn ask(&self) -> (String, FreshnessState) {
        let kept = self.asking().await.unwrap();
        assert!(kept.freshness.fetched_at <= self.clock.now(), "from the future");
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        (kept.value.to_string(), kept.freshness.state)
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
async fn fresh_is_served_then_stale_with_one_refresh_behind_it_then_the_new_value() {
    let story = Story::new();
    assert_eq!(story.ask().await, served("call 1", Fresh));
    pass(TTL - 1).await;
    assert_eq!(story.ask().await, served("call 1", Fresh));
    assert_eq!(story.calls(), [Purpose::Needed]);
    pass(1).await;
    assert_eq!(story.ask().await, served("call 1", Stale));
    assert_eq!(story.ask().await, served("call 1", Fresh), "the refresh");
    assert_eq!(story.calls(), [Purpose::Refresh]);
}

#[tokio::test(start_paused = true)]
async fn many_who_are_served_stale_make_one_refresh() {
    let story = Story::new();
    story.ask().await;
    pass(TTL).await;
    story.upstream.takes_seconds.store(1, SeqCst);
    story.calls();
    for _ in 0..100 {
        assert_eq!(story.ask().await, served("call 1", Stale));
    }
    assert_eq!(story.calls(), [Purpose::Refresh]);
}

#[tokio::test(start_paused = true)]
async fn what_is_too_old_to_be_shown_at_once_is_read_first() {
    let story = Story::new();
    story.ask().await;
    pass(TTL + 50).await;
    assert_eq!(story.ask().await, served("call 2", Fresh));
}

#[tokio::test(start_paused = true)]
async fn while_the_upstream_fails_the_last_value_is_served_and_marked_and_attempts_grow_rarer() {
    let story = Story::new();
    story.ask().await;
    story.fails_with(unavailable());
    pass(TTL).await;
    assert_eq!(story.ask().await, served("call 1", Stale), "nobody knows yet that it fails");
    story.calls();
    let mut attempts = Vec::new();
    for second in 0..120 {
        assert_eq!(story.ask().await, served("call 1", StaleOnError));
        attempts.extend(story.calls().into_iter().map(|_| second));
        pass(1).await;
    }
    assert_eq!(attempts, [5, 15, 35, 75]);
    story.fails_with(None);
    pass(60).await;
    assert_eq!(story.ask().await, served("call 1", Fresh), "past both windows it is read first");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_served_past_its_last_moment() {
    let story = Story::new();
    story.ask().await;
    story.fails_with(unavailable());
    pass(TTL + 999).await;
    assert_eq!(story.ask().await, served("call 1", StaleOnError));
    pass(1).await;
    assert_eq!(story.asking().await.unwrap_err().failure, UpstreamFailure::Unavailable);
}

#[tokio::test(start_paused = true)]
async fn a_quota_that_allows_no_call_is_no_failure_and_says_when_it_is_due() {
    let story = Story::new();
    story.ask().await;
    story.fails_with(held(600));
    pass(TTL).await;
    assert_eq!(story.ask().await, served("call 1", Stale));
    story.calls();
    pass(599).await;
    assert_eq!(story.ask().await, served("call 1", Stale));
    assert_eq!(story.calls(), [], "not before its time");
    let kept = story.asking().await.unwrap();
    assert_eq!(
        kept.freshness.refresh_due_at,
        story.clock.at(tokio::time::Instant::now() + Duration::from_secs(1))
    );
    story.fails_with(None);
    pass(1).await;
    assert_eq!(story.ask().await, served("call 1", Fresh), "past the window it is read first");
}

#[tokio::test(start_paused = true)]
async fn a_failure_with_nothing_to_show_is_an_error_and_is_not_kept() {
    let story = Story::new();
    story.fails_with(unavailable());
    assert_eq!(story.asking().await.unwrap_err().failure, UpstreamFailure::Unavailable);
    story.fails_with(None);
    assert_eq!(story.ask().await, served("call 2", Fresh));
}

#[tokio::test(start_paused = true)]
async fn what_is_asked_for_often_is_refreshed_before_its_time_is_over() {
    let story = Story::new();
    story.ask().await;
    story.ask().await;
    story.ask().await;
    pass(TTL * 9 / 10 - 1).await;
    story.ask().await;
    assert_eq!(story.calls().len(), 1);
    pass(1).await;
    assert_eq!(story.ask().await, served("call 1", Fresh));
    assert_eq!(story.calls(), [Purpose::Refresh]);
    pass(10).await;
    assert_eq!(story.ask().await, served("call 1", Fresh), "the first of the new count");
}

#[tokio::test(start_paused = true)]
async fn what_is_dropped_is_read_again_first_and_served_as_stale_where_that_fails() {
    let story = Story::new();
    story.ask().await;
    let revision = story.upstream_cache.revision(&name(1).credential(), u64::MAX);
    story.upstream_cache.expire(&name(1).credential(), ChangeCause::Refresh);
    assert_ne!(story.upstream_cache.revision(&name(1).credential(), u64::MAX), revision);
    story.fails_with(unavailable());
    assert_eq!(story.ask().await, served("call 1", StaleOnError));
    story.upstream_cache.expire(&name(1).credential(), ChangeCause::Refresh);
    story.fails_with(None);
    assert_eq!(story.ask().await.1, Fresh);
    assert_eq!(story.calls().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn what_was_under_way_when_everything_was_dropped_is_read_again() {
    let story = Story::new();
    story.upstream.takes_seconds.store(1, SeqCst);
    let before = tokio::spawn(story.asking());
    tokio::task::yield_now().await;
    story.upstream_cache.expire(&name(1).credential(), ChangeCause::Refresh);
    assert_eq!(&*before.await.unwrap().unwrap().value, "call 1");
    assert_eq!(story.ask().await, served("call 2", Fresh));
}

#[tokio::test(start_paused = true)]
async fn what_a_key_has_read_goes_with_it_and_an_older_refusal_takes_nothing_that_is_newer() {
    let story = Story::new();
    let cache = &story.cache;
    let refused = UpstreamError::new(UpstreamName::Composio, UpstreamFailure::Unauthorized);
    let (value, ttl) = (Arc::from("value"), Duration::from_secs(TTL));
    let before = cache.begin(&name(1));
    cache.store(name(1), Arc::clone(&value), before, ttl);
    assert!(cache.peek(&name(1)).is_some());
    assert!(cache.defer_retry(&name(2), before, &refused).is_none());
    assert!(cache.peek(&name(1)).is_none() && cache.stale_fallback(&name(1)).is_none());
    // What was under way at that moment is its askers' alone.
    cache.store(name(1), Arc::clone(&value), before, ttl);
    assert!(cache.peek(&name(1)).is_none());
    // The key is taken again; who was refused before that says nothing about it.
    cache.store(name(1), value, cache.begin(&name(1)), ttl);
    assert!(cache.defer_retry(&name(2), before, &refused).is_none());
    assert!(cache.peek(&name(1)).is_some());
}

#[tokio::test(start_paused = true)]
async fn a_thousand_who_ask_at_once_make_one_fetch_and_the_first_may_hang_up() {
    let story = Story::new();
    story.upstream.takes_seconds.store(1, SeqCst);
    let first = tokio::spawn(story.asking());
    tokio::task::yield_now().await;
    let followers: Vec<_> = (0..1_000).map(|_| tokio::spawn(story.asking())).collect();
    tokio::task::yield_now().await;
    first.abort();
    for follower in followers {
        assert_eq!(&*follower.await.unwrap().unwrap().value, "call 1");
    }
    assert_eq!(story.calls(), [Purpose::Needed]);
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_an_error_for_its_waiters_and_leaves_the_key_usable() {
    let story = Story::new();
    let panicked = story
        .cache
        .get(name(1), StalePolicy::AllowStale, &patient(), |_| async { panic!("in a fetch") })
        .await
        .0;
    let error = panicked.unwrap_err();
    assert_eq!(error.failure, UpstreamFailure::Internal);
    assert!(!error.to_string().contains("in a fetch"));
    assert_eq!(story.ask().await, served("call 1", Fresh));
}

#[tokio::test(start_paused = true)]
async fn a_fetch_that_never_ends_is_ended() {
    let story = Story::new();
    let (never, got) = story
        .cache
        .get(name(1), StalePolicy::AllowStale, &patient(), |_| {
            std::future::pending::<Result<(Arc<str>, Duration), _>>()
        })
        .await;
    assert_eq!((never.unwrap_err().failure, got), (UpstreamFailure::Timeout, ValueSource::Fetched));
    assert_eq!(story.ask().await, served("call 1", Fresh));
}

#[tokio::test(start_paused = true)]
async fn an_operation_that_has_no_time_left_begins_nothing_and_takes_what_is_kept() {
    let story = Story::new();
    let ended = UpstreamDeadline::new(tokio::time::Instant::now());
    let fetch = |_| async { panic!("nobody may ask") };
    let never: Result<Cached<Arc<str>>, _> =
        story.cache.get(name(1), StalePolicy::AllowStale, &ended, fetch).await.0;
    let error = never.unwrap_err();
    assert_eq!(error.failure, UpstreamFailure::DeadlineExceeded);
    assert_eq!(
        error.to_string(),
        "The operation's deadline passed before the connected-accounts API (Composio) was called."
    );
    assert!(ended.is_exceeded());

    assert_eq!(story.ask().await, served("call 1", Fresh));
    let fetch = |_| async { panic!("nobody may ask") };
    let kept = story.cache.get(name(1), StalePolicy::AllowStale, &ended, fetch).await.0;
    assert_eq!(&*kept.unwrap().value, "call 1");
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_stays_under_its_limit_and_is_counted() {
    let story = Story::limited(64 * 1024);
    for number in 0..1_000 {
        let began = story.cache.begin(&name(number));
        story.cache.store(name(number), Arc::from("x".repeat(1_024)), began, Duration::from_secs(9));
    }
    let (entries, weight) = story.cache.settled();
    assert!(weight <= 64 * 1024 && entries > 10, "{entries} entries of {weight} bytes");
    assert_eq!(story.upstream_cache.statistics(&name(0).credential()).entries, entries);
}

/// A deadline that is never reached.
fn patient() -> UpstreamDeadline {
    UpstreamDeadline::never()
}
