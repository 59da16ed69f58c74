//! `/graphql`: GraphQL over HTTP (graphql.github.io/graphql-over-http, draft) to the letter.
//!
//! The handler is our own. async-graphql's axum integration answers one media type and 200 to everything, takes
//! any content type for JSON (which a form of another site can send) and runs mutations by GET.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{AGE, ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use super::EdgeParts;
use super::conditional::EntityTag;
use super::error::HttpError;
use super::media::{self, MediaType};
use super::origin;
use crate::operation::request::OperationRequest;
use crate::operation::{Answer, Outcome, TransportRules};

const METHODS: &str = "GET, HEAD, POST";

/// Answers one request.
pub(crate) async fn answer(State(edge): State<EdgeParts>, request: Request) -> Response {
    let Some(media) = MediaType::negotiated(request.headers()) else {
        return HttpError::not_acceptable().into_response();
    };
    match answer_as(media, &edge, request).await {
        Ok(response) => response,
        Err(error) => error.written_as(media).into_response(),
    }
}

async fn answer_as(media: MediaType, edge: &EdgeParts, request: Request) -> Result<Response, HttpError> {
    let (head, body) = request.into_parts();
    // HEAD is GET without the body (RFC 9110, 9.3.2), which the server beneath leaves out.
    let by_post = match head.method {
        Method::POST => true,
        Method::GET | Method::HEAD => false,
        _ => return Err(HttpError::method(METHODS)),
    };
    origin::refuse_cross_site(&head.headers, &head.uri)?;
    let caller = edge.callers.caller(&head.headers, &head.uri).await?;
    let operation = if by_post {
        OperationRequest::from_json(&json_body(&head.headers, body, edge.settings.body_limit_bytes).await?)?
    } else {
        OperationRequest::from_url(head.uri.query().unwrap_or_default())?
    };
    let rules = TransportRules { mutations: by_post };
    let answer = edge.operations.run(operation, rules, caller).await;
    // 304 and what leads to it are GET's and HEAD's alone (RFC 9110, 13.1.2).
    let tag = (!by_post && answer.outcome == WHOLE).then(|| EntityTag::of(&answer, media));
    let mut response = match &tag {
        Some(tag) if tag.is_held(&head.headers) => StatusCode::NOT_MODIFIED.into_response(),
        _ => written(&answer, media),
    };
    describe(response.headers_mut(), &answer, tag.and_then(|tag| tag.header()));
    Ok(response)
}

const WHOLE: Outcome = Outcome::Executed { whole: true };

/// The bytes of a POST, as far as they are declared to be JSON and stay under the limit.
async fn json_body(headers: &HeaderMap, body: Body, limit: usize) -> Result<Bytes, HttpError> {
    if !media::is_json(headers) {
        return Err(HttpError::unsupported(
            "A POST must be declared `Content-Type: application/json`, in UTF-8.",
        ));
    }
    if headers.get(CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
        return Err(HttpError::unsupported(
            "Request bodies are taken as they are, without `Content-Encoding`.",
        ));
    }
    let declared = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if declared.is_some_and(|length| usize::try_from(length).map_or(true, |length| length > limit)) {
        return Err(HttpError::body_too_large(limit));
    }
    match Limited::new(body, limit).collect().await {
        Ok(whole) => Ok(whole.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(HttpError::body_too_large(limit)),
        Err(_) => Err(HttpError::unread_body()),
    }
}

/// What caches need to know, of a 304 too (RFC 9110, 15.4.5).
fn describe(headers: &mut HeaderMap, answer: &Answer, tag: Option<HeaderValue>) {
    let keeping = if answer.outcome == WHOLE { "private, no-cache" } else { "no-store" };
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(keeping));
    headers.extend(tag.map(|tag| (ETAG, tag)));
    // In whole seconds (RFC 9111, 5.1), of the oldest part.
    headers.extend(answer.read_at.map(|read_at| (AGE, read_at.elapsed().as_secs().into())));
}

/// An answer in the terms of HTTP (GraphQL over HTTP, 6.4 "Status Codes").
fn written(answer: &Answer, media: MediaType) -> Response {
    let status = match (answer.outcome, media) {
        (Outcome::Executed { .. }, _) | (Outcome::Refused, MediaType::Json) => StatusCode::OK,
        (Outcome::Refused, MediaType::GraphqlResponse) => StatusCode::BAD_REQUEST,
        (Outcome::NotByThisTransport, _) => StatusCode::METHOD_NOT_ALLOWED,
        (Outcome::Crashed, _) => StatusCode::INTERNAL_SERVER_ERROR,
    };
    let mut response = (status, Body::from(answer.body.clone())).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, media.content_type());
    if answer.outcome == Outcome::NotByThisTransport {
        headers.insert(ALLOW, HeaderValue::from_static("POST"));
    }
    response
}
