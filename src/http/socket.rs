//! The socket of a connection. It reports all reads and writes to [`ConnectionActivity`].
//!
//! It also replaces the HTTP library's response to a head that is too large, 431, by 414 (RFC 9110, 15.5.15) if the
//! request line does not end within the limit. The socket does not decide itself that a line is too long,
//! because only the library knows where a head starts: after an early refusal, the following bytes can be the rest of
//! the body.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::OwnedSemaphorePermit;

use super::activity::ConnectionActivity;

/// The response to a request line that is too long.
const URI_TOO_LONG_RESPONSE: &[u8] =
    b"HTTP/1.1 414 URI Too Long\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// The beginning of the HTTP library's response to a head that is too large.
const HEAD_TOO_LARGE_BEGIN: &[u8] = b"HTTP/1.1 431 ";

/// The size of reads when a line is close to the head limit. Only a request line can then reach the limit: before a
/// later line of the head is that long, the head is over the limit, because the shortest request line has 16 bytes
/// itself. So `line_bytes` alone shows which line was too long when the library refuses the head.
const SMALL_READ_BYTES: usize = 16;

/// A tracked socket. It owns the connection's permit, so that an upgraded WebSocket keeps the permit.
pub(crate) struct Socket<S> {
    stream: S,
    activity: Arc<ConnectionActivity>,
    /// Whether the client has closed its side.
    is_at_end: bool,
    /// Whether the reader was woken once at the end.
    has_woken_at_end: bool,
    head_limit_bytes: usize,
    /// Bytes since the last line break.
    line_bytes: usize,
    /// Whether everything written so far is flushed. If so, and no request is active, the next write begins a response.
    is_flushed: bool,
    /// The part of [`URI_TOO_LONG_RESPONSE`] still to be sent; `None` if the library's own responses are sent.
    refusal: Option<&'static [u8]>,
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
            line_bytes: 0,
            is_flushed: true,
            refusal: None,
            _permit: permit,
        }
    }

    fn on_read(&mut self, bytes: &[u8]) {
        self.activity.on_read();
        self.line_bytes = match memchr::memrchr(b'\n', bytes) {
            Some(end) => bytes.len() - end - 1,
            None => self.line_bytes.saturating_add(bytes.len()),
        };
    }

    /// The maximum size of the next read.
    fn read_max(&self) -> usize {
        match self.head_limit_bytes.saturating_sub(self.line_bytes) {
            // Past the limit. It is not a head any more, or the library refuses it.
            0 => usize::MAX,
            left => left.saturating_sub(SMALL_READ_BYTES).max(SMALL_READ_BYTES),
        }
    }

    /// Whether a write is the refusal of a head whose request line is too long.
    fn refuses_request_line(&self, bytes: &[u8]) -> bool {
        self.is_flushed
            && self.line_bytes >= self.head_limit_bytes
            && bytes.starts_with(HEAD_TOO_LARGE_BEGIN)
            && self.activity.is_idle()
    }
}

impl<S: AsyncWrite + Unpin> Socket<S> {
    /// Sends [`URI_TOO_LONG_RESPONSE`] in place of the library's refusal, which `bytes` begins. Returns `None` if the
    /// library's bytes are to be written as they are. Once a refusal has begun, everything that the library writes is
    /// discarded and reported as written.
    fn poll_refuse(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Option<Poll<io::Result<()>>> {
        if self.refusal.is_none() && self.refuses_request_line(bytes) {
            self.refusal = Some(URI_TOO_LONG_RESPONSE);
        }
        while let Some(rest) = self.refusal.filter(|rest| !rest.is_empty()) {
            match Pin::new(&mut self.stream).poll_write(context, rest) {
                Poll::Ready(Ok(0)) => return Some(Poll::Ready(Err(io::ErrorKind::WriteZero.into()))),
                Poll::Ready(Ok(sent)) => self.refusal = rest.get(sent..),
                Poll::Ready(Err(error)) => return Some(Poll::Ready(Err(error))),
                Poll::Pending => return Some(Poll::Pending),
            }
        }
        self.refusal.map(|_| Poll::Ready(Ok(())))
    }

    fn record_write<T>(&mut self, written: Poll<T>) -> Poll<T> {
        self.is_flushed &= written.is_pending();
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
        if !self.is_at_end {
            let most = self.read_max();
            let read = match buffer.remaining() > most {
                false => Pin::new(&mut self.stream).poll_read(context, buffer),
                true => {
                    let mut part = ReadBuf::new(buffer.initialize_unfilled_to(most));
                    let read = Pin::new(&mut self.stream).poll_read(context, &mut part);
                    let length = part.filled().len();
                    buffer.advance(length);
                    read
                }
            };
            if let Some(bytes @ [_, ..]) = buffer.filled().get(before..) {
                self.on_read(bytes);
            }
            self.is_at_end = matches!(read, Poll::Ready(Ok(())))
                && buffer.filled().len() == before
                && buffer.remaining() > 0;
            if !self.is_at_end {
                return read;
            }
        }
        // The HTTP library drops a request when it reads the end of input. It may read the end before it has started
        // the handler of a request that it has parsed. The first read of the end therefore returns `Pending` and wakes
        // the task at once: the library then starts the handler, and at the second read `defers_end` knows of the
        // request.
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
        if let Some(refused) = self.poll_refuse(context, bytes) {
            return self.record_write(refused).map_ok(|()| bytes.len());
        }
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.record_write(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let first = slices.iter().find(|slice| !slice.is_empty()).map_or(&b""[..], |slice| &**slice);
        if let Some(refused) = self.poll_refuse(context, first) {
            return self.record_write(refused).map_ok(|()| slices.iter().map(|slice| slice.len()).sum());
        }
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.record_write(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(context))?;
        self.is_flushed = true;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
