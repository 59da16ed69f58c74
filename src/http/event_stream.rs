//! Server-sent events as GraphQL over SSE has them in its "distinct connections mode": a request each, with the events `next` and
//! `complete`.
//!
//! Every `next` has an `id`, which a browser's `EventSource` sends back as `Last-Event-ID` when it comes again. Errors before
//! execution are a `next` as well, since a client that fails on a status is not told why (the protocol's own reason).

use bytes::Bytes;

use super::stream_format::StreamFormat;

/// `text/event-stream`
pub(crate) struct Events;

impl StreamFormat for Events {
    const MEDIA: &'static str = "text/event-stream; charset=utf-8";

    /// A comment; and the position, so that whoever loses its connection before anything happened comes back to it.
    fn opening(position: Option<&str>) -> Bytes {
        position.map_or_else(Self::heartbeat, |position| format!(":\nid: {position}\n\n").into())
    }

    fn next(answer: &[u8], position: Option<&str>) -> Bytes {
        let mut event = b"event: next\n".to_vec();
        if let Some(position) = position {
            event.extend(format!("id: {position}\n").bytes());
        }
        // An answer's JSON is written in one line.
        event.extend(b"data: ");
        event.extend(answer);
        event.extend(b"\n\n");
        event.into()
    }

    fn failed(answer: &[u8]) -> Bytes {
        Self::next(answer, None)
    }

    fn heartbeat() -> Bytes {
        Bytes::from_static(b":\n\n")
    }

    fn end() -> Bytes {
        Bytes::from_static(b"event: complete\ndata: \n\n")
    }
}
