//! Entries of one cache: their freshness, and the time of their next fetch.
//!
//! [`CacheEntries::lookup`] is the entry point; `read_through` calls it and fetches. [`UpstreamCache`] has the epoch of
//! each credential. An entry passes through three states (RFC 5861 defines the two windows):
//!
//! - *Fresh* until its lifetime ends.
//! - *Stale* for `stale_while_revalidate`: served while a background refresh runs.
//! - *Old* until `stale_if_error` ends: served only if a fetch fails.
//!
//! A failed fetch, or a rate limit that allows no call, defers the next fetch. Until then an old entry is served like a
//! stale one, so that callers do not wait for an upstream that has just failed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use ahash::RandomState;
use tokio::time::Instant;

use super::dependencies;
use super::freshness::{Cached, Freshness, FreshnessState};
use super::key::{CacheKey, Weigh};
use super::upstream_cache::UpstreamCache;
use crate::loaders::settings::CacheSettings;
use crate::upstream::error::{UpstreamError, UpstreamFailure};

/// Number of reads from which an entry is hot. A hot entry is refreshed before it expires. Two reads are many: while a
/// response is cached, it does not read its entries again until they are about to expire.
const HOT_READS: u32 = 2;

/// Divisor of the lifetime. A hot entry is refreshed in the last tenth of its lifetime.
const EARLY_REFRESH_DIVISOR: u32 = 10;

/// Delay of the next fetch after a failed one. Each further failure doubles it, up to `RETRY_AFTER_MAX`.
const RETRY_AFTER: Duration = Duration::from_secs(5);
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);

/// Upper limit of an upstream's own `Retry-After` after a failed call.
const UPSTREAM_RETRY_AFTER_MAX: Duration = Duration::from_secs(600);

/// Longest extension of an entry's lifetime by the upstream's rate limit.
const DAY: Duration = Duration::from_secs(86_400);

/// Divisor of the limit. An entry of more than this part of the limit is heavy and is weighed at once.
const HEAVY_DIVISOR: u64 = 64;

/// Approximate overhead of an entry in moka.
const ENTRY_BYTES: usize = 160;

/// Lifetimes of the entries of one cache, and the events that end them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EntryRules {
    /// Time after expiry during which an entry is served while it is refreshed.
    pub(crate) stale_while_revalidate: Duration,
    /// Time after expiry during which an entry is served if it cannot be refreshed.
    pub(crate) stale_if_error: Duration,
    /// Whether the entries do not depend on the credential's objects: an expiry of those does not expire them, and a
    /// 403 concerns them alone.
    pub(crate) is_reference_data: bool,
}

impl EntryRules {
    /// Returns the rules of an upstream's objects.
    pub(crate) fn of(settings: &CacheSettings) -> Self {
        let stale_while_revalidate = Duration::from_millis(settings.stale_while_revalidate_ms);
        let stale_if_error = Duration::from_millis(settings.stale_if_error_ms).max(stale_while_revalidate);
        Self { stale_while_revalidate, stale_if_error, is_reference_data: false }
    }
}

/// Entries of one cache, bounded by bytes.
pub(crate) struct CacheEntries<K: CacheKey, V> {
    entries: moka::sync::Cache<K, Entry<V>, RandomState>,
    limit_bytes: u64,
    rules: EntryRules,
    pub(crate) upstream_cache: Arc<UpstreamCache<K::Upstream>>,
}

/// Start of a fetch: the time, and the credential's epoch at that time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FetchStart {
    at: Instant,
    epoch: u64,
}

impl FetchStart {
    /// Returns the same start with another fetch time.
    pub(crate) fn with_fetch_time(self, fetched_at: Instant) -> Self {
        Self { at: fetched_at, ..self }
    }
}

/// Result of a lookup: the state of the entry, and its value if it may be served.
pub(crate) enum CacheLookup<V> {
    /// Within its lifetime. If `refresh` is set, the caller starts a background refresh.
    Fresh { cached: Cached<V>, refresh: bool },
    /// Past its lifetime, but may be served; `refresh` as above. `is_deferred` is true if the last fetch has just
    /// failed or the rate limit allows no call, so that a fetch now is useless.
    Stale { cached: Cached<V>, refresh: bool, is_deferred: bool },
    /// Must be fetched; may be served only if that fails.
    StaleIfError,
    /// No entry that may be served.
    Missing,
}

#[derive(Clone)]
struct Entry<V> {
    value: V,
    epoch: u64,
    fetched_at: Instant,
    fresh_until: Instant,
    /// Time before which no fetch is made: the last one failed, or the rate limit allowed no call.
    deferred_until: Option<Instant>,
    failures: u32,
    usage: Arc<EntryUsage>,
    /// Whether it is never served stale. A derived value can be built again without a fetch, and an object that was
    /// missing may exist now.
    is_fresh_only: bool,
    /// Approximate memory of the entry and its key; 0 until it is stored. Computing it reads all accounts of a page.
    weight_bytes: u32,
}

