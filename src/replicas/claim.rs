//! Claims on work: the first to miss a value fetches it, the others wait for what it brings.
//!
//! A claim is short and is held on to while the work goes on: one whose holder died is free again after
//! that short time, and work that takes longer is not done twice.

use std::sync::Arc;

use tokio::task::AbortHandle;

use super::Shared;
use super::counts::Task;
use super::store::Entry;

/// What became of a claim.
pub enum Claim {
    /// The work is this replica's, until this is dropped.
    Held(Claimed),
    /// Another is at it.
    Taken,
    /// The store is away, or refuses: nobody knows who else is at it.
    Away,
}

/// A claim that is held. Dropped without being released, it is free after its time: whoever waits for the work is told
/// nothing of why it has ended.
pub struct Claimed {
    shared: Arc<Shared>,
    entry: Entry,
    holding_on: AbortHandle,
}

impl Claimed {
    pub(super) fn hold(shared: Arc<Shared>, entry: Entry) -> Self {
        let (holder, held) = (Arc::clone(&shared), entry.clone());
        let holding_on = tokio::spawn(async move {
            loop {
                tokio::time::sleep(held.keep_for / 3).await;
                let extended = holder.ask(Task::Claim, |store| store.extend(held.clone())).await;
                // It ran out meanwhile: it is another's, or anybody's.
                if extended == Some(false) {
                    return;
                }
            }
        });
        Self { shared, entry, holding_on: holding_on.abort_handle() }
    }

    /// What stands under its key while it is held, and of no other claim.
    #[must_use]
    pub fn token(&self) -> &[u8] {
        &self.entry.value
    }

    /// Lets go of it, and waits until the others can see that.
    pub async fn release(self) {
        self.holding_on.abort();
        let (key, value) = (self.entry.key.clone(), self.entry.value.clone());
        self.shared.ask(Task::Claim, |store| store.remove(key, value)).await;
    }
}

impl Drop for Claimed {
    fn drop(&mut self) {
        self.holding_on.abort();
    }
}
