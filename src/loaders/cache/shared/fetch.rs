//! One fetch for all replicas: the first replica that misses fetches, the others wait for its result.
//!
//! The entry point is `UpstreamCache::read`. `crate::replicas` provides the store and the leases.
//!
//! The fetching replica holds a short lease. The others poll the store at growing intervals of up to [`STEP_MAX`],
//! until they find the value or the fetch's failure marker. If the lease expires without a result, its holder has died,
//! and another replica acquires the lease. After a time limit, a waiting replica fetches without the lease. Rejected: a
//! message on the channel. It would save the last interval, but a lost message would cost the whole wait.

use std::collections::HashMap;
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout_at};

use super::partition::SharedPartition;
use super::seal::{Generation, Opened};
use crate::domain::clock::Clock;
use crate::domain::credential::Fingerprint;
use crate::domain::upstream_name::{Upstream, UpstreamName};
use crate::loaders::cache::key::CacheKey;
use crate::loaders::cache::upstream_cache::UpstreamCache;
use crate::replicas::Replicas;
use crate::replicas::lease::{Lease, LeaseAttempt};
use crate::replicas::store::Entry;
use crate::upstream::error::{UpstreamError, UpstreamFailure};

/// First and longest interval between two lookups of a waiting replica.
const STEP: Duration = Duration::from_millis(4);
const STEP_MAX: Duration = Duration::from_millis(64);

/// Extra wait beyond the timeout of a store command, so that the command itself reports the timeout.
const SLACK: Duration = Duration::from_millis(5);

/// Attempts to acquire a lease that is taken although the store shows no holder.
const LEASE_ATTEMPTS_MAX: u32 = 3;

/// Lifetime of a failure marker.
const FAILURE_TTL: Duration = Duration::from_secs(2);

/// Shortest remaining lifetime of a value that is stored.
const SHARED_MIN_TTL: Duration = Duration::from_millis(1);

/// Maximum size of a stored entry in bytes, because a store command has a short timeout.
const SHARED_MAX_BYTES: usize = 4 << 20;

/// Keys of a batch, and the context that their values depend on.
#[derive(Clone)]
pub(crate) struct BatchRequest<K> {
    /// The keys, each with the earliest acceptable start of its fetch. `None` accepts any fresh value.
    pub(crate) keys: Vec<(K, Option<Instant>)>,
    /// Kind of the values, a part of their store keys.
    pub(crate) kind: &'static str,
    /// Settings that the values depend on and that may differ between replicas.
    pub(crate) variant: Arc<str>,
}

/// The values that a fetch of this replica returned, each with its key and freshness lifetime.
pub(crate) type FetchResult<K, V> = Result<Vec<(K, V, Duration)>, UpstreamError>;

/// A value that this or another replica fetched.
#[derive(Debug)]
pub(crate) struct ReadValue<V> {
    pub(crate) value: V,
    /// Start of its fetch.
    pub(crate) fetched_at: Instant,
    /// Freshness lifetime, counted from `fetched_at`.
    pub(crate) fresh_for: Duration,
    /// Whether another replica fetched it.
    pub(crate) is_shared: bool,
}

/// Stored form of a value.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredValue<V> {
    fetched_at: Timestamp,
    fresh_for_ms: u64,
    value: V,
}

/// Error of a failed fetch, stored for the replicas that wait for its result.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FailureMarker {
    token: Vec<u8>,
    failure: UpstreamFailure,
    status: Option<u16>,
    retry_after_ms: Option<u64>,
    request_id: Option<Arc<str>>,
    slug: Option<Arc<str>>,
    is_held: bool,
}

/// Result of a store lookup.
struct StoreLookup<K, V> {
    generation: Generation,
    found: Vec<(K, ReadValue<V>)>,
    holder: Option<Vec<u8>>,
    marker: Option<FailureMarker>,
}

/// Outcome of a batch.
pub(crate) struct BatchResult<K, V> {
    /// Values that were read.
    pub(crate) values: HashMap<K, ReadValue<V>>,
    /// Error of the keys without a value.
    pub(crate) error: Option<UpstreamError>,
}

/// Next step for the keys that were not found in the store.
enum ReadPlan {
    /// Fetch, and store the result. Other replicas wait for it if a lease is held.
    Fetch(Generation, Option<(Lease, BatchKeys)>),
    /// Fetch without the store, which is unavailable or too slow.
    Alone,
    /// Return the error of another replica's fetch.
    Failed(UpstreamError),
}

