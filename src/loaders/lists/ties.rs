//! Rows with the same timestamp: a cursor remembers those that precede its row. In a list that is not in the order that
//! was asked for, it remembers the last rows instead.
//!
//! The upstream does not define the order of such rows, and it may differ when the list is read backward. Cursors
//! therefore contain short hashes of the tied rows that were already returned. Rejected: a second sort key of our own,
//! because rows on pages that are not read yet would have to be sorted too.

use sha2::{Digest, Sha256};

/// Maximum number of remembered rows. The oldest are dropped.
pub(crate) const TIES_MAX: usize = 32;

/// The rows before a row that have its timestamp.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ties {
    /// Short hashes of their ids, in the order of the scan.
    pub(crate) hashes: Vec<u32>,
    /// Whether `hashes` has all of them. It does not if there are more than [`TIES_MAX`], or if the read began among
    /// them.
    pub(crate) is_whole: bool,
}

impl Ties {
    /// No preceding rows with the same timestamp.
    pub(crate) const NONE: Self = Self { hashes: Vec::new(), is_whole: true };

    /// Preceding rows that are not known.
    pub(super) const UNKNOWN: Self = Self { hashes: Vec::new(), is_whole: false };

    pub(crate) fn contains(&self, id: &str) -> bool {
        !self.hashes.is_empty() && self.hashes.contains(&hash(id))
    }

    pub(crate) fn len(&self) -> usize {
        self.hashes.len()
    }

    pub(super) fn push(&mut self, id: &str) {
        self.push_hash(hash(id));
    }

    pub(super) fn push_hash(&mut self, hash: u32) {
        if self.hashes.len() == TIES_MAX {
            self.hashes.remove(0);
            self.is_whole = false;
        }
        self.hashes.push(hash);
    }
}

/// The short hash of an id.
pub(super) fn hash(id: &str) -> u32 {
    let [a, b, c, d, ..]: [u8; 32] = Sha256::digest(id).into();
    u32::from_be_bytes([a, b, c, d])
}
