//! Tracks the ties ([`Ties`]) of each row while a scan is read.

use super::cursor::Cursor;
use super::scan::Scan;
use super::ties::Ties;
use crate::domain::accounts::ConnectedAccount;

/// The last rows that were read and share one timestamp.
#[derive(Debug)]
pub(crate) struct TieRun {
    /// Timestamp of the run; `None` before the first row that has one.
    micros: Option<i64>,
    ties: Ties,
}

impl TieRun {
    /// Starts at the beginning of a scan.
    pub(crate) const fn at_the_beginning() -> Self {
        Self { micros: None, ties: Ties::NONE }
    }

    /// Starts in the middle of a scan, where the preceding rows are unknown.
    pub(crate) const fn in_the_midst() -> Self {
        Self { micros: None, ties: Ties { hashes: Vec::new(), is_whole: false } }
    }

    /// Starts after a cursor's item.
    pub(crate) fn behind(cursor: &Cursor) -> Self {
        let mut ties = cursor.ties.clone();
        ties.push(&cursor.id);
        ties.is_whole &= cursor.order_micros.is_some();
        Self { micros: cursor.order_micros, ties }
    }

    /// Returns the ties of the next row. Two kinds of rows do not end the run. The first is a row without a timestamp,
    /// because the rows around it may have the same one. The second is a row with an earlier timestamp: pages that were
    /// read at different times may overlap, so rows with the run's timestamp may follow.
    pub(crate) fn next(&mut self, scan: &Scan, account: &ConnectedAccount) -> Ties {
        let micros = scan.order_micros(account);
        let is_past = matches!((self.micros, micros), (Some(run), Some(row)) if scan.runs_past(row, run));
        self.step(&account.id, micros, is_past)
    }

    fn step(&mut self, id: &str, micros: Option<i64>, is_past: bool) -> Ties {
        if is_past {
            return Ties { hashes: Vec::new(), is_whole: false };
        }
        if micros.is_some() && self.micros != micros {
            if self.micros.is_some() {
                self.ties = Ties::NONE;
            }
            self.micros = micros;
        }
        let before = self.ties.clone();
        self.ties.push(id);
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
        assert!(run.ties.holds("ca_d") && !run.ties.holds("ca_c"));
    }
}
