//! One server of a run and its figures.

use crate::process::Process;
use crate::sandbox::Sandbox;
use crate::servers::{Contender, Keeps, Site};
use crate::table::Row;

/// A server with its results so far.
pub(crate) struct Lane {
    pub(crate) contender: Contender,
    pub(crate) row: Row,
}

impl Lane {
    /// Starts the server, and records how long that took.
    pub(crate) async fn start(
        &mut self,
        site: &Site,
        sandbox: &Sandbox,
        keeps: Keeps,
    ) -> anyhow::Result<Process> {
        let server = site.start(&self.contender, sandbox, keeps).await?;
        self.row.starts.push(server.started_in);
        Ok(server)
    }

    /// Whether its responses are correct, so that it is measured.
    pub(crate) fn timed(&self) -> bool {
        self.row.excluded.is_none()
    }
}
