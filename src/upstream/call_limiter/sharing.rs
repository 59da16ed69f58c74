//! What a limiter tells the other replicas, and learns of theirs.
//!
//! Of each call, that it left and what its answer told of the quota go over the channel; nothing waits for that. What is
//! known stands in the store too, for a replica that starts or may have missed something: it looks there before it
//! judges the next call. Where the store is away each replica goes on by what it knows: the headers tell all of them the
//! window's truth, and a limit that no header tells (LeadLex's minute) is each one's own until it is back.
//!
//! News take milliseconds, and replicas that check within that time do not know of each other's call. So each leaves as
//! much of a limit as there are others: limits hold as long as no other lets two calls go before message of the first are here.
//!
//! The breaker and the refusal of a key stay each replica's own: both are over in seconds, and a replica whose own network
//! fails is not to stop the others.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::{CallLimiter, LIMITERS_MAX};
use crate::domain::upstream_name::UpstreamName;
use crate::replicas::Replicas;
use crate::replicas::channel::{ChannelEvent, ChannelMessage, CredentialTag, Topic};
use crate::replicas::store::Entry;
use crate::upstream::jitter::jitter;
use crate::upstream::quota::{CallEvent, CallId, CallMessage, QuotaSnapshot, ReplicaCalls};

/// The time between two observations of one limiter in the store, and between two looks there that bring none.
const SNAPSHOT_INTERVAL: Duration = Duration::from_secs(1);

/// The form of what stands in the store and goes over the channel.
const VERSION: u32 = 1;

/// What the limiters of one upstream share; it ends to listen when it is dropped.
pub(super) struct QuotaSharing {
    replicas: Replicas,
    upstream: UpstreamName,
    limiters: Arc<LimitersByTag>,
    receiver_task: AbortHandle,
}

/// All limiters, by their credentials' tags.
type LimitersByTag = Mutex<HashMap<CredentialTag, Weak<CallLimiter>>>;

impl QuotaSharing {
    /// Must be called within a Tokio runtime, as [`Replicas::start`] was.
    pub(super) fn start(replicas: Replicas, upstream: UpstreamName) -> Arc<Self> {
        let limiters = Arc::<LimitersByTag>::default();
        let receiver_task = tokio::spawn(receive(replicas.subscribe(Topic::Quota), Arc::clone(&limiters)));
        Arc::new(Self { replicas, upstream, limiters, receiver_task: receiver_task.abort_handle() })
    }

    /// What one limiter has of it.
    pub(super) fn of(&self, tag: CredentialTag) -> SharedQuota {
        let prefix = &self.replicas.settings().key_prefix;
        let hex: String = tag.iter().map(|byte| format!("{byte:02x}")).collect();
        let upstream = self.upstream.to_string().to_lowercase();
        SharedQuota {
            replicas: self.replicas.clone(),
            key: format!("{prefix}:{VERSION}:quota:{upstream}:{hex}"),
            tag,
            loads_requested: AtomicU64::new(1),
            load_state: tokio::sync::Mutex::default(),
            is_store_scheduled: AtomicBool::new(false),
            stored_at: Mutex::default(),
        }
    }

    /// From now on the limiter hears of others; it looks at once for what is known.
    pub(super) fn add(&self, limiter: &Arc<CallLimiter>, tag: CredentialTag) {
        let mut limiters = lock(&self.limiters);
        if limiters.len() as u64 >= 2 * LIMITERS_MAX {
            limiters.retain(|_, limiter| limiter.strong_count() > 0);
        }
        limiters.insert(tag, Arc::downgrade(limiter));
        let limiter = Arc::clone(limiter);
        tokio::spawn(async move { limiter.load_snapshot().await });
    }
}

impl Drop for QuotaSharing {
    fn drop(&mut self) {
        self.receiver_task.abort();
    }
}

/// Feeds what others tell into the limiters that are here.
async fn receive(mut others: broadcast::Receiver<ChannelEvent>, limiters: Arc<LimitersByTag>) {
    loop {
        match others.recv().await {
            Ok(ChannelEvent::Message { message, .. }) => {
                let limiter = lock(&limiters).get(&message.tag).and_then(Weak::upgrade);
                if let Some(limiter) = limiter {
                    limiter.on_message(&message.body);
                }
            }
            Ok(ChannelEvent::Gap) | Err(RecvError::Lagged(_)) => {
                let all: Vec<_> = lock(&limiters).values().filter_map(Weak::upgrade).collect();
                all.iter().for_each(CallLimiter::on_gap);
            }
            Err(RecvError::Closed) => return,
        }
    }
}

/// What one limiter shares.
pub(super) struct SharedQuota {
    replicas: Replicas,
    tag: CredentialTag,
    /// Of the observation in the store.
    key: String,
    /// How often there was reason to look there.
    loads_requested: AtomicU64,
    load_state: tokio::sync::Mutex<LoadState>,
    /// Whether an observation is about to be put there.
    is_store_scheduled: AtomicBool,
    stored_at: Mutex<Option<Instant>>,
}

#[derive(Default)]
struct LoadState {
    /// For how many of the loads_done.
    loads_done: u64,
    /// When the store was away, last.
    failed_at: Option<Instant>,
}

