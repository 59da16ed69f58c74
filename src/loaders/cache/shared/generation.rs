//! Generation of one credential's shared data, as this replica knows it.
//!
//! The entry point is [`GenerationState`], a part of the credential's
//! [`SharedPartition`](super::partition::SharedPartition). Every stored entry has the generation that was current when
//! its fetch began. An entry of another generation is invalid. An invalidation therefore writes a new generation and
//! removes no entries.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::seal::Generation;
use crate::domain::change::ChangeCause;
use crate::domain::upstream_name::UpstreamName;

/// Maximum number of remembered invalid generations, which a lagging store may still return.
const INVALID_GENERATIONS_MAX: usize = 8;

/// The generations of one credential that this replica knows.
#[derive(Debug, Default)]
pub(super) struct GenerationState {
    /// The newest generation, created here, read from the store or received from another replica.
    newest: Option<Generation>,
    /// Earlier generations, whose entries are invalid.
    invalid: VecDeque<Generation>,
    /// The generation that is stored with the long lifetime that entries require.
    pub(super) stored_long_term: Option<Generation>,
    /// Whether data was fetched while the generation was unknown.
    pub(super) was_read_blindly: bool,
    /// An invalidation that was not sent to the store and the other replicas yet.
    pub(super) unsent: Option<Invalidation>,
}

/// Invalidation of all data of a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Invalidation {
    pub(super) upstream: UpstreamName,
    pub(super) generation: Generation,
    /// Cause of the invalidation. `None` if the upstream rejected the key: cached data must then not be served at all.
    pub(super) cause: Option<ChangeCause>,
}

/// Result of comparing the generation in the store with the one known here.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    /// The store has not received the newest invalidation, so its entries are invalid.
    StoreIsBehind,
    /// Another replica invalidated the data, so this replica's cache entries must expire.
    Invalidated,
    /// Nothing was invalidated since the last comparison.
    Same,
}

impl GenerationState {
    /// Makes a generation the newest one.
    pub(super) fn set_newest(&mut self, generation: Generation) {
        if let Some(before) = self.newest.replace(generation).filter(|before| *before != generation) {
            self.invalid.push_back(before);
            if self.invalid.len() > INVALID_GENERATIONS_MAX {
                self.invalid.pop_front();
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
        // A rejected key (no cause) takes precedence over an expiry.
        let cause = cause.filter(|_| self.unsent.is_none_or(|unsent| unsent.cause.is_some()));
        self.set_newest(generation);
        self.unsent = Some(Invalidation { upstream, generation, cause });
    }

    /// Records an invalidation by another replica. Returns whether this replica has to apply it.
    pub(super) fn receive(&mut self, received: &Invalidation) -> bool {
        let is_known =
            self.newest == Some(received.generation) || self.invalid.contains(&received.generation);
        if is_known && received.cause.is_some() {
            return false;
        }
        if self.unsent.is_none() && !is_known {
            self.set_newest(received.generation);
        }
        true
    }

    /// Compares the generation in the store with the known ones.
    pub(super) fn compare(&mut self, stored: Option<Generation>) -> Comparison {
        let is_invalid = stored.is_some_and(|stored| self.invalid.contains(&stored));
        if self.unsent.is_some() || is_invalid {
            return Comparison::StoreIsBehind;
        }
        let is_invalidated = match self.newest {
            Some(_) => self.newest != stored,
            None => self.was_read_blindly,
        };
        match stored {
            Some(stored) => self.set_newest(stored),
            None => self.newest = None,
        }
        self.was_read_blindly = false;
        if is_invalidated { Comparison::Invalidated } else { Comparison::Same }
    }

    /// Returns the generation before the newest one.
    pub(super) fn previous(&self) -> Option<Generation> {
        self.invalid.back().copied()
    }
}
