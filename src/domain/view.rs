//! What of a tenant a caller may see, applied at one place.
//!
//! Loaders hold a view and narrow by it: whatever reads accounts is made of a [`View`], so that a resolver that forgets it
//! cannot be written. Checks in the resolvers, the rejected choice, are as many as there are roads to an account, and
//! each new road would need its own.

use super::accounts::ConnectedAccount;
use super::filters::{AccountFilter, FilterValues};
use super::providers::Provider;
use super::role::{MemberId, Role};

/// What a caller sees of its tenant. Two callers of one tenant with equal views get equal answers, so it is a part of
/// the key of whatever is kept of them; it holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct View(Role);

impl View {
    /// The whole tenant, as an ADMIN sees it.
    pub const FULL: Self = Self(Role::Admin);

    /// What a role sees.
    #[must_use]
    pub fn of(role: &Role) -> Self {
        Self(role.clone())
    }

    /// The end user whose accounts are all that is seen; `None` where everybody's are.
    #[must_use]
    pub fn member(&self) -> Option<&MemberId> {
        match &self.0 {
            Role::Admin => None,
            Role::Member(id) => Some(id),
        }
    }

    /// Whether everything is seen.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.member().is_none()
    }

    /// Whether there is such a user, as far as this view goes.
    #[must_use]
    pub fn shows_user(&self, id: &str) -> bool {
        self.member().is_none_or(|member| member.as_str() == id)
    }

    /// Whether an account is seen.
    #[must_use]
    pub fn shows_account(&self, account: &ConnectedAccount) -> bool {
        self.member().is_none_or(|member| account.user_id.as_deref() == Some(member.as_str()))
    }

    /// A filter that matches what it matched, of what is seen. A list of users that the member is not among matches
    /// nothing, and costs no call; no list at all becomes the member alone.
    #[must_use]
    pub fn narrow(&self, mut filter: AccountFilter) -> AccountFilter {
        if let Some(member) = self.member() {
            let is_asked_for = filter.user_ids.as_ref().is_none_or(|users| users.contains(member.as_str()));
            filter.user_ids =
                Some(if is_asked_for { member.filter_values() } else { FilterValues::default() });
        }
        filter
    }

    /// A provider as it is seen: a member does not learn whose account a workspace's integration is, what it is called,
    /// and what the upstream says of it.
    #[must_use]
    pub fn provider(&self, provider: &Provider) -> Provider {
        match self.0 {
            Role::Admin => provider.clone(),
            Role::Member(_) => {
                Provider { account_id: None, display_name: None, error_message: None, ..provider.clone() }
            }
        }
    }

    /// What stands for this view in a signature: a word for the role, and the member's id.
    #[must_use]
    pub fn signature_parts(&self) -> [&[u8]; 2] {
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
        fn no_filter_asks_for_anybody_but_the_member(
            id in "[a-c]{1,2}", users in prop::option::of(prop::collection::vec("[a-c]{1,2}", 0..4)),
            toolkits in prop::option::of(prop::collection::vec("[a-c]", 0..3)),
        ) {
            let view = View::of(&Role::Member(MemberId::new(&id).unwrap()));
            let asked = AccountFilter {
                user_ids: values(users.clone()), toolkits: values(toolkits), ..AccountFilter::default()
            };
            let narrowed = view.narrow(asked.clone());
            let users_asked: Vec<&str> = narrowed.user_ids.as_ref().unwrap().iter().collect();
            let is_among = users.is_none_or(|users| users.contains(&id));
            prop_assert_eq!(users_asked, if is_among { vec![id.as_str()] } else { vec![] });
            prop_assert!(is_among || narrowed.matches_nothing());
            // Narrowed once is narrowed enough, and nothing else is changed.
            prop_assert_eq!(view.narrow(narrowed.clone()), narrowed.clone());
            prop_assert_eq!(AccountFilter { user_ids: asked.user_ids.clone(), ..narrowed }, asked.clone());
            prop_assert_eq!(View::FULL.narrow(asked.clone()), asked);
        }
    }

    #[test]
    fn a_member_sees_itself_alone() {
        let view = View::of(&Role::Member(MemberId::new("user_1").unwrap()));
        assert!(view.shows_user("user_1") && !view.shows_user("user_2") && !view.shows_user("USER_1"));
        assert!(!view.is_full() && View::FULL.is_full() && View::FULL.shows_user("anybody"));
        assert_ne!(view.signature_parts(), View::FULL.signature_parts());
    }
}
