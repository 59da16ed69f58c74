//! Results and errors of actions. [`refusal`] maps Composio's refusals to errors.

use std::time::Duration;

use super::request::{ActionRequest, unknown_auth_config};
use crate::domain::accounts::{AccountStatus, ConnectedAccount};
use crate::domain::actions::{Action, ConnectLink, UserError, UserErrorCode};
use crate::domain::open_enum::OpenEnum as _;
use crate::upstream::error::{UpstreamError, UpstreamFailure};

/// The result of an action that took effect.
#[derive(Debug, Default)]
pub struct ActionResult {
    /// The changed or new account, `ca_…`.
    pub account: Option<Box<str>>,
    /// The account that the new one replaces.
    pub replaced: Option<Box<str>>,
    /// The removed account.
    pub removed: Option<Box<str>>,
    /// The started sign-in.
    pub link: Option<ConnectLink>,
    /// The kinds of the credentials that were revoked; `None` if Composio did not state them.
    pub revoked_tokens: Option<Vec<Box<str>>>,
}

/// A refusal by Switchboard or by the permissions of its key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ActionRefusal {
    /// `actions.enabled` is false.
    #[error(
        "Actions are switched off. An operator switches them on by the setting `actions.enabled = true` \
         (SWITCHBOARD__ACTIONS__ENABLED=true)."
    )]
    Disabled,
    /// The caller is a MEMBER, and `actions.member` does not list the action.
    #[error(
        "A MEMBER may not {} accounts here. An ADMIN may; an operator allows it by the setting `actions.member`.",
        .0.name()
    )]
    NotAllowed(Action),
    /// The caller made `actions.per_minute` actions in the last minute.
    #[error("Too many actions: `actions.per_minute` is reached. Retry after `retryAfterMs`.")]
    TooMany(Duration),
    /// The API key may not write.
    #[error(
        "The Composio API key may only read: Composio refused the change (403). Give the key the permission to write \
         connected accounts, or use another key."
    )]
    ReadOnlyKey,
}

impl ActionRefusal {
    /// Returns the error code in responses.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Disabled => "ACTIONS_DISABLED",
            Self::NotAllowed(_) => "FORBIDDEN",
            Self::TooMany(_) => "ACTIONS_RATE_LIMITED",
            Self::ReadOnlyKey => UpstreamFailure::Forbidden.code(),
        }
    }
}

/// The reason why an action has no result.
#[derive(Debug, thiserror::Error)]
pub enum ActionError {
    /// The user can correct it.
    #[error(transparent)]
    User(#[from] UserError),
    /// It is not allowed.
    #[error(transparent)]
    Refused(#[from] ActionRefusal),
    /// The call failed: Composio could not be reached, or did not accept the API key or the rate of calls.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
}

impl ActionError {
    /// Returns the code in the audit log.
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::User(error) => error.code.as_str(),
            Self::Refused(refusal) => refusal.code(),
            Self::Upstream(error) => error.failure.code(),
        }
    }

    /// Whether nothing was changed, because Switchboard or Composio refused the action.
    pub(super) fn is_refusal(&self) -> bool {
        match self {
            Self::User(error) => error.code != UserErrorCode::ActionOutcomeUnknown,
            Self::Refused(_) => true,
            Self::Upstream(_) => false,
        }
    }

    /// Whether it is unknown if the action took effect.
    pub(super) fn is_unknown(&self) -> bool {
        matches!(self, Self::User(error) if error.code == UserErrorCode::ActionOutcomeUnknown)
    }
}

/// Returns the error of an account that does not exist for the caller.
pub(super) fn not_found() -> UserError {
    UserError::new(
        UserErrorCode::NotFound,
        "id",
        "There is no such connected account. It may have been removed; read the list of accounts again.",
    )
}

/// Returns the error of a second action on one account.
pub(super) fn in_progress() -> UserError {
    UserError::new(
        UserErrorCode::ActionInProgress,
        None,
        "Another action on this account is in progress. Wait until it has ended, then read the account again.",
    )
}

/// Returns the error of an action that Composio did not confirm. `account` is its current state, if it could be read.
pub(super) fn unknown(request: &ActionRequest, account: Option<&ConnectedAccount>) -> UserError {
    let unconfirmed = "Composio did not confirm the action in time, so it is unknown whether it happened.";
    let status = |account: &ConnectedAccount| match account.status.kind() {
        AccountStatus::Unknown => "one that this version does not know",
        known => known.as_str(),
    };
    let message = match (request, account) {
        (ActionRequest::Connect { .. } | ActionRequest::Reconnect { .. }, _) => format!(
            "{unconfirmed} A new account may exist without its sign-in page; it fails after ten minutes. Try again."
        ),
        (_, Some(account)) => format!(
            "{unconfirmed} The account does not show it: its status is {}. It may still take effect; read the account again \
             before you repeat the action.",
            status(account)
        ),
        (_, None) => {
            format!("{unconfirmed} Read the account again before you repeat the action.")
        }
    };
    let error = UserError::new(UserErrorCode::ActionOutcomeUnknown, None, message);
    match account {
        Some(account) => error.with_account(account.id.clone()),
        None => error,
    }
}

/// Returns the error of a write that Composio refused, by status and action (docs/upstreams.md#composio-errors,
/// #composio-writes).
pub(super) fn refusal(request: &ActionRequest, id: Option<&str>, error: UpstreamError) -> ActionError {
    use UserErrorCode as Code;
    let Some(status) = error.status.filter(|_| !error.is_outcome_unknown()) else {
        return ActionError::Upstream(error);
    };
    let (is_link, has_alias, field) = match request {
        ActionRequest::Connect { options, .. } => (true, options.alias.is_some(), "authConfigId"),
        ActionRequest::Reconnect { options, .. } => (true, options.alias.is_some(), "id"),
        ActionRequest::Rename { .. } => (false, true, "id"),
        _ => (false, false, "id"),
    };
    let user_error = match (status, request) {
        (403, _) => return ActionRefusal::ReadOnlyKey.into(),
        (404, _) if is_link => unknown_auth_config(field),
        (404, _) => return not_found().into(),
        (409, _) if has_alias => UserError::new(
            Code::AliasTaken,
            "alias",
            "Another account of this user and toolkit has this alias. Choose another one.",
        ),
        (400 | 422, _) if is_link => UserError::new(
            Code::AuthConfigUnusable,
            field,
            "Composio refused to start a sign-in with this auth config: it may be disabled, or need values that a sign-in \
             page cannot ask for. Check it in Composio.",
        ),
        (400 | 422, ActionRequest::Rename { .. }) => UserError::new(
            Code::InvalidAlias,
            "alias",
            "Composio does not accept this alias. Choose a shorter one without special characters.",
        ),
        (400 | 422, ActionRequest::Revoke { .. }) => UserError::new(
            Code::RevokeUnsupported,
            "id",
            "The credentials of this toolkit cannot be revoked by Composio. Revoke the access at the provider, or remove \
             the account.",
        ),
        (400 | 409 | 422, _) => UserError::new(
            Code::StateConflict,
            field,
            "Composio refused the action in the account's current state. Read the account again; an account that is \
             expired, failed or revoked must be reconnected.",
        ),
        _ => return ActionError::Upstream(error),
    };
    match id {
        Some(id) if !is_link => user_error.with_account(id).into(),
        _ => user_error.into(),
    }
}
