//! Verification of deliveries: their signature, their age, and that each is accepted once.

use std::time::Duration;

use secrecy::SecretString;

use super::signature::Signature;
use crate::domain::bounded_map::BoundedMap;
use crate::domain::caller::Tenant;
use crate::domain::clock::Clock;
use crate::http::error::HttpError;

/// Maximum difference of a delivery's timestamp from now (Standard Webhooks; Composio's clients use the same).
const TOLERANCE: Duration = Duration::from_secs(300);

/// Number of remembered delivery ids: the last ones.
const IDS_MAX: u64 = 100_000;

/// The secrets whose deliveries are accepted, and the ids of recent deliveries.
pub struct Webhooks {
    /// Each secret with its tenant.
    secrets: Vec<(SecretString, Tenant)>,
    clock: Clock,
    seen_ids: BoundedMap<Box<str>, ()>,
}

impl Webhooks {
    /// Creates a receiver of deliveries that are signed with these secrets. A tenant may have several during a
    /// rotation.
    #[must_use]
    pub fn new(secrets: Vec<(SecretString, Tenant)>, clock: Clock) -> Self {
        Self { secrets, clock, seen_ids: BoundedMap::with_last_entries(IDS_MAX) }
    }

    /// Takes over the delivery ids that another instance has seen.
    pub(in crate::http) fn sharing_ids_with(self, others: &Self) -> Self {
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
    pub(super) fn tenant(&self, signature: &Signature<'_>, body: &[u8]) -> Result<&Tenant, HttpError> {
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
    pub(super) fn is_new(&self, id: &str) -> bool {
        let mut is_new = false;
        self.seen_ids.get_or_insert_with(&id.into(), || is_new = true);
        is_new
    }
}
