//! Subscriptions over HTTP: one response with a body of several frames, in one of two formats.
//!
//! A separate task feeds the body, one frame at a time. It detects a client that does not read, also over HTTP/2, where
//! other streams of the connection continue. Events for a slow client are buffered only in the change feed, which
//! reports when it has dropped some. Rejected: a body that produces a frame when it is polled. It is not polled while
//! the client does not read, so neither an expired token nor a shutdown would end it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::stream::{Stream, StreamExt as _};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::{Instant, sleep_until, timeout};

use super::caller::PresentedCredentials;
use super::edge::Edge;
use super::error::HttpError;
use super::media::StreamKind;
use super::response_stream::{ResponseEvent, subscription_events};
use super::shutdown::ShutdownToken;
use super::stream_format::StreamFormat;
use super::{event_stream, multipart, rate_limit};
use crate::domain::caller::Caller;
use crate::operation::OperationResponse;
use crate::operation::subscription::Subscription;
use crate::telemetry::request_scope::in_current_request;
use crate::telemetry::requests::Transport;

/// The header that makes nginx forward frames without buffering.
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// The context of a stream.
pub(crate) struct StreamContext {
    /// Interval of heartbeats.
    pub(crate) ping: Duration,
    /// The caller that subscribed.
    pub(crate) caller: Caller,
    /// The caller's credentials, to authenticate again after a reload.
    pub(crate) credentials: PresentedCredentials,
    pub(crate) edge: Edge,
    /// The connection's shutdown token.
    pub(crate) shutdown: ShutdownToken,
    /// The request's share of the body budget, because a subscription holds its request.
    pub(crate) permit: Option<OwnedSemaphorePermit>,
}

/// Returns a single response for a client that accepts only streams.
pub(crate) fn single_response(streaming: StreamKind, operation_response: &OperationResponse) -> Response {
    let mut response = match streaming {
        StreamKind::Events => whole_body::<event_stream::Events>(&operation_response.body),
        StreamKind::Parts => whole_body::<multipart::Parts>(&operation_response.body),
    };
    if let Some(status) = &operation_response.rate_limit {
        rate_limit::describe(response.headers_mut(), status);
    }
    response.extensions_mut().insert(operation_response.record(transport(streaming)));
    response
}

/// Returns the responses of a subscription.
pub(crate) fn subscription_response(
    streaming: StreamKind,
    subscription: Subscription,
    context: StreamContext,
) -> Response {
    let (transport, record) = (transport(streaming), subscription.record(transport(streaming)));
    let limits = subscription.rate_limit();
    let mut response = match streaming {
        StreamKind::Events => stream_body::<event_stream::Events>(subscription, transport, context),
        StreamKind::Parts => stream_body::<multipart::Parts>(subscription, transport, context),
    };
    if let Some(status) = &limits {
        rate_limit::describe(response.headers_mut(), status);
    }
    response.extensions_mut().insert(record);
    response
}

fn transport(streaming: StreamKind) -> Transport {
    match streaming {
        StreamKind::Events => Transport::Sse,
        StreamKind::Parts => Transport::Multipart,
    }
}

fn whole_body<F: StreamFormat>(payload: &[u8]) -> Response {
    let mut body = F::opening(None).to_vec();
    body.extend(F::next(payload, None));
    body.extend(F::end());
    response::<F>(Body::from(body))
}

fn stream_body<F: StreamFormat>(
    subscription: Subscription,
    transport: Transport,
    context: StreamContext,
) -> Response {
    let (frames, receiver) = mpsc::channel(1);
    let feeding = async move {
        let shutdown = context.shutdown.clone();
        if let Err(StreamError::Stalled) = feed::<F>(subscription, transport, context, frames).await {
            shutdown.abort_response();
        }
    };
    tokio::spawn(in_current_request(feeding));
    response::<F>(Body::from_stream(StreamBody { receiver, is_complete: false }))
}

fn response<F: StreamFormat>(body: Body) -> Response {
    let mut response = (StatusCode::OK, body).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(F::MEDIA));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
    response
}

/// A frame of a body.
enum Frame {
    Part(Bytes),
    Last(Bytes),
}

/// The reason why a body is cut off.
enum StreamError {
    /// The client disconnected.
    Disconnected,
    /// The client did not read a frame in time.
    Stalled,
}

async fn feed<F: StreamFormat>(
    subscription: Subscription,
    transport: Transport,
    context: StreamContext,
    frames: mpsc::Sender<Frame>,
) -> Result<(), StreamError> {
    let StreamContext { ping, mut caller, credentials, mut edge, mut shutdown, permit: _permit } = context;
    let write_timeout = shutdown.write_timeout();
    let send = async |frame| match timeout(write_timeout, frames.send(frame)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(StreamError::Disconnected),
        Err(_) => Err(StreamError::Stalled),
    };
    let last = |failed: &[u8]| {
        let mut bytes = F::failed(failed).to_vec();
        bytes.extend(F::end());
        Frame::Last(bytes.into())
    };
    send(Frame::Part(F::opening(Some(&subscription.position())))).await?;
    let mut events = Box::pin(subscription_events(subscription, transport));
    loop {
        let silent_until = Instant::now() + ping;
        let frame = tokio::select! {
            event = events.next() => match event {
                Some(ResponseEvent::Next(response, position)) => Frame::Part(F::next(&response.body, position.as_deref())),
                Some(ResponseEvent::Failed(response)) => last(&response.body),
                None => Frame::Last(F::end()),
            },
            () = sleep_until(silent_until) => Frame::Part(F::heartbeat()),
            next = edge.wait_for_replacement() => match next.callers.reauthenticate(&credentials, &caller).await {
                Ok(again) => {
                    (edge, caller) = (next, again);
                    continue;
                }
                Err(refused) => last(&refused.body()),
            },
            () = wait_until(caller.expires_at) => last(&HttpError::expired().body()),
            () = shutdown.draining() => last(&HttpError::going_away().body()),
            () = frames.closed() => return Err(StreamError::Disconnected),
        };
        let is_last = matches!(frame, Frame::Last(_));
        send(frame).await?;
        if is_last {
            // The write timeout applies until the client has read the last frame too.
            return timeout(write_timeout, frames.closed()).await.map_err(|_| StreamError::Stalled);
        }
    }
}

/// Waits until a time, or forever without one.
pub(crate) async fn wait_until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// The body. If the stream is cut off, the body ends with an error, so that no client treats it as complete.
struct StreamBody {
    receiver: mpsc::Receiver<Frame>,
    is_complete: bool,
}

impl Stream for StreamBody {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.is_complete {
            return Poll::Ready(None);
        }
        Poll::Ready(match ready!(self.receiver.poll_recv(task)) {
            Some(Frame::Part(bytes)) => Some(Ok(bytes)),
            Some(Frame::Last(bytes)) => {
                self.is_complete = true;
                Some(Ok(bytes))
            }
            None => {
                self.is_complete = true;
                Some(Err(io::ErrorKind::TimedOut.into()))
            }
        })
    }
}
