//! `/webhooks/composio`: notifications that an account has expired (docs/upstreams.md#composio-webhooks).
//!
//! A delivery only triggers a refresh. Its content is not used, because the list returns the same data under the list's
//! own rules. A forged delivery could cost an upstream call, but could not change any response. All accounts of the
//! project are read again instead of the named one, because that account is on pages of many lists.
//!
//! Composio has no events for created, revoked or deleted accounts, so polling remains necessary.

pub mod settings;
mod signature;
pub(super) mod verification;

use axum::extract::{Request, State};
use axum::http::header::CACHE_CONTROL;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;

use self::signature::Signature;
pub use self::verification::Webhooks;
use super::edge::Edge;
use super::error::HttpError;

/// The event that triggers a refresh; all others are accepted and ignored.
const EXPIRED: &str = "composio.connected_account.expired";

/// The part of a delivery that is read.
#[derive(Deserialize)]
struct WebhookDelivery<'a> {
    #[serde(borrow, rename = "type")]
    event: std::borrow::Cow<'a, str>,
}

/// Handles a delivery.
pub(super) async fn handle(State(edge): State<Edge>, request: Request) -> Response {
    match accept(&edge, request).await {
        Ok(status) => (status, [(CACHE_CONTROL, "no-store")]).into_response(),
        Err(error) => error.into_response(),
    }
}

async fn accept(edge: &Edge, request: Request) -> Result<StatusCode, HttpError> {
    let (head, body) = request.into_parts();
    if head.method != Method::POST {
        return Err(HttpError::method_not_allowed("POST"));
    }
    if edge.webhooks.is_empty() {
        return Err(HttpError::not_found());
    }
    let signature = Signature::read(&head.headers)?;
    let body = edge.bodies.read_json(&head.headers, body).await?;
    let tenant = edge.webhooks.tenant(&signature, &body.bytes)?;
    let delivery: WebhookDelivery<'_> = serde_json::from_slice(&body.bytes)
        .map_err(|_| HttpError::malformed("The delivery's body is not a JSON object with a `type`."))?;
    if !edge.webhooks.is_new(signature.id) {
        tracing::info!("ignored a repeated webhook delivery");
        return Ok(StatusCode::OK);
    }
    if delivery.event == EXPIRED {
        tracing::info!("webhook: an account has expired; reading the accounts again");
        edge.operations.accounts_changed(tenant);
    }
    Ok(StatusCode::NO_CONTENT)
}
