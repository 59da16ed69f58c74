//! Results on standard output, and the failure of a command.

use std::io::{self, Write};

use crate::config::ConfigErrors;

/// Reason why a command failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The configuration has problems.
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    /// An error while the command ran.
    #[error(transparent)]
    Run(#[from] anyhow::Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Run(error.into())
    }
}

/// Writes to standard output and flushes, because tests and scripts wait for single lines.
pub(super) fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    if !text.ends_with('\n') {
        out.write_all(b"\n")?;
    }
    out.flush()
}

/// Prints like [`print()`], but on a thread: a server must not wait for a standard output that is not read, nor end
/// because of it.
pub(super) fn print_in_background(text: String) {
    std::thread::spawn(move || {
        if let Err(error) = print(&text) {
            tracing::warn!(%error, "cannot write to standard output");
        }
    });
}
