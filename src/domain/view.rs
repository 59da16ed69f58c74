//! The part of a tenant's data that a caller may see, enforced in one place.
//!
//! Every loader that reads accounts has a [`View`] and narrows its filters by it, so a resolver cannot forget the
//! check. Rejected: checks in the resolvers. Each path to an account would need one.

use super::accounts::ConnectedAccount;
use super::filters::{AccountFilter, FilterValues};
use super::providers::Provider;
use super::role::{MemberId, Role};

/// The part of its tenant that a caller sees. Callers of one tenant with equal views receive equal responses, so the
/// view is part of every cache key. It contains no secret.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct View(Role);

impl View {
    /// The view of an administrator: the whole tenant.
    pub const FULL: Self = Self(Role::Admin);

    /// Returns the view of a role.
    #[must_use]
    pub fn of(role: &Role) -> Self {
        Self(role.clone())
    }

    /// Returns the end user whose accounts are visible; `None` if all accounts are.
    #[must_use]
    pub fn member(&self) -> Option<&MemberId> {
        match &self.0 {
            Role::Admin => None,
            Role::Member(id) => Some(id),
        }
    }

    /// Whether everything is visible.
    pub(crate) fn is_full(&self) -> bool {
        self.member().is_none()
    }

    /// Whether a user is visible.
    pub(crate) fn shows_user(&self, id: &str) -> bool {
        self.member().is_none_or(|member| member.as_str() == id)
    }

    /// Whether an account is visible.
    pub(crate) fn shows_account(&self, account: &ConnectedAccount) -> bool {
        self.member().is_none_or(|member| account.user_id.as_deref() == Some(member.as_str()))
    }

    /// Narrows a filter to visible accounts. For a member, a filter without users becomes one for the member's own
    /// accounts. A filter for other users matches nothing and makes no call.
    #[must_use]
    pub fn narrow(&self, mut filter: AccountFilter) -> AccountFilter {
        if let Some(member) = self.member() {
            let is_requested = filter.user_ids.as_ref().is_none_or(|users| users.contains(member.as_str()));
            filter.user_ids = Some(if is_requested {
                FilterValues::checked(member.as_str())
            } else {
                FilterValues::default()
            });
        }
        filter
    }

    /// Returns the visible fields of a provider: a member does not see the account id, the display name or the error
    /// message of a workspace's integration.
    #[must_use]
    pub fn provider(&self, provider: &Provider) -> Provider {
        match self.0 {
            Role::Admin => provider.clone(),
            Role::Member(_) => {
                Provider { account_id: None, display_name: None, error_message: None, ..provider.clone() }
            }
        }
    }

    /// Returns the view's parts in a signature: the role and the member's id.
    pub(crate) fn signature_parts(&self) -> [&[u8]; 2] {
        match &self.0 {
            Role::Admin => [b"ADMIN", b""],
            Role::Member(id) => [b"MEMBER", id.as_str().as_bytes()],
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn values(users: Option<Vec<String>>) -> Option<FilterValues> {
        users.map(|users| FilterValues::new("userIds", users).unwrap())
    }

    proptest! {
        #[test]
        fn a_narrowed_filter_matches_only_the_member(
            id in "[a-c]{1,2}", users in prop::option::of(prop::collection::vec("[a-c]{1,2}", 0..4)),
            toolkits in prop::option::of(prop::collection::vec("[a-c]", 0..3)),
        ) {
            let view = View::of(&Role::Member(MemberId::new(&id).unwrap()));
            let requested = AccountFilter {
                user_ids: values(users.clone()), toolkits: values(toolkits), ..AccountFilter::default()
            };
            let narrowed = view.narrow(requested.clone());
            let users_requested: Vec<&str> = narrowed.user_ids.as_ref().unwrap().iter().collect();
            let is_among = users.is_none_or(|users| users.contains(&id));
            prop_assert_eq!(users_requested, if is_among { vec![id.as_str()] } else { vec![] });
            prop_assert!(is_among || narrowed.matches_nothing());
            // Narrowing twice changes nothing further, and no other field changes.
            prop_assert_eq!(view.narrow(narrowed.clone()), narrowed.clone());
            prop_assert_eq!(AccountFilter { user_ids: requested.user_ids.clone(), ..narrowed }, requested.clone());
            prop_assert_eq!(View::FULL.narrow(requested.clone()), requested);
        }
    }

    #[test]
    fn a_member_sees_only_itself() {
        let view = View::of(&Role::Member(MemberId::new("user_1").unwrap()));
        assert!(view.shows_user("user_1") && !view.shows_user("user_2") && !view.shows_user("USER_1"));
        assert!(!view.is_full() && View::FULL.is_full() && View::FULL.shows_user("anybody"));
        assert_ne!(view.signature_parts(), View::FULL.signature_parts());
    }
}
