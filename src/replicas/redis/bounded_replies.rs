//! A connection to the server whose replies are bounded in size.
//!
//! The client library reads a value of any size into memory. [`BoundedReplies`] parses the protocol (RESP2) before the
//! library does. It replaces a value that is longer than a limit, or that makes its reply longer than a limit, by a
//! missing value, and discards its bytes as they arrive. One large value therefore costs a cache miss instead of
//! memory. A reply with too many elements, or a line without an end, is an error that closes the connection.
//!
//! Rejected: a script on the server that returns only the beginning of a value. It does not protect against a faulty
//! server.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The largest value that is read or written.
pub(super) const VALUE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The largest sum of the values and lines of one reply.
const REPLY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The largest message of the channel.
pub(super) const MESSAGE_BYTES_MAX: usize = 256 * 1024;

/// Longest line of the protocol: a number or an error text.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// Maximum number of elements of a reply, those of nested arrays included. The longest are replies to MGET.
const ELEMENTS_MAX: i64 = 10_000;

/// Maximum depth of nested arrays.
const DEPTH_MAX: usize = 8;

/// Number of bytes that are read at once.
const CHUNK_BYTES: usize = 16 * 1024;

/// Encoding of a missing value.
const MISSING: &[u8] = b"$-1\r\n";

/// A connection whose replies are bounded.
pub(super) struct BoundedReplies<S> {
    stream: S,
    filter: ReplyFilter,
    chunk: Box<[u8]>,
    /// Bytes that have passed the filter.
    passed: BytesMut,
}

