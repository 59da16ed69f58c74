//! The interface between a streamed response and its format.

use bytes::Bytes;

/// A format of frames.
pub(crate) trait StreamFormat: Send + 'static {
    /// `Content-Type`.
    const MEDIA: &'static str;

    /// Returns the first bytes, sent at once so that client and proxies see that the stream has started.
    fn opening(position: Option<&str>) -> Bytes;

    /// A response.
    fn next(response: &[u8], position: Option<&str>) -> Bytes;

    /// A response of errors only, after which nothing follows.
    fn failed(response: &[u8]) -> Bytes;

    /// A sign of life between responses.
    fn heartbeat() -> Bytes;

    /// Returns the end of the stream.
    fn end() -> Bytes;
}
