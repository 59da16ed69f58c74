//! What an answer that goes on has to know of the connection below it: when its time is up, and how long its peer may take to
//! take something.
//!
//! It travels in the request's extensions. Whoever holds one is waited for at the end, also over a WebSocket, which its
//! connection has let go of by then.

use std::sync::Arc;
use std::time::Duration;

use axum::http::Extensions;
use tokio::sync::watch;

use super::activity::ConnectionActivity;

/// Whether connections go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConnectionPhase {
    /// They do.
    Serving,
    /// They end when what is under way is answered.
    Draining,
    /// They end.
    Aborted,
}

/// How long an answer may go on.
#[derive(Debug, Clone)]
pub(crate) struct ShutdownToken {
    /// None where nobody ends it: in a router that something else serves.
    connection: Option<(watch::Receiver<ConnectionPhase>, Arc<ConnectionActivity>)>,
    write_timeout: Duration,
}

impl ShutdownToken {
    pub(crate) fn new(
        phase: watch::Receiver<ConnectionPhase>,
        activity: Arc<ConnectionActivity>,
        write_timeout: Duration,
    ) -> Self {
        Self { connection: Some((phase, activity)), write_timeout }
    }

    /// The one of the connection that a request came by.
    pub(crate) fn from_extensions(extensions: &Extensions) -> Self {
        extensions.get().cloned().unwrap_or(Self { connection: None, write_timeout: Duration::MAX })
    }

    /// How long the peer may take to take something.
    pub(crate) fn write_timeout(&self) -> Duration {
        self.write_timeout
    }

    /// Has the connection ended, as its peer did not take something in time.
    pub(crate) fn abort_connection(&self) {
        if let Some((_, activity)) = &self.connection {
            activity.abort();
        }
    }

    /// Whether there is no time left.
    pub(crate) fn is_aborted(&self) -> bool {
        self.connection.as_ref().is_some_and(|(phase, _)| *phase.borrow() == ConnectionPhase::Aborted)
    }

    /// Waits until it is to come to its end.
    pub(crate) async fn draining(&mut self) {
        self.until(|phase| phase != ConnectionPhase::Serving).await;
    }

    /// Waits until there is no time left.
    pub(crate) async fn aborted(&mut self) {
        self.until(|phase| phase == ConnectionPhase::Aborted).await;
    }

    async fn until(&mut self, is_reached: impl Fn(ConnectionPhase) -> bool) {
        match &mut self.connection {
            // Nobody is left to say when: then it is now.
            Some((phase, _)) => drop(phase.wait_for(|phase| is_reached(*phase)).await),
            None => std::future::pending().await,
        }
    }
}
