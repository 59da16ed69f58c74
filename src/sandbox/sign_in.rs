//! The page at a link's `redirect_url`: "Allow" completes the connection, "Deny" fails it.
//!
//! The browser is then redirected to the link's `callback_url` with `status` and `connected_account_id`; without one,
//! the page says that the tab can be closed.

use axum::Form;
use axum::extract::{Path, State};
use axum::response::{Html, IntoResponse, Redirect, Response};
use http::StatusCode;
use http::header::CACHE_CONTROL;
use serde::Deserialize;
use url::Url;

use super::Sandbox;

/// The submitted form: which button was pressed.
#[derive(Deserialize)]
pub(super) struct Decision {
    decision: String,
}

/// `GET /__sign-in/{token}`: asks for consent.
pub(super) async fn ask(State(sandbox): State<Sandbox>, Path(token): Path<String>) -> Response {
    let link = sandbox.inner.links.get(&token).filter(|link| sandbox.now() < link.expires_at);
    let Some(link) = link else { return gone() };
    let accounts = sandbox.accounts(link.tenant);
    let toolkit =
        accounts.iter().find(|account| account.id == link.account_id).map(|account| account.toolkit);
    let toolkit = toolkit.unwrap_or("the service");
    let form = format!(
        "<h1>Sign in to {toolkit}</h1><p>Switchboard's sandbox asks for access to your account.</p>\
         <form method=\"post\"><button name=\"decision\" value=\"allow\">Allow</button> \
         <button name=\"decision\" value=\"deny\">Deny</button></form>"
    );
    page(StatusCode::OK, &form)
}

/// `POST /__sign-in/{token}`: completes or fails the connection; a link works once.
pub(super) async fn decide(
    State(sandbox): State<Sandbox>,
    Path(token): Path<String>,
    Form(Decision { decision }): Form<Decision>,
) -> Response {
    let link = sandbox.inner.links.take(&token).filter(|link| sandbox.now() < link.expires_at);
    let Some(link) = link else { return gone() };
    let is_allowed = decision == "allow";
    let now = sandbox.now();
    let is_known = sandbox.change_account(link.tenant, &link.account_id, |account| {
        account.status = if is_allowed { "ACTIVE" } else { "FAILED" };
        account.written_reason = (!is_allowed).then_some("OAuth callback failed during token exchange");
        account.updated_at = now;
    });
    if !is_known {
        return gone();
    }
    let status = if is_allowed { "success" } else { "failed" };
    let callback = link.callback_url.and_then(|text| Url::parse(&text).ok());
    match callback {
        Some(mut callback) => {
            callback
                .query_pairs_mut()
                .append_pair("status", status)
                .append_pair("connected_account_id", &link.account_id);
            Redirect::to(callback.as_str()).into_response()
        }
        None if is_allowed => page(StatusCode::OK, "<h1>Connected</h1><p>You can close this tab.</p>"),
        None => page(StatusCode::OK, "<h1>Denied</h1><p>You can close this tab.</p>"),
    }
}

fn gone() -> Response {
    page(StatusCode::GONE, "<h1>This link has expired</h1><p>Start the sign-in again.</p>")
}

fn page(status: StatusCode, body: &str) -> Response {
    let html = format!(
        "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Sandbox sign-in</title></head>\
         <body style=\"font-family: system-ui; margin: 4rem auto; max-width: 28rem\">{body}</body></html>"
    );
    (status, [(CACHE_CONTROL, "no-store")], Html(html)).into_response()
}
