//! The mutations that change connected accounts. Like Relay's, each takes one `input` and returns a payload with the
//! changed object.
//!
//! `crate::loaders::actions` checks and executes the actions. Errors that the user can correct are in the payload's
//! `userErrors`; all others are GraphQL errors.

#![allow(rustdoc::bare_urls, reason = "the comments are descriptions in the schema, which are CommonMark")]

use async_graphql::{Context, ID, InputObject, Object};

use super::action_payloads::{
    CreateConnectLinkPayload, Payload, ReconnectAccountPayload, RemoveAccountPayload, RenameAccountPayload,
    RevokeAccountPayload, SetAccountEnabledPayload,
};
use super::error_behavior::is_halted;
use super::errors::FieldError;
use super::operation_context::operation;
use crate::loaders::actions::outcome::ActionError;
use crate::loaders::actions::request::{ActionRequest, LinkOptions};

/// The input of `createConnectLink`.
#[derive(InputObject)]
pub(super) struct CreateConnectLinkInput {
    client_mutation_id: Option<String>,
    /// The Composio ID of the auth config to connect with, `ac_…`.
    auth_config_id: ID,
    /// The end user who connects. Required for the `ADMIN` role; a `MEMBER` connects its own accounts.
    user_id: Option<String>,
    /// A name for the new account, unique among the accounts of the user and toolkit.
    alias: Option<String>,
    /// The page to which the browser returns after the sign-in. Its origin must be one of `actions.callback_origins`.
    callback_url: Option<String>,
}

/// The input of `reconnectAccount`.
#[derive(InputObject)]
pub(super) struct ReconnectAccountInput {
    client_mutation_id: Option<String>,
    /// The account to replace: its global ID or Composio's `ca_…`.
    id: ID,
    /// The end user who connects. Required for the `ADMIN` role if the account has no `userId`.
    user_id: Option<String>,
    /// A name for the new account. Two accounts cannot have one alias, so the new account has none by default.
    alias: Option<String>,
    /// The page to which the browser returns after the sign-in. Its origin must be one of `actions.callback_origins`.
    callback_url: Option<String>,
}

/// The input of `setAccountEnabled`.
#[derive(InputObject)]
pub(super) struct SetAccountEnabledInput {
    client_mutation_id: Option<String>,
    /// The account: its global ID or Composio's `ca_…`.
    id: ID,
    /// Whether the account is to be enabled; false pauses it.
    enabled: bool,
}

/// The input of `renameAccount`.
#[derive(InputObject)]
pub(super) struct RenameAccountInput {
    client_mutation_id: Option<String>,
    /// The account: its global ID or Composio's `ca_…`.
    id: ID,
    /// The name, of at most 100 characters; an empty one removes the alias.
    alias: String,
}

/// The input of `revokeAccount`.
#[derive(InputObject)]
pub(super) struct RevokeAccountInput {
    client_mutation_id: Option<String>,
    /// The account: its global ID or Composio's `ca_…`.
    id: ID,
}

/// The input of `removeAccount`.
#[derive(InputObject)]
pub(super) struct RemoveAccountInput {
    client_mutation_id: Option<String>,
    /// The account: its global ID or Composio's `ca_…`.
    id: ID,
    /// Whether the credentials are revoked at the provider. Otherwise the access granted there remains.
    #[graphql(default = true)]
    revoke_at_provider: bool,
}

pub(super) struct AccountMutations;

// Merged into the root type, so it needs another name.
#[Object(name = "AccountMutations")]
impl AccountMutations {
    /// Starts the sign-in of a new account. Open `redirectUrl` in the user's browser; the account is `INITIATED` until
    /// the sign-in is completed. Composio's documentation:
    /// https://docs.composio.dev/reference/api-reference/connected-accounts
    async fn create_connect_link(
        &self,
        ctx: &Context<'_>,
        input: CreateConnectLinkInput,
    ) -> Option<Result<CreateConnectLinkPayload, FieldError>> {
        let CreateConnectLinkInput { client_mutation_id, auth_config_id, user_id, alias, callback_url } =
            input;
        let options = LinkOptions { user_id, alias, callback_url };
        let request = ActionRequest::Connect { auth_config_id: auth_config_id.0, options };
        Some(run_action(ctx, client_mutation_id, request).await?.map(CreateConnectLinkPayload))
    }

