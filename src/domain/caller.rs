//! A caller and the tenant whose data it reads.

use std::sync::Arc;

use tokio::time::Instant;

use super::credential::{Credential, Fingerprint};
use super::role::Role;
use super::upstream_name::{Composio, Leadlex};
use super::view::View;

/// One customer: a LeadLex workspace and a Composio project, identified by their API keys.
///
/// A key may be missing if callers bring their own. Fields of that upstream then fail with `UNAUTHENTICATED`; fields of
/// the other upstream work.
#[derive(Debug, Clone, PartialEq)]
pub struct Tenant {
    /// The LeadLex API key.
    pub leadlex: Option<Credential<Leadlex>>,
    /// The Composio API key.
    pub composio: Option<Credential<Composio>>,
}

/// The fingerprints of a tenant's credentials: the part that identifies the tenant in every key of a cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TenantFingerprints {
    /// Of the key to the workspace API.
    pub leadlex: Option<Fingerprint<Leadlex>>,
    /// Of the key to the connected-accounts API.
    pub composio: Option<Fingerprint<Composio>>,
}

impl Tenant {
    /// The fingerprints of both credentials.
    #[must_use]
    pub fn fingerprints(&self) -> TenantFingerprints {
        TenantFingerprints {
            leadlex: self.leadlex.as_ref().map(Credential::fingerprint),
            composio: self.composio.as_ref().map(Credential::fingerprint),
        }
    }
}

/// A caller of one operation.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Display name, returned by `viewer`; never a secret.
    pub name: Arc<str>,
    /// The role, which decides what the caller may see.
    pub role: Role,
    /// The tenant whose data the caller reads.
    pub tenant: Tenant,
    /// Expiry of the presented credentials. Subscriptions end at this time. `None` if they do not expire.
    pub expires_at: Option<Instant>,
}

impl Caller {
    /// An administrator of a tenant.
    #[must_use]
    pub fn admin(name: &str, tenant: Tenant) -> Self {
        Self { name: name.into(), role: Role::Admin, tenant, expires_at: None }
    }

    /// The caller's view of its tenant: part of the key of every cached response.
    #[must_use]
    pub fn view(&self) -> View {
        View::of(&self.role)
    }
}
