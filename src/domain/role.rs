//! Roles of callers.
//!
//! The role of a member contains its user id, so there can be no member without an id, or with one that would widen an
//! upstream's filter.

use std::sync::Arc;

use super::filters::FilterValues;

/// An end user's id that is safe to filter an upstream's list by.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MemberId(Arc<str>);

impl MemberId {
    /// Validates an id, in the spelling that the application used when the account was connected.
    ///
    /// # Errors
    /// If the id is empty, too long, or contains a comma or a control character: Composio would return the accounts of
    /// several or of all users (docs/upstreams.md#composio-list-request). If it has white space at its ends: an
    /// upstream that trims it would return another user's accounts.
    pub fn new(id: &str) -> Result<Self, InvalidMemberId> {
        if id.trim() != id || FilterValues::one("userId", id).is_err() {
            return Err(InvalidMemberId);
        }
        Ok(Self(id.into()))
    }

    /// Returns the id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// An invalid member id. The message does not repeat it, because it came from a caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a member's user id must not be empty, must not contain commas or control characters, must not begin or end with \
     white space, and has at most 256 bytes"
)]
pub struct InvalidMemberId;

/// A caller's role in its tenant.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Role {
    /// The whole tenant.
    Admin,
    /// The accounts of this end user, and the workspace's integrations without personal data.
    Member(MemberId),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_could_match_other_users_are_refused() {
        for id in ["", " ", "a,b", ",", "a\u{0}", " a", "a\t", "a\u{a0}", &"x".repeat(257)] {
            assert_eq!(MemberId::new(id), Err(InvalidMemberId), "{id:?}");
        }
        for id in ["user_1", "a@example.com", "a b", "ü/+&=%2C", "null", "*"] {
            assert_eq!(MemberId::new(id).unwrap().as_str(), id);
        }
    }
}
