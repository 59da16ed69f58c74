//! The socket of a connection. It reports all reads and writes to [`ConnectionActivity`].
//!
//! It also refuses the first request of a connection if its request line exceeds the limit of a head, with 414 (RFC
//! 9110, 15.5.15). The HTTP library would answer 431, which is for header fields.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::OwnedSemaphorePermit;

use super::activity::ConnectionActivity;

/// The response to a request line that is too long.
const URI_TOO_LONG_RESPONSE: &[u8] =
    b"HTTP/1.1 414 URI Too Long\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// Error: the request line is longer than the limit.
#[derive(Debug, thiserror::Error)]
#[error("the request line is too long")]
pub(crate) struct UriTooLong;

/// A tracked socket. It owns the connection's permit, so that an upgraded WebSocket keeps the permit.
pub(crate) struct Socket<S> {
    stream: S,
    activity: Arc<ConnectionActivity>,
    /// Whether the client has closed its side.
    is_at_end: bool,
    /// Whether the reader was woken once at the end.
    has_woken_at_end: bool,
    head_limit_bytes: usize,
    /// Length of the first request line so far; `None` after its end. Later lines are not checked. After a request that
    /// was refused early, they can be the rest of its body, and the client would take a second response as the one to
    /// its next request.
    line_bytes: Option<usize>,
    /// Number of bytes of [`URI_TOO_LONG_RESPONSE`] that were sent.
    refusal_sent: usize,
    _permit: OwnedSemaphorePermit,
}

impl<S> Socket<S> {
    pub(crate) fn new(
        stream: S,
        activity: Arc<ConnectionActivity>,
        head_limit_bytes: usize,
        permit: OwnedSemaphorePermit,
    ) -> Self {
        Self {
            stream,
            activity,
            is_at_end: false,
            has_woken_at_end: false,
            head_limit_bytes,
            line_bytes: Some(0),
            refusal_sent: 0,
            _permit: permit,
        }
    }

    fn on_read(&mut self, bytes: &[u8]) {
        self.activity.on_read();
        if let Some(line_bytes) = self.line_bytes {
            self.line_bytes = (!bytes.contains(&b'\n')).then_some(line_bytes + bytes.len());
        }
    }

    fn is_line_too_long(&self) -> bool {
        self.line_bytes.is_some_and(|bytes| bytes >= self.head_limit_bytes)
    }
}

impl<S: AsyncWrite + Unpin> Socket<S> {
    /// Sends the refusal and closes this side.
    fn poll_refuse(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest) = URI_TOO_LONG_RESPONSE.get(self.refusal_sent..).filter(|rest| !rest.is_empty())
        {
            self.refusal_sent += ready!(Pin::new(&mut self.stream).poll_write(context, rest))?.max(1);
        }
        ready!(Pin::new(&mut self.stream).poll_shutdown(context))?;
        Poll::Ready(Err(io::Error::other(UriTooLong)))
    }

    fn record_write<T>(&self, written: Poll<T>) -> Poll<T> {
        self.activity.on_write(written.is_ready());
        written
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Socket<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        if !self.is_at_end && !self.is_line_too_long() {
            let read = Pin::new(&mut self.stream).poll_read(context, buffer);
            if let Some(bytes @ [_, ..]) = buffer.filled().get(before..) {
                self.on_read(bytes);
            }
            self.is_at_end = matches!(read, Poll::Ready(Ok(())))
                && buffer.filled().len() == before
                && buffer.remaining() > 0;
            if !self.is_at_end && !self.is_line_too_long() {
                return read;
            }
        }
        if self.is_line_too_long() {
            buffer.set_filled(before);
            return self.poll_refuse(context);
        }
        // The HTTP library drops a request when it reads the end of input. It also reads ahead before it starts the
        // handler of a request that it has parsed. So the first read of the end only wakes it again, and `defers_end`
        // then knows of the request.
        if !self.has_woken_at_end {
            self.has_woken_at_end = true;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        if self.activity.defers_end(context.waker()) { Poll::Pending } else { Poll::Ready(Ok(())) }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Socket<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.record_write(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.record_write(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
