//! Error bodies of both upstreams.
//!
//! Composio's envelope is documented (docs/upstreams.md#composio-errors). LeadLex documents statuses and codes but
//! no body; this is the first of the formats that a client must accept by docs/upstreams.md#leadlex-open-questions.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::json;

/// Returns LeadLex's error response.
pub(super) fn leadlex(status: StatusCode, message: &str) -> Response {
    let code = match status.as_u16() {
        400 => "validation_error",
        401 => "invalid_key",
        403 => "insufficient_permissions",
        404 => "not_found",
        409 => "sync_in_progress",
        429 => "rate_limited",
        _ => "internal_error",
    };
    (status, Json(json!({ "error": { "code": code, "message": message } }))).into_response()
}

/// Returns Composio's error envelope. `details` are the individual errors of a refused request.
pub(super) fn composio(status: StatusCode, message: &str, request_id: &str, details: &[String]) -> Response {
    let (slug, fix) = match status.as_u16() {
        400 => ("ConnectedAccount_ValidationError", "Check the query parameters against the API reference."),
        401 => ("HTTP_Unauthorized", "Check the x-api-key header."),
        403 => ("HTTP_Forbidden", "Use a key of the project that owns the accounts."),
        404 => ("ConnectedAccount_ResourceNotFound", "Check the id of the connected account."),
        409 => ("HTTP_Conflict", ""),
        422 => ("HTTP_UnprocessableEntity", ""),
        429 => ("HTTP_TooManyRequests", "Ask less often."),
        _ => ("HTTP_InternalServerError", "Try again later."),
    };
    let mut error = json!({
        "message": message,
        "code": 10_000 + u32::from(status.as_u16()),
        "slug": slug,
        "status": status.as_u16(),
        "request_id": request_id,
        "suggested_fix": fix,
    });
    if let (Some(error), false) = (error.as_object_mut(), details.is_empty()) {
        error.insert("errors".to_owned(), json!(details));
    }
    (status, Json(json!({ "error": error }))).into_response()
}

/// Returns Composio's documented 429: a message without the envelope.
pub(super) fn bare(status: StatusCode, limit: u64) -> Response {
    let message = format!("Rate limit exceeded. Limit: {limit} requests per 60 seconds");
    (status, Json(json!({ "message": message }))).into_response()
}