impl<U: Upstream> UpstreamCache<U> {
    /// Reads a batch, whose keys all belong to one credential.
    ///
    /// Values that another replica fetched come from the store, the rest from `fetch`. The error comes from `fetch`, or
    /// from the replica that this one waited for.
    pub(crate) async fn read<'f, K, V>(
        &self,
        mut request: BatchRequest<K>,
        fetch: impl FnOnce(Vec<K>) -> BoxFuture<'f, FetchResult<K, V>>,
    ) -> BatchResult<K, V>
    where
        K: CacheKey<Upstream = U>,
        V: Serialize + DeserializeOwned,
    {
        let (clock, mut result) = (self.clock, BatchResult { values: HashMap::new(), error: None });
        let Some(credential) = request.keys.first().map(|(key, _)| key.credential()) else { return result };
        let credential_state = self.state_of(&credential);
        let (Some(shared), Some(partition)) = (&self.shared, &credential_state.shared) else {
            result.take(fetch_here(clock, fetch(request.take())).await);
            return result;
        };
        if self.ttl().is_zero() {
            // Without a lifetime nothing is stored, so a waiting replica would never find a value.
            result.take(fetch_here(clock, fetch(request.take())).await);
            return result;
        }
        let shared_read =
            SharedRead { upstream_cache: self, replicas: &shared.replicas, partition, credential };
        let plan = Box::pin(shared_read.plan(&mut request, &mut result)).await;
        match plan {
            ReadPlan::Fetch(_, Some((lease, _))) if request.keys.is_empty() => lease.release().await,
            _ if request.keys.is_empty() => {}
            ReadPlan::Failed(error) => result.error = Some(error),
            ReadPlan::Alone => {
                partition.record_blind_read();
                result.take(fetch_here(clock, fetch(request.take())).await);
            }
            ReadPlan::Fetch(generation, lease) => {
                let fetched_values = fetch_here(clock, fetch(request.take())).await;
                let entries = match &fetched_values {
                    Ok(fetched_values) => shared_read.entries(fetched_values, generation, &request),
                    Err(error) => shared_read.marker(lease.as_ref(), generation, error).into_iter().collect(),
                };
                let (partition, replicas) = (Arc::clone(partition), shared.replicas.clone());
                // The caller does not wait for these writes, which serve other replicas only.
                tokio::spawn(async move {
                    partition.put(&replicas, entries, generation).await;
                    if let Some((lease, _)) = lease {
                        lease.release().await;
                    }
                });
                result.take(fetched_values);
            }
        }
        result
    }
}

impl<K: Eq + Hash, V> BatchResult<K, V> {
    fn take(&mut self, fetched_values: Result<HashMap<K, ReadValue<V>>, UpstreamError>) {
        match fetched_values {
            Ok(fetched_values) => self.values.extend(fetched_values),
            Err(error) => self.error = Some(error),
        }
    }
}

/// Store keys through which replicas coordinate the fetch of one batch.
struct BatchKeys {
    /// Key of the lease.
    lease_key: String,
    /// Key of the failure marker.
    marker: String,
}

/// Read of one batch through the shared store.
struct SharedRead<'a, U> {
    upstream_cache: &'a UpstreamCache<U>,
    replicas: &'a Replicas,
    partition: &'a SharedPartition,
    credential: Fingerprint<U>,
}

