//! The entries of one cache: how good each still is, and when it is to be read again.
//!
//! An entry's life (RFC 5861 has the two windows): *fresh* until its time is over; *stale* for
//! `stale_while_revalidate`, in which it is served while a refresh runs behind; *old* until `stale_if_error` is
//! over, in which it is served only where reading it again has failed. A failure, and a quota that allows no
//! call, put off the next attempt, and until then it is stale again: nobody waits for an upstream that
//! was just seen to fail.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::freshness::{Cached, Freshness, FreshnessState};
use super::key::{CacheKey, Weigh};
use super::upstream_cache::UpstreamCache;
use crate::upstream::error::{UpstreamError, UpstreamFailure};

/// How often an entry is asked for before it counts as hot, and is refreshed before its time is over. A finished
/// response reads its parts only twice: when it is made, and again in the last part of their time.
const HOT_READS: u32 = 2;

/// Which last part of its time an entry is refreshed in where it is hot: a tenth.
const EARLY_PART: u32 = 10;

/// How long after a failure the next attempt is made; each further failure doubles it, up to the last.
const RETRY_AFTER: Duration = Duration::from_secs(5);
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);

/// The longest that an upstream's own `Retry-After` is waited for.
const TOLD_MAX: Duration = Duration::from_secs(600);

/// The longest that a quota stretches a value's time.
const DAY: Duration = Duration::from_secs(86_400);

/// An entry is heavy from this part of the limit on.
const HEAVY_PART: u64 = 64;

/// What moka itself keeps of an entry, about.
const ENTRY_BYTES: usize = 160;

/// The entries of one cache.
pub(crate) struct CacheEntries<K: CacheKey, V> {
    entries: moka::sync::Cache<K, Entry<V>>,
    limit_bytes: u64,
    pub(crate) upstream_cache: Arc<UpstreamCache<K::Upstream>>,
}

/// When a fetch began, and what had been dropped by then.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FetchStart {
    at: Instant,
    epoch: u64,
}

impl FetchStart {
    /// The same, of a fetch that began then.
    pub(crate) fn at(self, fetched: Instant) -> Self {
        Self { at: fetched, ..self }
    }
}

/// What is kept under a key.
pub(crate) enum CacheLookup<V> {
    /// Within its time; `refresh` where the asker is to read it again behind.
    Fresh { kept: Cached<V>, refresh: bool },
    /// Past its time, and served; `refresh` as above. Where it `is_held`, reading it was just seen to fail, or the
    /// quota allows no call.
    Stale { kept: Cached<V>, refresh: bool, is_held: bool },
    /// To be read again first; served where that fails.
    Old,
    /// Nothing that may be served.
    Missing,
}

#[derive(Clone)]
struct Entry<V> {
    value: V,
    epoch: u64,
    fetched: Instant,
    fresh_until: Instant,
    /// Before that moment it is not read again: reading it has failed, or the quota allowed no call.
    held_until: Option<Instant>,
    failures: u32,
    reads: Arc<AtomicU32>,
    /// Whether somebody reads it again already.
    is_refreshing: Arc<AtomicBool>,
    /// It is never served past its time: it was made of others, and is made of them again at less cost than
    /// reading it; or it says that something is missing, which may be there now.
    is_fresh_only: bool,
}

