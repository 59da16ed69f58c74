//! What several replicas of this layer share: a store that forgets by itself, claims on work, and a channel.
//!
//! The distributed part is an existing server (Redis, or any that speaks its protocol), behind one small contract ([`store`]).
//! [`Replicas`] is what the layers above hold: it gives each command its time, takes a server that fails it for away
//! until it answers again ([`away`]), and hears what other replicas say ([`channel`]). Everything here may be missing at any
//! moment, so nothing here fails: what cannot be had is a miss, and counted ([`counts`]).
//!
//! Not taken: a library of distributed locks, whose guarantees cost several servers. A claim here only saves work; where two
//! hold one, a value is read twice, and that is all.

mod away;
pub mod channel;
pub mod claim;
pub mod counts;
pub mod redis;
pub mod settings;
pub mod store;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast;

use self::away::Away;
use self::channel::{Channel, Heard, News, Topic};
use self::claim::{Claim, Claimed};
use self::counts::{Counters, ReplicaCounts, Task};
use self::settings::ReplicaSettings;
use self::store::{Entry, Store, StoreError};

/// What this replica shares with others; cheap to clone.
#[derive(Clone)]
pub struct Replicas {
    shared: Arc<Shared>,
    channel: Arc<Channel>,
}

/// What its tasks hold too.
struct Shared {
    store: Arc<dyn Store>,
    settings: ReplicaSettings,
    /// Tells this replica from the others.
    own: String,
    away: Away,
    counters: Counters,
}

impl Replicas {
    /// Shares over a store, and listens from now on. Must be called within a Tokio runtime.
    #[must_use]
    pub fn start(store: Arc<dyn Store>, settings: ReplicaSettings) -> Self {
        let own = format!("{:016x}", fastrand::u64(..));
        let shared =
            Arc::new(Shared { away: Away::default(), counters: Counters::default(), store, settings, own });
        let channel = Arc::new(Channel::start(&shared));
        Self { shared, channel }
    }

    /// `[redis]`
    #[must_use]
    pub fn settings(&self) -> &ReplicaSettings {
        &self.shared.settings
    }

    /// What stands under some keys, in their order; none where the store is away.
    pub async fn get(&self, keys: Vec<String>) -> Option<Vec<Option<Vec<u8>>>> {
        self.shared.ask(Task::Get, |store| store.get(keys)).await
    }

    /// Puts entries into the store, each for its time; says whether they are there.
    pub async fn set(&self, entries: Vec<Entry>) -> bool {
        self.shared.ask(Task::Set, |store| store.set(entries)).await.is_some()
    }

    /// Puts a value under a key where there is none; gives what stands there then, and none where the store is away.
    pub async fn set_if_absent(&self, entry: Entry) -> Option<Vec<u8>> {
        let (key, own) = (entry.key.clone(), entry.value.clone());
        let is_set = self.shared.ask(Task::Set, |store| store.set_if_absent(entry)).await?;
        if is_set {
            return Some(own);
        }
        self.get(vec![key]).await?.pop().flatten()
    }

    /// Gives an entry its time anew where it still has that value; says whether it has.
    pub async fn extend(&self, entry: Entry) -> bool {
        self.shared.ask(Task::Set, |store| store.extend(entry)).await == Some(true)
    }

    /// Claims the work on a key, for as long as the claim is held: others wait for its result.
    pub async fn claim(&self, key: String) -> Claim {
        // Of its own, so that a claim of this replica that was lost cannot let go of a later one.
        let value = format!("{}-{:016x}", self.shared.own, fastrand::u64(..)).into_bytes();
        let entry = Entry { key, value, keep_for: self.shared.settings.claim() };
        let claiming = entry.clone();
        match self.shared.ask(Task::Claim, |store| store.set_if_absent(claiming)).await {
            Some(true) => Claim::Held(Claimed::hold(Arc::clone(&self.shared), entry)),
            Some(false) => Claim::Taken,
            None => Claim::Away,
        }
    }

