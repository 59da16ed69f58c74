//! Server-sent events in the "distinct connections mode" of GraphQL over SSE: one request per operation, with the
//! events `next` and `complete`.
//!
//! Each `next` has an `id`, which a browser's `EventSource` sends back as `Last-Event-ID` when it reconnects. Errors
//! before execution are sent as `next` too. The protocol requires this, because a client cannot read the body of an
//! error status.

use bytes::Bytes;

use super::stream_format::StreamFormat;

/// `text/event-stream`
pub(crate) struct Events;

impl StreamFormat for Events {
    const MEDIA: &'static str = "text/event-stream; charset=utf-8";

    /// Returns a comment and the position. A client that loses its connection before the first event resumes from
    /// there.
    fn opening(position: Option<&str>) -> Bytes {
        position.map_or_else(Self::heartbeat, |position| format!(":\nid: {position}\n\n").into())
    }

    fn next(response: &[u8], position: Option<&str>) -> Bytes {
        let mut event = b"event: next\n".to_vec();
        if let Some(position) = position {
            event.extend(format!("id: {position}\n").bytes());
        }
        // A response's JSON is a single line.
        event.extend(b"data: ");
        event.extend(response);
        event.extend(b"\n\n");
        event.into()
    }

    fn failed(response: &[u8]) -> Bytes {
        Self::next(response, None)
    }

    fn heartbeat() -> Bytes {
        Bytes::from_static(b":\n\n")
    }

    fn end() -> Bytes {
        Bytes::from_static(b"event: complete\ndata: \n\n")
    }
}
