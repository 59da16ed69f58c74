//! Dropping everything of a credential on all replicas: by one number that stands in the store, and by telling them.
//!
//! Each entry bears the generation that stood there when its fetch began; one of another generation is worth nothing, and
//! nothing has to be searched for and removed. A drop writes a new generation and tells the others, who expire their own
//! caches. Whoever missed that sees it by the number: at its next look, or when it hears again after it had lost the connection.
//! Where the number is gone (a store that was emptied, or that evicts), or what was read was read without knowing it, that counts
//! as a drop, as there may have been one.
//!
//! One task makes the drops, one after the other so that the last one stands, and again until the store has taken each. A
//! store that takes no more is told to forget the number instead. Whoever heard of a drop that is not there yet takes nothing from
//! the store that is of before.

use std::collections::VecDeque;
use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{sleep, timeout};

use super::seal::Generation;
use super::{Shared, SharedPart};
use crate::domain::change::ChangeCause;
use crate::domain::credential::Fingerprint;
use crate::domain::upstream_name::{Upstream, UpstreamName};
use crate::loaders::cache::upstream_cache::{Holding, Holdings};
use crate::replicas::Replicas;
use crate::replicas::channel::{ChannelEvent, ChannelMessage, Topic};
use crate::replicas::store::Entry;

/// Longer than any entry is kept: one that outlives its generation is dropped by that.
const LASTING: Duration = Duration::from_secs(31 * 86_400);

/// For as long as a fetch may take, where nothing was ever put there: whoever comes with a key that opens nothing is to leave
/// nothing behind.
const BRIEF: Duration = Duration::from_secs(120);

/// How soon what could not be made known, or found out, is tried again.
const AGAIN_AFTER: Duration = Duration::from_millis(250);

/// How many generations are asked for at once.
const ASKED_AT_ONCE: usize = 500;

/// How many generations are remembered that were dropped and may stand there still.
const DEAD_MAX: usize = 8;

/// What is known of a credential's generation.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// The one that was seen or heard of last.
    seen: Option<Generation>,
    /// Those that were dropped before it.
    dead: VecDeque<Generation>,
    /// The one that was given its time by what this replica has put there.
    lasting: Option<Generation>,
    /// Whether anything was read while none was known.
    is_blind: bool,
    /// A drop that the store and the others do not know of yet.
    unsent: Option<Drop>,
}

impl State {
    /// Another takes the place of the last one.
    fn succeed(&mut self, generation: Generation) {
        if let Some(before) = self.seen.replace(generation).filter(|before| *before != generation) {
            self.dead.push_back(before);
            if self.dead.len() > DEAD_MAX {
                self.dead.pop_front();
            }
        }
    }
}

/// Everything of a credential is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Drop {
    upstream: UpstreamName,
    generation: Generation,
    /// Why it is read again; none where nothing of it is to be shown any more.
    cause: Option<ChangeCause>,
}

impl<U: Upstream> Holdings<U> {
    /// Has the other replicas drop what this one drops; none of the credential's entries in the store is read from now on.
    pub(crate) fn tell_drop(&self, holding: &Arc<Holding>, cause: Option<ChangeCause>) {
        let (Some(shared), Some(part)) = (&self.shared, &holding.shared) else { return };
        let generation = new();
        {
            let mut state = part.lock();
            // What others may not show any more is not forgotten for what they only have to read again.
            let cause = cause.filter(|_| state.unsent.is_none_or(|unsent| unsent.cause.is_some()));
            state.succeed(generation);
            state.unsent = Some(Drop { upstream: U::NAME, generation, cause });
        }
        let mut unsent = shared.unsent.lock().unwrap_or_else(PoisonError::into_inner);
        if !unsent.iter().any(|known| Arc::ptr_eq(known, holding)) {
            unsent.push(Arc::clone(holding));
        }
        drop(unsent);
        shared.wake.notify_one();
    }

    /// Makes drops known, and hears of those of other replicas, for as long as these holdings are held.
    pub(crate) fn listen(self: &Arc<Self>) {
        if let Some(Shared { replicas, wake, .. }) = &self.shared {
            let (heard, wake) = (replicas.subscribe(Topic::Invalidations), Arc::clone(wake));
            let holdings = Arc::downgrade(self);
            tokio::spawn(async move { keep_drops(holdings, heard, &wake).await });
        }
    }

