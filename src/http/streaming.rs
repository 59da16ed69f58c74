//! Answers by HTTP that go on: a subscription as the body of one response, in either of two forms.
//!
//! A task of its own feeds the body, one frame at a time. So a peer that does not take one is noticed and cut, over HTTP/2 too,
//! where the connection's other streams flow; what it misses meanwhile is remembered by nobody but the feed below, which
//! says so if it was too much. A body that is asked for its next frame when the peer has room for it, the rejected choice,
//! is not asked at all by a peer that has none, and would neither end with its token nor with the server.

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
use tracing::{Instrument as _, Span};

use super::Edge;
use super::caller::PresentedCredentials;
use super::error::HttpError;
use super::media::StreamKind;
use super::response_stream::{ResponseEvent, subscription_events};
use super::shutdown::ShutdownToken;
use super::stream_format::StreamFormat;
use super::{event_stream, multipart};
use crate::domain::caller::Caller;
use crate::operation::OperationResponse;
use crate::operation::subscription::Subscription;
use crate::telemetry::requests::Transport;

/// What nginx is told by, so that it hands on what has come instead of waiting for more.
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// What a stream lasts by.
pub(crate) struct StreamContext {
    /// How often it is presented that it goes on.
    pub(crate) ping: Duration,
    /// Who it is for.
    pub(crate) caller: Caller,
    /// By what that was let in, and where.
    pub(crate) presented: PresentedCredentials,
    pub(crate) edge: Edge,
    /// The connection's.
    pub(crate) shutdown: ShutdownToken,
    /// The request's permit in the room for bodies: the subscription is made of it.
    pub(crate) permit: Option<OwnedSemaphorePermit>,
}

/// An answer that is given once to a client that takes only streams.
pub(crate) fn single_response(streaming: StreamKind, answer: &OperationResponse) -> Response {
    let mut response = match streaming {
        StreamKind::Events => whole_body::<event_stream::Events>(&answer.body),
        StreamKind::Parts => whole_body::<multipart::Parts>(&answer.body),
    };
    response.extensions_mut().insert(answer.record(transport(streaming)));
    response
}

/// A subscription's answers.
pub(crate) fn subscription_response(
    streaming: StreamKind,
    subscription: Subscription,
    context: StreamContext,
) -> Response {
    let (transport, record) = (transport(streaming), subscription.record(transport(streaming)));
    let mut response = match streaming {
        StreamKind::Events => stream_body::<event_stream::Events>(subscription, transport, context),
        StreamKind::Parts => stream_body::<multipart::Parts>(subscription, transport, context),
    };
    response.extensions_mut().insert(record);
    response
}

fn transport(streaming: StreamKind) -> Transport {
    match streaming {
        StreamKind::Events => Transport::Sse,
        StreamKind::Parts => Transport::Multipart,
    }
}

fn whole_body<F: StreamFormat>(answer: &[u8]) -> Response {
    let mut body = F::opening(None).to_vec();
    body.extend(F::next(answer, None));
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
            shutdown.abort_connection();
        }
    };
    tokio::spawn(feeding.instrument(Span::current()));
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

/// A part of a body.
enum Frame {
    Part(Bytes),
    Last(Bytes),
}

/// Why the body breaks off.
enum StreamError {
    /// Nobody takes it any more.
    Disconnected,
    /// Nobody took a frame for as long as that may take.
    Stalled,
}

async fn feed<F: StreamFormat>(
    subscription: Subscription,
    transport: Transport,
    context: StreamContext,
    frames: mpsc::Sender<Frame>,
) -> Result<(), StreamError> {
    let StreamContext { ping, mut caller, presented, mut edge, mut shutdown, permit: _permit } = context;
    let write = shutdown.write_timeout();
    let send = async |frame| match timeout(write, frames.send(frame)).await {
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
                Some(ResponseEvent::Next(answer, position)) => Frame::Part(F::next(&answer.body, position.as_deref())),
                Some(ResponseEvent::Failed(answer)) => last(&answer.body),
                None => Frame::Last(F::end()),
            },
            () = sleep_until(silent_until) => Frame::Part(F::heartbeat()),
            next = edge.replaced() => match next.callers.reauthenticate(&presented, &caller).await {
                Ok(again) => {
                    (edge, caller) = (next, again);
                    continue;
                }
                Err(refused) => last(&refused.body()),
            },
            () = until(caller.expires_at) => last(&HttpError::expired().body()),
            () = shutdown.draining() => last(&HttpError::going_away().body()),
            () = frames.closed() => return Err(StreamError::Disconnected),
        };
        let is_last = matches!(frame, Frame::Last(_));
        send(frame).await?;
        if is_last {
            // Until it is receiver too, there is a connection to be had back.
            return timeout(write, frames.closed()).await.map_err(|_| StreamError::Stalled);
        }
    }
}

/// Waits until a moment, if there is one.
pub(crate) async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// The body. One that was given up ends with an error, so that no client takes it for whole.
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
