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
use super::caller::Shown;
use super::error::HttpError;
use super::media::Streaming;
use super::stream_format::Form;
use super::telling::{Told, going_on};
use super::tenure::Tenure;
use super::{event_stream, multipart};
use crate::domain::caller::Caller;
use crate::operation::OperationResponse;
use crate::operation::subscription::Subscription;
use crate::telemetry::requests::Transport;

/// What nginx is told by, so that it hands on what has come instead of waiting for more.
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// What a stream lasts by.
pub(crate) struct Terms {
    /// How often it is shown that it goes on.
    pub(crate) ping: Duration,
    /// Who it is for.
    pub(crate) caller: Caller,
    /// By what that was let in, and where.
    pub(crate) shown: Shown,
    pub(crate) edge: Edge,
    /// The connection's.
    pub(crate) tenure: Tenure,
    /// The request's place in the room for bodies: the subscription is made of it.
    pub(crate) place: Option<OwnedSemaphorePermit>,
}

/// An answer that is given once to a client that takes only streams.
pub(crate) fn once(streaming: Streaming, answer: &OperationResponse) -> Response {
    let mut response = match streaming {
        Streaming::Events => whole::<event_stream::Events>(&answer.body),
        Streaming::Parts => whole::<multipart::Parts>(&answer.body),
    };
    response.extensions_mut().insert(answer.record(transport(streaming)));
    response
}

/// A subscription's answers.
pub(crate) fn subscribed(streaming: Streaming, subscription: Subscription, terms: Terms) -> Response {
    let (transport, record) = (transport(streaming), subscription.record(transport(streaming)));
    let mut response = match streaming {
        Streaming::Events => begun::<event_stream::Events>(subscription, transport, terms),
        Streaming::Parts => begun::<multipart::Parts>(subscription, transport, terms),
    };
    response.extensions_mut().insert(record);
    response
}

fn transport(streaming: Streaming) -> Transport {
    match streaming {
        Streaming::Events => Transport::Sse,
        Streaming::Parts => Transport::Multipart,
    }
}

fn whole<F: Form>(answer: &[u8]) -> Response {
    let mut body = F::opening(None).to_vec();
    body.extend(F::next(answer, None));
    body.extend(F::end());
    response::<F>(Body::from(body))
}

fn begun<F: Form>(subscription: Subscription, transport: Transport, terms: Terms) -> Response {
    let (frames, taken) = mpsc::channel(1);
    let feeding = async move {
        let tenure = terms.tenure.clone();
        if let Err(Gone::Stuck) = feed::<F>(subscription, transport, terms, frames).await {
            tenure.give_up();
        }
    };
    tokio::spawn(feeding.instrument(Span::current()));
    response::<F>(Body::from_stream(Frames { taken, is_whole: false }))
}

fn response<F: Form>(body: Body) -> Response {
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
enum Gone {
    /// Nobody takes it any more.
    HungUp,
    /// Nobody took a frame for as long as that may take.
    Stuck,
}

async fn feed<F: Form>(
    subscription: Subscription,
    transport: Transport,
    terms: Terms,
    frames: mpsc::Sender<Frame>,
) -> Result<(), Gone> {
    let Terms { ping, mut caller, shown, mut edge, mut tenure, place: _place } = terms;
    let write = tenure.write();
    let send = async |frame| match timeout(write, frames.send(frame)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(Gone::HungUp),
        Err(_) => Err(Gone::Stuck),
    };
    let last = |failed: &[u8]| {
        let mut bytes = F::failed(failed).to_vec();
        bytes.extend(F::end());
        Frame::Last(bytes.into())
    };
    send(Frame::Part(F::opening(Some(&subscription.position())))).await?;
    let mut telling = Box::pin(going_on(subscription, transport));
    loop {
        let silent_until = Instant::now() + ping;
        let frame = tokio::select! {
            told = telling.next() => match told {
                Some(Told::Next(answer, position)) => Frame::Part(F::next(&answer.body, position.as_deref())),
                Some(Told::Failed(answer)) => last(&answer.body),
                None => Frame::Last(F::end()),
            },
            () = sleep_until(silent_until) => Frame::Part(F::heartbeat()),
            next = edge.succeeded() => match next.callers.let_in_again(&shown, &caller).await {
                Ok(again) => {
                    (edge, caller) = (next, again);
                    continue;
                }
                Err(refused) => last(&refused.text()),
            },
            () = past(caller.expires_at) => last(&HttpError::expired().text()),
            () = tenure.ends() => last(&HttpError::going_away().text()),
            () = frames.closed() => return Err(Gone::HungUp),
        };
        let is_last = matches!(frame, Frame::Last(_));
        send(frame).await?;
        if is_last {
            // Until it is taken too, there is a connection to be had back.
            return timeout(write, frames.closed()).await.map_err(|_| Gone::Stuck);
        }
    }
}

/// Waits until a moment, if there is one.
pub(crate) async fn past(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// The body. One that was given up ends with an error, so that no client takes it for whole.
struct Frames {
    taken: mpsc::Receiver<Frame>,
    is_whole: bool,
}

impl Stream for Frames {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.is_whole {
            return Poll::Ready(None);
        }
        Poll::Ready(match ready!(self.taken.poll_recv(context)) {
            Some(Frame::Part(bytes)) => Some(Ok(bytes)),
            Some(Frame::Last(bytes)) => {
                self.is_whole = true;
                Some(Ok(bytes))
            }
            None => {
                self.is_whole = true;
                Some(Err(io::ErrorKind::TimedOut.into()))
            }
        })
    }
}