    /// Waits until all drops are known, for a moment that the end of a process has.
    pub(crate) async fn flush(&self, at_most: Duration) {
        let flushed = async {
            while !self.send_all().await {
                sleep(AGAIN_AFTER / 10).await;
            }
        };
        // Whoever missed one finds out, unless the store was away all the while.
        let _ = timeout(at_most, flushed).await;
    }

    /// The generation that stands in the store, by what a look has found there; none where the store cannot be asked, or
    /// has not taken a drop yet. Where it is another than the last one seen, something was dropped elsewhere.
    pub(crate) async fn generation(
        &self,
        credential: &Fingerprint<U>,
        part: &SharedPart,
        found: Option<Vec<u8>>,
    ) -> Option<Generation> {
        let replicas = &self.shared.as_ref()?.replicas;
        let stands = match written(found) {
            Ok(Some(stands)) => stands,
            Ok(None) => match written(replicas.set_if_absent(part.entry(new(), BRIEF)).await) {
                Ok(Some(stands)) => stands,
                // Something stands there that is no value, or the store is away: then this is in vain too.
                Ok(None) | Err(Unreadable) => part.put_another(replicas).await?,
            },
            Err(Unreadable) => {
                replicas.count_unreadable();
                part.put_another(replicas).await?
            }
        };
        self.meet(credential, part, Some(stands)).then_some(stands)
    }

    /// Drops what is held where something was dropped elsewhere since the last generation that was seen; says whether what
    /// stands in the store is of this generation, and not of one that was dropped.
    fn meet(&self, credential: &Fingerprint<U>, part: &SharedPart, stands: Option<Generation>) -> bool {
        let is_dropped = {
            let mut state = part.lock();
            let is_dead = stands.is_some_and(|stands| state.dead.contains(&stands));
            if state.unsent.is_some() || is_dead {
                // The drop that is known here comes after whatever stands there.
                return false;
            }
            let is_dropped = match state.seen {
                Some(_) => state.seen != stands,
                None => state.is_blind,
            };
            match stands {
                Some(stands) => state.succeed(stands),
                None => state.seen = None,
            }
            state.is_blind = false;
            is_dropped
        };
        if is_dropped {
            self.expire_here(credential, ChangeCause::Poll);
        }
        true
    }

    fn hear(&self, news: &ChannelMessage) {
        let Ok(drop) = serde_json::from_str::<Drop>(&news.body) else { return };
        if drop.upstream != U::NAME {
            return;
        }
        let of_tag = |(_, holding): &(_, Arc<Holding>)| {
            holding.shared.as_ref().is_some_and(|part| part.tag == news.tag)
        };
        let Some((credential, holding)) = self.all().into_iter().find(of_tag) else { return };
        let Some(part) = &holding.shared else { return };
        {
            let mut state = part.lock();
            let is_known = state.seen == Some(drop.generation) || state.dead.contains(&drop.generation);
            if is_known && drop.cause.is_some() {
                return;
            }
            if state.unsent.is_none() && !is_known {
                state.succeed(drop.generation);
            }
        }
        match drop.cause {
            Some(cause) => self.expire_here(&credential, cause),
            None => self.withdraw_here(&credential),
        }
    }

    /// Finds out what was dropped while nothing was heard; says whether it could.
    async fn catch_up(&self) -> bool {
        let Some(shared) = &self.shared else { return true };
        let held = self.all();
        for some in held.chunks(ASKED_AT_ONCE) {
            let parts = || {
                some.iter().filter_map(|(credential, holding)| Some((credential, holding.shared.as_ref()?)))
            };
            let keys = parts().map(|(_, part)| part.seal.generation_key()).collect();
            let Some(found) = shared.replicas.get(keys).await else { return false };
            for ((credential, part), found) in parts().zip(found) {
                self.meet(credential, part, written(found).ok().flatten());
            }
        }
        true
    }

    /// Makes all drops known that are not yet; says whether none is left.
    async fn send_all(&self) -> bool {
        let Some(shared) = &self.shared else { return true };
        let unsent = shared.unsent.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for holding in &unsent {
            if let Some(part) = &holding.shared
                && part.send(&shared.replicas).await
            {
                let mut left = shared.unsent.lock().unwrap_or_else(PoisonError::into_inner);
                // A drop since then has put it there anew, or finds it there.
                left.retain(|known| !Arc::ptr_eq(known, holding) || part.has_unsent());
                part.sent.notify_waiters();
            }
        }
        shared.unsent.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }
}

