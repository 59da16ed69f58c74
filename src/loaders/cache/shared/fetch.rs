//! One flight for all replicas: the first to miss reads, the others wait for what comes.
//!
//! Who reads holds a claim, which is short and held on to. The others look again and again, in growing steps up to
//! [`STEP_MAX`], until the value is there, the reader has left word of its failure, its claim is gone (then it died, and
//! one of them takes its place), or they have waited long enough and go themselves. Being told by the channel would save
//! them the last step, and make the rare case that news are lost the slow one.

use std::collections::HashMap;
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout_at};

use super::partition::SharedPartition;
use super::seal::{Generation, Opened};
use crate::domain::credential::Fingerprint;
use crate::domain::upstream_name::{Upstream, UpstreamName};
use crate::loaders::cache::key::Key;
use crate::loaders::cache::upstream_cache::Holdings;
use crate::replicas::Replicas;
use crate::replicas::lease::{Lease, LeaseAttempt};
use crate::replicas::store::Entry;
use crate::upstream::error::{UpstreamError, UpstreamFailure};

/// How soon the others look again at first, and at most.
const STEP: Duration = Duration::from_millis(4);
const STEP_MAX: Duration = Duration::from_millis(64);

/// How much later than a command itself those who wait for it give up: so it is the command that is seen to be late.
const SLACK: Duration = Duration::from_millis(5);

/// How often a claim is tried that is taken by nobody who can be seen.
const IN_VAIN_MAX: u32 = 3;

/// For how long word of a failure stands for those who wait.
const WORD_TTL: Duration = Duration::from_secs(2);

/// What is fresh for less than that is not shared.
const SHORTEST: Duration = Duration::from_millis(1);

/// What is heavier is not shared, in bytes: a command has little time.
const SHARED_MAX_BYTES: usize = 4 << 20;

/// What is wanted of a batch.
#[derive(Clone)]
pub(crate) struct Wanted<K> {
    /// The keys, and from when on what was read of each will do; none where its being fresh will.
    pub(crate) keys: Vec<(K, Option<Instant>)>,
    /// What kind of things they are.
    pub(crate) kind: &'static str,
    /// What else their values depend on: settings that replicas may have otherwise.
    pub(crate) dialect: Arc<str>,
}

/// A value that was read here.
pub(crate) type Brought<K, V> = (K, V, Duration);

/// A value that was read, by whichever replica.
#[derive(Debug)]
pub(crate) struct Arrived<V> {
    pub(crate) value: V,
    /// When its fetch began.
    pub(crate) fetched: Instant,
    /// For how long from then it is fresh.
    pub(crate) fresh_for: Duration,
    /// Whether another replica read it.
    pub(crate) is_shared: bool,
}

/// As it stands in the store.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written<V> {
    fetched_at: Timestamp,
    fresh_for_ms: u64,
    value: V,
}

/// How a fetch failed, for those who waited for it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Word {
    token: Vec<u8>,
    failure: UpstreamFailure,
    status: Option<u16>,
    retry_after_ms: Option<u64>,
    request_id: Option<Arc<str>>,
    slug: Option<Arc<str>>,
    is_held: bool,
}

/// What a look into the store has found.
struct Looked<K, V> {
    generation: Generation,
    found: Vec<(K, Arrived<V>)>,
    holder: Option<Vec<u8>>,
    word: Option<Word>,
}

/// What became of a batch.
pub(crate) struct Landed<K, V> {
    /// What has come.
    pub(crate) arrived: HashMap<K, Arrived<V>>,
    /// Why the rest has not.
    pub(crate) failed: Option<UpstreamError>,
}

/// How the way through the store ended for what was not there.
enum Way {
    /// To be read, and put there; others wait for that where it was claimed.
    Fetch(Generation, Option<(Lease, Batch)>),
    /// To be read: the store is away, or takes too long.
    Alone,
    /// Another has read it, and failed.
    Failed(UpstreamError),
}

