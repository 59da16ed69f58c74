//! The contract between a streamed response and the format that it is written in.

use bytes::Bytes;

/// How frames are written.
pub(crate) trait StreamFormat: Send + 'static {
    /// `Content-Type`.
    const MEDIA: &'static str;

    /// What is sent at once, so that everybody between knows that it has begun.
    fn opening(position: Option<&str>) -> Bytes;

    /// An answer.
    fn next(answer: &[u8], position: Option<&str>) -> Bytes;

    /// Why it does not go on: an answer of errors alone.
    fn failed(answer: &[u8]) -> Bytes;

    /// That there is nothing to tell.
    fn heartbeat() -> Bytes;

    /// That nothing follows.
    fn end() -> Bytes;
}
