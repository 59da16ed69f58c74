//! `/webhooks/composio`: notifications that an account has expired (docs/upstreams.md#composio-webhooks).
//!
//! A delivery only triggers a refresh. Its content is not used, because the list returns the same data under the list's
//! own rules. A forged delivery could cost an upstream call, but could not change any response. All accounts of the
//! project are read again instead of the named one, because that account is on pages of many lists.
//!
//! Composio has no events for created, revoked or deleted accounts, so polling remains necessary.

pub mod settings;
mod signature;

use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use secrecy::SecretString;
use serde::Deserialize;

use self::signature::Signature;
use super::Edge;
use super::error::HttpError;
use crate::domain::caller::Tenant;
use crate::domain::clock::Clock;

/// The event that triggers a refresh; all others are accepted and ignored.
const EXPIRED: &str = "composio.connected_account.expired";

/// Maximum difference of a delivery's timestamp from now (Standard Webhooks; Composio's clients use the same).
const TOLERANCE: Duration = Duration::from_secs(300);

/// Maximum number of remembered delivery ids. An id is forgotten when its timestamp is too old to be accepted.
const IDS_MAX: u64 = 100_000;

/// Maximum length of a delivery id: `msg_` and a UUID have 40 bytes.
const ID_BYTES_MAX: usize = 128;

/// The secrets whose deliveries are accepted, and the ids of recent deliveries.
pub struct Webhooks {
    /// Each secret with its tenant.
    secrets: Vec<(SecretString, Tenant)>,
    clock: Clock,
    seen_ids: moka::sync::Cache<String, ()>,
}

impl Webhooks {
    /// Creates a receiver of deliveries that are signed with these secrets. A tenant may have several during a
    /// rotation.
    #[must_use]
    pub fn new(secrets: Vec<(SecretString, Tenant)>, clock: Clock) -> Self {
        let seen_ids = moka::sync::Cache::builder().max_capacity(IDS_MAX).time_to_live(TOLERANCE * 2).build();
        Self { secrets, clock, seen_ids }
    }

    /// Takes over the delivery ids that another instance has seen.
    pub(super) fn sharing_ids_with(self, others: &Self) -> Self {
        Self { seen_ids: others.seen_ids.clone(), ..self }
    }

    /// Creates a receiver that accepts no deliveries: the path answers 404.
    #[must_use]
    pub fn none() -> Self {
        Self::new(Vec::new(), Clock::system())
    }

    /// Whether any secret is configured.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.secrets.is_empty()
    }

    /// Returns the tenant of a delivery.
    fn tenant(&self, signature: &Signature<'_>, body: &[u8]) -> Result<&Tenant, HttpError> {
        let now = self.clock.now().as_second();
        if now.abs_diff(signature.timestamp) > TOLERANCE.as_secs() {
            return Err(HttpError::bad_delivery(
                "The delivery's `webhook-timestamp` is too far from the current time.",
            ));
        }
        // All secrets are tried, even after a match, so that the duration reveals nothing about them.
        let matching = self.secrets.iter().filter(|(secret, _)| signature.is_of(secret, body));
        let tenant = matching.fold(None, |found, (_, tenant)| found.or(Some(tenant)));
        tenant.ok_or_else(|| {
            HttpError::bad_delivery(
                "The delivery's `webhook-signature` does not match any configured secret.",
            )
        })
    }

    /// Whether a delivery is new.
    fn is_new(&self, id: &str) -> bool {
        self.seen_ids.entry_by_ref(id).or_insert(()).is_fresh()
    }
}

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
    let delivery: WebhookDelivery<'_> = serde_json::from_slice(&body.bytes).map_err(|_| {
        HttpError::malformed_delivery("The delivery's body is not a JSON object with a `type`.")
    })?;
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

/// Returns a header of a delivery, if it is present exactly once.
fn header<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let mut lines = headers.get_all(name).into_iter();
    match (lines.next(), lines.next()) {
        (Some(line), None) => line.to_str().ok(),
        _ => None,
    }
}