impl<U: Upstream> Holdings<U> {
    /// Reads a batch, all keys of one credential: what another replica has read, and the rest by `fetch`, whose errors are here
    /// or come from the replica that was waited for.
    pub(crate) async fn read<K, V, F>(
        &self,
        mut wanted: Wanted<K>,
        fetch: impl FnOnce(Vec<K>) -> F,
    ) -> Landed<K, V>
    where
        K: Key<Upstream = U>,
        V: Serialize + DeserializeOwned,
        F: Future<Output = Result<Vec<Brought<K, V>>, UpstreamError>>,
    {
        let mut landed = Landed { arrived: HashMap::new(), failed: None };
        let Some(credential) = wanted.keys.first().map(|(key, _)| key.credential()) else { return landed };
        let holding = self.of(&credential);
        let (Some(shared), Some(part)) = (&self.shared, &holding.shared) else {
            landed.take(here(fetch(wanted.take())).await);
            return landed;
        };
        if self.ttl().is_zero() {
            // Nothing is kept, so nothing is shared: whoever waited would wait in vain.
            landed.take(here(fetch(wanted.take())).await);
            return landed;
        }
        let flight = Flight { holdings: self, replicas: &shared.replicas, part, credential };
        let way = flight.look_or_claim(&mut wanted, &mut landed).await;
        match way {
            Way::Fetch(_, Some((claimed, _))) if wanted.keys.is_empty() => claimed.release().await,
            _ if wanted.keys.is_empty() => {}
            Way::Failed(error) => landed.failed = Some(error),
            Way::Alone => {
                part.read_blindly();
                landed.take(here(fetch(wanted.take())).await);
            }
            Way::Fetch(generation, claimed) => {
                let brought = here(fetch(wanted.take())).await;
                let entries = match &brought {
                    Ok(brought) => flight.entries(brought, generation, &wanted),
                    Err(error) => flight.word(claimed.as_ref(), generation, error).into_iter().collect(),
                };
                let (part, replicas) = (Arc::clone(part), shared.replicas.clone());
                // Nobody here waits for what is for the others.
                tokio::spawn(async move {
                    part.put(&replicas, entries, generation).await;
                    if let Some((claimed, _)) = claimed {
                        claimed.release().await;
                    }
                });
                landed.take(brought);
            }
        }
        landed
    }
}

impl<K: Eq + Hash, V> Landed<K, V> {
    fn take(&mut self, brought: Result<HashMap<K, Arrived<V>>, UpstreamError>) {
        match brought {
            Ok(brought) => self.arrived.extend(brought),
            Err(error) => self.failed = Some(error),
        }
    }
}

/// Where those who want the same batch meet.
struct Batch {
    /// Who is at it.
    claim: String,
    /// How that failed.
    word: String,
}

/// One batch on its way through the store.
struct Flight<'a, U> {
    holdings: &'a Holdings<U>,
    replicas: &'a Replicas,
    part: &'a SharedPartition,
    credential: Fingerprint<U>,
}

