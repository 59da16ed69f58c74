//! A listener, from its first connection to its graceful end.
//!
//! It takes no more connections than it has places for. Those beyond are told so (`OVERLOADED`), a few at a time, and those
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

use super::connection::Conduct;
use super::error::HttpError;
use super::pulse::Patience;
use super::settings::ServerSettings;
use super::succession::Routes;
use super::tenure::Course;
use crate::telemetry::connections::{Connections, Refused};

/// How many connections are being refused at once, and how long each may take for it.
const REFUSED_AT_ONCE: usize = 64;
const PATIENCE_WITH_REFUSED: Duration = Duration::from_secs(1);

/// How long to wait where the machine has no file handles left: connections that end give some back.
const BREATH: Duration = Duration::from_millis(100);

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
    routes: impl Into<Routes>,
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
    routes: impl Into<Routes>,
    settings: ServerSettings,
    connections: Arc<Connections>,
    shutdown: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    let (course, watched) = watch::channel(Course::Serve);
    let doors = Doors::new(routes.into(), &settings, connections);
    tokio::pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            accepted = listener.accept() => match accepted {
                Ok(stream) => doors.let_in(stream, &watched),
                Err(error) if is_of_connection(&error) => {}
                Err(error) => {
                    tracing::error!(%error, "no connection can be taken at the moment");
                    tokio::time::sleep(BREATH).await;
                }
            },
        }
    }
    drop((listener, watched));
    course.send_replace(Course::Finish);
    if tokio::time::timeout(settings.shutdown(), course.closed()).await.is_err() {
        tracing::warn!(
            "requests were still running {} ms after the end was asked for: they are cut off",
            settings.shutdown_ms
        );
        course.send_replace(Course::Cut);
        course.closed().await;
    }
    Ok(())
}

/// Whether only the one connection failed before it was there.
fn is_of_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// The places of a listener.
struct Doors {
    serving: Conduct,
    places: Arc<Semaphore>,
    refusing: Conduct,
    places_of_refused: Arc<Semaphore>,
}

impl Doors {
    fn new(routes: Routes, settings: &ServerSettings, connections: Arc<Connections>) -> Self {
        let places = Arc::new(Semaphore::new(settings.connections_max));
        connections.listens(&places, settings.connections_max);
        let free = Arc::clone(&places);
        let serving = Conduct {
            routes,
            head_limit_bytes: settings.head_limit_bytes,
            patience: settings.patience(),
            is_crowded: Arc::new(move || free.available_permits() == 0),
            connections,
        };
        let patience = Patience {
            head: PATIENCE_WITH_REFUSED,
            idle: PATIENCE_WITH_REFUSED,
            write: PATIENCE_WITH_REFUSED,
        };
        let refusing = Conduct { routes: refusal().into(), patience, ..serving.clone() };
        Self { serving, places, refusing, places_of_refused: Arc::new(Semaphore::new(REFUSED_AT_ONCE)) }
    }

    fn let_in<S>(&self, stream: S, course: &watch::Receiver<Course>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Some((conduct, place)) = self.place() else { return };
        tokio::spawn(conduct.serve(stream, place, course.clone()));
    }

    fn place(&self) -> Option<(Conduct, OwnedSemaphorePermit)> {
        if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            return Some((self.serving.clone(), place));
        }
        let place = Arc::clone(&self.places_of_refused).try_acquire_owned().ok();
        let why = if place.is_some() { Refused::Full } else { Refused::Flooded };
        self.serving.connections.refused(why);
        Some((self.refusing.clone(), place?))
    }
}

/// What those get for whom there is no place.
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
