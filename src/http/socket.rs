//! The socket of a connection. It reports all reads and writes to [`ConnectionActivity`].

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::OwnedSemaphorePermit;

use super::activity::ConnectionActivity;

/// A tracked socket. It owns the connection's permit, so that an upgraded WebSocket keeps it.
pub(crate) struct Socket<S> {
    stream: S,
    activity: Arc<ConnectionActivity>,
    /// Whether the client has closed its side.
    is_at_end: bool,
    _permit: OwnedSemaphorePermit,
}

impl<S> Socket<S> {
    pub(crate) fn new(stream: S, activity: Arc<ConnectionActivity>, permit: OwnedSemaphorePermit) -> Self {
        Self { stream, activity, is_at_end: false, _permit: permit }
    }
}

impl<S: AsyncWrite + Unpin> Socket<S> {
    fn record_write<T>(&self, written: Poll<T>) -> Poll<T> {
        self.activity.on_write(written.is_ready());
        written
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Socket<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        if !self.is_at_end {
            let read = Pin::new(&mut self.stream).poll_read(context, buffer);
            if buffer.filled().len() > before {
                self.activity.on_read();
            }
            self.is_at_end = matches!(read, Poll::Ready(Ok(())))
                && buffer.filled().len() == before
                && buffer.remaining() > 0;
            if !self.is_at_end {
                return read;
            }
        }
        // The HTTP library drops a request whose client closes its side.
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
