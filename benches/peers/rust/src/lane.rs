//! One server of a run and its figures.

use crate::servers::Contender;
use crate::table::Row;

/// A server with its results so far.
pub(crate) struct Lane {
    pub(crate) contender: Contender,
    pub(crate) row: Row,
}

impl Lane {
    /// Whether its responses are correct, so that it is measured.
    pub(crate) fn timed(&self) -> bool {
        self.row.excluded.is_none()
    }
}
