//! `/graphql`: GraphQL over HTTP (graphql.github.io/graphql-over-http, draft).
//!
//! [`handle`] handles one request. If the client accepts a stream, the response can be one ([`streaming`]). A
//! [`websocket`] upgrade is handled here too. Rejected: async-graphql's axum integration. It answers with one media
//! type and always 200, reads any content type as JSON (which another site's form can send) and runs mutations by GET.

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{
    ACCESS_CONTROL_REQUEST_METHOD, AGE, ALLOW, CACHE_CONTROL, CONTENT_TYPE, ETAG, RETRY_AFTER,
};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};

use super::body::ReceivedBody;
use super::caller::PresentedCredentials;
use super::conditional::{EntityTag, not_modified};
use super::edge::Edge;
use super::error::{HttpError, RETRY_AFTER_SECONDS};
use super::media::{AcceptedTypes, MediaType};
use super::shutdown::ShutdownToken;
use super::streaming::StreamContext;
use super::{compression, origin, rate_limit, streaming, websocket};
use crate::operation::codes::Code;
use crate::operation::request::OperationRequest;
use crate::operation::subscription::OperationOutput;
use crate::operation::{OperationResponse, Outcome, TransportRules};
use crate::telemetry::requests::{CallerName, RequestRecord, Transport};

const METHODS: &str = "GET, HEAD, POST";

/// The header that a browser's `EventSource` sends when it reconnects (HTML, 9.2.4).
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Handles one request.
pub(crate) async fn handle(edge: Edge, request: Request, shutdown: ShutdownToken) -> Response {
    if websocket::is_upgrade(&request) {
        // Boxed: its future is large, and this one, which contains it, is moved for every request.
        return Box::pin(websocket::begin(edge, request, shutdown))
            .await
            .unwrap_or_else(HttpError::into_response);
    }
    let Some(accepted) = AcceptedTypes::of(request.headers()) else {
        return HttpError::not_acceptable().into_response();
    };
    if !compression::accepts_any_coding(request.headers(), edge.settings.compression) {
        return HttpError::no_acceptable_coding().into_response();
    }
    let mut caller = None;
    let mut response = match respond(accepted, &edge, request, shutdown, &mut caller).await {
        Ok(response) => response,
        Err(error) => error.with_media_type(accepted.once()).into_response(),
    };
    if let Some(record) = response.extensions_mut().get_mut::<RequestRecord>() {
        record.caller = caller;
    }
    response
}

/// Returns the response to a request; `name` is set as soon as the caller is known.
async fn respond(
    accepted: AcceptedTypes,
    edge: &Edge,
    request: Request,
    shutdown: ShutdownToken,
    name: &mut Option<CallerName>,
) -> Result<Response, HttpError> {
    let (head, body) = request.into_parts();
    // HEAD is GET without the body (RFC 9110, 9.3.2), which is removed later.
    let by_post = match head.method {
        Method::POST => true,
        Method::GET | Method::HEAD => false,
        Method::PUT => return Err(HttpError::no_shared_stream(METHODS)),
        // Allowed origins are answered by the CORS layer.
        Method::OPTIONS if head.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD) => {
            return Err(HttpError::preflight_not_allowed(METHODS));
        }
        _ => return Err(HttpError::method_not_allowed(METHODS)),
    };
    if !edge.settings.cors_origins.allows(&head.headers) {
        origin::refuse_cross_site(&head.headers, &head.uri)?;
    }
    let caller = edge.callers.authenticate(&head.headers).await?;
    *name = edge.callers.name_in_log(&caller);
    // The body's share of the budget is held until the response is ready, because the decoded request uses as much
    // memory.
    let body =
        if by_post { edge.bodies.read_json(&head.headers, body).await? } else { ReceivedBody::default() };
    let operation = if by_post {
        OperationRequest::from_json(&body.bytes)?
    } else {
        OperationRequest::from_url(head.uri.query().unwrap_or_default())?
    };
    let rules = TransportRules { mutations: by_post };
    let Some(streaming) = accepted.streaming() else {
        let response = edge.operations.run(operation, rules, caller).await;
        return Ok(single_response(&response, accepted.once(), &head, edge));
    };
    // Boxed, because every request moves this future.
    let response = Box::pin(async {
        let last_event_id =
            head.headers.get(LAST_EVENT_ID).and_then(|id| id.to_str().ok()).filter(|id| !id.is_empty());
        let context = StreamContext {
            ping: edge.settings.stream_ping(),
            caller: caller.clone(),
            credentials: PresentedCredentials::of(&head.headers),
            edge: edge.clone(),
            shutdown,
            permit: body.into_permit(),
        };
        match edge.operations.run_or_subscribe(operation, rules, caller, last_event_id).await {
            OperationOutput::Subscription(subscription) => {
                streaming::subscription_response(streaming, *subscription, context)
            }
            OperationOutput::Response(response) => match (accepted.prefers_stream(), response.outcome) {
                (Some(streaming), Outcome::Executed { .. } | Outcome::Refused) => {
                    streaming::single_response(streaming, &response)
                }
                _ => single_response(&response, accepted.once(), &head, edge),
            },
        }
    });
    Ok(response.await)
}

