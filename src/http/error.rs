//! Errors of the edge itself, in the shape of a GraphQL response.
//!
//! Clients parse every response of this endpoint the same way. A plain-text 404 or 413 would appear to their users as
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

/// [`OVERLOADED_RETRY_AFTER`] as a `Retry-After` header in whole seconds.
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

    /// Adds the reason, for the response and the request log.
    pub(crate) fn with_reason(self, reason: &'static str) -> Self {
        Self { reason: Some(reason), ..self }
    }

    /// Returns the same error in the media type that the client accepts.
    pub(crate) fn with_media_type(self, media: MediaType) -> Self {
        Self { media, ..self }
    }

    /// Creates a 400: the request's body is incomplete.
    pub(crate) fn incomplete_body() -> Self {
        Self::malformed("The request body is incomplete.")
    }

    /// Creates a 400: the request head, a WebSocket upgrade or a webhook delivery is malformed.
    pub(crate) fn malformed(message: impl Into<String>) -> Self {
        Self::bad_input(StatusCode::BAD_REQUEST, "BAD_REQUEST", message)
    }

    /// Creates a 401: the request has no API key.
    pub(crate) fn missing_credentials() -> Self {
        let message = "API keys are missing. Send `Authorization: Bearer wbk_…` for the workspace API, `x-api-key` for \
                        the connected-accounts API, or both.";
        Self::new(StatusCode::UNAUTHORIZED, Code::Unauthenticated, message)
            .with(WWW_AUTHENTICATE, "Bearer realm=\"switchboard\"")
    }

    /// Creates a 401: the request has no token. The response does not claim an invalid one (RFC 6750, 3.1).
    pub(crate) fn missing_token() -> Self {
        let message = "The token is missing. Send `Authorization: Bearer <token>`.";
        Self::new(StatusCode::UNAUTHORIZED, Code::Unauthenticated, message)
            .with(WWW_AUTHENTICATE, "Bearer realm=\"switchboard\"")
            .with_reason("TOKEN_MISSING")
    }

    /// Creates a 401: the request's `Authorization` has another scheme than `Bearer`, or only a token.
    pub(crate) fn missing_scheme() -> Self {
        let message =
            "`Authorization` does not begin with the scheme `Bearer`. Send `Authorization: Bearer <token>`.";
        Self { message: message.to_owned(), reason: Some("TOKEN_SCHEME"), ..Self::missing_token() }
    }

    /// Creates a 401: the key or token is invalid.
    pub(crate) fn bad_credentials(message: &'static str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, Code::Unauthenticated, message)
            .with(WWW_AUTHENTICATE, "Bearer realm=\"switchboard\", error=\"invalid_token\"")
    }

    /// Creates a 401: the signature of a webhook delivery is invalid.
    pub(crate) fn bad_delivery(message: &'static str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, Code::Unauthenticated, message)
    }

    /// Creates a 401: the token of a running response has expired.
    pub(crate) fn expired() -> Self {
        Self::bad_credentials("The token has expired.").with_reason("TOKEN_EXPIRED")
    }

    /// Creates a 401: a WebSocket client sent an operation before `connection_init`.
    pub(crate) fn unacknowledged() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, Code::Unauthenticated, "`connection_init` must be sent first.")
    }

    /// Creates a 401: after a reload the credentials belong to another role or tenant.
    pub(crate) fn identity_changed() -> Self {
        Self::bad_credentials("The token's role or tenant has changed. Connect again.")
    }

    /// Creates a 503: the server shuts down.
    pub(crate) fn going_away() -> Self {
        Self::overloaded("The server is shutting down. Subscribe again.")
    }

    /// Creates a 429: too many concurrent operations on one connection.
    pub(crate) fn too_many_operations(limit: usize) -> Self {
        let message = format!("At most {limit} concurrent operations are allowed on one connection.");
        let error = Self::new(StatusCode::TOO_MANY_REQUESTS, Code::LimitExceeded, message);
        Self { reason: Some("SUBSCRIPTIONS_PER_CONNECTION"), ..error }
    }

    /// Creates a 403: requests from this origin or host are not allowed.
    pub(crate) fn forbidden(message: &'static str) -> Self {
        Self::new(StatusCode::FORBIDDEN, Code::Forbidden, message)
    }

    /// Creates a 404: unknown path.
    pub(crate) fn not_found() -> Self {
        let message = "Nothing is served at this path. GraphQL is served at /graphql.";
        Self::bad_input(StatusCode::NOT_FOUND, "NOT_FOUND", message)
    }

    /// Creates a 405, with the allowed methods.
    pub(crate) fn method_not_allowed(allowed: &'static str) -> Self {
        let message = format!("This method is not allowed. Allowed: {allowed}.");
        Self::bad_input(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", message).with(ALLOW, allowed)
    }

    /// Creates a 405 for the preflight of a page whose origin is not allowed (Fetch, 4.8).
    pub(crate) fn preflight_not_allowed(allowed: &'static str) -> Self {
        let message = "This preflight is refused, as no other site's page is allowed. To allow one, add its origin to the \
                       setting `http.cors_origins` (in `demo`: --cors-origin).";
        Self::bad_input(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", message).with(ALLOW, allowed)
    }

    /// Creates a 405 for PUT, by which a client requests one stream for all operations (GraphQL over SSE, "single
    /// connection mode").
    pub(crate) fn no_shared_stream(allowed: &'static str) -> Self {
        let message = "PUT is not allowed: send operations by POST, queries also by GET. (graphql-sse sends PUT with \
                       `singleConnection: true`: omit that option, as one stream for several operations is not \
                       supported.)";
        Self::bad_input(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", message).with(ALLOW, allowed)
    }

    /// Creates a 406: the client accepts none of the supported media types.
    pub(crate) fn not_acceptable() -> Self {
        let message = "The request's `Accept` allows no supported media type. Responses are application/graphql-response+json \
                       or application/json; subscriptions are text/event-stream or \
                       multipart/mixed;subscriptionSpec=1.0.";
        Self::bad_input(StatusCode::NOT_ACCEPTABLE, "NOT_ACCEPTABLE", message)
    }

    /// Creates a 406: the client accepts neither a compressed response nor an uncompressed one.
    pub(crate) fn no_acceptable_coding() -> Self {
        let message = "The request's `Accept-Encoding` excludes every coding that this server sends: br, gzip, zstd (where \
                        compression is on) and identity. Leave the header out, or allow one of them.";
        Self::bad_input(StatusCode::NOT_ACCEPTABLE, "NOT_ACCEPTABLE", message)
    }

    /// Creates a 408: the body did not arrive in time.
    pub(crate) fn body_too_slow(limit_ms: u64) -> Self {
        let message = format!("The request body did not arrive within {limit_ms} ms.");
        Self::new(StatusCode::REQUEST_TIMEOUT, Code::DeadlineExceeded, message)
    }

    /// Creates a 503, with the delay before a retry.
    pub(crate) fn overloaded(message: &'static str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, Code::Overloaded, message)
            .with(RETRY_AFTER, RETRY_AFTER_SECONDS)
    }

    /// Creates a 413, with the limit in bytes.
    pub(crate) fn body_too_large(limit: usize) -> Self {
        let message = format!("The request body is larger than {limit} bytes.");
        let error = Self::new(StatusCode::PAYLOAD_TOO_LARGE, Code::LimitExceeded, message);
        Self { reason: Some("BODY_SIZE"), ..error }
    }

    /// Creates a 414, with the limit in bytes.
    pub(crate) fn uri_too_long(limit: usize) -> Self {
        let message = format!("The request's URL is longer than {limit} bytes. Send the operation by POST.");
        let error = Self::new(StatusCode::URI_TOO_LONG, Code::LimitExceeded, message);
        Self { reason: Some("URL_SIZE"), ..error }
    }

    /// Creates a 431, with the limit in bytes.
    pub(crate) fn head_too_large(limit: usize) -> Self {
        let message = format!("The request's URL and headers are larger than {limit} bytes.");
        let error = Self::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, Code::LimitExceeded, message);
        Self { reason: Some("HEAD_SIZE"), ..error }
    }

    /// Creates a 415: unsupported type or encoding of the body.
    pub(crate) fn unsupported_media_type(message: &'static str) -> Self {
        Self::bad_input(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE", message)
    }
}

impl From<RequestError> for HttpError {
    fn from(error: RequestError) -> Self {
        Self::malformed(error.to_string())
    }
}

impl HttpError {
    /// Returns the error message, for transports that have their own error format.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// Whether a retry may succeed.
    pub(crate) fn is_transient(&self) -> bool {
        self.code == Code::Overloaded
    }

    /// Returns the record of the refused request.
    pub(crate) fn record(&self, transport: Transport) -> RequestRecord {
        let outcome = if self.is_transient() { Outcome::Overloaded } else { Outcome::Refused };
        let bytes = u64::try_from(self.body().len()).ok();
        let code = Some(self.code.as_str());
        RequestRecord { code, reason: self.reason, bytes, ..RequestRecord::of(transport, outcome) }
    }

    fn error_body(&self) -> ErrorBody {
        let mut error = GraphqlError::new(self.code, &*self.message);
        if self.is_transient() {
            error = error.with_retry_after(OVERLOADED_RETRY_AFTER);
        }
        error.extensions.reason = self.reason;
        ErrorBody { errors: [error] }
    }

    /// Returns the response body.
    pub(crate) fn body(&self) -> Bytes {
        // Only strings and numbers: serialization cannot fail.
        serde_json::to_vec(&self.error_body()).unwrap_or_default().into()
    }
}

/// A response without `data`: nothing was executed.
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
