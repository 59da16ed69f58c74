//! The trait that formats a streamed response.

use bytes::Bytes;

/// Formats the frames of a stream.
pub(crate) trait StreamFormat: Send + 'static {
    /// `Content-Type`.
    const MEDIA: &'static str;

    /// Returns the first bytes, sent at once so that client and proxies see that the stream has started.
    fn opening(position: Option<&str>) -> Bytes;

    /// Returns the frame of a response.
    fn next(response: &[u8], position: Option<&str>) -> Bytes;

    /// Returns the frame of a response with errors only, after which nothing follows.
    fn failed(response: &[u8]) -> Bytes;

    /// Returns a heartbeat, sent while there are no responses.
    fn heartbeat() -> Bytes;

    /// Returns the end of the stream.
    fn end() -> Bytes;
}
