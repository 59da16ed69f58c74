//! The sandbox's imitation of LeadLex's endpoint: the providers of a workspace (docs/upstreams.md#leadlex-providers).

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode, Uri};
use serde_json::{Value, json};

use super::quota::DAY;
use super::tenants::{Access, leadlex_access};
use super::{Sandbox, errors};

/// LeadLex's documented categories (docs/upstreams.md#leadlex-providers).
const CATEGORIES: [&str; 6] = ["email", "calendar", "channels", "identity", "storage", "billing"];

/// `GET /v1/settings/providers[?category=]`: checks key, quota, permission and parameters, in this order.
pub(super) async fn list(State(sandbox): State<Sandbox>, uri: Uri, headers: HeaderMap) -> Response {
    let key = key(&headers);
    let Some(access) = leadlex_access(key) else {
        return errors::leadlex(StatusCode::UNAUTHORIZED, "Invalid or expired API key");
    };
    if !sandbox.inner.leadlex_quota.admit(key, sandbox.now()) {
        return errors::leadlex(StatusCode::TOO_MANY_REQUESTS, "Rate limit exceeded");
    }
    let tenant = match access {
        Access::ReadWrite(tenant) | Access::ReadOnly(tenant) => tenant,
        Access::FixedResponse(body) => {
            return ([(CONTENT_TYPE, "application/json")], body).into_response();
        }
        Access::Forbidden => {
            return errors::leadlex(StatusCode::FORBIDDEN, "Missing read:settings permission");
        }
    };
    let query = uri.query().unwrap_or_default();
    let category = url::form_urlencoded::parse(query.as_bytes())
        .find(|(name, value)| name == "category" && !value.is_empty())
        .map(|(_, value)| value.into_owned());
    if let Some(category) = &category
        && !CATEGORIES.contains(&category.as_str())
    {
        let message = format!("category must be one of: {}", CATEGORIES.join(", "));
        return errors::leadlex(StatusCode::BAD_REQUEST, &message);
    }
    let mut providers = sandbox.providers(tenant);
    if let Some(category) = &category {
        providers.retain(|row| row.get("category").and_then(Value::as_str) == Some(category));
    }
    Json(json!({ "data": { "providers": providers } })).into_response()
}

/// Returns the key in `Authorization: Bearer …`; empty without a key.
pub(super) fn key(headers: &HeaderMap) -> &str {
    let value = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    match value.split_once(' ') {
        Some((scheme, key)) if scheme.eq_ignore_ascii_case("bearer") => key.trim(),
        _ => "",
    }
}

/// Adds the headers of every response: its id and, for a valid key, the state of the day's window. The minute limit has
/// no headers.
pub(super) fn add_headers(sandbox: &Sandbox, request: &HeaderMap, response: &mut HeaderMap) {
    if let Ok(id) = HeaderValue::try_from(format!("req_{}", sandbox.next_id())) {
        response.insert("x-request-id", id);
    }
    let key = key(request);
    if leadlex_access(key).is_none() {
        return;
    }
    if let Some(day) = sandbox.inner.leadlex_quota.window(key, DAY, sandbox.now()) {
        response.insert("x-ratelimit-limit", day.limit.into());
        response.insert("x-ratelimit-remaining", day.remaining.into());
        response.insert("x-ratelimit-reset", day.ends_at_epoch_s.into());
    }
}
