//! A caller and the tenant whose data it reads.

use std::sync::Arc;

use tokio::time::Instant;

use super::credential::{Credential, Fingerprint, InvalidCredential};
use super::role::{MemberId, Role};
use super::upstream_name::{Composio, Leadlex, Upstream};
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
    /// Creates a tenant from its API keys. With an empty key, fields of that upstream fail with `UNAUTHENTICATED`.
    ///
    /// # Errors
    /// If a key contains spaces or characters outside of ASCII.
    pub fn new(leadlex_api_key: &str, composio_api_key: &str) -> Result<Self, InvalidCredential> {
        fn credential<U: Upstream>(key: &str) -> Result<Option<Credential<U>>, InvalidCredential> {
            if key.is_empty() { Ok(None) } else { Credential::new(key).map(Some) }
        }
        Ok(Self { leadlex: credential(leadlex_api_key)?, composio: credential(composio_api_key)? })
    }

    /// Returns the fingerprints of both credentials.
    #[must_use]
    #[cfg_attr(not(internal_docs), doc(hidden))]
    pub fn fingerprints(&self) -> TenantFingerprints {
        TenantFingerprints {
            leadlex: self.leadlex.as_ref().map(Credential::fingerprint),
            composio: self.composio.as_ref().map(Credential::fingerprint),
        }
    }
}

/// The identity of a caller in counts over time: its tenant, its view (the role, and the user of a MEMBER), and the
/// name of its token or the subject of its JWT.
pub type CallerKey = (TenantFingerprints, View, Arc<str>);

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
    /// Creates an administrator of a tenant.
    #[must_use]
    pub fn admin(name: impl Into<Arc<str>>, tenant: Tenant) -> Self {
        Self { name: name.into(), role: Role::Admin, tenant, expires_at: None }
    }

    /// Creates a caller who sees the accounts of one end user alone.
    #[must_use]
    pub fn member(name: &str, user_id: MemberId, tenant: Tenant) -> Self {
        Self { role: Role::Member(user_id), ..Self::admin(name, tenant) }
    }

    /// Returns the caller's identity in counts over time.
    #[must_use]
    #[cfg_attr(not(internal_docs), doc(hidden))]
    pub fn key(&self) -> CallerKey {
        (self.tenant.fingerprints(), self.view(), Arc::clone(&self.name))
    }

    /// Returns the caller's view of its tenant: part of the key of every cached response.
    #[must_use]
    #[cfg_attr(not(internal_docs), doc(hidden))]
    pub fn view(&self) -> View {
        View::of(&self.role)
    }
}
