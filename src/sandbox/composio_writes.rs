//! Composio's writes of connected accounts (docs/upstreams.md#composio-writes): link, status, alias, revoke and
//! delete.
//!
//! They change the same accounts that reads return. The page of `sign_in.rs` completes a link. Not documented, but
//! decided here: an alias in use is a 409, an unknown auth config a 404 and a disabled one a 400.

use std::sync::PoisonError;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use http::header::HOST;
use http::{HeaderMap, StatusCode};
use jiff::SignedDuration;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::accounts::Account;
use super::composio::{admit, refuse};
use super::item::DISABLED_CONFIG;
use super::links::Link;
use super::tenants::{Access, Tenant};
use super::toolkits::TOOLKITS;
use super::{CANARY, Sandbox, rng};

/// Lifetime of a link.
pub(super) const LINK_TTL: SignedDuration = SignedDuration::from_mins(10);

#[derive(Deserialize)]
struct LinkBody {
    auth_config_id: String,
    user_id: String,
    alias: Option<String>,
    callback_url: Option<String>,
}

#[derive(Deserialize)]
struct StatusBody {
    enabled: bool,
}

#[derive(Deserialize)]
struct UpdateBody {
    alias: Option<String>,
}

/// The query parameters of a delete.
#[derive(Deserialize)]
pub(super) struct DeleteQuery {
    revoke_on_delete: Option<String>,
}

type Refusal = Box<Response>;

/// `POST /connected_accounts/link`: starts a sign-in of a new account.
pub(super) async fn link(State(sandbox): State<Sandbox>, headers: HeaderMap, body: Bytes) -> Response {
    start_link(&sandbox, &headers, &body).unwrap_or_else(|refused| *refused)
}

fn start_link(sandbox: &Sandbox, headers: &HeaderMap, body: &Bytes) -> Result<Response, Refusal> {
    let tenant = writer(sandbox, headers)?;
    let link_body: LinkBody = read(sandbox, body)?;
    let prefix = sandbox.inner.tenants.of(tenant).auth_configs;
    let slug = link_body.auth_config_id.strip_prefix(prefix).unwrap_or_default();
    let Some((toolkit, _)) = TOOLKITS.iter().find(|(known, _)| *known == slug) else {
        return Err(refused(sandbox, StatusCode::NOT_FOUND, "Auth config not found"));
    };
    if *toolkit == DISABLED_CONFIG {
        return Err(refused(sandbox, StatusCode::BAD_REQUEST, "Auth config is disabled"));
    }
    let alias = link_body.alias.filter(|alias| !alias.is_empty());
    let serial = sandbox.inner.links.next_number();
    let id = format!("ca_link{serial:08}");
    let mut account = Account::new(&id, toolkit, &link_body.user_id, sandbox.now());
    account.status = "INITIATED";
    account.written_alias = Some(alias.clone().unwrap_or_default());
    let mut is_taken = false;
    sandbox.change_accounts(tenant, |accounts| {
        is_taken =
            accounts.iter().any(|known| has_alias(known, toolkit, &link_body.user_id, alias.as_deref()));
        if !is_taken {
            accounts.push(account);
        }
    });
    if is_taken {
        return Err(refused(sandbox, StatusCode::CONFLICT, "Alias is in use"));
    }
    // Anyone with the token or URL can connect an account. The canary in them reveals it if they appear in a wrong
    // place.
    let token = format!("lk_{CANARY}link_token-{:016x}", rng::scatter(serial));
    let expires_at = sandbox.now() + LINK_TTL;
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or("127.0.0.1");
    let response = json!({
        "link_token": token,
        "redirect_url": format!("http://{host}/__sign-in/{token}"),
        "expires_at": format!("{expires_at:.3}"),
        "connected_account_id": id,
    });
    let link = Link { tenant, account_id: id, callback_url: link_body.callback_url, expires_at };
    sandbox.inner.links.add(token, link);
    Ok((StatusCode::CREATED, Json(response)).into_response())
}

/// `PATCH /connected_accounts/{id}/status`: ACTIVE ↔ INACTIVE.
pub(super) async fn status(
    State(sandbox): State<Sandbox>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let written = write(&sandbox, &headers, &id, |account, _| {
        let StatusBody { enabled } = read(&sandbox, &body)?;
        let from = if enabled { "INACTIVE" } else { "ACTIVE" };
        let to = if enabled { "ACTIVE" } else { "INACTIVE" };
        if account.status != from && account.status != to {
            return Err(refused(&sandbox, StatusCode::BAD_REQUEST, "Only an active account can be paused"));
        }
        account.status = to;
        account.is_disabled = !enabled;
        account.written_reason = (!enabled).then_some("Connection status updated by user");
        Ok(json!({ "success": true }))
    });
    written.map_or_else(|refused| *refused, IntoResponse::into_response)
}