impl<K, V> CacheEntries<K, V>
where
    K: CacheKey,
    V: Weigh + Clone + Send + Sync + 'static,
{
    pub(crate) fn new(upstream_cache: Arc<UpstreamCache<K::Upstream>>, limit_bytes: u64) -> Self {
        let counted = Arc::clone(&upstream_cache);
        let entries = moka::sync::Cache::builder()
            .max_capacity(limit_bytes)
            .weigher(|key: &K, entry: &Entry<V>| {
                let bytes = key.weight_bytes() + entry.value.weight_bytes() + ENTRY_BYTES;
                u32::try_from(bytes).unwrap_or(u32::MAX)
            })
            .eviction_listener(move |key: Arc<K>, _, cause| {
                let credential = key.credential();
                counted.of(&credential).entries.fetch_sub(1, Ordering::Relaxed);
                if cause.was_evicted() {
                    // What was made of it is made anew, by reading it again.
                    counted.changed(&credential);
                }
            })
            // Hygiene only: nothing is served past its last moment on Tokio's clock.
            .time_to_idle(upstream_cache.settings.stale_if_error() + DAY)
            .build();
        Self { entries, limit_bytes, upstream_cache }
    }

    pub(crate) fn begin(&self, key: &K) -> FetchStart {
        FetchStart { at: Instant::now(), epoch: self.upstream_cache.epoch(&key.credential()) }
    }

    /// What is kept under a key. That a refresh is wanted is told to one asker alone.
    pub(crate) fn lookup(&self, key: &K) -> CacheLookup<V> {
        let now = Instant::now();
        let Some(entry) = self.usable(key, now) else {
            return CacheLookup::Missing;
        };
        if entry.epoch != self.upstream_cache.epoch(&key.credential()) {
            return CacheLookup::Old;
        }
        let is_held = entry.held_until.is_some_and(|until| now < until);
        if now < entry.fresh_until {
            let is_hot = entry.reads.fetch_add(1, Ordering::Relaxed) + 1 >= HOT_READS;
            let is_early = now >= entry.early() && !entry.is_fresh_only;
            let refresh = is_early && is_hot && !is_held && entry.claim_refresh();
            return CacheLookup::Fresh { kept: self.kept(&entry, now), refresh };
        }
        if is_held {
            return CacheLookup::Stale { kept: self.kept(&entry, now), refresh: false, is_held };
        }
        if now < self.revalidate_until(&entry) {
            let refresh = entry.claim_refresh();
            return CacheLookup::Stale { kept: self.kept(&entry, now), refresh, is_held };
        }
        CacheLookup::Old
    }

    /// From when on what was read of a key is newer than what is kept, and read after the last drop.
    pub(crate) fn newer_than(&self, key: &K) -> Option<Instant> {
        let kept = self.entries.get(key).map(|entry| entry.fetched + Duration::from_nanos(1));
        kept.max(self.upstream_cache.read_from(&key.credential()))
    }

    /// What is kept under a key and within its time, without counting as an ask.
    pub(crate) fn peek(&self, key: &K) -> Option<Cached<V>> {
        let now = Instant::now();
        let entry = self.usable(key, now).filter(|entry| now < entry.fresh_until)?;
        let is_current = entry.epoch == self.upstream_cache.epoch(&key.credential());
        is_current.then(|| self.kept(&entry, now))
    }

    /// Whether a key is served without being read first.
    pub(crate) fn is_available(&self, key: &K) -> bool {
        let now = Instant::now();
        self.usable(key, now).is_some_and(|entry| {
            let is_held = entry.held_until.is_some_and(|until| now < until);
            let is_current = entry.epoch == self.upstream_cache.epoch(&key.credential());
            is_current && (is_held || now < self.revalidate_until(&entry))
        })
    }

    /// Keeps a value, fresh for so long from the moment that its fetch began, less a little chance: what
    /// was read together is not due together.
    pub(crate) fn store(&self, key: K, value: V, began: FetchStart, fresh_for: Duration) -> Cached<V> {
        let most = f64::from(self.upstream_cache.settings.jitter_percent.min(100)) / 100.0;
        let fresh_until = began.at + fresh_for.mul_f64(1.0 - most * fastrand::f64());
        let entry = Entry::new(value, began.epoch, began.at, fresh_until);
        let mut kept = self.kept(&entry, Instant::now());
        // Whoever waited for it has the newest there is, however short its time; nobody after them has.
        kept.freshness.state = FreshnessState::Fresh;
        if fresh_until <= Instant::now() {
            kept.freshness.changes_at = kept.freshness.changes_at.min(Instant::now());
        }
        self.upstream_cache.opened(&key.credential());
        if !fresh_for.is_zero() {
            self.put(key, entry);
        }
        kept
    }

    /// Keeps a value that is never served past its time.
    pub(crate) fn store_fresh_only(
        &self,
        key: K,
        value: V,
        began: FetchStart,
        fresh_for: Duration,
    ) -> Cached<V> {
        let entry = Entry::new(value, began.epoch, began.at, began.at + fresh_for);
        let kept = self.kept(&entry, Instant::now());
        self.put(key, Entry { is_fresh_only: true, ..entry });
        kept
    }

    /// Keeps a value that was made of others, for as long as the first of them is fresh.
    pub(crate) fn store_derived(&self, key: K, value: V, parts: Freshness) {
        let clock = &self.upstream_cache.clock;
        let epoch = parts.epoch;
        let (fetched, fresh_until) = (clock.instant(parts.fetched_at), parts.fresh_until);
        if parts.state == FreshnessState::Fresh && Instant::now() < fresh_until {
            self.put(key, Entry { is_fresh_only: true, ..Entry::new(value, epoch, fetched, fresh_until) });
        }
    }

    /// Puts off the next attempt to read a key, as one has failed, and gives what is served meanwhile.
    pub(crate) fn defer_retry(&self, key: &K, began: FetchStart, error: &UpstreamError) -> Option<Cached<V>> {
        if matches!(error.failure, UpstreamFailure::Unauthorized | UpstreamFailure::Forbidden) {
            // The key is what opened it, and all else: whoever holds one that is no longer taken sees nothing any more.
            self.upstream_cache.withdraw(&key.credential(), began.epoch);
            return None;
        }
        let now = Instant::now();
        let mut entry = self.usable(key, now)?;
        let told = error.retry_after.unwrap_or_default();
        let wait = if error.is_held() && error.failure == UpstreamFailure::RateLimited {
            told
        } else {
            entry.failures = entry.failures.saturating_add(1);
            let backoff = RETRY_AFTER * 2_u32.saturating_pow(entry.failures.saturating_sub(1)).min(64);
            backoff.min(RETRY_AFTER_MAX).max(told.min(TOLD_MAX))
        };
        entry.held_until = Some(now + wait);
        if entry.epoch != began.epoch {
            // It was dropped: whatever its time says, it is not fresh.
            entry.epoch = began.epoch;
            entry.fresh_until = entry.fresh_until.min(now);
        }
        entry.is_refreshing = Arc::default();
        let kept = self.kept(&entry, now);
        self.put(key.clone(), entry);
        Some(kept)
    }

    /// Everything that is kept, with its keys, for a test that looks for what must not be there.
    pub(crate) fn dump(&self) -> String
    where
        K: std::fmt::Debug,
        V: std::fmt::Debug,
    {
        self.entries.iter().map(|(key, entry)| format!("{key:?}: {:?}\n", entry.value)).collect()
    }

    /// What may be served of a key without waiting any longer for its reading, which goes on.
    pub(crate) fn stale_fallback(&self, key: &K) -> Option<Cached<V>> {
        let now = Instant::now();
        let mut entry = self.usable(key, now)?;
        if entry.epoch != self.upstream_cache.epoch(&key.credential()) {
            // It was dropped: whatever its time says, it is not fresh.
            entry.fresh_until = entry.fresh_until.min(now);
        }
        Some(self.kept(&entry, now))
    }

    /// How many entries there are, and their weight in bytes, once all that is due was evicted.
    #[cfg(test)]
    pub(crate) fn settled(&self) -> (u64, u64) {
        self.entries.run_pending_tasks();
        (self.entries.entry_count(), self.entries.weighted_size())
    }

    /// As [`BoundedMap::weight_bytes`](super::bounded_map::BoundedMap::weight_bytes).
    pub(crate) fn weight_bytes(&self) -> u64 {
        self.entries.run_pending_tasks();
        self.entries.weighted_size()
    }

    fn put(&self, key: K, entry: Entry<V>) {
        let credential = key.credential();
        let is_newer = |kept: &Entry<V>| (kept.epoch, kept.fetched) > (entry.epoch, entry.fetched);
        if self.entries.get(&key).as_ref().is_some_and(is_newer) {
            // Two reads of one key ended in the other order than they began in.
            return;
        }
        let weight = key.weight_bytes() + entry.value.weight_bytes();
        self.upstream_cache.of(&credential).entries.fetch_add(1, Ordering::Relaxed);
        self.entries.insert(key, entry);
        self.upstream_cache.changed(&credential);
        if u64::try_from(weight).unwrap_or(u64::MAX) > self.limit_bytes / HEAVY_PART {
            // moka weighs up to 64 insertions late.
            self.entries.run_pending_tasks();
        }
    }

    fn usable(&self, key: &K, now: Instant) -> Option<Entry<V>> {
        let entry = self.entries.get(key)?;
        if !self.upstream_cache.shows(&key.credential(), entry.epoch) {
            self.entries.invalidate(key);
            return None;
        }
        let is_usable = match entry.is_fresh_only {
            true => now < entry.fresh_until && entry.epoch == self.upstream_cache.epoch(&key.credential()),
            false => now < self.usable_until(&entry),
        };
        is_usable.then_some(entry)
    }

    fn revalidate_until(&self, entry: &Entry<V>) -> Instant {
        entry.fresh_until + self.upstream_cache.settings.stale_while_revalidate()
    }

    fn usable_until(&self, entry: &Entry<V>) -> Instant {
        entry.fresh_until + self.upstream_cache.settings.stale_if_error()
    }

    fn kept(&self, entry: &Entry<V>, now: Instant) -> Cached<V> {
        let state = match entry.failures {
            _ if now < entry.fresh_until => FreshnessState::Fresh,
            0 => FreshnessState::Stale,
            _ => FreshnessState::StaleOnError,
        };
        let steps = [
            Some(entry.early()),
            Some(entry.fresh_until),
            entry.held_until,
            Some(self.revalidate_until(entry)),
            // A failure can put the next attempt off past that.
            Some(self.usable_until(entry)),
        ];
        let changes_at = steps.into_iter().flatten().filter(|step| *step > now).min();
        let clock = &self.upstream_cache.clock;
        let due = entry.held_until.map_or(entry.fresh_until, |until| until.max(entry.fresh_until));
        let freshness = Freshness {
            fetched_at: clock.at(entry.fetched),
            state,
            refresh_due_at: clock.at(due),
            changes_at: changes_at.unwrap_or(now),
            fresh_until: entry.fresh_until,
            epoch: entry.epoch,
        };
        Cached { value: entry.value.clone(), freshness }
    }
}

impl<V> Entry<V> {
    fn new(value: V, epoch: u64, fetched: Instant, fresh_until: Instant) -> Self {
        let (reads, is_refreshing) = (Arc::default(), Arc::default());
        let (held_until, failures, is_fresh_only) = (None, 0, false);
        Self { value, epoch, fetched, fresh_until, held_until, failures, reads, is_refreshing, is_fresh_only }
    }

    /// From when on it is refreshed where it is hot.
    fn early(&self) -> Instant {
        self.fresh_until - self.fresh_until.saturating_duration_since(self.fetched) / EARLY_PART
    }

    /// True for the first asker after it was stored or held.
    fn claim_refresh(&self) -> bool {
        !self.is_refreshing.swap(true, Ordering::AcqRel)
    }
}
