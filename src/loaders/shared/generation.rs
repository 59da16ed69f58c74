//! Dropping everything of a credential on all replicas: by one number that stands in the store, and by telling them.
//!
//! Each entry bears the generation that stood there when its fetch began; one of another generation is worth nothing, and
//! nothing has to be searched for and removed. A drop writes a new generation and tells the others, who expire their own
//! caches. Whoever missed that sees it by the number: at its next look, or when it hears again after it had
//! lost the connection. Where the number is gone (a store that was emptied, or that evicts), everybody takes that for a drop,
//! as there may have been one. A drop while the store is away is kept and made as soon as it is back.

use std::sync::{Arc, Weak};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::super::holdings::{Holding, Holdings};
use super::seal::Generation;
use super::{Shared, SharedPart};
use crate::domain::change::ChangeCause;
use crate::domain::credential::Fingerprint;
use crate::domain::upstream_name::{Upstream, UpstreamName};
use crate::replicas::Replicas;
use crate::replicas::channel::{Heard, News, Topic};
use crate::replicas::store::Entry;

/// Longer than any entry is kept: one that outlives its generation is dropped by that.
const LASTING: Duration = Duration::from_secs(31 * 86_400);

/// For as long as a fetch may take, where nothing was ever put there: whoever comes with a key that opens nothing is to leave
/// nothing behind.
const BRIEF: Duration = Duration::from_secs(120);

/// How many generations are asked for at once.
const ASKED_AT_ONCE: usize = 500;

/// What is known of a credential's generation.
#[derive(Debug, Default)]
pub(super) struct State {
    /// The one that was seen last.
    seen: Option<Generation>,
    /// Whether this replica has put anything there that bears it, or a drop.
    is_lasting: bool,
    /// A drop that the store and the others do not know of yet.
    unsent: Option<Drop>,
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
    pub(in super::super) fn tell_drop(&self, holding: &Arc<Holding>, cause: Option<ChangeCause>) {
        let (Some(shared), Some(part)) = (&self.shared, &holding.shared) else { return };
        let generation = fastrand::u64(..).to_be_bytes();
        {
            let mut state = part.lock();
            // What others may not show any more is not forgotten for what they only have to read again.
            let cause = cause.filter(|_| state.unsent.is_none_or(|unsent| unsent.cause.is_some()));
            state.seen = Some(generation);
            state.unsent = Some(Drop { upstream: U::NAME, generation, cause });
        }
        let (replicas, holding) = (shared.replicas.clone(), Arc::clone(holding));
        tokio::spawn(async move {
            if let Some(part) = &holding.shared {
                part.send(&replicas).await;
            }
        });
    }

    /// Listens to what other replicas drop, for as long as these holdings are held.
    pub(in super::super) fn listen(self: &Arc<Self>) {
        if let Some(Shared { replicas, .. }) = &self.shared {
            let (holdings, heard) = (Arc::downgrade(self), replicas.listen(Topic::Drops));
            tokio::spawn(hear_drops(holdings, heard));
        }
    }

    /// The generation that stands in the store, by what a look has found there; none where the store cannot be asked. Where it
    /// is another than the last one seen, something was dropped elsewhere.
    pub(super) async fn generation(
        &self,
        credential: &Fingerprint<U>,
        part: &SharedPart,
        found: Option<Vec<u8>>,
    ) -> Option<Generation> {
        let replicas = &self.shared.as_ref()?.replicas;
        let written = |value: Option<Vec<u8>>| value.and_then(|value| Generation::try_from(value).ok());
        let stands = match (written(found.clone()), found) {
            (Some(stands), _) => stands,
            (None, None) => {
                part.lock().is_lasting = false;
                written(replicas.set_if_absent(part.entry(new(), BRIEF)).await)?
            }
            (None, Some(_unreadable)) => {
                replicas.count_unreadable();
                let generation = new();
                replicas.set(vec![part.entry(generation, LASTING)]).await.then_some(generation)?
            }
        };
        self.meet(credential, part, Some(stands));
        Some(stands)
    }