/// `PATCH /connected_accounts/{id}`: sets the alias; an empty one removes it.
pub(super) async fn update(
    State(sandbox): State<Sandbox>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let written = write(&sandbox, &headers, &id, |account, others| {
        let UpdateBody { alias } = read(&sandbox, &body)?;
        if let Some(alias) = alias {
            let wanted = Some(alias.as_str()).filter(|alias| !alias.is_empty());
            let is_taken =
                others.iter().any(|other| has_alias(other, account.toolkit, &account.user_id, wanted));
            if is_taken {
                return Err(refused(&sandbox, StatusCode::CONFLICT, "Alias is in use"));
            }
            account.written_alias = Some(alias);
        }
        Ok(json!({ "id": account.id, "status": account.status, "success": true }))
    });
    written.map_or_else(|refused| *refused, IntoResponse::into_response)
}

/// `POST /connected_accounts/{id}/revoke`: ends the grant at the provider.
pub(super) async fn revoke(
    State(sandbox): State<Sandbox>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Response {
    let written = write(&sandbox, &headers, &id, |account, _| {
        let revoked: &[&str] = match account.status {
            "REVOKED" => &[],
            _ if account.auth_scheme.contains("OAUTH") => &["access_token", "refresh_token"],
            _ => &["credential"],
        };
        if account.status != "REVOKED" {
            account.status = "REVOKED";
            account.written_reason = Some("Revoked via user-initiated revoke endpoint");
        }
        let account = json!({ "id": account.id, "status": account.status });
        Ok(json!({ "revoked_tokens": revoked, "connected_account": account }))
    });
    written.map_or_else(|refused| *refused, IntoResponse::into_response)
}

/// `DELETE /connected_accounts/{id}`: removes the account. With `revoke_on_delete=true` the grant at the provider is
/// revoked.
pub(super) async fn delete(
    State(sandbox): State<Sandbox>,
    Path(id): Path<String>,
    Query(query): Query<DeleteQuery>,
    headers: HeaderMap,
) -> Response {
    let tenant = match writer(&sandbox, &headers) {
        Ok(tenant) => tenant,
        Err(refused) => return *refused,
    };
    let mut is_known = false;
    sandbox.change_accounts(tenant, |accounts| {
        let before = accounts.len();
        accounts.retain(|account| account.id != id);
        is_known = accounts.len() < before;
    });
    if !is_known {
        return *refused(&sandbox, StatusCode::NOT_FOUND, "Connected account not found");
    }
    let mut response = json!({ "success": true });
    if query.revoke_on_delete.as_deref() == Some("true")
        && let Some(response) = response.as_object_mut()
    {
        response.insert("revoke_job_id".to_owned(), json!(sandbox.next_id()));
    }
    Json(response).into_response()
}

/// Changes one account of the key's tenant; `change` also gets all other accounts. If it fails, nothing changes.
fn write(
    sandbox: &Sandbox,
    headers: &HeaderMap,
    id: &str,
    change: impl FnOnce(&mut Account, &[Account]) -> Result<serde_json::Value, Refusal>,
) -> Result<Json<serde_json::Value>, Refusal> {
    let tenant = writer(sandbox, headers)?;
    let now = sandbox.now();
    let mut response = Err(refused(sandbox, StatusCode::NOT_FOUND, "Connected account not found"));
    sandbox.change_accounts(tenant, |accounts| {
        let Some(place) = accounts.iter().position(|account| account.id == id) else { return };
        let mut account = accounts.remove(place);
        let before = account.clone();
        response = change(&mut account, accounts).map(Json);
        account.updated_at = now.max(before.updated_at);
        accounts.insert(place, if response.is_ok() { account } else { before });
    });
    response
}

/// Counts the call and returns the tenant of a key that may write.
fn writer(sandbox: &Sandbox, headers: &HeaderMap) -> Result<Tenant, Refusal> {
    match admit(sandbox, headers)? {
        Access::ReadWrite(tenant) => Ok(tenant),
        Access::ReadOnly(_) | Access::FixedResponse(_) | Access::Forbidden => {
            Err(refused(sandbox, StatusCode::FORBIDDEN, "The key may not write connected accounts"))
        }
    }
}

fn read<T: DeserializeOwned>(sandbox: &Sandbox, body: &Bytes) -> Result<T, Refusal> {
    serde_json::from_slice(body)
        .map_err(|_| refused(sandbox, StatusCode::BAD_REQUEST, "The request body is invalid"))
}

fn refused(sandbox: &Sandbox, status: StatusCode, message: &str) -> Refusal {
    Box::new(refuse(sandbox, status, &format!("{message} {CANARY}message"), &[]))
}

/// Whether another account of the toolkit and user has the alias.
fn has_alias(account: &Account, toolkit: &str, user_id: &str, alias: Option<&str>) -> bool {
    alias.is_some()
        && account.toolkit == toolkit
        && account.user_id == user_id
        && account.alias().as_deref() == alias
}

impl Sandbox {
    /// Changes one account, if it still exists.
    pub(super) fn change_account(&self, tenant: Tenant, id: &str, change: impl FnOnce(&mut Account)) -> bool {
        let accounts = &self.inner.tenants.of(tenant).accounts;
        let mut is_known = false;
        accounts.write().unwrap_or_else(PoisonError::into_inner).change(|rows| {
            if let Some(account) = rows.iter_mut().find(|account| account.id == id) {
                change(account);
                is_known = true;
            }
        });
        is_known
    }
}