impl<U: Upstream> SharedRead<'_, U> {
    /// Takes stored values, waits for the fetches of other replicas, and acquires the lease for the remaining keys.
    async fn plan<K, V>(&self, request: &mut BatchRequest<K>, result: &mut BatchResult<K, V>) -> ReadPlan
    where
        K: CacheKey<Upstream = U>,
        V: DeserializeOwned,
    {
        let settings = self.replicas.settings();
        let give_up_at = Instant::now() + Duration::from_millis(settings.wait_ms);
        // Consecutive commands share one command's timeout, which bounds the delay by a slow store.
        let mut command_deadline = Instant::now() + settings.timeout() + SLACK;
        let (mut pause, mut waited_for, mut is_first, mut attempts) = (STEP, None, true, 0);
        loop {
            let batch = self.batch(request);
            let Some(lookup) = in_time(command_deadline, self.look_up(request, &batch)).await else {
                return ReadPlan::Alone;
            };
            if std::mem::take(&mut is_first) {
                let hits = lookup.found.len();
                self.replicas.count_lookup(hits, request.keys.len() - hits);
            }
            request.take_found(lookup.found, &mut result.values);
            if request.keys.is_empty() {
                return ReadPlan::Alone;
            }
            match lookup.holder {
                Some(holder) if Instant::now() >= give_up_at => {
                    // A lease must expire, so the stored value gets an expiry in case it has none.
                    let (key, ttl) = (batch.lease_key, settings.lease_ttl());
                    self.replicas.extend(Entry { key, value: holder, ttl }).await;
                    return ReadPlan::Fetch(lookup.generation, None);
                }
                Some(holder) => {
                    waited_for = Some(holder);
                    tokio::time::sleep(pause).await;
                    pause = (pause * 3 / 2).min(STEP_MAX);
                    command_deadline = Instant::now() + settings.timeout() + SLACK;
                    continue;
                }
                None => {}
            }
            if let Some(marker) = lookup.marker.filter(|marker| waited_for.as_ref() == Some(&marker.token)) {
                return ReadPlan::Failed(marker.error(U::NAME));
            }
            let generation = lookup.generation;
            let lease_attempt = async { Some(self.replicas.acquire_lease(batch.lease_key.clone()).await) };
            match in_time(command_deadline, lease_attempt).await {
                // Another replica acquired the lease first, or the stored value is not a lease.
                Some(LeaseAttempt::Taken) if attempts < LEASE_ATTEMPTS_MAX => attempts += 1,
                Some(LeaseAttempt::Taken) => return ReadPlan::Fetch(generation, None),
                // The result is stored even without a lease.
                None | Some(LeaseAttempt::Unavailable) => return ReadPlan::Fetch(generation, None),
                Some(LeaseAttempt::Acquired(lease)) => {
                    // The previous holder may have stored its values since the last lookup.
                    let lookup = in_time(command_deadline, self.look_up(request, &batch)).await;
                    let generation = lookup.as_ref().map_or(generation, |lookup| lookup.generation);
                    if let Some(lookup) = lookup {
                        request.take_found(lookup.found, &mut result.values);
                    }
                    return ReadPlan::Fetch(generation, Some((lease, batch)));
                }
            }
        }
    }

    /// Looks up all keys, the holder of the lease and the failure marker; `None` if the store is unavailable.
    async fn look_up<K, V>(&self, request: &BatchRequest<K>, batch: &BatchKeys) -> Option<StoreLookup<K, V>>
    where
        K: CacheKey<Upstream = U>,
        V: DeserializeOwned,
    {
        if self.partition.has_unsent()
            && !self.partition.wait_until_sent(self.replicas.settings().timeout()).await
        {
            return None;
        }
        let value_keys: Vec<_> = request.keys.iter().map(|(key, _)| self.name(request, key)).collect();
        let coordination_keys =
            vec![self.partition.seal.key_of_generation(), batch.lease_key.clone(), batch.marker.clone()];
        let mut stored_values =
            self.replicas.get([coordination_keys, value_keys.clone()].concat()).await?.into_iter();
        let (generation, holder, marker) =
            (stored_values.next()?, stored_values.next()?, stored_values.next()?);
        let generation = self.upstream_cache.generation(&self.credential, self.partition, generation).await?;
        let mut fresh_values = Vec::new();
        for ((key, since), name) in request.keys.iter().zip(&value_keys) {
            let value = stored_values
                .next()?
                .and_then(|stored| self.open::<StoredValue<V>>(name, generation, &stored));
            let fresh = value.and_then(|stored| self.fresh_value(stored));
            fresh_values.extend(
                fresh
                    .filter(|value| since.is_none_or(|since| value.fetched_at >= since))
                    .map(|value| (key.clone(), value)),
            );
        }
        let marker = marker.and_then(|stored| self.open(&batch.marker, generation, &stored));
        Some(StoreLookup { generation, found: fresh_values, holder, marker })
    }

    fn open<T: DeserializeOwned>(&self, name: &str, generation: Generation, stored: &[u8]) -> Option<T> {
        match self.partition.seal.open(name, generation, stored) {
            Opened::Value(value) => Some(value),
            Opened::Outdated => None,
            Opened::Unreadable => {
                self.replicas.count_unreadable();
                None
            }
        }
    }

    /// Returns the value if it is still fresh by this replica's clock.
    fn fresh_value<V>(&self, stored: StoredValue<V>) -> Option<ReadValue<V>> {
        let StoredValue { fetched_at, fresh_for_ms, value } = stored;
        let clock = &self.upstream_cache.clock;
        let (now, fresh_for) = (clock.instant_now(), Duration::from_millis(fresh_for_ms));
        // The clock of another replica may be ahead.
        let fetched_at = clock.instant(fetched_at).min(now);
        (now < fetched_at + fresh_for).then_some(ReadValue { value, fetched_at, fresh_for, is_shared: true })
    }

    /// Returns the store key of a value.
    fn name<K: Debug>(&self, request: &BatchRequest<K>, key: &K) -> String {
        // The derived `Debug` text differs for different keys and includes fields that are added later.
        self.partition
            .seal
            .key(request.kind, &format!("{} {:?} {key:?}", request.variant, self.upstream_cache.ttl()))
    }

    fn batch<K: Debug>(&self, request: &BatchRequest<K>) -> BatchKeys {
        let keys: Vec<_> = request.keys.iter().map(|(key, _)| key).collect();
        let batch_name = format!("{} {} {keys:?}", request.kind, request.variant);
        BatchKeys {
            lease_key: self.partition.seal.key("claim", &batch_name),
            marker: self.partition.seal.key("word", &batch_name),
        }
    }

    /// Returns the store entries of fetched values, without those that are too large or almost expired.
    fn entries<K, V>(
        &self,
        fetched_values: &HashMap<K, ReadValue<V>>,
        generation: Generation,
        request: &BatchRequest<K>,
    ) -> Vec<Entry>
    where
        K: CacheKey<Upstream = U>,
        V: Serialize,
    {
        let now = self.upstream_cache.clock.instant_now();
        let entry = |(key, read): (&K, &ReadValue<V>)| {
            let ttl = (read.fetched_at + read.fresh_for).checked_duration_since(now)?;
            let key = self.name(request, key);
            let stored = StoredValue {
                fetched_at: self.upstream_cache.clock.at(read.fetched_at),
                fresh_for_ms: u64::try_from(read.fresh_for.as_millis()).unwrap_or(u64::MAX),
                value: &read.value,
            };
            let value = self.partition.seal.close(&key, generation, &stored)?;
            let is_shareable = ttl >= SHARED_MIN_TTL && value.len() <= SHARED_MAX_BYTES;
            is_shareable.then_some(Entry { key, value, ttl })
        };
        fetched_values.iter().filter_map(entry).collect()
    }

    /// Returns the entry of the failure marker if the error would affect the waiting replicas too.
    fn marker(
        &self,
        lease: Option<&(Lease, BatchKeys)>,
        generation: Generation,
        error: &UpstreamError,
    ) -> Option<Entry> {
        let (lease, batch) = lease?;
        let marker = FailureMarker::of(lease.token(), error)?;
        let value = self.partition.seal.close(&batch.marker, generation, &marker)?;
        Some(Entry { key: batch.marker.clone(), value, ttl: FAILURE_TTL })
    }
}

