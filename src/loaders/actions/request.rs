//! An action as a client requests it, with the checks that need no upstream.

use super::settings::ActionSettings;
use crate::domain::accounts::{AccountStatus, ConnectedAccount};
use crate::domain::actions::{Action, UserError, UserErrorCode};
use crate::domain::global_id::{account_id, is_upstream_id};
use crate::domain::role::MemberId;
use crate::domain::view::View;

/// Maximum length of an alias in characters. Composio documents no limit.
const ALIAS_CHARS_MAX: usize = 100;

/// Optional parts of a new sign-in.
#[derive(Debug, Clone, Default)]
pub struct LinkOptions {
    /// The end user who connects.
    pub user_id: Option<String>,
    /// The name of the new account.
    pub alias: Option<String>,
    /// The page to which the browser returns.
    pub callback_url: Option<String>,
}

/// An action with its arguments, not yet checked.
#[derive(Debug, Clone)]
pub enum ActionRequest {
    /// Start the sign-in of a new account.
    Connect {
        /// The auth config to connect with.
        auth_config_id: String,
        /// The rest.
        options: LinkOptions,
    },
    /// Start a new sign-in in place of an account.
    Reconnect {
        /// The account to replace.
        id: String,
        /// The rest.
        options: LinkOptions,
    },
    /// Pause or resume an account.
    SetEnabled {
        /// The account.
        id: String,
        /// Whether it is to be enabled.
        enabled: bool,
    },
    /// Set the alias of an account.
    Rename {
        /// The account.
        id: String,
        /// The alias; empty to remove it.
        alias: String,
    },
    /// Revoke an account's credentials at the provider.
    Revoke {
        /// The account.
        id: String,
    },
    /// Remove an account.
    Remove {
        /// The account.
        id: String,
        /// Whether its credentials are revoked at the provider.
        revoke: bool,
    },
}

impl ActionRequest {
    /// Returns the action.
    #[must_use]
    pub fn action(&self) -> Action {
        match self {
            Self::Connect { .. } => Action::Connect,
            Self::Reconnect { .. } => Action::Reconnect,
            Self::SetEnabled { .. } => Action::Enable,
            Self::Rename { .. } => Action::Rename,
            Self::Revoke { .. } => Action::Revoke,
            Self::Remove { .. } => Action::Remove,
        }
    }

    /// Returns the `ca_…` id of the account. Returns `None` for a new account, and for an id that cannot be a part of a
    /// URL's path.
    pub(super) fn account(&self) -> Option<Box<str>> {
        match self {
            Self::Connect { .. } => None,
            Self::Reconnect { id, .. }
            | Self::SetEnabled { id, .. }
            | Self::Rename { id, .. }
            | Self::Revoke { id }
            | Self::Remove { id, .. } => account_id(id).ok().filter(|id| is_upstream_id(id)),
        }
    }

    /// Runs the checks of the arguments that need no upstream.
    pub(super) fn check(&mut self, settings: &ActionSettings, view: &View) -> Result<(), UserError> {
        if !matches!(self, Self::Connect { .. }) && self.account().is_none() {
            return Err(UserError::new(
                UserErrorCode::InvalidId,
                "id",
                "`id` is not a connected account's id. Pass its `id` or its `connectedAccountId` (`ca_…`).",
            ));
        }
        match self {
            Self::Connect { auth_config_id, options } => {
                options.check(settings, view)?;
                if options.user_id.is_none() {
                    return Err(user_id_required("Pass the id of the end user who connects the account."));
                }
                check_auth_config(auth_config_id, settings, view)
            }
            Self::Reconnect { options, .. } => options.check(settings, view),
            Self::Rename { alias, .. } => check_alias(alias),
            Self::SetEnabled { .. } | Self::Revoke { .. } | Self::Remove { .. } => Ok(()),
        }
    }

