//! `/__accounts/{id}`: adds and removes accounts while clients page through a list.
//!
//! The Composio key selects the tenant, so that a test of a client can change a list between two pages with curl. A
//! test in this process calls [`super::Sandbox::change_accounts`], which can do more.

use axum::extract::{Path, Query, State};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;

use super::Sandbox;
use super::accounts::Account;
use super::tenants::{Access, Tenant, composio_access};
use super::toolkits::TOOLKITS;

/// The parameters of a new account.
#[derive(Deserialize)]
pub(super) struct NewAccount {
    toolkit: String,
    user_id: String,
}

/// `PUT ?toolkit=gmail&user_id=user_1`: adds an ACTIVE account, created now, or replaces the account with that id.
pub(super) async fn put(
    State(sandbox): State<Sandbox>,
    Path(id): Path<String>,
    Query(new): Query<NewAccount>,
    headers: HeaderMap,
) -> StatusCode {
    let Some(tenant) = tenant(&headers) else { return StatusCode::UNAUTHORIZED };
    let Some((toolkit, _)) = TOOLKITS.iter().find(|(slug, _)| *slug == new.toolkit) else {
        return StatusCode::BAD_REQUEST;
    };
    let account = Account::new(&id, toolkit, &new.user_id, sandbox.now());
    sandbox.change_accounts(tenant, |accounts| {
        accounts.retain(|known| known.id != id);
        accounts.push(account);
    });
    StatusCode::NO_CONTENT
}

/// `DELETE`: removes the account from lists and lookups.
pub(super) async fn delete(
    State(sandbox): State<Sandbox>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> StatusCode {
    let Some(tenant) = tenant(&headers) else { return StatusCode::UNAUTHORIZED };
    let mut is_removed = false;
    sandbox.change_accounts(tenant, |accounts| {
        let before = accounts.len();
        accounts.retain(|known| known.id != id);
        is_removed = accounts.len() < before;
    });
    if is_removed { StatusCode::NO_CONTENT } else { StatusCode::NOT_FOUND }
}

fn tenant(headers: &HeaderMap) -> Option<Tenant> {
    match composio_access(headers.get("x-api-key")?.to_str().ok()?)? {
        Access::ReadWrite(tenant) => Some(tenant),
        Access::ReadOnly(_) | Access::FixedResponse(_) | Access::Forbidden => None,
    }
}