/// State that the copies of an entry share.
#[derive(Default)]
struct EntryUsage {
    reads: AtomicU32,
    /// Whether a caller has already started a refresh.
    is_refreshing: AtomicBool,
}

impl<K, V> CacheEntries<K, V>
where
    K: CacheKey,
    V: Weigh + Clone + Send + Sync + 'static,
{
    pub(crate) fn new(
        upstream_cache: Arc<UpstreamCache<K::Upstream>>,
        limit_bytes: u64,
        rules: EntryRules,
    ) -> Self {
        let listener_cache = Arc::clone(&upstream_cache);
        let entries = moka::sync::Cache::builder()
            .max_capacity(limit_bytes)
            .weigher(|_: &K, entry: &Entry<V>| entry.weight_bytes)
            .eviction_listener(move |key: Arc<K>, _, cause| {
                let credential = key.credential();
                listener_cache.state_of(&credential).entries.fetch_sub(1, Ordering::Relaxed);
                if cause.was_evicted() {
                    // Invalidates responses that were built from the evicted entry.
                    listener_cache.advance_revision(&*key);
                }
            })
            // This only frees memory. `usable_entry` checks the expiry, against Tokio's clock.
            .time_to_idle(rules.stale_if_error + DAY)
            .build_with_hasher(RandomState::new());
        Self { entries, limit_bytes, rules, upstream_cache }
    }

    /// Starts a fetch, which ends in [`Self::store`] or [`Self::fall_back`].
    pub(crate) fn begin(&self, key: &K) -> FetchStart {
        FetchStart { at: self.now(), epoch: self.upstream_cache.epoch(&key.credential()) }
    }

    /// Returns the epoch that in-flight fetches of a key belong to. A caller after an invalidation does not join a fetch
    /// that began before it.
    pub(crate) fn flight_epoch(&self, key: &K) -> u64 {
        if self.rules.is_reference_data { 0 } else { self.upstream_cache.epoch(&key.credential()) }
    }

    /// Returns the state of a key. `refresh` is set for one caller only.
    pub(crate) fn lookup(&self, key: &K) -> CacheLookup<V> {
        let now = self.now();
        let Some(entry) = self.usable_entry(key, now) else {
            return CacheLookup::Missing;
        };
        if !self.is_current(key, &entry) {
            return CacheLookup::StaleIfError;
        }
        let is_deferred = entry.deferred_until.is_some_and(|until| now < until);
        if now < entry.fresh_until {
            let is_hot = entry.usage.reads.fetch_add(1, Ordering::Relaxed) + 1 >= HOT_READS;
            let is_early = now >= entry.early_refresh_at() && !entry.is_fresh_only;
            let refresh = is_early && is_hot && !is_deferred && entry.claim_refresh();
            return CacheLookup::Fresh { cached: self.to_cached(&entry, now), refresh };
        }
        if is_deferred {
            return CacheLookup::Stale { cached: self.to_cached(&entry, now), refresh: false, is_deferred };
        }
        if now < self.revalidate_until(&entry) {
            let refresh = entry.claim_refresh();
            return CacheLookup::Stale { cached: self.to_cached(&entry, now), refresh, is_deferred };
        }
        CacheLookup::StaleIfError
    }

    /// Returns the earliest fetch time of a value that is newer than the cached one and was not invalidated.
    pub(crate) fn newer_than(&self, key: &K) -> Option<Instant> {
        let cached = self.entries.get(key).map(|entry| entry.fetched_at + Duration::from_nanos(1));
        cached.max(self.min_fetch_time(key))
    }

    /// Returns the earliest fetch time of a value that was not invalidated.
    pub(crate) fn min_fetch_time(&self, key: &K) -> Option<Instant> {
        if self.rules.is_reference_data {
            return None;
        }
        self.upstream_cache.min_fetch_time(&key.credential())
    }

    /// Returns the value of a key if it is fresh, without counting a read.
    pub(crate) fn peek(&self, key: &K) -> Option<Cached<V>> {
        let now = self.now();
        let entry = self.usable_entry(key, now).filter(|entry| now < entry.fresh_until)?;
        self.is_current(key, &entry).then(|| self.to_cached(&entry, now))
    }

    /// Whether the value of a key can be served without waiting for a fetch.
    pub(crate) fn is_available(&self, key: &K) -> bool {
        let now = self.now();
        self.usable_entry(key, now).is_some_and(|entry| {
            let is_deferred = entry.deferred_until.is_some_and(|until| now < until);
            self.is_current(key, &entry) && (is_deferred || now < self.revalidate_until(&entry))
        })
    }

    /// Stores a value that is fresh for `fresh_for` from the start of its fetch. Its lifetime is reduced at random, so
    /// that entries that were fetched together do not expire together.
    pub(crate) fn store(&self, key: K, value: V, began: FetchStart, fresh_for: Duration) -> Cached<V> {
        let max_jitter = f64::from(self.upstream_cache.settings.jitter_percent.min(100)) / 100.0;
        let fresh_until = began.at + fresh_for.mul_f64(1.0 - max_jitter * fastrand::f64());
        let entry = Entry::new(value, began.epoch, began.at, fresh_until);
        let mut cached = self.to_cached(&entry, self.now());
        // For the callers that waited, the newest value is fresh even if its lifetime has ended.
        cached.freshness.state = FreshnessState::Fresh;
        if fresh_until <= self.now() {
            cached.freshness.changes_at = cached.freshness.changes_at.min(self.now());
        }
        self.upstream_cache.record_accepted_key(&key.credential());
        if !fresh_for.is_zero() {
            self.put(key, entry);
        }
        cached
    }

    /// Stores a value that is never served stale.
    pub(crate) fn store_fresh_only(
        &self,
        key: K,
        value: V,
        began: FetchStart,
        fresh_for: Duration,
    ) -> Cached<V> {
        let entry = Entry::new(value, began.epoch, began.at, began.at + fresh_for);
        let cached = self.to_cached(&entry, self.now());
        self.put(key, Entry { is_fresh_only: true, ..entry });
        cached
    }

    /// Stores a value that was derived from other entries, until the first of them expires.
    pub(crate) fn store_derived(&self, key: K, value: V, parts: Freshness) {
        let clock = &self.upstream_cache.clock;
        let epoch = parts.epoch;
        let (fetched_at, fresh_until) = (clock.instant(parts.fetched_at), parts.fresh_until);
        if parts.state == FreshnessState::Fresh && self.now() < fresh_until {
            self.put(key, Entry { is_fresh_only: true, ..Entry::new(value, epoch, fetched_at, fresh_until) });
        }
    }

    /// Falls back to the cached value after a failed fetch, and defers the next fetch. `None` if the value may not be
    /// served.
    pub(crate) fn fall_back(&self, key: &K, began: FetchStart, error: &UpstreamError) -> Option<Cached<V>> {
        if error.failure == UpstreamFailure::Forbidden && self.rules.is_reference_data {
            // The API key lacks the permission for this data alone.
            self.entries.invalidate(key);
            return None;
        }
        if matches!(error.failure, UpstreamFailure::Unauthorized | UpstreamFailure::Forbidden) {
            // The upstream rejects the API key, so data that was read with it must not be served any more.
            self.upstream_cache.withdraw(&key.credential(), began.epoch);
            return None;
        }
        if error.failure == UpstreamFailure::UnknownUsers {
            // The cached value was read through the same unreliable filter.
            self.entries.invalidate(key);
            return None;
        }
        let now = self.now();
        let mut entry = self.usable_entry(key, now)?;
        let requested_delay = error.retry_after.unwrap_or_default();
        let delay = if error.is_call_held() && error.failure == UpstreamFailure::RateLimited {
            requested_delay
        } else {
            entry.failures = entry.failures.saturating_add(1);
            let backoff = RETRY_AFTER * 2_u32.saturating_pow(entry.failures.saturating_sub(1)).min(64);
            backoff.min(RETRY_AFTER_MAX).max(requested_delay.min(UPSTREAM_RETRY_AFTER_MAX))
        };
        entry.deferred_until = Some(now + delay);
        if entry.epoch != began.epoch && !self.rules.is_reference_data {
            // Its epoch was expired, so it is not fresh, even within its lifetime.
            entry.epoch = began.epoch;
            entry.fresh_until = entry.fresh_until.min(now);
        }
        let reads = entry.usage.reads.load(Ordering::Relaxed).into();
        entry.usage = Arc::new(EntryUsage { reads, ..EntryUsage::default() });
        let cached = self.to_cached(&entry, now);
        self.put(key.clone(), entry);
        Some(cached)
    }

    /// Returns all entries with their keys as text, for tests that search it for secrets.
    pub(crate) fn dump(&self) -> String
    where
        K: std::fmt::Debug,
        V: std::fmt::Debug,
    {
        self.entries.iter().map(|(key, entry)| format!("{key:?}: {:?}\n", entry.value)).collect()
    }

    /// Returns the usable value of a key for a caller that stops waiting. The fetch continues.
    pub(crate) fn stale_fallback(&self, key: &K) -> Option<Cached<V>> {
        let now = self.now();
        let mut entry = self.usable_entry(key, now)?;
        if !self.is_current(key, &entry) {
            // Its epoch was expired, so it is not fresh, even within its lifetime.
            entry.fresh_until = entry.fresh_until.min(now);
        }
        Some(self.to_cached(&entry, now))
    }

    /// Returns the number of entries and their weight in bytes, after pending evictions.
    #[cfg(test)]
    pub(crate) fn settled_size(&self) -> (u64, u64) {
        self.entries.run_pending_tasks();
        (self.entries.entry_count(), self.entries.weighted_size())
    }

    /// Returns the approximate weight in bytes. Pending insertions and removals are weighed first: moka would defer them
    /// until the next use, which may be hours away.
    pub(crate) fn weight_bytes(&self) -> u64 {
        self.entries.run_pending_tasks();
        self.entries.weighted_size()
    }

    fn put(&self, key: K, mut entry: Entry<V>) {
        let is_newer =
            |cached: &Entry<V>| (cached.epoch, cached.fetched_at) > (entry.epoch, entry.fetched_at);
        if self.entries.get(&key).as_ref().is_some_and(is_newer) {
            // A fetch that began later has already stored its value.
            return;
        }
        let weight_bytes = key.weight_bytes() + entry.value.weight_bytes() + ENTRY_BYTES;
        entry.weight_bytes = u32::try_from(weight_bytes).unwrap_or(u32::MAX);
        self.upstream_cache.state_of(&key.credential()).entries.fetch_add(1, Ordering::Relaxed);
        self.entries.insert(key.clone(), entry);
        self.upstream_cache.advance_revision(&key);
        if u64::try_from(weight_bytes).unwrap_or(u64::MAX) > self.limit_bytes / HEAVY_DIVISOR {
            // moka weighs up to 64 insertions late.
            self.entries.run_pending_tasks();
        }
    }

    fn usable_entry(&self, key: &K, now: Instant) -> Option<Entry<V>> {
        dependencies::record(key);
        let entry = self.entries.get(key)?;
        if !self.upstream_cache.may_serve(&key.credential(), entry.epoch) {
            self.entries.invalidate(key);
            return None;
        }
        let is_usable = match entry.is_fresh_only {
            true => now < entry.fresh_until && self.is_current(key, &entry),
            false => now < self.usable_until(&entry),
        };
        is_usable.then_some(entry)
    }

    /// Whether the credential's data has not been expired since an entry was fetched.
    fn is_current(&self, key: &K, entry: &Entry<V>) -> bool {
        self.rules.is_reference_data || entry.epoch == self.upstream_cache.epoch(&key.credential())
    }

    fn now(&self) -> Instant {
        self.upstream_cache.clock.instant_now()
    }

    fn revalidate_until(&self, entry: &Entry<V>) -> Instant {
        entry.fresh_until + self.rules.stale_while_revalidate
    }

    fn usable_until(&self, entry: &Entry<V>) -> Instant {
        entry.fresh_until + self.rules.stale_if_error
    }

    fn to_cached(&self, entry: &Entry<V>, now: Instant) -> Cached<V> {
        let state = match entry.failures {
            _ if now < entry.fresh_until => FreshnessState::Fresh,
            0 => FreshnessState::Stale,
            _ => FreshnessState::StaleOnError,
        };
        let state_changes = [
            Some(entry.early_refresh_at()),
            Some(entry.fresh_until),
            entry.deferred_until,
            Some(self.revalidate_until(entry)),
            // A failure can defer the next attempt beyond the stale-while-revalidate window.
            Some(self.usable_until(entry)),
        ];
        let changes_at = state_changes.into_iter().flatten().filter(|step| *step > now).min();
        let clock = &self.upstream_cache.clock;
        let refresh_due_at =
            entry.deferred_until.map_or(entry.fresh_until, |until| until.max(entry.fresh_until));
        let freshness = Freshness {
            fetched_at: clock.at(entry.fetched_at),
            state,
            refresh_due_at: clock.at(refresh_due_at),
            changes_at: changes_at.unwrap_or(now),
            fresh_until: entry.fresh_until,
            epoch: entry.epoch,
        };
        Cached { value: entry.value.clone(), freshness }
    }
}

impl<V> Entry<V> {
    fn new(value: V, epoch: u64, fetched_at: Instant, fresh_until: Instant) -> Self {
        let (deferred_until, failures, is_fresh_only, weight_bytes) = (None, 0, false, 0);
        Self {
            value,
            epoch,
            fetched_at,
            fresh_until,
            deferred_until,
            failures,
            usage: Arc::default(),
            is_fresh_only,
            weight_bytes,
        }
    }

    /// Returns the earliest instant of a refresh if the entry is hot.
    fn early_refresh_at(&self) -> Instant {
        self.fresh_until - self.fresh_until.saturating_duration_since(self.fetched_at) / EARLY_REFRESH_DIVISOR
    }

    /// Returns true to the first caller only, until the entry is replaced or its next fetch is deferred.
    fn claim_refresh(&self) -> bool {
        !self.usage.is_refreshing.swap(true, Ordering::AcqRel)
    }
}
