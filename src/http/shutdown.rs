//! The shutdown state of a connection, for responses that last: when they must end, and the time that the client has to
//! read.
//!
//! A [`ShutdownToken`] is passed with the request, or is in its extensions where it passes a router. Graceful shutdown waits until all tokens are dropped. This
//! includes WebSockets, which are independent of the connection that they were upgraded from.

use std::sync::Arc;
use std::time::Duration;

use axum::http::Extensions;
use tokio::sync::watch;
use tokio::time::Instant;

use super::activity::ConnectionActivity;
use super::stream_reset::StreamReset;

/// The phase of all connections of a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConnectionPhase {
    /// Requests are served.
    Serving,
    /// Running requests are finished; no new ones are accepted.
    Draining,
    /// All connections are closed.
    Aborted,
}

/// Access to the phase of a connection, and to its write timeout.
#[derive(Debug, Clone)]
pub(crate) struct ShutdownToken {
    /// `None` if another server runs the router; no shutdown is then signaled.
    connection: Option<(watch::Receiver<ConnectionPhase>, Arc<ConnectionActivity>)>,
    write_timeout: Duration,
    /// Over HTTP/2, the stream of the request.
    stream: Option<StreamReset>,
}

impl ShutdownToken {
    pub(crate) fn new(
        phase: watch::Receiver<ConnectionPhase>,
        activity: Arc<ConnectionActivity>,
        write_timeout: Duration,
    ) -> Self {
        Self { connection: Some((phase, activity)), write_timeout, stream: None }
    }

    /// Returns the token of a request that has passed a router.
    pub(crate) fn from_extensions(extensions: &Extensions) -> Self {
        extensions.get().cloned().unwrap_or(Self {
            connection: None,
            write_timeout: Duration::MAX,
            stream: None,
        })
    }

    /// Returns the time in which the client must read a message.
    pub(crate) fn write_timeout(&self) -> Duration {
        self.write_timeout
    }

    /// Returns the token of a request that arrived on this stream; `None` over HTTP/1.1.
    pub(super) fn on_stream(&self, stream: Option<StreamReset>) -> Self {
        Self { stream, ..self.clone() }
    }

    /// Ends the response because the client did not read in time: its HTTP/2 stream, or else its connection.
    pub(crate) fn abort_response(&self) {
        match (&self.stream, &self.connection) {
            (Some(stream), _) => stream.reset_at(Instant::now()),
            (None, Some((_, activity))) => activity.abort(),
            (None, None) => {}
        }
    }

    /// Whether the connection is aborted.
    pub(crate) fn is_aborted(&self) -> bool {
        self.connection.as_ref().is_some_and(|(phase, _)| *phase.borrow() == ConnectionPhase::Aborted)
    }

    /// Waits until the response must end.
    pub(crate) async fn draining(&mut self) {
        self.until(|phase| phase != ConnectionPhase::Serving).await;
    }

    /// Waits until the connection is aborted.
    pub(crate) async fn aborted(&mut self) {
        self.until(|phase| phase == ConnectionPhase::Aborted).await;
    }

    async fn until(&mut self, is_reached: impl Fn(ConnectionPhase) -> bool) {
        match &mut self.connection {
            // If the listener was dropped, every phase counts as reached.
            Some((phase, _)) => drop(phase.wait_for(|phase| is_reached(*phase)).await),
            None => std::future::pending().await,
        }
    }
}
