//! A listener, from its first connection to its graceful end.
//!
//! It takes no more connections than it has permits for. Those beyond are told so (`OVERLOADED`), a few at a time, and those
//! beyond even these are hung up on: what comes faster than it can be refused must not cost anything.

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

/// How many connections are being refused at once, and how long each may take for it.
const REFUSED_AT_ONCE: usize = 64;
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(1);

/// How long to wait where the machine has no file handles left: connections that end give some back.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(100);

/// Where connections come from. In tests it is no port: on the paused clock, time runs ahead while a real socket is waited for.
pub trait Listener: Send {
    /// A connection's bytes.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// The next connection.
    ///
    /// # Errors
    /// Where it failed, or none can be taken now.
    fn accept(&mut self) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

impl Listener for TcpListener {
    type Stream = TcpStream;

    async fn accept(&mut self) -> io::Result<TcpStream> {
        let (stream, _) = Self::accept(self).await?;
        // Answers are written in one piece: waiting for more to send (Nagle) only delays them.
        let _ = stream.set_nodelay(true);
        Ok(stream)
    }
}

/// Serves until `shutdown` completes; then takes no more connections, and ends when the running requests are
/// answered, or after the time that they are given.
///
/// # Errors
/// None today: a listener whose connections fail goes on.
pub async fn serve(
    listener: impl Listener,
    routes: impl Into<CurrentRouter>,
    settings: ServerSettings,
    shutdown: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    serve_counted(listener, routes, settings, Arc::default(), shutdown).await
}

/// The same, its connections counted.
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
    let (phase, watched) = watch::channel(ConnectionPhase::Serving);
    let doors = Acceptor::new(routes.into(), &settings, connections);
    tokio::pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            accepted = listener.accept() => match accepted {
                Ok(stream) => doors.accept(stream, &watched),
                Err(error) if is_of_connection(&error) => {}
                Err(error) => {
                    tracing::error!(%error, "no connection can be taken at the moment");
                    tokio::time::sleep(ACCEPT_RETRY_DELAY).await;
                }
            },
        }
    }
    drop((listener, watched));
    phase.send_replace(ConnectionPhase::Draining);
    if tokio::time::timeout(settings.shutdown(), phase.closed()).await.is_err() {
        tracing::warn!(
            "requests were still running {} ms after the end was asked for: they are cut off",
            settings.shutdown_ms
        );
        phase.send_replace(ConnectionPhase::Aborted);
        phase.closed().await;
    }
    Ok(())
}

/// Whether only the one connection failed before it was there.
fn is_of_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// The permits of a listener.
struct Acceptor {
    serving: ConnectionServer,
    permits: Arc<Semaphore>,
    refusing: ConnectionServer,
    refusal_permits: Arc<Semaphore>,
}

impl Acceptor {
    fn new(routes: CurrentRouter, settings: &ServerSettings, connections: Arc<Connections>) -> Self {
        let permits = Arc::new(Semaphore::new(settings.connections_max));
        connections.listens(&permits, settings.connections_max);
        let free = Arc::clone(&permits);
        let serving = ConnectionServer {
            routes,
            head_limit_bytes: settings.head_limit_bytes,
            timeouts: settings.timeouts(),
            is_full: Arc::new(move || free.available_permits() == 0),
            connections,
        };
        let timeouts =
            ConnectionTimeouts { head: REFUSAL_TIMEOUT, idle: REFUSAL_TIMEOUT, write: REFUSAL_TIMEOUT };
        let refusing = ConnectionServer { routes: refusal().into(), timeouts, ..serving.clone() };
        Self { serving, permits, refusing, refusal_permits: Arc::new(Semaphore::new(REFUSED_AT_ONCE)) }
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
            return Some((self.serving.clone(), permit));
        }
        let permit = Arc::clone(&self.refusal_permits).try_acquire_owned().ok();
        let why = if permit.is_some() { Refused::Full } else { Refused::Flooded };
        self.serving.connections.refused(why);
        Some((self.refusing.clone(), permit?))
    }
}

/// What those get for whom there is no permit.
fn refusal() -> Router {
    let closing = async |request: Request<_>, next: Next| {
        let version = request.version();
        let mut response = next.run(request).await;
        // HTTP/2 has no such header (RFC 9113, 8.2.2).
        if version <= Version::HTTP_11 {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    };
    Router::new()
        .fallback(async || HttpError::overloaded("All connections are taken: come again a little later."))
        .layer(from_fn(closing))
}
