//! The type `Viewer`: the caller of the request.

use async_graphql::{Enum, SimpleObject};

use super::users::User;
use crate::domain::actions;
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

/// An action on connected accounts.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "actions::Action")]
pub(super) enum AccountAction {
    /// `createConnectLink`
    Connect,
    /// `reconnectAccount`
    Reconnect,
    /// `setAccountEnabled`
    Enable,
    /// `renameAccount`
    Rename,
    /// `revokeAccount`
    Revoke,
    /// `removeAccount`
    Remove,
}

/// The caller of this request.
#[derive(SimpleObject)]
pub(super) struct Viewer {
    /// The name of the caller: the name of its token, or the subject of its JWT.
    name: String,
    role: ViewerRole,
    /// The end user that the caller is limited to, if any.
    user: Option<User>,
    /// The actions that the caller may take on the accounts it sees. Empty if actions are switched off.
    actions: Vec<AccountAction>,
}

impl Viewer {
    pub(super) fn of(caller: &Caller, actions: Vec<actions::Action>) -> Self {
        let (role, user) = match &caller.role {
            Role::Admin => (ViewerRole::Admin, None),
            Role::Member(id) => (ViewerRole::Member, Some(User::new(id.as_str()))),
        };
        let actions = actions.into_iter().map(Into::into).collect();
        Self { name: caller.name.to_string(), role, user, actions }
    }
}