    /// Drops what is held where something was dropped elsewhere since the last generation that was seen.
    fn meet(&self, credential: &Fingerprint<U>, part: &SharedPart, stands: Option<Generation>) {
        let before = {
            let mut state = part.lock();
            if state.unsent.is_some() {
                // This replica's own drop comes after whatever stands there.
                return;
            }
            std::mem::replace(&mut state.seen, stands)
        };
        if before.is_some() && before != stands {
            self.expire_here(credential, ChangeCause::Poll);
        }
    }

    fn hear(&self, news: &News) {
        let (Some(shared), Ok(drop)) = (&self.shared, serde_json::from_str::<Drop>(&news.body)) else {
            return;
        };
        if drop.upstream != U::NAME {
            return;
        }
        let Some(credential) = shared.by_tag.get(&news.tag) else { return };
        let holding = self.of(&credential);
        let Some(part) = &holding.shared else { return };
        {
            let mut state = part.lock();
            if state.unsent.is_none() {
                state.seen = Some(drop.generation);
            }
        }
        match drop.cause {
            Some(cause) => self.expire_here(&credential, cause),
            None => self.withdraw_here(&credential),
        }
    }

    /// Finds out what was dropped while nothing was heard.
    async fn catch_up(&self) {
        let Some(shared) = &self.shared else { return };
        let held = self.all();
        for some in held.chunks(ASKED_AT_ONCE) {
            let parts = || {
                some.iter().filter_map(|(credential, holding)| Some((credential, holding.shared.as_ref()?)))
            };
            for (_, part) in parts() {
                part.send(&shared.replicas).await;
            }
            let keys = parts().map(|(_, part)| part.seal.generation_key()).collect();
            let Some(found) = shared.replicas.get(keys).await else { return };
            for ((credential, part), found) in parts().zip(found) {
                self.meet(credential, part, found.and_then(|value| value.try_into().ok()));
            }
        }
    }
}

impl SharedPart {
    /// Makes a drop known that is not yet; says whether none is left.
    pub(super) async fn send(&self, replicas: &Replicas) -> bool {
        let Some(drop) = self.lock().unsent else { return true };
        // A key that never opened anything is refused: that is not remembered for long.
        let keep_for = if drop.cause.is_some() || self.lock().is_lasting { LASTING } else { BRIEF };
        if !replicas.set(vec![self.entry(drop.generation, keep_for)]).await {
            return false;
        }
        if let Ok(body) = serde_json::to_string(&drop) {
            replicas.tell(News { topic: Topic::Drops, tag: self.tag, body });
        }
        let mut state = self.lock();
        if state.unsent == Some(drop) {
            state.unsent = None;
        }
        state.unsent.is_none()
    }

    /// Puts what bears a generation where the others look.
    pub(super) async fn put(&self, replicas: &Replicas, entries: Vec<Entry>, generation: Generation) {
        if entries.is_empty() {
            return;
        }
        let is_lasting = std::mem::replace(&mut self.lock().is_lasting, true);
        if !is_lasting && !replicas.extend(self.entry(generation, LASTING)).await {
            self.lock().is_lasting = false;
        }
        replicas.set(entries).await;
    }

    fn entry(&self, generation: Generation, keep_for: Duration) -> Entry {
        Entry { key: self.seal.generation_key(), value: generation.to_vec(), keep_for }
    }
}

fn new() -> Generation {
    fastrand::u64(..).to_be_bytes()
}

async fn hear_drops<U: Upstream>(holdings: Weak<Holdings<U>>, mut heard: Receiver<Heard>) {
    loop {
        let heard = heard.recv().await;
        let Some(holdings) = holdings.upgrade() else { return };
        match heard {
            Ok(Heard::News { news, .. }) => holdings.hear(&news),
            Ok(Heard::Missed) | Err(RecvError::Lagged(_)) => holdings.catch_up().await,
            Err(RecvError::Closed) => return,
        }
    }
}
