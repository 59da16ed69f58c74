//! Whatever the edge itself refuses, as one type and in the shape of a GraphQL answer.
//!
//! Clients parse every answer of this endpoint the same way; a plain-text 404 or 413 would reach their users as
//! "unexpected token".

use axum::http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Serialize;

use super::media::MediaType;
use crate::operation::OVERLOADED_RETRY_AFTER;
use crate::operation::codes::Code;
use crate::operation::errors::GraphqlError;
use crate::operation::request::RequestError;
use crate::telemetry::requests::{Outcome, RequestRecord, Transport};

/// [`OVERLOADED_RETRY_AFTER`] as `Retry-After` says it, in whole seconds.
pub(crate) const RETRY_AFTER_SECONDS: &str = "1";

/// A request that the edge refuses.
#[derive(Debug)]
pub(crate) struct HttpError {
    status: StatusCode,
    code: Code,
    reason: Option<&'static str>,
    message: String,
    header: Option<(HeaderName, HeaderValue)>,
    media: MediaType,
}

impl HttpError {
    fn new(status: StatusCode, code: Code, message: impl Into<String>) -> Self {
        Self { status, code, reason: None, message: message.into(), header: None, media: MediaType::Json }
    }

    fn bad_input(status: StatusCode, reason: &'static str, message: impl Into<String>) -> Self {
        Self { reason: Some(reason), ..Self::new(status, Code::BadUserInput, message) }
    }

    fn with(self, name: HeaderName, value: &'static str) -> Self {
        Self { header: Some((name, HeaderValue::from_static(value))), ..self }
    }

    /// The same in the media type that the client asked for.
    pub(crate) fn with_media_type(self, media: MediaType) -> Self {
        Self { media, ..self }
    }

    /// 400: the request could not be read to its end.
    pub(crate) fn incomplete_body() -> Self {
        Self::bad_input(StatusCode::BAD_REQUEST, "BAD_REQUEST", "The request's body did not arrive whole.")
    }

    /// 400: the request's head is none that could be meant.
    pub(crate) fn malformed(message: &'static str) -> Self {
        Self::bad_input(StatusCode::BAD_REQUEST, "BAD_REQUEST", message)
    }

    /// 401: no key came with the request.
    pub(crate) fn missing_credentials() -> Self {
        let message = "Keys are missing: send `Authorization: Bearer wbk_…` for the workspace API, `x-api-key` for \
                        the connected-accounts API, or both.";
        Self::new(StatusCode::UNAUTHORIZED, Code::Unauthenticated, message)
            .with(WWW_AUTHENTICATE, "Bearer realm=\"switchboard\"")
    }

    /// 401: no token came with the request. It is not told that anything is wrong with one (RFC 6750, 3.1).
    pub(crate) fn missing_token() -> Self {
        let message = "A token is missing: send `Authorization: Bearer` with it.";
        Self::new(StatusCode::UNAUTHORIZED, Code::Unauthenticated, message)
            .with(WWW_AUTHENTICATE, "Bearer realm=\"switchboard\"")
    }

    /// 503: whether a token is right cannot be told while its issuer's keys cannot be read.
    pub(crate) fn keys_unavailable() -> Self {
        let message = "The keys that tokens are checked with cannot be read just now: try again in a moment.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, Code::Overloaded, message)
            .with(RETRY_AFTER, RETRY_AFTER_SECONDS)
    }

    /// 401: a key or a token came, and is not one that is taken.
    pub(crate) fn bad_credentials(message: &'static str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, Code::Unauthenticated, message)
            .with(WWW_AUTHENTICATE, "Bearer realm=\"switchboard\", error=\"invalid_token\"")
    }

    /// 401: a webhook's delivery that nobody known here has signed.
    pub(crate) fn bad_delivery(message: &'static str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, Code::Unauthenticated, message)
    }

    /// 400: a webhook's delivery that is none.
    pub(crate) fn malformed_delivery(message: &'static str) -> Self {
        Self::bad_input(StatusCode::BAD_REQUEST, "BAD_REQUEST", message)
    }

    /// 401: the token that an answer goes on by has expired meanwhile.
    pub(crate) fn expired() -> Self {
        Self::bad_credentials("The token has expired.")
    }

