//! Actions on connected accounts, the sign-ins that they start, and the errors of an action that its user can correct.

use std::borrow::Cow;

use jiff::Timestamp;
use secrecy::SecretString;

use super::text_enum::text_enum;

text_enum! {
    /// An action on a connected account.
    pub enum Action {
        /// Start the sign-in of a new account.
        Connect = "connect",
        /// Start a new sign-in in place of an existing account.
        Reconnect = "reconnect",
        /// Pause or resume an account.
        Enable = "enable",
        /// Set the alias of an account.
        Rename = "rename",
        /// Revoke an account's credentials at the provider.
        Revoke = "revoke",
        /// Remove an account.
        Remove = "remove",
    }

    /// Returns the name in settings, the audit log and metrics.
    pub fn name;
}

impl Action {
    /// Returns the action of that name.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|action| action.name() == name)
    }
}

/// A started sign-in. `link_token` is not decoded: the URL contains all that a browser needs.
#[derive(Debug, Clone)]
pub struct ConnectLink {
    /// The page that completes the sign-in. A capability: anyone who opens it can connect an account.
    pub redirect_url: SecretString,
    /// End of its validity; `None` if the upstream returned no RFC 3339 timestamp.
    pub expires_at: Option<Timestamp>,
    /// The new account, `ca_…`.
    pub account_id: Box<str>,
}

text_enum! {
    /// The kind of an error that the user of an action can correct.
    pub enum UserErrorCode {
        /// Not the id of a connected account.
        InvalidId = "INVALID_ID",
        /// No such account, or one of another user.
        NotFound = "NOT_FOUND",
        /// The alias is too long or malformed.
        InvalidAlias = "INVALID_ALIAS",
        /// Another account of the user has the alias.
        AliasTaken = "ALIAS_TAKEN",
        /// The callback URL is malformed.
        InvalidCallbackUrl = "INVALID_CALLBACK_URL",
        /// The callback URL is not of an allowed origin.
        CallbackUrlNotAllowed = "CALLBACK_URL_NOT_ALLOWED",
        /// The user id is missing or malformed, or not the account's.
        InvalidUserId = "INVALID_USER_ID",
        /// The caller may not act for this user.
        UserNotAllowed = "USER_NOT_ALLOWED",
        /// There is no such auth config.
        AuthConfigNotFound = "AUTH_CONFIG_NOT_FOUND",
        /// The auth config is disabled, or cannot be used for a sign-in link.
        AuthConfigUnusable = "AUTH_CONFIG_UNUSABLE",
        /// The caller may not connect accounts with this auth config.
        AuthConfigNotAllowed = "AUTH_CONFIG_NOT_ALLOWED",
        /// The account is already in the requested state.
        AlreadyInState = "ALREADY_IN_STATE",
        /// The account's state does not allow the action.
        StateConflict = "STATE_CONFLICT",
        /// The toolkit does not support the revocation of credentials.
        RevokeUnsupported = "REVOKE_UNSUPPORTED",
        /// Another action on the account is in progress.
        ActionInProgress = "ACTION_IN_PROGRESS",
        /// The upstream did not confirm the action, which may or may not have taken effect.
        ActionOutcomeUnknown = "ACTION_OUTCOME_UNKNOWN",
    }

    /// Returns the code in the schema and in the audit log.
    pub fn as_str;
}

/// An error of an action that its user can correct.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct UserError {
    /// The kind of error.
    pub code: UserErrorCode,
    /// The input field that it is about.
    pub field: Option<&'static str>,
    /// Explanation of the refusal and what to do. It contains no text of an upstream.
    pub message: Cow<'static, str>,
    /// The account whose current state explains the error, `ca_…`.
    pub account: Option<Box<str>>,
}

impl UserError {
    /// Creates an error.
    pub fn new(
        code: UserErrorCode,
        field: impl Into<Option<&'static str>>,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { code, field: field.into(), message: message.into(), account: None }
    }

    /// Adds the account whose current state explains the error.
    #[must_use]
    pub fn with_account(self, account: impl Into<Box<str>>) -> Self {
        Self { account: Some(account.into()), ..self }
    }
}
