//! What a gate tells the other replicas, and learns of theirs.
//!
//! Of each call, that it left and what its answer told of the quota go over the channel; nothing waits for that. What is
//! known stands in the store too, for a replica that starts or may have missed something: it looks there before it
//! judges the next call. Where the store is away each replica goes on by what it knows: the headers tell all of them the
//! window's truth, and a limit that no header tells (LeadLex's minute) is each one's own until it is back.
//!
//! News take milliseconds, and replicas that judge within that time do not know of each other's call. So each leaves as
//! much of a limit as there are others: limits hold as long as no other lets two calls go before news of the first are here.
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

use super::{GATES_MAX, Gate};
use crate::domain::upstream_name::UpstreamName;
use crate::replicas::Replicas;
use crate::replicas::channel::{ChannelEvent, ChannelMessage, CredentialTag, Topic};
use crate::replicas::store::Entry;
use crate::upstream::jitter::jitter;
use crate::upstream::quota::{CallId, CallNews, Event, Fleet, Observation};

/// The time between two observations of one gate in the store, and between two looks there that bring none.
const APART: Duration = Duration::from_secs(1);

/// The form of what stands in the store and goes over the channel.
const VERSION: u32 = 1;

/// What the gates of one upstream share; it ends to listen when it is dropped.
pub(super) struct Sharing {
    replicas: Replicas,
    upstream: UpstreamName,
    gates: Arc<Tagged>,
    listening: AbortHandle,
}

/// All gates, by their credentials' tags.
type Tagged = Mutex<HashMap<CredentialTag, Weak<Gate>>>;

impl Sharing {
    /// Must be called within a Tokio runtime, as [`Replicas::start`] was.
    pub(super) fn start(replicas: Replicas, upstream: UpstreamName) -> Arc<Self> {
        let gates = Arc::<Tagged>::default();
        let listening = tokio::spawn(listen(replicas.subscribe(Topic::Quota), Arc::clone(&gates)));
        Arc::new(Self { replicas, upstream, gates, listening: listening.abort_handle() })
    }

    /// What one gate has of it.
    pub(super) fn of(&self, tag: CredentialTag) -> Shared {
        let prefix = &self.replicas.settings().key_prefix;
        let hex: String = tag.iter().map(|byte| format!("{byte:02x}")).collect();
        let upstream = self.upstream.to_string().to_lowercase();
        Shared {
            replicas: self.replicas.clone(),
            key: format!("{prefix}:{VERSION}:quota:{upstream}:{hex}"),
            tag,
            due: AtomicU64::new(1),
            looked: tokio::sync::Mutex::default(),
            is_to_put: AtomicBool::new(false),
            put: Mutex::default(),
        }
    }

    /// From now on the gate hears of others; it looks at once for what is known.
    pub(super) fn add(&self, gate: &Arc<Gate>, tag: CredentialTag) {
        let mut gates = lock(&self.gates);
        if gates.len() as u64 >= 2 * GATES_MAX {
            gates.retain(|_, gate| gate.strong_count() > 0);
        }
        gates.insert(tag, Arc::downgrade(gate));
        let gate = Arc::clone(gate);
        tokio::spawn(async move { gate.look().await });
    }
}

impl Drop for Sharing {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

/// Feeds what others tell into the gates that are here.
async fn listen(mut others: broadcast::Receiver<ChannelEvent>, gates: Arc<Tagged>) {
    loop {
        match others.recv().await {
            Ok(ChannelEvent::Message { message: news, .. }) => {
                let gate = lock(&gates).get(&news.tag).and_then(Weak::upgrade);
                if let Some(gate) = gate {
                    gate.hear(&news.body);
                }
            }
            Ok(ChannelEvent::Gap) | Err(RecvError::Lagged(_)) => {
                let all: Vec<_> = lock(&gates).values().filter_map(Weak::upgrade).collect();
                all.iter().for_each(Gate::may_have_missed);
            }
            Err(RecvError::Closed) => return,
        }
    }
}

/// What one gate shares.
pub(super) struct Shared {
    replicas: Replicas,
    tag: CredentialTag,
    /// Of the observation in the store.
    key: String,
    /// How often there was reason to look there.
    due: AtomicU64,
    looked: tokio::sync::Mutex<Looked>,
    /// Whether an observation is about to be put there.
    is_to_put: AtomicBool,
    put: Mutex<Option<Instant>>,
}

#[derive(Default)]
struct Looked {
    /// For how many of the reasons.
    reasons: u64,
    /// When the store was away, last.
    in_vain: Option<Instant>,
}

impl Shared {
    /// The calls of all, in which this gate has a name of its own: one that was forgotten begins anew.
    pub(super) fn fleet() -> Fleet {
        Fleet::new(fastrand::u64(..))
    }