    /// Whether an account is in the state that the action leads to. `None` is an account that does not exist.
    pub(super) fn is_applied(&self, account: Option<&ConnectedAccount>) -> bool {
        let Some(account) = account else { return matches!(self, Self::Remove { .. }) };
        match self {
            Self::Connect { .. } | Self::Reconnect { .. } | Self::Remove { .. } => false,
            Self::SetEnabled { enabled: true, .. } => {
                account.status.kind() == AccountStatus::Active && !account.is_disabled
            }
            Self::SetEnabled { enabled: false, .. } => {
                account.status.kind() == AccountStatus::Inactive || account.is_disabled
            }
            Self::Rename { alias, .. } => account.alias.as_deref().unwrap_or_default() == alias,
            Self::Revoke { .. } => account.status.kind() == AccountStatus::Revoked,
        }
    }

    /// Returns the error for an account that is already in the requested state. Returns `None` for an alias, which is
    /// sent again.
    pub(super) fn already_applied(&self) -> Option<UserError> {
        let message = match self {
            Self::SetEnabled { enabled: true, .. } => "The account is enabled already. Nothing was changed.",
            Self::SetEnabled { enabled: false, .. } => "The account is paused already. Nothing was changed.",
            Self::Revoke { .. } => {
                "The account's credentials are revoked already. Nothing was changed; reconnect or remove the account."
            }
            _ => return None,
        };
        Some(UserError::new(UserErrorCode::AlreadyInState, "id", message))
    }
}

impl LinkOptions {
    /// Checks the options and completes them: a MEMBER's `user_id` is its own.
    fn check(&mut self, settings: &ActionSettings, view: &View) -> Result<(), UserError> {
        if let Some(alias) = &self.alias {
            check_alias(alias)?;
        }
        self.alias = self.alias.take().filter(|alias| !alias.is_empty());
        if let Some(text) = &self.callback_url {
            self.callback_url = Some(settings.callback_origins.check(text)?.into());
        }
        match (view.member(), &self.user_id) {
            (Some(member), Some(requested)) if requested != member.as_str() => {
                return Err(UserError::new(
                    UserErrorCode::UserNotAllowed,
                    "userId",
                    "You may connect accounts only for yourself. Leave `userId` out.",
                ));
            }
            (Some(member), _) => self.user_id = Some(member.as_str().to_owned()),
            (None, Some(requested)) if MemberId::new(requested).is_err() => {
                return Err(UserError::new(
                    UserErrorCode::InvalidUserId,
                    "userId",
                    "`userId` is not valid. It must not be empty, must not contain commas or control characters, must not \
                     begin or end with white space, and has at most 256 bytes.",
                ));
            }
            (None, _) => {}
        }
        Ok(())
    }
}

/// Returns the error of a missing user id.
pub(super) fn user_id_required(what_to_do: &'static str) -> UserError {
    UserError::new(UserErrorCode::InvalidUserId, "userId", format!("`userId` is missing. {what_to_do}"))
}

fn check_alias(alias: &str) -> Result<(), UserError> {
    let is_valid = alias.chars().count() <= ALIAS_CHARS_MAX
        && !alias.contains(char::is_control)
        && alias.trim() == alias;
    if is_valid {
        return Ok(());
    }
    Err(UserError::new(
        UserErrorCode::InvalidAlias,
        "alias",
        "`alias` is not valid. It has at most 100 characters, must not contain control characters, and must not begin or end \
         with white space.",
    ))
}

fn check_auth_config(id: &str, settings: &ActionSettings, view: &View) -> Result<(), UserError> {
    if !view.is_full() && !settings.member_auth_configs.contains(id) {
        return Err(UserError::new(
            UserErrorCode::AuthConfigNotAllowed,
            "authConfigId",
            "You may not connect accounts with this auth config. An operator allows it by the setting \
             `actions.member_auth_configs`.",
        ));
    }
    if is_upstream_id(id) { Ok(()) } else { Err(unknown_auth_config("authConfigId")) }
}

/// Returns the error of an auth config that does not exist.
pub(super) fn unknown_auth_config(field: &'static str) -> UserError {
    UserError::new(
        UserErrorCode::AuthConfigNotFound,
        field,
        "There is no such auth config in this Composio project. Copy its id from Composio, as in `ac_1a2b3c`.",
    )
}
