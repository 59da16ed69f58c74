//! All that a trace can tell: the one list, with names of OpenTelemetry's semantic conventions where it has one for it.
//!
//! A value is a number, a word of this program's, or one of the three texts that others wrote and which are bounded: the
//! operation's name, and the ids of requests (`[A-Za-z0-9_-]{1,64}`), the client's and an upstream's.

/// Something that is told of a span.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fact<'a> {
    /// The operation that was asked for: `graphql.operation.type`, by which the span is called too, and
    /// `graphql.operation.name`.
    Operation {
        /// `query`, `mutation` or `subscription`.
        kind: &'static str,
        /// Its name in the document.
        name: Option<&'a str>,
    },
    /// `http.response.status_code`.
    Status(u16),
    /// `error.type`: what went wrong, by the code that clients are told.
    Failed(&'static str),
    /// `error.type` of what was refused as it was asked: that is no failure of this program.
    Refused(&'static str),
    /// `switchboard.request.id`: the `x-request-id` of the answer, which the log has as well.
    RequestId(&'a str),
    /// `switchboard.upstream.request_id`, by which the upstream's own people find a call.
    UpstreamRequestId(&'a str),
}