    /// 401: over a WebSocket, something is asked for before it is known who asks.
    pub(crate) fn unacknowledged() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, Code::Unauthenticated, "`connection_init` comes first.")
    }

    /// 401: whoever showed this is somebody else by now, or reads other data.
    pub(crate) fn identity_changed() -> Self {
        Self::bad_credentials("The token has another role or tenant by now.")
    }

    /// 503: the server ends.
    pub(crate) fn going_away() -> Self {
        Self::overloaded("This server is going away: subscribe anew.")
    }

    /// More operations at once over one connection than there may be.
    pub(crate) fn too_many_operations(limit: usize) -> Self {
        let message = format!("More than {limit} operations at once over one connection.");
        let error = Self::new(StatusCode::TOO_MANY_REQUESTS, Code::LimitExceeded, message);
        Self { reason: Some("SUBSCRIPTIONS_PER_CONNECTION"), ..error }
    }

    /// 403: it came from a place that may not ask.
    pub(crate) fn forbidden(message: &'static str) -> Self {
        Self::new(StatusCode::FORBIDDEN, Code::Forbidden, message)
    }

    /// 404.
    pub(crate) fn not_found() -> Self {
        let message = "There is nothing at this path: the graph answers at /graphql.";
        Self::bad_input(StatusCode::NOT_FOUND, "NOT_FOUND", message)
    }

    /// 405, with the methods that are taken.
    pub(crate) fn method_not_allowed(allowed: &'static str) -> Self {
        let message = format!("This method is not taken here; these are: {allowed}.");
        Self::bad_input(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", message).with(ALLOW, allowed)
    }

    /// 405 for the PUT by which a client asks for one stream for all its operations (GraphQL over SSE, "Single connection mode").
    pub(crate) fn no_shared_stream(allowed: &'static str) -> Self {
        let message = "Server-sent events come one operation a request here (\"distinct connections mode\" of GraphQL over SSE): \
                        a stream for many is not reserved. In the client graphql-sse, leave out `singleConnection`.";
        Self::bad_input(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", message).with(ALLOW, allowed)
    }

    /// 400: it asks for a WebSocket, but not for one as it must be.
    pub(crate) fn bad_websocket_request(message: impl Into<String>) -> Self {
        Self::bad_input(StatusCode::BAD_REQUEST, "BAD_REQUEST", message)
    }

    /// 406: the client takes none of the media types that there are.
    pub(crate) fn not_acceptable() -> Self {
        let message = "Answers are application/graphql-response+json or application/json, of subscriptions \
                        text/event-stream or multipart/mixed;subscriptionSpec=1.0, and the request's `Accept` takes none of \
                        them.";
        Self::bad_input(StatusCode::NOT_ACCEPTABLE, "NOT_ACCEPTABLE", message)
    }

    /// 406: the client accepts neither a compressed response nor an uncompressed one.
    pub(crate) fn no_acceptable_coding() -> Self {
        let sentence = "The request's `Accept-Encoding` excludes every coding that this server sends: br, gzip, zstd (where \
                        compression is on) and identity. Leave the header out, or allow one of them.";
        Self::bad_input(StatusCode::NOT_ACCEPTABLE, "NOT_ACCEPTABLE", sentence)
    }

    /// 408: the body took too long to arrive.
    pub(crate) fn body_too_slow(limit_ms: u64) -> Self {
        let message = format!("The request's body did not arrive within {limit_ms} ms.");
        Self::new(StatusCode::REQUEST_TIMEOUT, Code::DeadlineExceeded, message)
    }

    /// 503, with the time after which to come again.
    pub(crate) fn overloaded(message: &'static str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, Code::Overloaded, message)
            .with(RETRY_AFTER, RETRY_AFTER_SECONDS)
    }

    /// 413, with the limit in bytes.
    pub(crate) fn body_too_large(limit: usize) -> Self {
        let message = format!("The request's body is larger than {limit} bytes.");
        let error = Self::new(StatusCode::PAYLOAD_TOO_LARGE, Code::LimitExceeded, message);
        Self { reason: Some("BODY_SIZE"), ..error }
    }

    /// 415: the body is in another form than it must be.
    pub(crate) fn unsupported_media_type(message: &'static str) -> Self {
        Self::bad_input(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE", message)
    }
}

impl From<RequestError> for HttpError {
    fn from(error: RequestError) -> Self {
        Self::bad_input(StatusCode::BAD_REQUEST, "BAD_REQUEST", error.to_string())
    }
}

impl HttpError {
    /// What it says, for a transport that says it in its own terms.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// Whether the same may succeed a moment later.
    pub(crate) fn is_transient(&self) -> bool {
        self.code == Code::Overloaded
    }

    /// What is recorded of it.
    pub(crate) fn record(&self, transport: Transport) -> RequestRecord {
        let outcome = if self.is_transient() { Outcome::Overloaded } else { Outcome::Refused };
        let bytes = u64::try_from(self.body().len()).ok();
        RequestRecord { code: Some(self.code.word()), bytes, ..RequestRecord::of(transport, outcome) }
    }

    fn error_body(&self) -> ErrorBody {
        let mut error = GraphqlError::new(self.code, &*self.message);
        if self.is_transient() {
            error = error.worth_retrying_after(OVERLOADED_RETRY_AFTER);
        }
        error.extensions.reason = self.reason;
        ErrorBody { errors: [error] }
    }

    /// The text of the answer.
    pub(crate) fn body(&self) -> Bytes {
        // Texts and numbers alone: writing them cannot fail.
        serde_json::to_vec(&self.error_body()).unwrap_or_default().into()
    }
}

/// An answer without `data`, as nothing was executed.
#[derive(Serialize)]
struct ErrorBody {
    errors: [GraphqlError; 1],
}

impl IntoResponse for HttpError {
    fn into_response(self) -> Response {
        let record = self.record(Transport::Http);
        let mut response = (self.status, self.body()).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, self.media.content_type());
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.extend(self.header);
        response.extensions_mut().insert(record);
        response
    }
}
