//! A listener, from its first connection to its graceful shutdown.
//!
//! [`serve`] accepts up to `server.connections_max` connections. It answers a limited number of further ones with
//! `OVERLOADED`, and closes all others at once: connections that arrive faster than they can be refused must cost
//! nothing.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::header::CONNECTION;
use axum::http::{HeaderValue, Request, Version};
use axum::middleware::{Next, from_fn};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::activity::ConnectionTimeouts;
use super::connection::ConnectionServer;
use super::error::HttpError;
use super::hot_reload::CurrentRouter;
use super::settings::ServerSettings;
use super::shutdown::ConnectionPhase;
use crate::telemetry::connections::{Connections, Refused};

/// Maximum number of connections that a listener answers with a refusal at the same time.
pub const REFUSED_AT_ONCE: usize = 64;

/// Timeout of a connection that is refused.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(1);

/// Delay before the next accept if the process has no file descriptor left.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(100);

/// A source of connections. Tests use one without sockets, because paused time advances while a task waits for a
/// socket.
pub trait Listener: Send {
    /// The byte stream of a connection.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Waits for the next connection.
    ///
    /// # Errors
    /// If a connection failed, or none can be accepted now.
    fn accept(&mut self) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

impl Listener for TcpListener {
    type Stream = TcpStream;

    async fn accept(&mut self) -> io::Result<TcpStream> {
        let (stream, _) = Self::accept(self).await?;
        // Responses are written in one piece, so waiting for more data (Nagle's algorithm) would only delay them.
        let _ = stream.set_nodelay(true);
        Ok(stream)
    }
}

/// Serves until `shutdown` completes. It then accepts no more connections, and returns when all running requests are
/// answered or `server.shutdown_ms` has passed.
///
/// # Errors
/// None at present: the listener continues if a connection fails.
pub async fn serve(
    listener: impl Listener,
    routes: impl Into<CurrentRouter>,
    settings: ServerSettings,
    shutdown: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    serve_counted(listener, routes, settings, Arc::default(), shutdown).await
}

/// Like [`serve`], with counted connections.
///
/// # Errors
/// As [`serve`].
pub async fn serve_counted(
    mut listener: impl Listener,
    routes: impl Into<CurrentRouter>,
    settings: ServerSettings,
    connections: Arc<Connections>,
    shutdown: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    let (phase, phase_receiver) = watch::channel(ConnectionPhase::Serving);
    let acceptor = Acceptor::new(routes.into(), &settings, connections);
    tokio::pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            accepted = listener.accept() => match accepted {
                Ok(stream) => acceptor.accept(stream, &phase_receiver),
                Err(error) if is_connection_error(&error) => {}
                Err(error) => {
                    tracing::error!(%error, "cannot accept connections; retrying");
                    tokio::time::sleep(ACCEPT_RETRY_DELAY).await;
                }
            },
        }
    }
    drop((listener, phase_receiver));
    phase.send_replace(ConnectionPhase::Draining);
    if tokio::time::timeout(settings.shutdown(), phase.closed()).await.is_err() {
        tracing::warn!(
            "requests were still running {} ms after shutdown was requested; aborting them",
            settings.shutdown_ms
        );
        phase.send_replace(ConnectionPhase::Aborted);
        phase.closed().await;
    }
    Ok(())
}

/// Whether the error concerns only one connection.
fn is_connection_error(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// The connection permits of a listener, and the servers for accepted and for refused connections.
struct Acceptor {
    server: ConnectionServer,
    permits: Arc<Semaphore>,
    refusal_server: ConnectionServer,
    refusal_permits: Arc<Semaphore>,
}

impl Acceptor {
    fn new(routes: CurrentRouter, settings: &ServerSettings, connections: Arc<Connections>) -> Self {
        let permits = Arc::new(Semaphore::new(settings.connections_max));
        connections.set_permits(&permits, settings.connections_max);
        let free = Arc::clone(&permits);
        let server = ConnectionServer {
            routes,
            head_limit_bytes: settings.head_limit_bytes,
            timeouts: settings.timeouts(),
            is_full: Arc::new(move || free.available_permits() == 0),
            connections,
        };
        let timeouts =
            ConnectionTimeouts { head: REFUSAL_TIMEOUT, idle: REFUSAL_TIMEOUT, write: REFUSAL_TIMEOUT };
        let refusal_server = ConnectionServer { routes: refusal_router().into(), timeouts, ..server.clone() };
        Self { server, permits, refusal_server, refusal_permits: Arc::new(Semaphore::new(REFUSED_AT_ONCE)) }
    }

    fn accept<S>(&self, stream: S, phase: &watch::Receiver<ConnectionPhase>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Some((server, permit)) = self.permit() else { return };
        tokio::spawn(server.serve(stream, permit, phase.clone()));
    }

    fn permit(&self) -> Option<(ConnectionServer, OwnedSemaphorePermit)> {
        if let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() {
            return Some((self.server.clone(), permit));
        }
        let permit = Arc::clone(&self.refusal_permits).try_acquire_owned().ok();
        let reason = if permit.is_some() { Refused::Full } else { Refused::Flooded };
        self.server.connections.record_refusal(reason);
        Some((self.refusal_server.clone(), permit?))
    }
}

/// Returns the router for refused connections.
fn refusal_router() -> Router {
    let close_connection = async |request: Request<_>, next: Next| {
        let version = request.version();
        let mut response = next.run(request).await;
        // HTTP/2 has no such header (RFC 9113, 8.2.2).
        if version <= Version::HTTP_11 {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    };
    Router::new()
        .fallback(async || HttpError::overloaded("Too many connections. Retry after a short delay."))
        .layer(from_fn(close_connection))
}
