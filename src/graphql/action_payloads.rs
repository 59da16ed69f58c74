//! The payloads of the mutations that change connected accounts.
//!
//! An account in a payload is only read if it is selected. The action has expired the cached accounts, so the account
//! is read as it is after the action.

use async_graphql::{Context, Enum, ID, Object, SimpleObject};
use secrecy::ExposeSecret as _;

use super::accounts::ConnectedAccount;
use super::date_time::{DateTime, date_time};
use super::errors::FieldError;
use super::node::account;
use crate::domain::actions;
use crate::domain::global_id::GlobalId;
use crate::loaders::actions::outcome::ActionResult;

/// The kind of an error that the user of an action can correct.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "actions::UserErrorCode")]
pub(super) enum UserErrorCode {
    /// Not the ID of a connected account.
    InvalidId,
    /// No such account; one of another user is not found either.
    NotFound,
    /// The alias is too long or malformed.
    InvalidAlias,
    /// Another account of the user and toolkit has the alias.
    AliasTaken,
    /// The callback URL is malformed.
    InvalidCallbackUrl,
    /// The origin of the callback URL is not allowed.
    CallbackUrlNotAllowed,
    /// The user ID is missing, malformed, or not the account's.
    InvalidUserId,
    /// The caller may not act for this user.
    UserNotAllowed,
    /// No such auth config.
    AuthConfigNotFound,
    /// The auth config is disabled, or cannot be used for a sign-in page.
    AuthConfigUnusable,
    /// The caller may not connect accounts with this auth config.
    AuthConfigNotAllowed,
    /// The account is already in the requested state; nothing was changed.
    AlreadyInState,
    /// The account's state does not allow the action.
    StateConflict,
    /// The toolkit does not support revocation.
    RevokeUnsupported,
    /// Another action on the account is in progress.
    ActionInProgress,
    /// Composio did not confirm the action, which may or may not have taken effect.
    ActionOutcomeUnknown,
}

/// An error that the user of an action can correct.
#[derive(SimpleObject)]
pub(super) struct UserError {
    /// The input field that the error is about; null if none.
    field: Option<&'static str>,
    /// An explanation of the error, and what to do.
    message: String,
    code: UserErrorCode,
}

impl From<&actions::UserError> for UserError {
    fn from(error: &actions::UserError) -> Self {
        let actions::UserError { code, field, message, account: _ } = error;
        Self { field: *field, message: message.to_string(), code: (*code).into() }
    }
}

/// The parts of all payloads.
pub(super) struct Payload {
    pub(super) client_mutation_id: Option<String>,
    pub(super) result: ActionResult,
    pub(super) error: Option<actions::UserError>,
}

type Account = Option<Result<ConnectedAccount, FieldError>>;

impl Payload {
    pub(super) fn refused(client_mutation_id: Option<String>, error: actions::UserError) -> Self {
        let result = ActionResult { account: error.account.clone(), ..ActionResult::default() };
        Self { client_mutation_id, result, error: Some(error) }
    }

    fn user_errors(&self) -> Vec<UserError> {
        self.error.iter().map(UserError::from).collect()
    }

    async fn account(&self, ctx: &Context<'_>) -> Account {
        account(ctx, self.result.account.clone()?).await
    }

    fn redirect_url(&self) -> Option<&str> {
        self.result.link.as_ref().map(|link| link.redirect_url.expose_secret())
    }

    fn expires_at(&self) -> Option<DateTime> {
        date_time(self.result.link.as_ref()?.expires_at)
    }
}

/// Declares the payload of a mutation: fields of its own between those that all payloads have.
macro_rules! payload {
    ($(#[$about:meta])* $payload:ident { $($own:tt)* } $(#[$account:meta])* connected_account) => {
        pub(super) struct $payload(pub(super) Payload);

        $(#[$about])*
        #[Object]
        impl $payload {
            async fn client_mutation_id(&self) -> Option<&str> {
                self.0.client_mutation_id.as_deref()
            }

            $($own)*

            $(#[$account])*
            async fn connected_account(&self, ctx: &Context<'_>) -> Account {
                self.0.account(ctx).await
            }

            async fn user_errors(&self) -> Vec<UserError> {
                self.0.user_errors()
            }
        }
    };
}

payload! {
    /// The result of `createConnectLink`.
    CreateConnectLinkPayload {
        /// The sign-in page. Only for the end user who connects: anyone who opens it can connect an account.
        async fn redirect_url(&self) -> Option<&str> {
            self.0.redirect_url()
        }

        /// The end of the sign-in page's validity.
        async fn expires_at(&self) -> Option<DateTime> {
            self.0.expires_at()
        }
    }
    /// The new account.
    connected_account
}

payload! {
    /// The result of `reconnectAccount`.
    ReconnectAccountPayload {
        /// The sign-in page. Only for the end user who connects: anyone who opens it can connect an account.
        async fn redirect_url(&self) -> Option<&str> {
            self.0.redirect_url()
        }

        /// The end of the sign-in page's validity.
        async fn expires_at(&self) -> Option<DateTime> {
            self.0.expires_at()
        }

        /// The old account, which remains until it is removed.
        async fn replaced_account(&self, ctx: &Context<'_>) -> Account {
            account(ctx, self.0.result.replaced.clone()?).await
        }
    }
    /// The new account.
    connected_account
}

payload! {
    /// The result of `setAccountEnabled`.
    SetAccountEnabledPayload {}
    /// The account as it is afterwards.
    connected_account
}

payload! {
    /// The result of `renameAccount`.
    RenameAccountPayload {}
    /// The account as it is afterwards.
    connected_account
}

payload! {
    /// The result of `revokeAccount`.
    RevokeAccountPayload {
        /// The kinds of credentials that were revoked, as Composio names them: `access_token`, `refresh_token`,
        /// `credential`. Empty if they were revoked before; null if Composio did not confirm the action.
        async fn revoked_tokens(&self) -> Option<Vec<&str>> {
            let kinds = self.0.result.revoked_tokens.as_ref()?;
            Some(kinds.iter().map(AsRef::as_ref).collect())
        }
    }
    /// The account as it is afterwards.
    connected_account
}

payload! {
    /// The result of `removeAccount`.
    RemoveAccountPayload {
        /// The global ID of the removed account; null if it was not removed.
        async fn removed_account_id(&self) -> Option<ID> {
            Some(GlobalId::Account(self.0.result.removed.clone()?).encode().into())
        }
    }
    /// The account, if it still exists.
    connected_account
}
