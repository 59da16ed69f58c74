//! One server of a run and its figures.

use crate::servers::Contender;
use crate::table::Row;

/// A server and what is known of it.
pub(crate) struct Lane {
    pub(crate) contender: Contender,
    pub(crate) row: Row,
}

impl Lane {
    /// Whether its answers are right.
    pub(crate) fn timed(&self) -> bool {
        self.row.excluded.is_none()
    }
}