impl<U: Upstream> Flight<'_, U> {
    /// Takes what is there, waits for what others read, and claims what nobody does.
    async fn look_or_claim<K, V>(&self, wanted: &mut Wanted<K>, landed: &mut Landed<K, V>) -> Way
    where
        K: Key<Upstream = U>,
        V: DeserializeOwned,
    {
        let settings = self.replicas.settings();
        let until = Instant::now() + settings.result_wait();
        // All commands in a row have the time of one: that is what a slow store may cost.
        let mut by = Instant::now() + settings.timeout() + SLACK;
        let (mut step, mut waited_for, mut is_first, mut in_vain) = (STEP, None, true, 0);
        loop {
            let batch = self.batch(wanted);
            let Some(looked) = in_time(by, self.look(wanted, &batch)).await else { return Way::Alone };
            if std::mem::take(&mut is_first) {
                let hits = looked.found.len();
                self.replicas.count_lookup(hits, wanted.keys.len() - hits);
            }
            wanted.settle(looked.found, &mut landed.arrived);
            if wanted.keys.is_empty() {
                return Way::Alone;
            }
            match looked.holder {
                Some(holder) if Instant::now() >= until => {
                    // A claim has a time. What has none, by whoever put it there, is given one.
                    let (key, ttl) = (batch.claim, settings.lease_ttl());
                    self.replicas.extend(Entry { key, value: holder, ttl }).await;
                    return Way::Fetch(looked.generation, None);
                }
                Some(holder) => {
                    waited_for = Some(holder);
                    tokio::time::sleep(step).await;
                    step = (step * 3 / 2).min(STEP_MAX);
                    by = Instant::now() + settings.timeout() + SLACK;
                    continue;
                }
                None => {}
            }
            if let Some(word) = looked.word.filter(|word| waited_for.as_ref() == Some(&word.token)) {
                return Way::Failed(word.error(U::NAME));
            }
            let generation = looked.generation;
            let claim = async { Some(self.replicas.acquire_lease(batch.claim.clone()).await) };
            match in_time(by, claim).await {
                // Another was faster, or something stands there that is no claim.
                Some(LeaseAttempt::Taken) if in_vain < IN_VAIN_MAX => in_vain += 1,
                Some(LeaseAttempt::Taken) => return Way::Fetch(generation, None),
                // What is read is put there all the same.
                None | Some(LeaseAttempt::Unavailable) => return Way::Fetch(generation, None),
                Some(LeaseAttempt::Acquired(claimed)) => {
                    // Whoever held it before may have put its values there since the look.
                    let looked = in_time(by, self.look(wanted, &batch)).await;
                    let generation = looked.as_ref().map_or(generation, |looked| looked.generation);
                    if let Some(looked) = looked {
                        wanted.settle(looked.found, &mut landed.arrived);
                    }
                    return Way::Fetch(generation, Some((claimed, batch)));
                }
            }
        }
    }

    /// Looks for all that is wanted, and for who is at it; none where the store cannot be asked.
    async fn look<K, V>(&self, wanted: &Wanted<K>, batch: &Batch) -> Option<Looked<K, V>>
    where
        K: Key<Upstream = U>,
        V: DeserializeOwned,
    {
        if self.part.has_unsent() && !self.part.wait_until_sent(self.replicas.settings().timeout()).await {
            return None;
        }
        let names: Vec<_> = wanted.keys.iter().map(|(key, _)| self.name(wanted, key)).collect();
        let others = vec![self.part.seal.generation_key(), batch.claim.clone(), batch.word.clone()];
        let mut found = self.replicas.get([others, names.clone()].concat()).await?.into_iter();
        let (generation, holder, word) = (found.next()?, found.next()?, found.next()?);
        let generation = self.holdings.generation(&self.credential, self.part, generation).await?;
        let mut read = Vec::new();
        for ((key, since), name) in wanted.keys.iter().zip(&names) {
            let value = found.next()?.and_then(|written| self.open::<Written<V>>(name, generation, &written));
            let arrived = value.and_then(|written| self.arrive(written));
            read.extend(
                arrived
                    .filter(|arrived| since.is_none_or(|since| arrived.fetched >= since))
                    .map(|arrived| (key.clone(), arrived)),
            );
        }
        let word = word.and_then(|written| self.open(&batch.word, generation, &written));
        Some(Looked { generation, found: read, holder, word })
    }

    fn open<T: DeserializeOwned>(&self, name: &str, generation: Generation, written: &[u8]) -> Option<T> {
        match self.part.seal.open(name, generation, written) {
            Opened::Value(value) => Some(value),
            Opened::Dropped => None,
            Opened::Unreadable => {
                self.replicas.count_unreadable();
                None
            }
        }
    }

    /// A value that is within its time by this replica's clock.
    fn arrive<V>(&self, written: Written<V>) -> Option<Arrived<V>> {
        let Written { fetched_at, fresh_for_ms, value } = written;
        let (now, fresh_for) = (Instant::now(), Duration::from_millis(fresh_for_ms));
        // Another's clock may be ahead.
        let fetched = self.holdings.clock.instant(fetched_at).min(now);
        (now < fetched + fresh_for).then_some(Arrived { value, fetched, fresh_for, is_shared: true })
    }

    /// What a thing is called in the store.
    fn name<K: Debug>(&self, wanted: &Wanted<K>, key: &K) -> String {
        // A derived `Debug` is one text per value and cannot forget a field that is added later.
        self.part.seal.key(wanted.kind, &format!("{} {:?} {key:?}", wanted.dialect, self.holdings.ttl()))
    }

    fn batch<K: Debug>(&self, wanted: &Wanted<K>) -> Batch {
        let keys: Vec<_> = wanted.keys.iter().map(|(key, _)| key).collect();
        let what = format!("{} {} {keys:?}", wanted.kind, wanted.dialect);
        Batch { claim: self.part.seal.key("claim", &what), word: self.part.seal.key("word", &what) }
    }

    /// What was read, as others are to find it.
    fn entries<K, V>(
        &self,
        brought: &HashMap<K, Arrived<V>>,
        generation: Generation,
        wanted: &Wanted<K>,
    ) -> Vec<Entry>
    where
        K: Key<Upstream = U>,
        V: Serialize,
    {
        let now = Instant::now();
        let entry = |(key, arrived): (&K, &Arrived<V>)| {
            let ttl = (arrived.fetched + arrived.fresh_for).checked_duration_since(now)?;
            let key = self.name(wanted, key);
            let written = Written {
                fetched_at: self.holdings.clock.at(arrived.fetched),
                fresh_for_ms: u64::try_from(arrived.fresh_for.as_millis()).unwrap_or(u64::MAX),
                value: &arrived.value,
            };
            let value = self.part.seal.close(&key, generation, &written)?;
            let is_worth_it = ttl >= SHORTEST && value.len() <= SHARED_MAX_BYTES;
            is_worth_it.then_some(Entry { key, value, ttl })
        };
        brought.iter().filter_map(entry).collect()
    }

    /// How it failed, for those who wait, where it would have failed for them too.
    fn word(
        &self,
        claimed: Option<&(Lease, Batch)>,
        generation: Generation,
        error: &UpstreamError,
    ) -> Option<Entry> {
        let (claimed, batch) = claimed?;
        let word = Word::of(claimed.token(), error)?;
        let value = self.part.seal.close(&batch.word, generation, &word)?;
        Some(Entry { key: batch.word.clone(), value, ttl: WORD_TTL })
    }
}

