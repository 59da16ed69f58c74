//! Rows of one moment: those that came before a row are remembered in its cursor.
//!
//! Which of several rows of one moment comes first is the upstream's secret, and it may be another one
//! when the list runs the other way. So what was seen is remembered, by short hashes, and not compared;
//! an order of our own among them, the rejected choice, would have to sort rows on pages not yet read.

use sha2::{Digest, Sha256};

/// How many rows are remembered; of more than that, the first are forgotten.
pub(crate) const TIES_MAX: usize = 32;

/// The rows of a row's moment that came before it, as its scan runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ties {
    /// A short hash of each, in their order.
    pub(crate) hashes: Vec<u32>,
    /// Whether these are all of them. Not where they were too many, and not where reading began among
    /// them.
    pub(crate) is_whole: bool,
}

impl Ties {
    /// No row of this moment came before.
    pub(crate) const NONE: Self = Self { hashes: Vec::new(), is_whole: true };

    pub(crate) fn holds(&self, id: &str) -> bool {
        !self.hashes.is_empty() && self.hashes.contains(&hash(id))
    }

    pub(crate) fn len(&self) -> usize {
        self.hashes.len()
    }

    pub(super) fn push(&mut self, id: &str) {
        if self.hashes.len() == TIES_MAX {
            self.hashes.remove(0);
            self.is_whole = false;
        }
        self.hashes.push(hash(id));
    }
}

fn hash(id: &str) -> u32 {
    let [a, b, c, d, ..]: [u8; 32] = Sha256::digest(id).into();
    u32::from_be_bytes([a, b, c, d])
}
