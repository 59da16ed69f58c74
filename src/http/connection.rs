//! One connection, from its first byte to its last: HTTP/1.1 or HTTP/2, whichever its first bytes are.
//!
//! axum's own serving was rejected: it knows no time but the request's, no limit of connections, and no HTTP/2 without TLS
//! (prior knowledge, RFC 9113, 3.3), which is what a proxy in front speaks.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::http::header::CONTENT_TYPE;
use axum::http::{Request, Response, Version};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http_body::{Frame, SizeHint};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Instant, interval_at};
use tower::{BoxError, Service, ServiceExt as _};

use super::activity::{ActiveRequest, ConnectionActivity, ConnectionTimeouts, ExpiredTimeout};
use super::framing;
use super::hot_reload::CurrentRouter;
use super::shutdown::{ConnectionPhase, ShutdownToken};
use super::socket::Socket;
use crate::telemetry::connections::{Connections, Refused};

/// How many requests of one HTTP/2 connection are answered at once.
const STREAMS: u32 = 64;

/// How much of one HTTP/2 stream is held in either direction, in bytes, and of a connection's streams together on their way in.
const STREAM_BYTES: u32 = 64 * 1024;
const STREAMS_BYTES: u32 = 256 * 1024;

/// What all connections of a listener have alike.
#[derive(Clone)]
pub(crate) struct ConnectionServer {
    pub(crate) routes: CurrentRouter,
    pub(crate) head_limit_bytes: usize,
    pub(crate) timeouts: ConnectionTimeouts,
    /// Whether others wait for a permit: then one that is not used is given up soon.
    pub(crate) is_full: Arc<dyn Fn() -> bool + Send + Sync>,
    pub(crate) connections: Arc<Connections>,
}

/// How long a connection may be idle where others wait for a permit.
const IDLE_TIMEOUT_WHEN_FULL: Duration = Duration::from_secs(1);

impl ConnectionServer {
    /// Serves one connection to its end.
    pub(crate) async fn serve<S>(
        self,
        stream: S,
        permit: OwnedSemaphorePermit,
        mut phase: watch::Receiver<ConnectionPhase>,
    ) where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let activity = ConnectionActivity::new();
        let socket = TokioIo::new(Socket::new(stream, Arc::clone(&activity), permit));
        let service = TowerToHyperService::new(TrackedService {
            routes: self.routes.clone(),
            activity: Arc::clone(&activity),
            shutdown: ShutdownToken::new(phase.clone(), Arc::clone(&activity), self.timeouts.write),
            connections: Arc::clone(&self.connections),
        });
        let builder = self.protocols();
        let mut connection = pin!(builder.serve_connection_with_upgrades(socket, service));
        let tick = self.tick();
        let mut ticks = interval_at(Instant::now() + tick, tick);
        let mut ending_since = None;
        loop {
            tokio::select! {
                // The connection first: what has arrived while this server was busy must not count as late.
                biased;
                // How it ended is its peer's affair, unless it was refused before there was a request.
                ended = connection.as_mut() => {
                    if let Some(why) = ended.err().and_then(|error| refused(&*error)) {
                        self.connections.refused(why);
                    }
                    return;
                }
                changed = phase.changed() => {
                    let now = if changed.is_ok() { *phase.borrow() } else { ConnectionPhase::Aborted };
                    match now {
                        ConnectionPhase::Serving => {}
                        ConnectionPhase::Draining => connection.as_mut().graceful_shutdown(),
                        ConnectionPhase::Aborted => return,
                    }
                }
                _ = ticks.tick() => match activity.expired_timeout(self.timeouts()) {
                    None => {}
                    Some(ExpiredTimeout::Idle) => {
                        let since = *ending_since.get_or_insert_with(|| {
                            connection.as_mut().graceful_shutdown();
                            Instant::now()
                        });
                        if since.elapsed() >= self.timeouts.head {
                            return;
                        }
                    }
                    Some(ExpiredTimeout::Head | ExpiredTimeout::Write) => return,
                },
            }
        }
    }

    fn protocols(&self) -> Builder<TokioExecutor> {
        let mut builder = Builder::new(TokioExecutor::new());
        let head = self.head_limit_bytes;
        builder.http1().max_buf_size(head);
        let mut http2 = builder.http2();
        http2.max_concurrent_streams(STREAMS).max_header_list_size(u32::try_from(head).unwrap_or(u32::MAX));
        http2.initial_stream_window_size(STREAM_BYTES).initial_connection_window_size(STREAMS_BYTES);
        http2.max_send_buf_size(usize::try_from(STREAM_BYTES).unwrap_or(usize::MAX));
        builder
    }

    fn timeouts(&self) -> ConnectionTimeouts {
        if (self.is_full)() {
            ConnectionTimeouts { idle: self.timeouts.idle.min(IDLE_TIMEOUT_WHEN_FULL), ..self.timeouts }
        } else {
            self.timeouts
        }
    }

    /// How often a connection is looked at: often enough that nothing is late by more than a quarter.
    fn tick(&self) -> Duration {
        let ConnectionTimeouts { head, idle, write } = self.timeouts;
        (head.min(idle).min(write).min(IDLE_TIMEOUT_WHEN_FULL) / 4).max(Duration::from_millis(1))
    }
}

/// Whether a connection ended as its head was none, to which the library answers by itself.
fn refused(error: &(dyn std::error::Error + Send + Sync + 'static)) -> Option<Refused> {
    let error = error.downcast_ref::<hyper::Error>().filter(|error| error.is_parse())?;
    Some(if error.is_parse_too_large() { Refused::HeadTooLarge } else { Refused::Malformed })
}

/// The routes, each request told to the connection's activity.
#[derive(Clone)]
struct TrackedService {
    routes: CurrentRouter,
    activity: Arc<ConnectionActivity>,
    shutdown: ShutdownToken,
    connections: Arc<Connections>,
}

impl<B> Service<Request<B>> for TrackedService
where
    B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    type Response = Response<TrackedBody>;
    type Error = std::convert::Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        request.extensions_mut().insert(self.shutdown.clone());
        let mut active_request = self.activity.begin_request(request.version() == Version::HTTP_2);
        let refused = framing::refusal(request.version(), request.headers());
        if refused.is_some() {
            self.connections.refused(Refused::Malformed);
        }
        let router = self.routes.now();
        Box::pin(async move {
            let response = match refused {
                Some(refusal) => refusal,
                None => router.oneshot(request).await?,
            };
            if !is_streaming(&response) {
                active_request.response_ready();
            }
            Ok(response.map(|body| TrackedBody { body, _active_request: active_request }))
        })
    }
}

/// Whether an answer is a stream of events, which ends when its client has had enough.
fn is_streaming(response: &Response<Body>) -> bool {
    let kind = response.headers().get(CONTENT_TYPE).map_or(&b""[..], |kind| kind.as_bytes());
    kind.starts_with(b"text/event-stream") || kind.starts_with(b"multipart/")
}

/// An answer's body, which is under way until it is dropped.
struct TrackedBody {
    body: Body,
    _active_request: ActiveRequest,
}

impl HttpBody for TrackedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests;
