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

use super::framing;
use super::pulse::{Overdue, Patience, Pulse, UnderWay};
use super::socket::Socket;
use super::succession::Routes;
use super::tenure::{Course, Tenure};
use crate::telemetry::connections::{Connections, Refused};

/// How many requests of one HTTP/2 connection are answered at once.
const STREAMS: u32 = 64;

/// How much of one HTTP/2 stream is held in either direction, in bytes, and of a connection's streams together on their way in.
const STREAM_BYTES: u32 = 64 * 1024;
const STREAMS_BYTES: u32 = 256 * 1024;

/// What all connections of a listener have alike.
#[derive(Clone)]
pub(crate) struct Conduct {
    pub(crate) routes: Routes,
    pub(crate) head_limit_bytes: usize,
    pub(crate) patience: Patience,
    /// Whether others wait for a place: then one that is not used is given up soon.
    pub(crate) is_crowded: Arc<dyn Fn() -> bool + Send + Sync>,
    pub(crate) connections: Arc<Connections>,
}

/// How long a connection may be idle where others wait for a place.
const IDLE_IN_A_CROWD: Duration = Duration::from_secs(1);

impl Conduct {
    /// Serves one connection to its end.
    pub(crate) async fn serve<S>(
        self,
        stream: S,
        place: OwnedSemaphorePermit,
        mut course: watch::Receiver<Course>,
    ) where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let pulse = Pulse::new();
        let socket = TokioIo::new(Socket::new(stream, Arc::clone(&pulse), place));
        let service = TowerToHyperService::new(Watched {
            routes: self.routes.clone(),
            pulse: Arc::clone(&pulse),
            tenure: Tenure::new(course.clone(), Arc::clone(&pulse), self.patience.write),
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
                changed = course.changed() => {
                    let now = if changed.is_ok() { *course.borrow() } else { Course::Cut };
                    match now {
                        Course::Serve => {}
                        Course::Finish => connection.as_mut().graceful_shutdown(),
                        Course::Cut => return,
                    }
                }
                _ = ticks.tick() => match pulse.overdue(self.patience()) {
                    None => {}
                    Some(Overdue::Idle) => {
                        let since = *ending_since.get_or_insert_with(|| {
                            connection.as_mut().graceful_shutdown();
                            Instant::now()
                        });
                        if since.elapsed() >= self.patience.head {
                            return;
                        }
                    }
                    Some(Overdue::Head | Overdue::Write) => return,
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

    fn patience(&self) -> Patience {
        if (self.is_crowded)() {
            Patience { idle: self.patience.idle.min(IDLE_IN_A_CROWD), ..self.patience }
        } else {
            self.patience
        }
    }

    /// How often a connection is looked at: often enough that nothing is late by more than a quarter.
    fn tick(&self) -> Duration {
        let Patience { head, idle, write } = self.patience;
        (head.min(idle).min(write).min(IDLE_IN_A_CROWD) / 4).max(Duration::from_millis(1))
    }
}

/// Whether a connection ended as its head was none, to which the library answers by itself.
fn refused(error: &(dyn std::error::Error + Send + Sync + 'static)) -> Option<Refused> {
    let error = error.downcast_ref::<hyper::Error>().filter(|error| error.is_parse())?;
    Some(if error.is_parse_too_large() { Refused::HeadTooLarge } else { Refused::Malformed })
}

/// The routes, each request told to the connection's pulse.
#[derive(Clone)]
struct Watched {
    routes: Routes,
    pulse: Arc<Pulse>,
    tenure: Tenure,
    connections: Arc<Connections>,
}

impl<B> Service<Request<B>> for Watched
where
    B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    type Response = Response<Taken>;
    type Error = std::convert::Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        request.extensions_mut().insert(self.tenure.clone());
        let mut under_way = self.pulse.begin(request.version() == Version::HTTP_2);
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
            if !is_endless(&response) {
                under_way.answered();
            }
            Ok(response.map(|body| Taken { body, _under_way: under_way }))
        })
    }
}

/// Whether an answer is a stream of events, which ends when its client has had enough.
fn is_endless(response: &Response<Body>) -> bool {
    let kind = response.headers().get(CONTENT_TYPE).map_or(&b""[..], |kind| kind.as_bytes());
    kind.starts_with(b"text/event-stream") || kind.starts_with(b"multipart/")
}

/// An answer's body, which is under way until it is dropped.
struct Taken {
    body: Body,
    _under_way: UnderWay,
}

impl HttpBody for Taken {
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
