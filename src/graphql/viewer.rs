//! The type `Viewer`: the caller of the request.

use async_graphql::{Enum, SimpleObject};

use super::users::User;
use crate::domain::caller::Caller;
use crate::domain::role::Role;

/// The role of a caller.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
pub(super) enum ViewerRole {
    /// Access to all data of the tenant.
    Admin,
    /// Access to the workspace's integrations without personal data, and to the accounts of one end user.
    Member,
}

/// The caller of this request.
#[derive(SimpleObject)]
pub(super) struct Viewer {
    /// The name of the caller: the name of its token, or the subject of its JWT.
    name: String,
    role: ViewerRole,
    /// The end user that the caller is limited to, if any.
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
