//! Rows with the same timestamp: a cursor remembers those that precede its row.
//!
//! The upstream does not define the order of such rows, and the order may differ when the list is read backward.
//! Cursors therefore remember the rows that were already returned, as short hashes. Rejected: an order of our own,
//! which would have to sort rows on pages that are not read yet.

use sha2::{Digest, Sha256};

/// Maximum number of remembered rows. The oldest are dropped.
pub(crate) const TIES_MAX: usize = 32;

/// Preceding rows with the same timestamp as a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ties {
    /// Short hashes of their ids, in the order of the scan.
    pub(crate) hashes: Vec<u32>,
    /// Whether all of them are remembered: not if there were too many, or if the read began among them.
    pub(crate) is_whole: bool,
}

impl Ties {
    /// No preceding rows with the same timestamp.
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
