//! The roles of callers.
//!
//! A role is not a word beside an id that may be missing. A member *is* its user id: it cannot exist without one, nor
//! with an id that would widen an upstream's filter.

use std::sync::Arc;

use super::filters::FilterValues;

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
    pub fn new(id: &str) -> Result<Self, InvalidMemberId> {
        if id.trim() != id || FilterValues::one("userId", id).is_err() {
            return Err(InvalidMemberId);
        }
        Ok(Self(id.into()))
    }

    /// The id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A filter's values with this id alone.
    #[must_use]
    pub fn filter_values(&self) -> FilterValues {
        FilterValues::checked(self.as_str())
    }
}

/// An id that can be no member's. It is not repeated: it came from a caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a member's user id is not empty, has no comma, no control character and no white space at its ends, and at most \
     256 bytes"
)]
pub struct InvalidMemberId;

/// What a caller may see of its tenant.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Role {
    /// The whole tenant.
    Admin,
    /// The workspace's integrations without what is personal in them, and the accounts of this end user alone.
    Member(MemberId),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_could_stand_for_others_is_no_members() {
        for id in ["", " ", "a,b", ",", "a\u{0}", " a", "a\t", "a\u{a0}", &"x".repeat(257)] {
            assert_eq!(MemberId::new(id), Err(InvalidMemberId), "{id:?}");
        }
        for id in ["user_1", "a@example.com", "a b", "ü/+&=%2C", "null", "*"] {
            assert_eq!(MemberId::new(id).unwrap().as_str(), id);
        }
    }
}
