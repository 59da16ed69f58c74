//! Who asks, told to themselves.

use async_graphql::{Enum, SimpleObject};

use super::users::User;
use crate::domain::caller::Caller;
use crate::domain::role::Role;

/// What a caller may see.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
pub(super) enum ViewerRole {
    /// The whole tenant.
    Admin,
    /// The workspace's integrations, without what is personal in them, and one end user's accounts.
    Member,
}

/// Who is asking, and what they may see.
#[derive(SimpleObject)]
pub(super) struct Viewer {
    /// What the caller is called: the name of its token, or who its token says that it is.
    name: String,
    role: ViewerRole,
    /// Set where the caller is one end user, who then sees that user's accounts alone.
    user: Option<User>,
}

impl Viewer {
    pub(super) fn of(caller: &Caller) -> Self {
        let (role, user) = match &caller.role {
            Role::Admin => (ViewerRole::Admin, None),
            Role::Member(id) => (ViewerRole::Member, Some(User::new(id.as_str()))),
        };
        Self { name: caller.name.to_string(), role, user }
    }
}
