//! The attributes that spans can have, named by OpenTelemetry's semantic conventions where there is one.
//!
//! A value is a number, a constant of this program, or one of three bounded texts from outside: the operation's name,
//! and the request ids of the client and of an upstream (`[A-Za-z0-9_-]{1,64}`).

/// An attribute of a span.
#[derive(Debug, Clone, Copy)]
pub(crate) enum SpanAttribute<'a> {
    /// `graphql.operation.type`, which is also the name of the span, and `graphql.operation.name`.
    Operation {
        /// `query`, `mutation` or `subscription`.
        kind: &'static str,
        /// Its name in the document.
        name: Option<&'a str>,
    },
    /// `http.response.status_code`.
    Status(u16),
    /// `error.type`: the error code that clients receive. The status of the span is an error.
    Failed(&'static str),
    /// `error.type` of an invalid request. The status of the span is not an error.
    Refused(&'static str),
    /// `switchboard.request.id`: the `x-request-id` of the response, which is also in the log.
    RequestId(&'a str),
    /// `switchboard.upstream.request_id`, for the upstream's support.
    UpstreamRequestId(&'a str),
}