/// What came in time.
async fn in_time<T>(by: Instant, command: impl Future<Output = Option<T>>) -> Option<T> {
    timeout_at(by, command).await.ok().flatten()
}

impl<K: Eq + Hash> Wanted<K> {
    /// What is still wanted, which is somebody's to read now.
    fn take(&mut self) -> Vec<K> {
        std::mem::take(&mut self.keys).into_iter().map(|(key, _)| key).collect()
    }

    /// Takes what has come off what is wanted.
    fn settle<V>(&mut self, found: Vec<(K, Arrived<V>)>, arrived: &mut HashMap<K, Arrived<V>>) {
        arrived.extend(found);
        self.keys.retain(|(key, _)| !arrived.contains_key(key));
    }
}

/// What is read by this replica.
async fn here<K: Eq + Hash, V>(
    fetch: impl Future<Output = Result<Vec<Brought<K, V>>, UpstreamError>>,
) -> Result<HashMap<K, Arrived<V>>, UpstreamError> {
    let fetched = Instant::now();
    let brought = Box::pin(fetch).await?.into_iter();
    let arrived = |(key, value, fresh_for)| (key, Arrived { value, fetched, fresh_for, is_shared: false });
    Ok(brought.map(arrived).collect())
}

impl Word {
    /// What others would meet too: not this replica's own trouble, nor what its own view of the upstream holds back.
    fn of(token: &[u8], error: &UpstreamError) -> Option<Self> {
        use UpstreamFailure as F;
        let is_everybodys = match error.failure {
            F::RateLimited => true,
            F::Timeout | F::Unavailable | F::Unauthorized | F::Forbidden | F::Rejected | F::BadResponse => {
                !error.is_held()
            }
            F::NoCredential | F::DeadlineExceeded | F::Internal => false,
        };
        is_everybodys.then(|| Self {
            token: token.to_vec(),
            failure: error.failure,
            status: error.status,
            retry_after_ms: error.retry_after.and_then(|wait| wait.as_millis().try_into().ok()),
            request_id: error.request_id.clone(),
            slug: error.slug.clone(),
            is_held: error.is_held(),
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
