//! `/webhooks/composio`: Composio tells that an account has expired (UPSTREAMS.md A10).
//!
//! A delivery is an occasion to look, and nothing more: what it says of the account is not read, as that is told by the list,
//! with the rules that hold for it. So a delivery that was made up could cost a call, and could not change what anybody
//! sees. Everything of the project's accounts is read again, and not the one alone that is named: it stands on
//! pages of many lists.
//!
//! There is no event for accounts that came, were revoked or were deleted, so this shortens a wait and replaces no look.

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

/// The event that is acted on; all others are taken and left alone.
const EXPIRED: &str = "composio.connected_account.expired";

/// How far a delivery's moment may lie from now, either way (Standard Webhooks; Composio's own clients take the same).
const TOLERANCE: Duration = Duration::from_secs(300);

/// How many deliveries are remembered. An id is forgotten when its moment is too old to pass anyway.
const IDS_MAX: u64 = 100_000;

/// How long an id may be: `msg_` and a UUID take 40.
const ID_BYTES_MAX: usize = 128;

/// Whose deliveries are taken.
pub struct Webhooks {
    /// Each secret with the tenant whose accounts it speaks of.
    secrets: Vec<(SecretString, Tenant)>,
    clock: Clock,
    seen: moka::sync::Cache<String, ()>,
}

impl Webhooks {
    /// Deliveries signed with these secrets. A tenant may have several, while one takes another's place.
    #[must_use]
    pub fn new(secrets: Vec<(SecretString, Tenant)>, clock: Clock) -> Self {
        let seen = moka::sync::Cache::builder().max_capacity(IDS_MAX).time_to_live(TOLERANCE * 2).build();
        Self { secrets, clock, seen }
    }

    /// The same, as ones that know the deliveries that others took.
    pub(super) fn remembering(self, others: &Self) -> Self {
        Self { seen: others.seen.clone(), ..self }
    }

    /// Nobody's: deliveries are answered as if there were no such path.
    #[must_use]
    pub fn none() -> Self {
        Self::new(Vec::new(), Clock::system())
    }

    /// Whether there is anybody to take deliveries from.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.secrets.is_empty()
    }

    /// Whose a delivery is.
    fn tenant(&self, signature: &Signature<'_>, body: &[u8]) -> Result<&Tenant, HttpError> {
        let now = self.clock.now().as_second();
        if now.abs_diff(signature.timestamp) > TOLERANCE.as_secs() {
            return Err(HttpError::bad_delivery("The delivery's `webhook-timestamp` is too far from now."));
        }
        // All are tried, whichever fits: how long it takes tells nothing.
        let fitting = self.secrets.iter().filter(|(secret, _)| signature.is_of(secret, body));
        let tenant = fitting.fold(None, |found, (_, tenant)| found.or(Some(tenant)));
        tenant.ok_or_else(|| {
            HttpError::bad_delivery("The delivery's `webhook-signature` is of no secret that is known here.")
        })
    }

    /// Whether a delivery comes for the first time.
    fn is_new(&self, id: &str) -> bool {
        self.seen.entry_by_ref(id).or_insert(()).is_fresh()
    }
}

/// What of a delivery is read.
#[derive(Deserialize)]
struct Delivery<'a> {
    #[serde(borrow, rename = "type")]
    event: std::borrow::Cow<'a, str>,
}

/// Takes a delivery.
pub(super) async fn take(State(edge): State<Edge>, request: Request) -> Response {
    match taken(&edge, request).await {
        Ok(status) => (status, [(CACHE_CONTROL, "no-store")]).into_response(),
        Err(error) => error.into_response(),
    }
}

async fn taken(edge: &Edge, request: Request) -> Result<StatusCode, HttpError> {
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
    let delivery: Delivery<'_> = serde_json::from_slice(&body.bytes)
        .map_err(|_| HttpError::malformed_delivery("The delivery's body is no JSON object with a `type`."))?;
    if !edge.webhooks.is_new(signature.id) {
        tracing::info!("a webhook came again and was left alone");
        return Ok(StatusCode::OK);
    }
    if delivery.event == EXPIRED {
        tracing::info!("a webhook told that an account has expired");
        edge.operations.accounts_changed(tenant);
    }
    Ok(StatusCode::NO_CONTENT)
}

/// A header of a delivery that must be there once.
fn header<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let mut lines = headers.get_all(name).into_iter();
    match (lines.next(), lines.next()) {
        (Some(line), None) => line.to_str().ok(),
        _ => None,
    }
}
