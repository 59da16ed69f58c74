//! Actions on connected accounts, the sign-ins that they start, and the errors of an action that its user can correct.

use std::borrow::Cow;

use jiff::Timestamp;
use secrecy::SecretString;

/// An action on a connected account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Start the sign-in of a new account.
    Connect,
    /// Start a new sign-in in place of an existing account.
    Reconnect,
    /// Pause or resume an account.
    Enable,
    /// Set the alias of an account.
    Rename,
    /// Revoke an account's credentials at the provider.
    Revoke,
    /// Remove an account.
    Remove,
}

impl Action {
    /// All actions.
    pub const ALL: [Self; 6] =
        [Self::Connect, Self::Reconnect, Self::Enable, Self::Rename, Self::Revoke, Self::Remove];

    /// Returns the name in settings, the audit log and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Reconnect => "reconnect",
            Self::Enable => "enable",
            Self::Rename => "rename",
            Self::Revoke => "revoke",
            Self::Remove => "remove",
        }
    }

    /// Returns the action of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.name() == name)
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

/// The kind of an error that the user of an action can correct.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UserErrorCode {
    /// Not the id of a connected account.
    InvalidId,
    /// No such account, or one of another user.
    NotFound,
    /// The alias is too long or malformed.
    InvalidAlias,
    /// Another account of the user has the alias.
    AliasTaken,
    /// The callback URL is malformed.
    InvalidCallbackUrl,
    /// The callback URL is not of an allowed origin.
    CallbackUrlNotAllowed,
    /// The user id is missing or malformed, or not the account's.
    InvalidUserId,
    /// The caller may not act for this user.
    UserNotAllowed,
    /// There is no such auth config.
    AuthConfigNotFound,
    /// The auth config is disabled, or cannot be used for a sign-in link.
    AuthConfigUnusable,
    /// The caller may not connect accounts with this auth config.
    AuthConfigNotAllowed,
    /// The account is already in the requested state.
    AlreadyInState,
    /// The account's state does not allow the action.
    StateConflict,
    /// The toolkit does not support the revocation of credentials.
    RevokeUnsupported,
    /// Another action on the account is in progress.
    ActionInProgress,
    /// The upstream did not confirm the action, which may or may not have taken effect.
    ActionOutcomeUnknown,
}

impl UserErrorCode {
    /// Returns the code in the schema and in the audit log.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidId => "INVALID_ID",
            Self::NotFound => "NOT_FOUND",
            Self::InvalidAlias => "INVALID_ALIAS",
            Self::AliasTaken => "ALIAS_TAKEN",
            Self::InvalidCallbackUrl => "INVALID_CALLBACK_URL",
            Self::CallbackUrlNotAllowed => "CALLBACK_URL_NOT_ALLOWED",
            Self::InvalidUserId => "INVALID_USER_ID",
            Self::UserNotAllowed => "USER_NOT_ALLOWED",
            Self::AuthConfigNotFound => "AUTH_CONFIG_NOT_FOUND",
            Self::AuthConfigUnusable => "AUTH_CONFIG_UNUSABLE",
            Self::AuthConfigNotAllowed => "AUTH_CONFIG_NOT_ALLOWED",
            Self::AlreadyInState => "ALREADY_IN_STATE",
            Self::StateConflict => "STATE_CONFLICT",
            Self::RevokeUnsupported => "REVOKE_UNSUPPORTED",
            Self::ActionInProgress => "ACTION_IN_PROGRESS",
            Self::ActionOutcomeUnknown => "ACTION_OUTCOME_UNKNOWN",
        }
    }
}

/// An error of an action that its user can correct.
#[derive(Debug, Clone, PartialEq, Eq)]
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
