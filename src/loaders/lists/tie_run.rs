//! Tracks the ties ([`Ties`]) of each row while a scan is read.

use super::cursor::Cursor;
use super::scan::Scan;
use super::ties::{Ties, hash};
use crate::domain::accounts::ConnectedAccount;

/// The last rows that were read and share one timestamp.
#[derive(Debug)]
pub(crate) struct TieRun {
    /// Timestamp of the run; `None` before the first row that has one.
    micros: Option<i64>,
    ties: Ties,
    /// The last rows, whatever their times.
    recent: Ties,
}

impl TieRun {
    /// Starts at the beginning of a scan.
    pub(crate) const fn at_the_beginning() -> Self {
        Self { micros: None, ties: Ties::NONE, recent: Ties::UNKNOWN }
    }

    /// Starts in the middle of a scan, where the preceding rows are unknown.
    pub(crate) const fn in_the_midst() -> Self {
        Self { micros: None, ties: Ties::UNKNOWN, recent: Ties::UNKNOWN }
    }

    /// Starts after a cursor's item.
    pub(crate) fn behind(cursor: &Cursor) -> Self {
        let mut ties = cursor.ties.clone();
        ties.push(&cursor.id);
        ties.is_whole &= cursor.order_micros.is_some();
        Self { micros: cursor.order_micros, recent: Ties { is_whole: false, ..ties.clone() }, ties }
    }

    /// Returns the ties of the next row. A row without a timestamp does not end the run, because the rows around it
    /// may have the same one. A row with an earlier timestamp does not end it either: pages that were read at different
    /// times may overlap, so rows with the run's timestamp may follow.
    ///
    /// If the rows are not in order, times say nothing: the ties are the last rows then, so that a page that repeats
    /// them is recognized.
    pub(crate) fn next(&mut self, scan: &Scan, account: &ConnectedAccount, is_ordered: bool) -> Ties {
        let micros = scan.order_micros(account);
        let is_past = matches!((self.micros, micros), (Some(run), Some(row)) if scan.precedes(row, run));
        let recent = (!is_ordered).then(|| self.recent.clone());
        let ties = self.step(&account.id, micros, is_past);
        recent.unwrap_or(ties)
    }

    /// Remembers a row that precedes those that are returned.
    pub(crate) fn pass(&mut self, account: &ConnectedAccount) {
        self.recent.push(&account.id);
    }

    fn step(&mut self, id: &str, micros: Option<i64>, is_past: bool) -> Ties {
        let hash = hash(id);
        self.recent.push_hash(hash);
        if is_past {
            return Ties::UNKNOWN;
        }
        if micros.is_some() && self.micros != micros {
            if self.micros.is_some() {
                self.ties = Ties::NONE;
            }
            self.micros = micros;
        }
        let before = self.ties.clone();
        self.ties.push_hash(hash);
        before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_earlier_timestamp_does_not_end_the_run() {
        let mut run = TieRun::at_the_beginning();
        let mut step = |id: &str, micros, is_past| {
            let ties = run.step(id, Some(micros), is_past);
            (ties.len(), ties.is_whole)
        };
        assert_eq!(step("ca_a", 5, false), (0, true));
        assert_eq!(step("ca_b", 5, false), (1, true));
        assert_eq!(step("ca_late", 3, true), (0, false));
        assert_eq!(step("ca_c", 5, false), (2, true));
        assert_eq!(step("ca_d", 6, false), (0, true));
        assert!(run.ties.contains("ca_d") && !run.ties.contains("ca_c"));
    }
}