impl SharedPart {
    pub(crate) fn has_unsent(&self) -> bool {
        self.lock().unsent.is_some()
    }

    /// Something is read while nobody knows which generation stands.
    pub(crate) fn read_blindly(&self) {
        self.lock().is_blind = true;
    }

    /// Waits until a drop of this replica's is known, for the time of a command; says whether it is.
    pub(crate) async fn settled(&self, at_most: Duration) -> bool {
        let sent = async {
            loop {
                let sent = self.sent.notified();
                if !self.has_unsent() {
                    return;
                }
                sent.await;
            }
        };
        timeout(at_most, sent).await.is_ok()
    }

    /// Makes a drop known that is not yet; says whether the store has taken it.
    async fn send(&self, replicas: &Replicas) -> bool {
        let (drop, ttl, before) = {
            let state = self.lock();
            let Some(drop) = state.unsent else { return true };
            // A key that never opened anything is refused: that is not remembered for long.
            let is_brief = drop.cause.is_none() && state.lasting.is_none();
            (drop, if is_brief { BRIEF } else { LASTING }, state.dead.back().copied())
        };
        let mut is_taken = replicas.set(vec![self.entry(drop.generation, ttl)]).await;
        if !is_taken && let Some(before) = before {
            // A store that is full forgets all the same, and then all of it is of before.
            is_taken = replicas.remove(self.seal.generation_key(), before.to_vec()).await;
        }
        if let Ok(body) = serde_json::to_string(&drop) {
            // Where the store has not taken it, those who hear it know at least.
            replicas.publish_now(ChannelMessage { topic: Topic::Invalidations, tag: self.tag, body }).await;
        }
        let mut state = self.lock();
        if is_taken && state.unsent == Some(drop) {
            state.unsent = None;
            state.lasting = (ttl == LASTING).then_some(drop.generation);
        }
        state.unsent.is_none()
    }

    /// Puts what bears a generation where the others look.
    pub(crate) async fn put(&self, replicas: &Replicas, entries: Vec<Entry>, generation: Generation) {
        if entries.is_empty() {
            return;
        }
        let is_lasting = self.lock().lasting == Some(generation);
        if !is_lasting && replicas.extend(self.entry(generation, LASTING)).await {
            self.lock().lasting = Some(generation);
        }
        replicas.set(entries).await;
    }

    /// Puts a generation in the place of something that is none.
    async fn put_another(&self, replicas: &Replicas) -> Option<Generation> {
        let generation = new();
        replicas.set(vec![self.entry(generation, BRIEF)]).await.then_some(generation)
    }

    fn entry(&self, generation: Generation, ttl: Duration) -> Entry {
        Entry { key: self.seal.generation_key(), value: generation.to_vec(), ttl }
    }
}

/// What stands under a generation's key and is none.
struct Unreadable;

fn written(found: Option<Vec<u8>>) -> Result<Option<Generation>, Unreadable> {
    found.map(Generation::try_from).transpose().map_err(|_| Unreadable)
}

fn new() -> Generation {
    fastrand::u64(..).to_be_bytes()
}

async fn keep_drops<U: Upstream>(
    holdings: Weak<Holdings<U>>,
    mut heard: Receiver<ChannelEvent>,
    wake: &tokio::sync::Notify,
) {
    let mut is_behind = false;
    loop {
        let is_settled = {
            let Some(holdings) = holdings.upgrade() else { return };
            let is_sent = holdings.send_all().await;
            is_behind = is_behind && !holdings.catch_up().await;
            is_sent && !is_behind
        };
        tokio::select! {
            heard = heard.recv() => match heard {
                Ok(ChannelEvent::Message { message: news, .. }) => {
                    let Some(holdings) = holdings.upgrade() else { return };
                    holdings.hear(&news);
                }
                Ok(ChannelEvent::Gap) | Err(RecvError::Lagged(_)) => is_behind = true,
                Err(RecvError::Closed) => return,
            },
            () = wake.notified() => {}
            () = sleep(AGAIN_AFTER), if !is_settled => {}
        }
    }
}