/// Returns the result of a store command, or `None` if it takes too long.
async fn in_time<T>(by: Instant, command: impl Future<Output = Option<T>>) -> Option<T> {
    timeout_at(by, command).await.ok().flatten()
}

impl<K: Eq + Hash> BatchRequest<K> {
    /// Takes the keys that are still missing, for the caller to fetch.
    fn take(&mut self) -> Vec<K> {
        std::mem::take(&mut self.keys).into_iter().map(|(key, _)| key).collect()
    }

    /// Removes the keys whose values were found.
    fn take_found<V>(&mut self, found: Vec<(K, ReadValue<V>)>, values: &mut HashMap<K, ReadValue<V>>) {
        values.extend(found);
        self.keys.retain(|(key, _)| !values.contains_key(key));
    }
}

/// Runs a fetch and marks its values as fetched by this replica.
async fn fetch_here<K: Eq + Hash, V>(
    clock: Clock,
    fetch: BoxFuture<'_, FetchResult<K, V>>,
) -> Result<HashMap<K, ReadValue<V>>, UpstreamError> {
    let fetched_at = clock.instant_now();
    let fetched_values = fetch.await?.into_iter();
    let read_value =
        |(key, value, fresh_for)| (key, ReadValue { value, fetched_at, fresh_for, is_shared: false });
    Ok(fetched_values.map(read_value).collect())
}

impl FailureMarker {
    /// Creates a marker if the error would affect other replicas too.
    ///
    /// Errors inside this replica are not shared. An error of a call that was not sent is shared only if the reason is
    /// the rate limit; other reasons, such as an open circuit breaker, concern this replica alone.
    fn of(token: &[u8], error: &UpstreamError) -> Option<Self> {
        use UpstreamFailure as F;
        let affects_other_replicas = match error.failure {
            F::RateLimited | F::UnknownUsers => true,
            F::Timeout | F::Unavailable | F::Unauthorized | F::Forbidden | F::Rejected | F::BadResponse => {
                !error.is_call_held()
            }
            F::NoCredential | F::DeadlineExceeded | F::Internal => false,
        };
        affects_other_replicas.then(|| Self {
            token: token.to_vec(),
            failure: error.failure,
            status: error.status,
            retry_after_ms: error.retry_after.and_then(|wait| wait.as_millis().try_into().ok()),
            request_id: error.request_id.clone(),
            slug: error.slug.clone(),
            is_held: error.is_call_held(),
        })
    }

    fn error(self, upstream: UpstreamName) -> UpstreamError {
        let retry_after = self.retry_after_ms.map(Duration::from_millis);
        let mut error = match self.is_held {
            true => UpstreamError::held(upstream, self.failure, retry_after.unwrap_or_default()),
            false => UpstreamError::new(upstream, self.failure),
        };
        (error.status, error.retry_after) = (self.status, retry_after);
        (error.request_id, error.slug) = (self.request_id, self.slug);
        error
    }
}