    fn tell(&self, body: &Body) {
        if let Ok(body) = serde_json::to_string(body) {
            self.replicas.publish(ChannelMessage { topic: Topic::Quota, tag: self.tag, body });
        }
    }
}

/// What news of a quota say.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Body {
    /// Of one call.
    Call(CallNews),
    /// All that is known, where others may have missed something.
    All(Box<Observation>),
}

impl Gate {
    /// Learns what other replicas know, where there is reason to look. Whoever comes meanwhile waits for that too, at
    /// most for the time of a command.
    pub(super) async fn look(&self) {
        let Some(shared) = &self.shared else { return };
        let mut looked = shared.looked.lock().await;
        let (due, now) = (shared.due.load(Ordering::Acquire), Instant::now());
        if looked.reasons == due || looked.in_vain.is_some_and(|at| now < at + APART) {
            return;
        }
        let Some(found) = shared.replicas.get(vec![shared.key.clone()]).await else {
            looked.in_vain = Some(now);
            return;
        };
        *looked = Looked { reasons: due, in_vain: None };
        if let Some(value) = found.into_iter().next().flatten() {
            match serde_json::from_slice::<Observation>(&value) {
                Ok(seen) => self.recall(&seen),
                Err(_not_ours) => shared.replicas.count_unreadable(),
            }
        }
    }

    fn recall(&self, seen: &Observation) {
        let (now, wall) = (Instant::now(), self.clock.now());
        let state = &mut *self.lock();
        if let Some(fleet) = &mut state.fleet {
            state.quota.recall(fleet, now, wall, seen);
        }
    }

    /// Tells of a call; in their order, as the state is locked for it.
    pub(super) fn tell(&self, call: Option<CallId>, event: Event) {
        let (Some(shared), Some(call)) = (&self.shared, call) else { return };
        shared.tell(&Body::Call(CallNews { call, event, at: self.clock.now() }));
    }

    fn hear(&self, body: &str) {
        let Some(shared) = &self.shared else { return };
        match serde_json::from_str(body) {
            Ok(Body::Call(news)) => {
                let (now, wall) = (Instant::now(), self.clock.now());
                let state = &mut *self.lock();
                if let Some(fleet) = &mut state.fleet {
                    fleet.hear(&mut state.quota, now, wall, &news, jitter());
                }
            }
            Ok(Body::All(seen)) => self.recall(&seen),
            Err(_not_ours) => shared.replicas.count_unreadable(),
        }
    }

    /// It looks for that at once, and tells what others may have missed at the same time.
    fn may_have_missed(self: &Arc<Self>) {
        let (Some(shared), now) = (&self.shared, Instant::now()) else { return };
        shared.due.fetch_add(1, Ordering::AcqRel);
        let has_called = {
            let state = &mut *self.lock();
            state.fleet.iter_mut().for_each(Fleet::may_have_missed);
            state.quota.calls_in_minute(now) > 0
        };
        if has_called {
            let gate = Arc::clone(self);
            tokio::spawn(async move {
                gate.look().await;
                gate.put_soon();
                if let (Some(shared), Some(seen)) = (&gate.shared, gate.observe()) {
                    shared.tell(&Body::All(Box::new(seen)));
                }
            });
        }
    }

    /// An answer has told something: what is known now stands in the store soon.
    pub(super) fn put_soon(self: &Arc<Self>) {
        let Some(shared) = &self.shared else { return };
        if shared.is_to_put.swap(true, Ordering::AcqRel) {
            return;
        }
        let next = lock(&shared.put).map(|last| last + APART);
        let gate = Arc::downgrade(self);
        tokio::spawn(async move {
            if let Some(next) = next {
                tokio::time::sleep_until(next).await;
            }
            if let Some(gate) = gate.upgrade() {
                gate.put().await;
            }
        });
    }

    async fn put(&self) {
        let Some(shared) = &self.shared else { return };
        *lock(&shared.put) = Some(Instant::now());
        // What is told from here on is put the next time.
        shared.is_to_put.store(false, Ordering::Release);
        let Some(seen) = self.observe() else { return };
        if let Ok(value) = serde_json::to_vec(&seen) {
            let entry = Entry { key: shared.key.clone(), value, ttl: seen.keep_for() };
            shared.replicas.set(vec![entry]).await;
        }
    }

    fn observe(&self) -> Option<Observation> {
        let (now, wall) = (Instant::now(), self.clock.now());
        let state = &mut *self.lock();
        state.fleet.as_ref().map(|fleet| state.quota.observe(fleet, now, wall))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