impl SharedQuota {
    /// The calls of all, in which this limiter has a name of its own: one that was forgotten begins anew.
    pub(super) fn replica_calls() -> ReplicaCalls {
        ReplicaCalls::new(fastrand::u64(..))
    }

    fn publish(&self, body: &QuotaMessage) {
        if let Ok(body) = serde_json::to_string(body) {
            self.replicas.publish(ChannelMessage { topic: Topic::Quota, tag: self.tag, body });
        }
    }
}

/// What message of a quota say.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum QuotaMessage {
    /// Of one call.
    Call(CallMessage),
    /// All that is known, where others may have missed something.
    #[serde(rename = "all")]
    Snapshot(Box<QuotaSnapshot>),
}

impl CallLimiter {
    /// Learns what other replicas know, where there is reason to look. Whoever comes meanwhile waits for that too, at
    /// most for the time of a command.
    pub(super) async fn load_snapshot(&self) {
        let Some(shared) = &self.shared else { return };
        let mut load_state = shared.load_state.lock().await;
        let (loads_requested, now) = (shared.loads_requested.load(Ordering::Acquire), Instant::now());
        if load_state.loads_done == loads_requested
            || load_state.failed_at.is_some_and(|at| now < at + SNAPSHOT_INTERVAL)
        {
            return;
        }
        let Some(found) = shared.replicas.get(vec![shared.key.clone()]).await else {
            load_state.failed_at = Some(now);
            return;
        };
        *load_state = LoadState { loads_done: loads_requested, failed_at: None };
        if let Some(value) = found.into_iter().next().flatten() {
            match serde_json::from_slice::<QuotaSnapshot>(&value) {
                Ok(snapshot) => self.merge_snapshot(&snapshot),
                Err(_not_ours) => shared.replicas.count_unreadable(),
            }
        }
    }

    fn merge_snapshot(&self, snapshot: &QuotaSnapshot) {
        let (now, wall) = (Instant::now(), self.clock.now());
        let state = &mut *self.lock();
        if let Some(replica_calls) = &mut state.replica_calls {
            state.quota.merge_snapshot(replica_calls, now, wall, snapshot);
        }
    }

    /// Tells of a call; in their order, as the state is locked for it.
    pub(super) fn publish(&self, call: Option<CallId>, event: CallEvent) {
        let (Some(shared), Some(call)) = (&self.shared, call) else { return };
        shared.publish(&QuotaMessage::Call(CallMessage { call, event, at: self.clock.now() }));
    }

    fn on_message(&self, body: &str) {
        let Some(shared) = &self.shared else { return };
        match serde_json::from_str(body) {
            Ok(QuotaMessage::Call(message)) => {
                let (now, wall) = (Instant::now(), self.clock.now());
                let state = &mut *self.lock();
                if let Some(replica_calls) = &mut state.replica_calls {
                    replica_calls.on_message(&mut state.quota, now, wall, &message, jitter());
                }
            }
            Ok(QuotaMessage::Snapshot(snapshot)) => self.merge_snapshot(&snapshot),
            Err(_not_ours) => shared.replicas.count_unreadable(),
        }
    }

    /// It looks for that at once, and tells what others may have missed at the same time.
    fn on_gap(self: &Arc<Self>) {
        let (Some(shared), now) = (&self.shared, Instant::now()) else { return };
        shared.loads_requested.fetch_add(1, Ordering::AcqRel);
        let has_called = {
            let state = &mut *self.lock();
            state.replica_calls.iter_mut().for_each(ReplicaCalls::on_gap);
            state.quota.calls_in_minute(now) > 0
        };
        if has_called {
            let limiter = Arc::clone(self);
            tokio::spawn(async move {
                limiter.load_snapshot().await;
                limiter.schedule_store();
                if let (Some(shared), Some(snapshot)) = (&limiter.shared, limiter.snapshot()) {
                    shared.publish(&QuotaMessage::Snapshot(Box::new(snapshot)));
                }
            });
        }
    }

    /// An answer has told something: what is known now stands in the store soon.
    pub(super) fn schedule_store(self: &Arc<Self>) {
        let Some(shared) = &self.shared else { return };
        if shared.is_store_scheduled.swap(true, Ordering::AcqRel) {
            return;
        }
        let next = lock(&shared.stored_at).map(|last| last + SNAPSHOT_INTERVAL);
        let limiter = Arc::downgrade(self);
        tokio::spawn(async move {
            if let Some(next) = next {
                tokio::time::sleep_until(next).await;
            }
            if let Some(limiter) = limiter.upgrade() {
                limiter.store_snapshot().await;
            }
        });
    }

    async fn store_snapshot(&self) {
        let Some(shared) = &self.shared else { return };
        *lock(&shared.stored_at) = Some(Instant::now());
        // What is told from here on is put the next time.
        shared.is_store_scheduled.store(false, Ordering::Release);
        let Some(snapshot) = self.snapshot() else { return };
        if let Ok(value) = serde_json::to_vec(&snapshot) {
            let entry = Entry { key: shared.key.clone(), value, ttl: snapshot.ttl() };
            shared.replicas.set(vec![entry]).await;
        }
    }

    fn snapshot(&self) -> Option<QuotaSnapshot> {
        let (now, wall) = (Instant::now(), self.clock.now());
        let state = &mut *self.lock();
        state.replica_calls.as_ref().map(|replica_calls| state.quota.snapshot(replica_calls, now, wall))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
