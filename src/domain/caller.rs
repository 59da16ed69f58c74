//! Who is asking, and on whose behalf both upstreams are read.
//!
//! A role is not a word beside an id that may be missing: a MEMBER *is* its user id, so none can be made without one,
//! and none with an id that would widen an upstream's filter.

use std::sync::Arc;

use tokio::time::Instant;

use super::credential::Credential;
use super::filters::Values;
use super::upstream_name::{Composio, Leadlex};
use super::view::View;

/// An end user's id, fit to narrow an upstream's list by it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MemberId(Arc<str>);

impl MemberId {
    /// Takes an id as the application gave it when an account was connected.
    ///
    /// # Errors
    /// For an id that is empty, holds a comma or a control character, or is too long: Composio would read it as
    /// everybody, or as several users (UPSTREAMS.md A2). And for one with white space at its ends, which an upstream may cut
    /// off, so that it means somebody else there than here.
    pub fn new(id: &str) -> Result<Self, NoMember> {
        if id.trim() != id || Values::one("userId", id).is_err() {
            return Err(NoMember);
        }
        Ok(Self(id.into()))
    }

    /// The id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// An id that can be no member's. It is not repeated: it came from a caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a member's user id is not empty, has no comma, no control character and no white space at its ends, and at most \
     256 bytes"
)]
pub struct NoMember;

/// What a caller may see of its tenant.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Role {
    /// The whole tenant.
    Admin,
    /// The workspace's integrations without what is personal in them, and the accounts of this end user alone.
    Member(MemberId),
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_could_stand_for_others_is_no_members() {
        for id in ["", " ", "a,b", ",", "a\u{0}", " a", "a\t", "a\u{a0}", &"x".repeat(257)] {
            assert_eq!(MemberId::new(id), Err(NoMember), "{id:?}");
        }
        for id in ["user_1", "a@example.com", "a b", "ü/+&=%2C", "null", "*"] {
            assert_eq!(MemberId::new(id).unwrap().as_str(), id);
        }
    }
}
