//! The generation of one credential's shared data, and what this replica knows of it.
//!
//! Every stored entry carries the generation that was current when its fetch began. An entry of another generation is
//! worthless, so an invalidation writes a new generation and has no entries to search for and remove.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::seal::Generation;
use crate::domain::change::ChangeCause;
use crate::domain::upstream_name::UpstreamName;

/// How many invalidated generations are remembered, which the store may still return.
const DEAD_MAX: usize = 8;

/// What this replica knows of a credential's generation.
#[derive(Debug, Default)]
pub(super) struct GenerationState {
    /// The newest one, read from the store or received from another replica.
    newest: Option<Generation>,
    /// The ones that were invalidated before it.
    dead: VecDeque<Generation>,
    /// The one whose lifetime in the store was extended, because this replica stored entries of it.
    pub(super) lasting: Option<Generation>,
    /// Whether anything was fetched while the generation was unknown.
    pub(super) is_blind: bool,
    /// An invalidation that the store and the other replicas do not know yet.
    pub(super) unsent: Option<Invalidation>,
}

/// Everything of a credential is invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Invalidation {
    pub(super) upstream: UpstreamName,
    pub(super) generation: Generation,
    /// Why the data is read again; `None` if the upstream rejected the key, so that nothing may be served any more.
    pub(super) cause: Option<ChangeCause>,
}

/// What the generation in the store means for the cached data.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    /// The store has not received the newest invalidation: its entries are older than that.
    StoreIsBehind,
    /// Something was invalidated elsewhere: expire what is cached here.
    Invalidated,
    /// Nothing was invalidated since the last comparison.
    Same,
}

impl GenerationState {
    /// Makes a generation the newest one.
    pub(super) fn succeed(&mut self, generation: Generation) {
        if let Some(before) = self.newest.replace(generation).filter(|before| *before != generation) {
            self.dead.push_back(before);
            if self.dead.len() > DEAD_MAX {
                self.dead.pop_front();
            }
        }
    }

    /// Records an invalidation by this replica.
    pub(super) fn invalidate(
        &mut self,
        upstream: UpstreamName,
        generation: Generation,
        cause: Option<ChangeCause>,
    ) {
        // A withdrawal that is still unsent wins over a mere expiry.
        let cause = cause.filter(|_| self.unsent.is_none_or(|unsent| unsent.cause.is_some()));
        self.succeed(generation);
        self.unsent = Some(Invalidation { upstream, generation, cause });
    }

    /// Records an invalidation by another replica. Returns whether this replica has to apply it.
    pub(super) fn receive(&mut self, received: &Invalidation) -> bool {
        let is_known = self.newest == Some(received.generation) || self.dead.contains(&received.generation);
        if is_known && received.cause.is_some() {
            return false;
        }
        if self.unsent.is_none() && !is_known {
            self.succeed(received.generation);
        }
        true
    }

    /// Compares with the generation in the store.
    pub(super) fn compare(&mut self, stored: Option<Generation>) -> Comparison {
        let is_dead = stored.is_some_and(|stored| self.dead.contains(&stored));
        if self.unsent.is_some() || is_dead {
            return Comparison::StoreIsBehind;
        }
        let is_invalidated = match self.newest {
            Some(_) => self.newest != stored,
            None => self.is_blind,
        };
        match stored {
            Some(stored) => self.succeed(stored),
            None => self.newest = None,
        }
        self.is_blind = false;
        if is_invalidated { Comparison::Invalidated } else { Comparison::Same }
    }

    /// The generation before the newest one.
    pub(super) fn previous(&self) -> Option<Generation> {
        self.dead.back().copied()
    }
}