impl<S> BoundedReplies<S> {
    pub(super) fn new(stream: S, value_bytes_max: usize) -> Self {
        let chunk = vec![0; CHUNK_BYTES].into_boxed_slice();
        Self { stream, filter: ReplyFilter::new(value_bytes_max), chunk, passed: BytesMut::new() }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for BoundedReplies<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Self { stream, filter, chunk, passed } = self.get_mut();
        // A discarded value passes no bytes, so reading continues. Tokio's budget for the socket ends the loop.
        while passed.is_empty() {
            let mut read = ReadBuf::new(chunk);
            ready!(Pin::new(&mut *stream).poll_read(cx, &mut read))?;
            if read.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            filter.pass(read.filled(), passed)?;
        }
        let bytes = passed.split_to(passed.len().min(buf.remaining()));
        buf.put_slice(&bytes);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for BoundedReplies<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

/// Filter that passes replies on, without values that are too long.
struct ReplyFilter {
    value_bytes_max: usize,
    /// The current line so far.
    line: Vec<u8>,
    /// The current value; `None` between values.
    value: Option<PartialValue>,
    /// Numbers of elements that have not arrived yet, for each array around the current element.
    missing: Vec<i64>,
    /// Number of elements of the current reply so far, without arrays that have elements.
    elements: i64,
    /// Sum of the values of the current reply.
    reply_bytes: usize,
}

struct PartialValue {
    /// Bytes that have not arrived yet, including the line end.
    left: usize,
    is_discarded: bool,
}

impl ReplyFilter {
    fn new(value_bytes_max: usize) -> Self {
        let (line, missing) = (Vec::new(), Vec::new());
        Self { value_bytes_max, line, value: None, missing, elements: 0, reply_bytes: 0 }
    }

    fn pass(&mut self, mut input: &[u8], passed: &mut BytesMut) -> io::Result<()> {
        while !input.is_empty() {
            let Some(value) = &mut self.value else {
                let end = input.iter().position(|byte| *byte == b'\n').map_or(input.len(), |at| at + 1);
                let (part, rest) = input.split_at(end);
                input = rest;
                self.line.extend_from_slice(part);
                if self.line.len() > LINE_BYTES_MAX {
                    return Err(invalid("a line is too long"));
                }
                if self.line.ends_with(b"\r\n") {
                    self.on_line(passed)?;
                    self.line.clear();
                }
                continue;
            };
            let (part, rest) = input.split_at(value.left.min(input.len()));
            input = rest;
            if !value.is_discarded {
                passed.extend_from_slice(part);
            }
            value.left -= part.len();
            if value.left == 0 {
                self.value = None;
                self.on_element();
            }
        }
        Ok(())
    }

    fn on_line(&mut self, passed: &mut BytesMut) -> io::Result<()> {
        let line = self.line.trim_ascii_end();
        let number =
            || line.get(1..).and_then(|digits| std::str::from_utf8(digits).ok()?.parse::<i64>().ok());
        let line_bytes = line.len();
        let is_element = match line.first() {
            Some(b'*') => number().is_none_or(|count| count <= 0),
            _ => true,
        };
        self.elements += i64::from(is_element);
        if self.elements > ELEMENTS_MAX {
            return Err(invalid("a reply has too many elements"));
        }
        match line.first() {
            Some(b'+' | b'-' | b':') => {
                self.reply_bytes = self.reply_bytes.saturating_add(line_bytes);
                if self.reply_bytes > REPLY_BYTES_MAX {
                    return Err(invalid("a reply is too long"));
                }
                self.on_element();
            }
            Some(b'$') => match number() {
                Some(..0) => self.on_element(),
                Some(length) => {
                    let length = usize::try_from(length).map_err(io::Error::other)?;
                    let reply_bytes = self.reply_bytes.saturating_add(length);
                    let is_discarded = length > self.value_bytes_max || reply_bytes > REPLY_BYTES_MAX;
                    self.value = Some(PartialValue { left: length.saturating_add(2), is_discarded });
                    if is_discarded {
                        passed.extend_from_slice(MISSING);
                        return Ok(());
                    }
                    self.reply_bytes = reply_bytes;
                }
                None => return Err(invalid("a length is not a number")),
            },
            Some(b'*') => match number() {
                Some(..=0) => self.on_element(),
                Some(count @ ..=ELEMENTS_MAX) if self.missing.len() < DEPTH_MAX => self.missing.push(count),
                _ => return Err(invalid("an array is too long or too deep")),
            },
            _ => return Err(invalid("a reply has an unknown type")),
        }
        passed.extend_from_slice(&self.line);
        Ok(())
    }

    /// Records that an element is complete, and with it perhaps the arrays around it.
    fn on_element(&mut self) {
        while let Some(missing) = self.missing.last_mut() {
            *missing -= 1;
            if *missing > 0 {
                return;
            }
            self.missing.pop();
        }
        (self.reply_bytes, self.elements) = (0, 0);
    }
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Returns the bytes that a client reads, if the server sends `replies` in chunks of `chunk` bytes.
    fn read(replies: &[u8], chunk: usize) -> io::Result<Vec<u8>> {
        let (mut filter, mut passed) = (ReplyFilter::new(10), BytesMut::new());
        for part in replies.chunks(chunk) {
            filter.pass(part, &mut passed)?;
        }
        Ok(passed.to_vec())
    }

    proptest! {
        #[test]
        fn replies_within_the_limits_are_unchanged(
            values in prop::collection::vec(prop::option::of(prop::collection::vec(any::<u8>(), 0..=10)), 0..6),
            chunk in 1_usize..40,
        ) {
            let mut replies = format!("+OK\r\n:-7\r\n-ERR no\r\n*2\r\n*0\r\n*{}\r\n", values.len()).into_bytes();
            for value in values {
                let length = value.as_ref().map_or(-1, |value| i64::try_from(value.len()).unwrap());
                replies.extend(format!("${length}\r\n").bytes());
                replies.extend(value.into_iter().flat_map(|value| [&value[..], b"\r\n"].concat()));
            }
            replies.extend(b"*-1\r\n$-1\r\n+OK\r\n");
            prop_assert_eq!(read(&replies, chunk).unwrap(), replies);
        }

        #[test]
        fn a_value_that_is_too_long_is_missing_and_the_next_reply_is_read(chunk in 1_usize..40) {
            let replies = b"*3\r\n$1\r\na\r\n$11\r\n$5\r\nhello+\r\r\n$1\r\nb\r\n+PONG\r\n";
            prop_assert_eq!(read(replies, chunk).unwrap(), b"*3\r\n$1\r\na\r\n$-1\r\n$1\r\nb\r\n+PONG\r\n");
        }
    }

    #[test]
    fn an_endless_value_needs_no_memory() {
        let (mut filter, mut passed) = (ReplyFilter::new(10), BytesMut::new());
        filter.pass(b"$999999999\r\n", &mut passed).unwrap();
        for _ in 0..10_000 {
            filter.pass(&[b'x'; 4_096], &mut passed).unwrap();
        }
        assert_eq!(&passed[..], MISSING);
        assert!(passed.capacity() < 4_096 && filter.line.capacity() < 4_096);
    }

    #[test]
    fn the_values_of_one_reply_share_a_limit() {
        let (mut filter, mut passed) = (ReplyFilter::new(VALUE_BYTES_MAX), BytesMut::new());
        let value =
            [format!("${VALUE_BYTES_MAX}\r\n").as_bytes(), &vec![b'x'; VALUE_BYTES_MAX], b"\r\n"].concat();
        filter.pass(b"*6\r\n", &mut passed).unwrap();
        for _ in 0..6 {
            filter.pass(&value, &mut passed).unwrap();
        }
        assert_eq!(passed.len(), 4 + 4 * value.len() + 2 * MISSING.len());
        passed.clear();
        filter.pass(&value, &mut passed).unwrap();
        assert_eq!(passed.len(), value.len(), "the next reply has its own limit");
    }

    #[test]
    fn the_elements_and_lines_of_nested_arrays_share_a_limit() {
        let nested = |inner: &str, count: usize, outer: usize| {
            let array = format!("*{count}\r\n{}", inner.repeat(count));
            format!("*{outer}\r\n{}", array.repeat(outer)).into_bytes()
        };
        let long = format!("+{}\r\n", "x".repeat(60_000));
        for (within, beyond) in [
            (nested(":1\r\n", 1_000, 10), nested(":1\r\n", 1_000, 11)),
            (nested("*0\r\n", 1_000, 10), nested("*0\r\n", 1_000, 11)),
            (nested("$-1\r\n", 1_000, 10), nested("$-1\r\n", 1_000, 11)),
            (nested(&long, 100, 2), nested(&long, 100, 3)),
        ] {
            // Each reply has its own limit.
            let twice = [&within[..], &within[..]].concat();
            assert_eq!(read(&twice, 1_000).unwrap(), twice);
            assert_eq!(read(&beyond, 1_000).unwrap_err().kind(), io::ErrorKind::InvalidData);
        }
    }

    #[test]
    fn replies_without_an_end_are_errors() {
        for replies in [
            &b"*10001\r\n"[..],
            &b"*1\r\n".repeat(DEPTH_MAX + 1),
            &[b'+'; LINE_BYTES_MAX + 1],
            b"$many\r\n",
            b"$99999999999999999999\r\n",
            b"%1\r\n",
            b"\r\n",
        ] {
            assert_eq!(read(replies, 1_000).unwrap_err().kind(), io::ErrorKind::InvalidData);
        }
    }
}
