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
    /// The store is away: nobody knows who else is at it.
    Away,
}

/// A claim that is held.
pub struct Claimed {
    shared: Arc<Shared>,
    key: String,
    token: Vec<u8>,
    holding_on: AbortHandle,
}

impl Claimed {
    pub(super) fn hold(shared: Arc<Shared>, key: String, token: Vec<u8>) -> Self {
        let (holder, held, kept) = (Arc::clone(&shared), key.clone(), token.clone());
        let holding_on = tokio::spawn(async move {
            let claim = holder.settings.claim();
            loop {
                tokio::time::sleep(claim / 3).await;
                let entry = Entry { key: held.clone(), value: kept.clone(), keep_for: claim };
                holder.ask(Task::Claim, |store| store.extend(entry)).await;
            }
        });
        Self { shared, key, token, holding_on: holding_on.abort_handle() }
    }

    /// What stands under its key while it is held, and of no other claim.
    #[must_use]
    pub fn token(&self) -> &[u8] {
        &self.token
    }

    /// Lets go of it, and waits until the others can see that.
    pub async fn release(self) {
        self.shared.ask(Task::Claim, |store| store.remove(self.key.clone(), self.token.clone())).await;
    }
}

impl Drop for Claimed {
    fn drop(&mut self) {
        self.holding_on.abort();
    }
}