    /// Tells the other replicas, soon. While the store is away, [`Topic::Drops`] wait until it is back, and what is told
    /// on other topics is lost. Whoever could not listen hears that it may have missed something ([`Heard::Missed`]).
    pub fn tell(&self, news: News) {
        self.channel.tell(news);
    }

    /// Tells the other replicas at once; says whether it was told.
    pub async fn tell_now(&self, news: News) -> bool {
        self.shared.publish(&news).await
    }

    /// Removes a key where it still has that value; says whether the store was there to do so.
    pub async fn remove(&self, key: String, value: Vec<u8>) -> bool {
        self.shared.ask(Task::Set, |store| store.remove(key, value)).await.is_some()
    }

    /// Hears what other replicas tell on a topic, from now on. Whoever falls behind by thousands gets
    /// `RecvError::Lagged` once, which means the same as [`Heard::Missed`]: its receiver alone knows of it, so it is not told
    /// among the news.
    #[must_use]
    pub fn listen(&self, topic: Topic) -> broadcast::Receiver<Heard> {
        self.channel.listen(topic)
    }

    /// How the store has served, for metrics.
    #[must_use]
    pub fn counts(&self) -> ReplicaCounts {
        self.shared.counters.read(self.shared.away.is_away())
    }

    /// Counts an entry that was read and is none of this layer's, for metrics.
    pub fn count_unreadable(&self) {
        self.shared.counters.unreadable();
    }

    /// Counts what a look into the store has brought, for metrics.
    pub fn count_looks(&self, hits: usize, misses: usize) {
        self.shared.counters.looked(hits, misses);
    }
}

impl Shared {
    /// One command, within its time; none where the store is away, which it is until it answers again.
    async fn ask<'s, T, F>(
        self: &'s Arc<Self>,
        task: Task,
        command: impl FnOnce(&'s dyn Store) -> F,
    ) -> Option<T>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        if self.away.is_away() {
            self.counters.failed(task, Failure::Away);
            return None;
        }
        let answered = self.counted(task, self.settings.timeout(), command(self.store.as_ref())).await;
        answered.map_err(|failure| self.goes_away(failure)).ok()
    }

    /// What is asked, within a time of its own, and counted.
    async fn counted<T>(
        &self,
        task: Task,
        time: Duration,
        asked: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, Failure> {
        let answered = match tokio::time::timeout(time, asked).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(StoreError::Refused)) => Err(Failure::Refused),
            Ok(Err(StoreError::Unreachable)) => Err(Failure::Unreachable),
            Ok(Err(StoreError::LockedOut)) => Err(Failure::LockedOut),
            Err(_elapsed) => Err(Failure::Timeout),
        };
        match &answered {
            Ok(_) => self.counters.succeeded(task),
            Err(failure) => self.counters.failed(task, *failure),
        }
        answered
    }

    /// A store that refuses is there.
    fn goes_away(self: &Arc<Self>, failure: Failure) {
        if failure != Failure::Refused && self.away.begin() {
            if self.away.is_worth_a_line() {
                let failure = failure.word();
                tracing::warn!(failure, "what replicas share is away: this one goes on by itself");
            }
            tokio::spawn(away::come_back(Arc::downgrade(self)));
        }
    }
}

/// Why a command brought nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Failure {
    /// It was not sent, as the store was seen to be away.
    Away,
    /// It was not answered in time.
    Timeout,
    /// There is no connection.
    Unreachable,
    /// User or password are not right.
    LockedOut,
    /// It was answered by an error: the store is full, or permits too little.
    Refused,
}

impl Failure {
    /// Its word, for logs and metrics.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Away => "away",
            Self::Timeout => "timeout",
            Self::Unreachable => "unreachable",
            Self::LockedOut => "locked_out",
            Self::Refused => "refused",
        }
    }
}
