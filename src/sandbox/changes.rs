//! `/__accounts/{id}`: accounts come and go while clients page.
//!
//! Two verbs on one account, with the tenant's Composio key, so that a client's test can change a list between two of its
//! pages with curl. In process, [`super::Sandbox::change_accounts`] can more; a whole `POST` of Composio's, with its
//! redirects, would be a second upstream to keep true.

use axum::extract::{Path, Query, State};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;

use super::Sandbox;
use super::accounts::Account;
use super::tenants::{Access, Tenant, composio_access};
use super::toolkits::TOOLKITS;

/// What a new account needs.
#[derive(Deserialize)]
pub(super) struct Made {
    toolkit: String,
    user_id: String,
}

/// `PUT ?toolkit=gmail&user_id=user_1`: an ACTIVE account that was made now, in the place of any of that id.
pub(super) async fn put(
    State(sandbox): State<Sandbox>,
    Path(id): Path<String>,
    Query(made): Query<Made>,
    headers: HeaderMap,
) -> StatusCode {
    let Some(tenant) = tenant(&headers) else { return StatusCode::UNAUTHORIZED };
    let Some((toolkit, _)) = TOOLKITS.iter().find(|(slug, _)| *slug == made.toolkit) else {
        return StatusCode::BAD_REQUEST;
    };
    let account = Account::new(&id, toolkit, &made.user_id, sandbox.now());
    sandbox.change_accounts(tenant, |accounts| {
        accounts.retain(|known| known.id != id);
        accounts.push(account);
    });
    StatusCode::NO_CONTENT
}

/// `DELETE`: the account is gone, from lists and by its id.
pub(super) async fn delete(
    State(sandbox): State<Sandbox>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> StatusCode {
    let Some(tenant) = tenant(&headers) else { return StatusCode::UNAUTHORIZED };
    let mut there = false;
    sandbox.change_accounts(tenant, |accounts| {
        let before = accounts.len();
        accounts.retain(|known| known.id != id);
        there = accounts.len() < before;
    });
    if there { StatusCode::NO_CONTENT } else { StatusCode::NOT_FOUND }
}

fn tenant(headers: &HeaderMap) -> Option<Tenant> {
    match composio_access(headers.get("x-api-key")?.to_str().ok()?)? {
        Access::Data(tenant) => Some(tenant),
        Access::ReadOnly(_) | Access::Document(_) | Access::Forbidden => None,
    }
}
