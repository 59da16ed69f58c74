//! One client connection, HTTP/1.1 or HTTP/2, from its first byte to its last.
//!
//! [`ConnectionServer::serve`] runs it: it routes requests, enforces timeouts and shuts down gracefully. Rejected:
//! axum's own server. It has no connection limit, no timeouts except a request's, and no HTTP/2 without TLS (prior
//! knowledge, RFC 9113, 3.3), which some proxies use.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::http::header::CONTENT_TYPE;
use axum::http::{Request, Response, Version};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http_body::{Frame, SizeHint};
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Instant, interval_at};
use tower::{BoxError, Service};

use super::activity::{ActiveRequest, ConnectionActivity, ConnectionTimeouts, ExpiredTimeout};
use super::date;
use super::framing;
use super::hot_reload::CurrentRouter;
use super::shutdown::{ConnectionPhase, ShutdownToken};
use super::socket::Socket;
use super::stream_reset::{StreamExecutor, StreamReset};
use crate::domain::clock::Clock;
use crate::telemetry::connections::{Connections, Refused};

/// Maximum number of concurrent requests on one HTTP/2 connection.
const STREAMS: u32 = 64;

/// HTTP/2 flow control in bytes: per stream in either direction, and for all incoming streams of a connection.
const STREAM_BYTES: u32 = 64 * 1024;
const STREAMS_BYTES: u32 = 256 * 1024;

/// Maximum size of a body frame that is handed to an HTTP/2 stream. The stream accepts a frame as soon as it may send a
/// part of it, so a response in one frame would count as sent with its first byte.
const STREAM_FRAME_BYTES: usize = 16 * 1024;

/// Settings and state that all connections of a listener share.
#[derive(Clone)]
pub(crate) struct ConnectionServer {
    pub(crate) routes: CurrentRouter,
    pub(crate) head_limit_bytes: usize,
    pub(crate) timeouts: ConnectionTimeouts,
    /// Whether the listener is at its connection limit. Idle connections are then closed early.
    pub(crate) is_full: Arc<dyn Fn() -> bool + Send + Sync>,
    pub(crate) connections: Arc<Connections>,
}

/// Idle timeout while the listener is at its connection limit.
const IDLE_TIMEOUT_WHEN_FULL: Duration = Duration::from_secs(1);

impl ConnectionServer {
    /// Serves one connection until it ends.
    pub(crate) async fn serve<S>(
        self,
        stream: S,
        permit: OwnedSemaphorePermit,
        mut phase: watch::Receiver<ConnectionPhase>,
    ) where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let activity = ConnectionActivity::new();
        let socket = TokioIo::new(Socket::new(stream, Arc::clone(&activity), self.head_limit_bytes, permit));
        let service = TowerToHyperService::new(TrackedService {
            routes: self.routes.clone(),
            activity: Arc::clone(&activity),
            shutdown: ShutdownToken::new(phase.clone(), Arc::clone(&activity), self.timeouts.write),
            connections: Arc::clone(&self.connections),
            head_limit_bytes: self.head_limit_bytes,
        });
        let builder = self.protocols();
        let mut connection = pin!(builder.serve_connection_with_upgrades(socket, service));
        let tick = self.tick();
        let mut ticks = interval_at(Instant::now() + tick, tick);
        let mut ending_since = None;
        loop {
            tokio::select! {
                // The connection is polled first, so that data which arrived while this task was waiting does not count
                // as late.
                biased;
                // The end is only recorded if the library refused the request head.
                result = connection.as_mut() => {
                    if let Some(reason) = result.err().and_then(|error| refusal_reason(&*error)) {
                        self.connections.record_refusal(reason);
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

    fn protocols(&self) -> Builder<StreamExecutor> {
        let mut builder = Builder::new(StreamExecutor);
        let head = self.head_limit_bytes;
        builder.http1().max_buf_size(head);
        let mut http2 = builder.http2();
        http2.max_concurrent_streams(STREAMS);
        http2.max_header_list_size(framing::http2_head_bytes_max(head));
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

    /// Returns the interval of the timeout checks. No timeout is exceeded by more than a quarter of it.
    fn tick(&self) -> Duration {
        let ConnectionTimeouts { head, idle, write } = self.timeouts;
        (head.min(idle).min(write).min(IDLE_TIMEOUT_WHEN_FULL) / 4).max(Duration::from_millis(1))
    }
}

/// Returns the reason if the HTTP library itself refused a malformed request head.
fn refusal_reason(error: &(dyn std::error::Error + Send + Sync + 'static)) -> Option<Refused> {
    let error = error.downcast_ref::<hyper::Error>()?;
    let error = Some(error).filter(|error| error.is_parse())?;
    Some(if error.is_parse_too_large() { Refused::HeadTooLarge } else { Refused::Malformed })
}

/// The router; reports each request to the connection's activity.
#[derive(Clone)]
struct TrackedService {
    routes: CurrentRouter,
    activity: Arc<ConnectionActivity>,
    shutdown: ShutdownToken,
    connections: Arc<Connections>,
    head_limit_bytes: usize,
}

impl<B> Service<Request<B>> for TrackedService
where
    B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static,
{
    type Response = Response<TrackedBody>;
    type Error = std::convert::Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        Clock::follow_system();
        let stream = StreamReset::current();
        let shutdown = self.shutdown.on_stream(stream.clone());
        let mut active_request = self.activity.begin_request(request.version() == Version::HTTP_2);
        let refused = framing::refusal(&request, self.head_limit_bytes);
        if let Some((why, _)) = &refused {
            self.connections.record_refusal(*why);
        }
        let (routes, write_timeout) = (self.routes.now(), self.shutdown.write_timeout());
        let request =
            request.map(|body| Body::new(RequestBody { body, activity: Arc::clone(&self.activity) }));
        Box::pin(async move {
            let mut response = match refused {
                Some((_, refusal)) => refusal,
                None => routes.handle(request, shutdown).await,
            };
            date::set(response.headers_mut(), Clock::system().now());
            match &stream {
                _ if is_streaming(&response) => active_request.stream_ready(),
                Some(stream) => stream.reset_at(Instant::now() + write_timeout),
                None => active_request.response_ready(),
            }
            let frame_max = stream.map_or(usize::MAX, |_| STREAM_FRAME_BYTES);
            Ok(response.map(|body| TrackedBody {
                body,
                frame_max,
                rest: Bytes::new(),
                _active_request: active_request,
            }))
        })
    }
}

/// Whether a response is an event stream, which ends only when its client disconnects.
fn is_streaming(response: &Response<Body>) -> bool {
    let kind = response.headers().get(CONTENT_TYPE).map_or(&b""[..], |kind| kind.as_bytes());
    kind.starts_with(b"text/event-stream") || kind.starts_with(b"multipart/")
}

/// A request body; reports whether its reader waits for more.
struct RequestBody<B> {
    body: B,
    activity: Arc<ConnectionActivity>,
}

impl<B: HttpBody + Unpin> HttpBody for RequestBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        self.activity.on_body(frame.is_pending().then(|| context.waker()));
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A response body; the request counts as active until it is dropped.
struct TrackedBody {
    body: Body,
    frame_max: usize,
    /// The part of the last frame beyond `frame_max`.
    rest: Bytes,
    _active_request: ActiveRequest,
}

impl HttpBody for TrackedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.rest.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(context)).transpose()?.map(Frame::into_data) {
                Some(Ok(data)) => self.rest = data,
                Some(Err(trailers)) => return Poll::Ready(Some(Ok(trailers))),
                None => return Poll::Ready(None),
            }
        }
        let length = self.rest.len().min(self.frame_max);
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(length)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests;