    /// Starts a new sign-in in place of an account that is broken. Composio creates a new account and leaves the old
    /// one as it is: remove that by `removeAccount` once the new one is `ACTIVE`. Composio's documentation:
    /// https://docs.composio.dev/kb/guide/platform-connected-accounts
    async fn reconnect_account(
        &self,
        ctx: &Context<'_>,
        input: ReconnectAccountInput,
    ) -> Option<Result<ReconnectAccountPayload, FieldError>> {
        let ReconnectAccountInput { client_mutation_id, id, user_id, alias, callback_url } = input;
        let options = LinkOptions { user_id, alias, callback_url };
        let request = ActionRequest::Reconnect { id: id.0, options };
        Some(run_action(ctx, client_mutation_id, request).await?.map(ReconnectAccountPayload))
    }

    /// Pauses an active account, or resumes a paused one. Composio's documentation:
    /// https://docs.composio.dev/reference/api-reference/connected-accounts/patchConnectedAccountsByNanoIdStatus
    async fn set_account_enabled(
        &self,
        ctx: &Context<'_>,
        input: SetAccountEnabledInput,
    ) -> Option<Result<SetAccountEnabledPayload, FieldError>> {
        let SetAccountEnabledInput { client_mutation_id, id, enabled } = input;
        let request = ActionRequest::SetEnabled { id: id.0, enabled };
        Some(run_action(ctx, client_mutation_id, request).await?.map(SetAccountEnabledPayload))
    }

    /// Sets the alias of an account, or removes it. Composio's documentation:
    /// https://docs.composio.dev/reference/api-reference/connected-accounts
    async fn rename_account(
        &self,
        ctx: &Context<'_>,
        input: RenameAccountInput,
    ) -> Option<Result<RenameAccountPayload, FieldError>> {
        let RenameAccountInput { client_mutation_id, id, alias } = input;
        let request = ActionRequest::Rename { id: id.0, alias };
        Some(run_action(ctx, client_mutation_id, request).await?.map(RenameAccountPayload))
    }

    /// Revokes the credentials of an account at the provider. The account remains, and must be reconnected. Composio's
    /// documentation:
    /// https://docs.composio.dev/reference/api-reference/connected-accounts/postConnectedAccountsByNanoidRevoke
    async fn revoke_account(
        &self,
        ctx: &Context<'_>,
        input: RevokeAccountInput,
    ) -> Option<Result<RevokeAccountPayload, FieldError>> {
        let RevokeAccountInput { client_mutation_id, id } = input;
        let request = ActionRequest::Revoke { id: id.0 };
        Some(run_action(ctx, client_mutation_id, request).await?.map(RevokeAccountPayload))
    }

    /// Removes an account. Composio's documentation:
    /// https://docs.composio.dev/reference/api-reference/connected-accounts/deleteConnectedAccountsByNanoid
    async fn remove_account(
        &self,
        ctx: &Context<'_>,
        input: RemoveAccountInput,
    ) -> Option<Result<RemoveAccountPayload, FieldError>> {
        let RemoveAccountInput { client_mutation_id, id, revoke_at_provider } = input;
        let request = ActionRequest::Remove { id: id.0, revoke: revoke_at_provider };
        Some(run_action(ctx, client_mutation_id, request).await?.map(RemoveAccountPayload))
    }
}

/// Runs an action. An error that the user can correct becomes part of the payload. `None` if the operation is halted.
async fn run_action(
    ctx: &Context<'_>,
    client_mutation_id: Option<String>,
    request: ActionRequest,
) -> Option<Result<Payload, FieldError>> {
    if is_halted(ctx) {
        return None;
    }
    Some(match operation(ctx).run_action(request).await {
        Ok(result) => Ok(Payload { client_mutation_id, result, error: None }),
        Err(ActionError::User(error)) => Ok(Payload::refused(client_mutation_id, error)),
        Err(ActionError::Refused(refusal)) => Err(FieldError::Action(refusal)),
        Err(ActionError::Upstream(error)) => Err(error.into()),
    })
}