/// Returns a complete response, or 304 if the client already has it.
fn single_response(response: &OperationResponse, media: MediaType, head: &Parts, edge: &Edge) -> Response {
    // Only GET and HEAD can be answered with 304 (RFC 9110, 13.1.2).
    let tag =
        (head.method != Method::POST && response.outcome == COMPLETE).then(|| EntityTag::of(response, media));
    let mut http_response = match &tag {
        Some(tag) if tag.matches(&head.headers) => not_modified(),
        _ => written(response, media, head, edge),
    };
    describe(http_response.headers_mut(), response, tag.and_then(|tag| tag.header()));
    http_response.extensions_mut().insert(response.record(Transport::Http));
    http_response
}

/// Number of headers that most responses get, with those of [`super::request_in_progress`], reserved at once.
const HEADERS: usize = 10;

const COMPLETE: Outcome = Outcome::Executed { whole: true };

/// Sets the headers for caches, also on 304 (RFC 9110, 15.4.5).
fn describe(headers: &mut HeaderMap, response: &OperationResponse, tag: Option<HeaderValue>) {
    // The response to a mutation can contain a sign-in page's URL.
    let is_storable = response.outcome == COMPLETE && !response.is_of_mutation();
    let cache_control = if is_storable { "private, no-cache" } else { "no-store" };
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(cache_control));
    if let Some(tag) = tag {
        headers.insert(ETAG, tag);
    }
    if let Some(status) = &response.rate_limit {
        rate_limit::describe(headers, status);
    }
    // Age of the oldest part in whole seconds (RFC 9111, 5.1).
    if let Some(read_at) = response.read_at {
        headers.insert(AGE, read_at.elapsed().as_secs().into());
    }
}

/// The status of data with errors in the draft of GraphQL over HTTP (2026-08-06, 5.4); not registered by the IETF.
const PARTIAL_SUCCESS: u16 = 294;

/// Returns the status of an operation that did not run. The draft gives 400 only to text that cannot be parsed; most
/// other refusals are of a document or variables that are well-formed. Refusals that have nothing to do with either
/// stay 400.
fn refused_status(code: Option<Code>, draft: bool) -> StatusCode {
    match code {
        Some(
            Code::GraphqlValidationFailed
            | Code::OperationResolutionFailure
            | Code::BadUserInput
            | Code::LimitExceeded,
        ) if draft => StatusCode::UNPROCESSABLE_ENTITY,
        _ => StatusCode::BAD_REQUEST,
    }
}

/// Returns the HTTP response of an operation (GraphQL over HTTP, 6.4 "Status Codes").
fn written(response: &OperationResponse, media: MediaType, head: &Parts, edge: &Edge) -> Response {
    let draft = edge.settings.draft_status_codes;
    let status = match (response.outcome, media) {
        (Outcome::Executed { whole: false }, MediaType::GraphqlResponse) if draft => {
            StatusCode::from_u16(PARTIAL_SUCCESS).unwrap_or(StatusCode::OK)
        }
        (Outcome::Executed { .. }, _) | (Outcome::Refused, MediaType::Json) => StatusCode::OK,
        (Outcome::Refused, MediaType::GraphqlResponse) => refused_status(response.code(), draft),
        (Outcome::MutationNotAllowed, _) => StatusCode::METHOD_NOT_ALLOWED,
        (Outcome::Overloaded, _) => StatusCode::SERVICE_UNAVAILABLE,
        (Outcome::RateLimited, _) => StatusCode::TOO_MANY_REQUESTS,
        (Outcome::Crashed, _) => StatusCode::INTERNAL_SERVER_ERROR,
    };
    let mut http_response = Response::new(Body::from(response.body.clone()));
    *http_response.status_mut() = status;
    let headers = http_response.headers_mut();
    headers.reserve(HEADERS);
    headers.insert(CONTENT_TYPE, media.content_type());
    match response.outcome {
        Outcome::MutationNotAllowed => headers.insert(ALLOW, HeaderValue::from_static("POST")),
        Outcome::Overloaded => headers.insert(RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS)),
        _ => None,
    };
    if edge.settings.compression {
        compression::reuse(response, &head.headers, &mut http_response);
    }
    http_response
}
