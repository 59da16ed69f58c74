//! Who is asking, and on whose behalf both upstreams are read.

use super::credential::Credential;
use super::upstream_name::{Composio, Leadlex};

/// What a caller may see of its tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// The whole tenant.
    Admin,
}

/// One customer: a workspace of LeadLex and a project of Composio, by the keys to them.
///
/// A key may be missing where callers bring their own; the fields of that upstream are then
/// refused with `UNAUTHENTICATED`, and the other upstream's are not touched by it.
#[derive(Debug, Clone)]
pub struct Tenant {
    /// The key to the workspace API.
    pub leadlex: Option<Credential<Leadlex>>,
    /// The key to the connected-accounts API.
    pub composio: Option<Credential<Composio>>,
}

/// A caller of one operation.
#[derive(Debug, Clone)]
pub struct Caller {
    /// What it may see.
    pub role: Role,
    /// Whose data it is about.
    pub tenant: Tenant,
}
