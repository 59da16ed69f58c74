//! The ties of each row while a scan is read.

use super::cursor::Cursor;
use super::scan::Scan;
use super::ties::Ties;
use crate::domain::accounts::ConnectedAccount;

/// The ties of the row at hand, while a scan is read.
#[derive(Debug)]
pub(crate) struct TieRun {
    /// `None` until a row with a moment was read.
    micros: Option<i64>,
    ties: Ties,
}

impl TieRun {
    /// The run at a scan's beginning.
    pub(crate) const fn at_the_beginning() -> Self {
        Self { micros: None, ties: Ties::NONE }
    }

    /// The run where reading begins in the midst of a scan: what came before is not known.
    pub(crate) const fn in_the_midst() -> Self {
        Self { micros: None, ties: Ties { hashes: Vec::new(), is_whole: false } }
    }

    /// The run up to a cursor's item and with it.
    pub(crate) fn behind(cursor: &Cursor) -> Self {
        let mut ties = cursor.ties.clone();
        ties.push(&cursor.id);
        ties.is_whole &= cursor.order_micros.is_some();
        Self { micros: cursor.order_micros, ties }
    }

    /// The ties of the next row. One without a moment ends no run: those around it may share theirs. Nor does one
    /// of a moment that is past: pages that were read at different times need not go on where the one before
    /// ended, and what follows may be of the run's moment again.
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
    fn a_row_of_a_moment_that_is_past_ends_no_run() {
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
