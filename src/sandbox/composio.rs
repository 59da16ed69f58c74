//! Composio's reads of connected accounts: the list and the single account (docs/upstreams.md#composio-versions,
//! #composio-list-request, #composio-account).

use std::sync::PoisonError;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, StatusCode, Uri};
use serde_json::{Value, json};

use super::accounts::Account;
use super::query::ListQuery;
use super::quota::MINUTE;
use super::settings::Settings;
use super::tenants::{Access, Tenant, composio_access};
use super::{Sandbox, errors, item, pages};

/// `GET /connected_accounts`.
pub(super) async fn list(State(sandbox): State<Sandbox>, uri: Uri, headers: HeaderMap) -> Response {
    let tenant = match admit(&sandbox, &headers) {
        Ok(Access::ReadWrite(tenant) | Access::ReadOnly(tenant)) => tenant,
        Ok(Access::FixedResponse(list)) => return document(StatusCode::OK, list),
        Ok(Access::Forbidden) => return refuse(&sandbox, StatusCode::FORBIDDEN, "Forbidden", &[]),
        Err(refusal) => return *refusal,
    };
    let invalid =
        |errors: &[String]| refuse(&sandbox, StatusCode::BAD_REQUEST, "Invalid query parameters", errors);
    let query = match ListQuery::parse(uri.query().unwrap_or_default()) {
        Ok(query) => query,
        Err(errors) => return invalid(&errors),
    };
    let tenant_data = sandbox.inner.tenants.of(tenant);
    let accounts = tenant_data.accounts.read().unwrap_or_else(PoisonError::into_inner);
    let Settings { cursor, ties, .. } = sandbox.inner.settings;
    match pages::page(&accounts, &query, tenant_data.auth_configs, cursor, ties) {
        Err(error) => invalid(&[error.to_owned()]),
        Ok(page) => {
            let item =
                |row: &&Account| without_hidden_fields(&sandbox, item::item(row, tenant_data.auth_configs));
            let items: Vec<Value> = page.rows.iter().map(item).collect();
            Json(json!({
                "items": items,
                "next_cursor": page.next_cursor,
                "total_pages": page.total_pages,
                "current_page": page.current_page,
                "total_items": page.total_items,
            }))
            .into_response()
        }
    }
}

/// `GET /connected_accounts/{id}`.
pub(super) async fn single(
    State(sandbox): State<Sandbox>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Response {
    let tenant: Tenant = match admit(&sandbox, &headers) {
        Ok(Access::ReadWrite(tenant) | Access::ReadOnly(tenant)) => tenant,
        // The documented error body is the same for five statuses; 404 is the one that fits here.
        Ok(Access::FixedResponse(_)) => {
            return document(StatusCode::NOT_FOUND, include_str!("seeds/composio-error.json"));
        }
        Ok(Access::Forbidden) => return refuse(&sandbox, StatusCode::FORBIDDEN, "Forbidden", &[]),
        Err(refusal) => return *refusal,
    };
    let tenant_data = sandbox.inner.tenants.of(tenant);
    let accounts = tenant_data.accounts.read().unwrap_or_else(PoisonError::into_inner);
    match accounts.get(&id) {
        Some(account) => {
            Json(without_hidden_fields(&sandbox, item::single(account, tenant_data.auth_configs)))
                .into_response()
        }
        None => refuse(&sandbox, StatusCode::NOT_FOUND, "Connected account not found", &[]),
    }
}

/// Returns the account without the fields that the settings hide.
fn without_hidden_fields(sandbox: &Sandbox, mut account: Value) -> Value {
    if sandbox.inner.settings.without_user_id
        && let Some(fields) = account.as_object_mut()
    {
        fields.remove("user_id");
    }
    account
}

/// Counts the call and returns what the key gives access to.
pub(super) fn admit(sandbox: &Sandbox, headers: &HeaderMap) -> Result<Access, Box<Response>> {
    let key = key(headers);
    let Some(access) = composio_access(key) else {
        return Err(Box::new(refuse(sandbox, StatusCode::UNAUTHORIZED, "Invalid API key", &[])));
    };
    if sandbox.inner.composio_quota.admit(key, sandbox.now()) {
        return Ok(access);
    }
    let now = sandbox.now();
    let minute = sandbox.inner.composio_quota.window(key, MINUTE, now);
    let (limit, wait) =
        minute.map_or((0, MINUTE), |minute| (minute.limit, minute.ends_at_epoch_s - now.as_second()));
    let mut refusal = errors::bare(StatusCode::TOO_MANY_REQUESTS, limit);
    refusal.headers_mut().insert(RETRY_AFTER, wait.into());
    Err(Box::new(refusal))
}

pub(super) fn refuse(sandbox: &Sandbox, status: StatusCode, message: &str, details: &[String]) -> Response {
    errors::composio(status, message, &sandbox.next_id(), details)
}

fn document(status: StatusCode, text: &'static str) -> Response {
    (status, [(CONTENT_TYPE, "application/json")], text).into_response()
}

/// Returns the project key or the user's key; empty without a key.
pub(super) fn key(headers: &HeaderMap) -> &str {
    let header = headers.get("x-api-key").or_else(|| headers.get("x-user-api-key"));
    header.and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// Adds the headers of every response: the state of the key's minute window (docs/upstreams.md#composio-rate-limits).
pub(super) fn add_headers(sandbox: &Sandbox, request: &HeaderMap, response: &mut HeaderMap) {
    if let Some(minute) = sandbox.inner.composio_quota.window(key(request), MINUTE, sandbox.now()) {
        response.insert("x-ratelimit", minute.limit.into());
        response.insert("x-ratelimit-remaining", minute.remaining.into());
        response.insert("x-ratelimit-window-size", HeaderValue::from_static("60s"));
    }
}
