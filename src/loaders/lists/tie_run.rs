//! Tracks the ties ([`Ties`]) of each row while a scan is read.

use std::collections::VecDeque;
use std::sync::Arc;

use super::cursor::Cursor;
use super::scan::Scan;
use super::ties::{TIES_MAX, Ties, hash};
use crate::domain::accounts::{ConnectedAccount, SharedAccount};

/// The last rows that were read and share one timestamp.
#[derive(Debug)]
pub(crate) struct TieRun {
    /// Timestamp of the run; `None` before the first row that has one.
    micros: Option<i64>,
    ties: Ties,
    /// The last rows, with any times.
    recent: VecDeque<RecentRow>,
    /// Whether the last of them belongs to the run, and not yet to `ties`.
    is_last_of_run: bool,
}

/// A row that was read. The account's id is hashed only if it is a tie of another row, which is rare.
#[derive(Debug)]
enum RecentRow {
    Account(SharedAccount),
    Hash(u32),
}

impl RecentRow {
    fn hash(&mut self) -> u32 {
        let hash = match self {
            Self::Account(account) => hash(&account.id),
            Self::Hash(hash) => *hash,
        };
        *self = Self::Hash(hash);
        hash
    }
}

impl TieRun {
    /// Starts at the beginning of a scan.
    pub(crate) const fn from_start() -> Self {
        Self { micros: None, ties: Ties::NONE, recent: VecDeque::new(), is_last_of_run: false }
    }

    /// Starts in the middle of a scan, where the preceding rows are unknown.
    pub(crate) const fn from_middle() -> Self {
        Self { micros: None, ties: Ties::UNKNOWN, recent: VecDeque::new(), is_last_of_run: false }
    }

    /// Starts after a cursor's item, whose ties the cursor contains.
    pub(crate) fn after(cursor: &Cursor) -> Self {
        let mut ties = cursor.ties.clone();
        ties.push(&cursor.id);
        ties.is_whole &= cursor.order_micros.is_some();
        let recent = ties.hashes.iter().map(|hash| RecentRow::Hash(*hash)).collect();
        Self { micros: cursor.order_micros, ties, recent, is_last_of_run: false }
    }

    /// Returns the ties of the next row. A row without a timestamp does not end the run, because the rows around it
    /// may have the same one. A row with an earlier timestamp does not end it either: pages that were read at different
    /// times may overlap, so rows with the run's timestamp may follow.
    ///
    /// If the rows are not in order, times say nothing: the ties are the last rows then, so that a page that repeats
    /// them is recognized.
    pub(crate) fn next(&mut self, scan: &Scan, account: &SharedAccount, is_ordered: bool) -> Ties {
        let micros = scan.order_micros(account);
        let is_past = matches!((self.micros, micros), (Some(run), Some(row)) if scan.precedes(row, run));
        let recent = (!is_ordered).then(|| {
            let hashes = self.recent.iter_mut().map(RecentRow::hash).collect();
            Ties { hashes, is_whole: false }
        });
        let ties = self.step(RecentRow::Account(Arc::clone(account)), micros, is_past);
        recent.unwrap_or(ties)
    }

    /// Remembers a row that precedes those that are returned, as the last one read. If the cursor remembers it already,
    /// it moves: a duplicate would displace another row, and in its old place the row would be forgotten too early.
    pub(crate) fn pass(&mut self, account: &ConnectedAccount) {
        self.add_last_to_ties();
        let hash = hash(&account.id);
        self.recent.retain_mut(|row| row.hash() != hash);
        self.push_recent(RecentRow::Hash(hash));
    }

    fn step(&mut self, row: RecentRow, micros: Option<i64>, is_past: bool) -> Ties {
        if is_past {
            self.add_last_to_ties();
            self.push_recent(row);
            return Ties::UNKNOWN;
        }
        if micros.is_some() && self.micros != micros {
            if self.micros.is_some() {
                self.ties = Ties::NONE;
                self.is_last_of_run = false;
            }
            self.micros = micros;
        }
        self.add_last_to_ties();
        self.push_recent(row);
        self.is_last_of_run = true;
        self.ties.clone()
    }

    fn add_last_to_ties(&mut self) {
        if std::mem::take(&mut self.is_last_of_run)
            && let Some(last) = self.recent.back_mut()
        {
            self.ties.push_hash(last.hash());
        }
    }

    fn push_recent(&mut self, row: RecentRow) {
        if self.recent.len() == TIES_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back(row);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_earlier_timestamp_does_not_end_the_run() {
        let mut run = TieRun::from_start();
        let mut step = |id: &str, micros, is_past| {
            let ties = run.step(RecentRow::Hash(hash(id)), Some(micros), is_past);
            (ties.len(), ties.is_whole)
        };
        assert_eq!(step("ca_a", 5, false), (0, true));
        assert_eq!(step("ca_b", 5, false), (1, true));
        assert_eq!(step("ca_late", 3, true), (0, false));
        assert_eq!(step("ca_c", 5, false), (2, true));
        assert_eq!(step("ca_d", 6, false), (0, true));
        assert_eq!(step("ca_e", 6, false), (1, true));
        assert!(run.ties.contains("ca_d") && !run.ties.contains("ca_c"));
    }
}
