//! Exchanges calls and rate limits with the other replicas.
//!
//! Each call, and the rate limit headers of its response, are published on the channel; no call waits for that.
//! Replicas that start, or may have missed messages, load a snapshot from the store before their next call. While the
//! store is unreachable, each replica continues with its local model. Response headers then still show the window to
//! all replicas, but a limit without a header (LeadLex's limit per minute) is enforced per replica.
//!
//! Messages take milliseconds, so replicas that decide at the same time do not know each other's calls. Each therefore
//! leaves one call of a limit unused for each other replica. Limits hold unless another replica sends two calls before
//! the message about the first arrives.
//!
//! The breaker and a rejected key are not shared: both end within seconds, and a replica with a broken network
//! must not stop the others.

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

/// Interval between two snapshots of one limiter in the store, and between two failed loads.
const SNAPSHOT_INTERVAL: Duration = Duration::from_secs(1);

/// Version of the format in the store and on the channel.
const VERSION: u32 = 1;

/// Quota sharing of one upstream's limiters. Dropping it stops the receiver.
pub(super) struct QuotaSharing {
    replicas: Replicas,
    upstream: UpstreamName,
    limiters: Arc<LimitersByTag>,
    receiver_task: AbortHandle,
}

/// All limiters, by credential tag.
type LimitersByTag = Mutex<HashMap<CredentialTag, Weak<CallLimiter>>>;

impl QuotaSharing {
    /// Starts receiving. Must be called within a Tokio runtime, like [`Replicas::start`].
    pub(super) fn start(replicas: Replicas, upstream: UpstreamName) -> Arc<Self> {
        let limiters = Arc::<LimitersByTag>::default();
        let receiver_task = tokio::spawn(receive(replicas.subscribe(Topic::Quota), Arc::clone(&limiters)));
        Arc::new(Self { replicas, upstream, limiters, receiver_task: receiver_task.abort_handle() })
    }

    /// Returns the shared state of one limiter.
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

    /// Registers a limiter for messages of others, and loads its snapshot at once.
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

/// Applies messages of other replicas to the local limiters.
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

/// Shared state of one limiter.
pub(super) struct SharedQuota {
    replicas: Replicas,
    tag: CredentialTag,
    /// Key of the snapshot in the store.
    key: String,
    /// Number of reasons to load the snapshot so far.
    loads_requested: AtomicU64,
    load_state: tokio::sync::Mutex<LoadState>,
    /// Whether storing a snapshot is scheduled.
    is_store_scheduled: AtomicBool,
    stored_at: Mutex<Option<Instant>>,
}

#[derive(Default)]
struct LoadState {
    /// Value of `loads_requested` at the last load.
    loads_done: u64,
    /// Time of the last failed load.
    failed_at: Option<Instant>,
}

impl SharedQuota {
    /// Creates the calls of all replicas. The replica's number is random per limiter, because an evicted
    /// limiter restarts its numbering.
    pub(super) fn replica_calls() -> ReplicaCalls {
        ReplicaCalls::new(fastrand::u64(..))
    }

    fn publish(&self, body: &QuotaMessage) {
        if let Ok(body) = serde_json::to_string(body) {
            self.replicas.publish(ChannelMessage { topic: Topic::Quota, tag: self.tag, body });
        }
    }
}

/// Message about a quota.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum QuotaMessage {
    /// An event of one call.
    Call(CallMessage),
    /// The whole state, if others may have missed messages.
    #[serde(rename = "all")]
    Snapshot(Box<QuotaSnapshot>),
}

impl CallLimiter {
    /// Loads the snapshot if there is a reason to. Concurrent callers wait for the same load, at most for one
    /// command's timeout.
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
        let (now, wall) = (self.clock.instant_now(), self.clock.now());
        let state = &mut *self.lock();
        if let Some(replica_calls) = &mut state.replica_calls {
            state.quota.merge_snapshot(replica_calls, now, wall, snapshot);
        }
    }

    /// Publishes an event of a call. The state is locked meanwhile, so events keep their order.
    pub(super) fn publish(&self, call: Option<CallId>, event: CallEvent) {
        let (Some(shared), Some(call)) = (&self.shared, call) else { return };
        shared.publish(&QuotaMessage::Call(CallMessage { call, event, at: self.clock.now() }));
    }

    fn on_message(&self, body: &str) {
        let Some(shared) = &self.shared else { return };
        match serde_json::from_str(body) {
            Ok(QuotaMessage::Call(message)) => {
                let (now, wall) = (self.clock.instant_now(), self.clock.now());
                let state = &mut *self.lock();
                if let Some(replica_calls) = &mut state.replica_calls {
                    replica_calls.on_message(&mut state.quota, now, wall, &message, jitter());
                }
            }
            Ok(QuotaMessage::Snapshot(snapshot)) => self.merge_snapshot(&snapshot),
            Err(_not_ours) => shared.replicas.count_unreadable(),
        }
    }

    /// Loads the snapshot, and publishes this replica's state, because others may have missed messages too.
    fn on_gap(self: &Arc<Self>) {
        let (Some(shared), now) = (&self.shared, self.clock.instant_now()) else { return };
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

    /// Schedules storing the snapshot after a response has changed it.
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
        // Later changes are stored the next time.
        shared.is_store_scheduled.store(false, Ordering::Release);
        let Some(snapshot) = self.snapshot() else { return };
        if let Ok(value) = serde_json::to_vec(&snapshot) {
            let entry = Entry { key: shared.key.clone(), value, ttl: snapshot.ttl() };
            shared.replicas.set(vec![entry]).await;
        }
    }

    fn snapshot(&self) -> Option<QuotaSnapshot> {
        let (now, wall) = (self.clock.instant_now(), self.clock.now());
        let state = &mut *self.lock();
        state.replica_calls.as_ref().map(|replica_calls| state.quota.snapshot(replica_calls, now, wall))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
