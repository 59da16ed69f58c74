//! A caller and the tenant whose data it reads.

use std::sync::Arc;

use tokio::time::Instant;

use super::credential::{Credential, Fingerprint};
use super::role::Role;
use super::upstream_name::{Composio, Leadlex};
use super::view::View;

/// One customer: a workspace of LeadLex and a project of Composio, by the keys to them.
///
/// A key may be missing where callers bring their own; the fields of that upstream are then
/// refused with `UNAUTHENTICATED`, and the other upstream's are not touched by it.
#[derive(Debug, Clone, PartialEq)]
pub struct Tenant {
    /// The key to the workspace API.
    pub leadlex: Option<Credential<Leadlex>>,
    /// The key to the connected-accounts API.
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
    /// What it is called where it asks who it is; never a secret.
    pub name: Arc<str>,
    /// What it may see.
    pub role: Role,
    /// Whose data it is about.
    pub tenant: Tenant,
    /// Until when what it showed is good: nothing goes on for it past that. None where that has no end.
    pub expires_at: Option<Instant>,
}

impl Caller {
    /// A caller who sees its whole tenant.
    #[must_use]
    pub fn admin(name: &str, tenant: Tenant) -> Self {
        Self { name: name.into(), role: Role::Admin, tenant, expires_at: None }
    }

    /// What it sees of its tenant: a part of the key of everything that is kept of its answers.
    #[must_use]
    pub fn view(&self) -> View {
        View::of(&self.role)
    }
}
