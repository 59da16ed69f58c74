//! The query root.

use async_graphql::{Context, ID, Object};

use super::account_connection::{self, ConnectedAccountConnection};
use super::account_filters::{ConnectedAccountFilter, ConnectedAccountOrder};
use super::accounts::ConnectedAccount;
use super::error_behavior::NonNull;
use super::errors::FieldError;
use super::integration_health::IntegrationHealth;
use super::node::{self, Node, each};
use super::operation_context::operation;
use super::preserialized::Preserialized;
use super::provider_connection::{self, ProviderConnection, ProviderFilter, ProviderOrder};
use super::providers::Provider;
use super::toolkits::Toolkit;
use super::upstreams::{Upstream, upstreams};
use super::users::User;
use super::viewer::Viewer;
use crate::domain::global_id;
use crate::domain::input::{BadInput, BadInputReason};
use crate::domain::page::PageArguments;
use crate::domain::toolkits::ToolkitSlug;
use crate::loaders::lists::parent::Parent;

pub(super) struct Query;

type Each<T> = NonNull<Vec<Option<Result<T, FieldError>>>>;

// Merged into the root type, so it needs another name.
#[Object(name = "QueryOfPeople")]
impl Query {
    /// Looks up an object by its global ID; null if it does not exist or is not visible to the caller.
    async fn node(&self, ctx: &Context<'_>, id: ID) -> Option<Result<Node, FieldError>> {
        node::node(ctx, &id).await
    }

    /// Looks up objects by their global IDs, in the requested order, with null for each that is missing. Takes at most
    /// one call per upstream, and one more for every further 100 accounts.
    async fn nodes(&self, ctx: &Context<'_>, ids: Vec<ID>) -> Each<Node> {
        NonNull(Some(each(ctx, "ids", &ids, |id| node::node(ctx, id)).await))
    }

    /// Looks up an integration of the workspace by its global ID.
    async fn provider(&self, ctx: &Context<'_>, id: ID) -> Option<Result<Provider, FieldError>> {
        provider(ctx, &id).await
    }

    /// Looks up integrations by their global IDs, in the requested order. Also the batched field for schema stitching.
    async fn providers_by_ids(&self, ctx: &Context<'_>, ids: Vec<ID>) -> Each<Provider> {
        NonNull(Some(each(ctx, "ids", &ids, |id| provider(ctx, id)).await))
    }

    /// The integrations of the workspace.
    #[expect(clippy::too_many_arguments, reason = "the schema's own arguments")]
    async fn providers(
        &self,
        ctx: &Context<'_>,
        after: Option<String>,
        before: Option<String>,
        first: Option<i32>,
        last: Option<i32>,
        filter: Option<ProviderFilter>,
        order_by: Option<ProviderOrder>,
    ) -> Option<Result<Preserialized<ProviderConnection>, FieldError>> {
        let page = PageArguments { after, before, first, last };
        // Boxed: the library's future of a field contains that of its resolver twice, and moves it.
        Some(Box::pin(provider_connection::connect(ctx, page, filter, order_by)).await)
    }

    /// Looks up a connected account by its ID: global, or Composio's `ca_…`.
    async fn connected_account(
        &self,
        ctx: &Context<'_>,
        id: ID,
    ) -> Option<Result<ConnectedAccount, FieldError>> {
        account(ctx, &id).await
    }

    /// Looks up connected accounts by their IDs (global, or Composio's `ca_…`), in the requested order. Also the
    /// batched field for schema stitching.
    async fn connected_accounts_by_ids(&self, ctx: &Context<'_>, ids: Vec<ID>) -> Each<ConnectedAccount> {
        NonNull(Some(each(ctx, "ids", &ids, |id| account(ctx, id)).await))
    }

    /// The connected accounts of the project. The upstream applies all filters and orderings, so pages are exact.
    #[expect(clippy::too_many_arguments, reason = "the arguments are the schema's own")]
    async fn connected_accounts(
        &self,
        ctx: &Context<'_>,
        after: Option<String>,
        before: Option<String>,
        first: Option<i32>,
        last: Option<i32>,
        filter: Option<ConnectedAccountFilter>,
        #[graphql(default_with = "Some(ConnectedAccountOrder::default())")] order_by: Option<
            ConnectedAccountOrder,
        >,
    ) -> Option<Result<Preserialized<ConnectedAccountConnection>, FieldError>> {
        let page = PageArguments { after, before, first, last };
        let filter = filter.unwrap_or_default().check();
        Some(
            account_connection::resolve_account_connection(ctx, Ok(Parent::Project), filter, page, order_by)
                .await,
        )
    }

    /// Looks up a toolkit by its slug, such as `gmail` or `googlecalendar`. Case-insensitive. Takes no upstream call:
    /// every well-formed slug resolves.
    async fn toolkit(&self, slug: String) -> Option<Result<Toolkit, FieldError>> {
        Some(toolkit(&slug))
    }

    /// Looks up toolkits by their slugs, in the requested order. Also the batched field for schema stitching.
    async fn toolkits_by_slugs(&self, ctx: &Context<'_>, slugs: Vec<String>) -> Each<Toolkit> {
        NonNull(Some(each(ctx, "slugs", &slugs, |slug| async move { Some(toolkit(slug)) }).await))
    }

    /// Looks up an end user by the ID that the application assigned. Takes no upstream call. Null if the user is not
    /// visible to the caller.
    async fn user(&self, ctx: &Context<'_>, id: ID) -> Option<Result<User, FieldError>> {
        user(ctx, &id)
    }

    /// Looks up end users by their IDs, in the requested order. Also the batched field for schema stitching.
    async fn users_by_ids(&self, ctx: &Context<'_>, ids: Vec<ID>) -> Each<User> {
        NonNull(Some(each(ctx, "ids", &ids, |id| async move { user(ctx, id) }).await))
    }

    /// The health of the workspace at a glance: counts per status, and what needs attention.
    async fn integration_health(&self) -> IntegrationHealth {
        IntegrationHealth
    }

    /// The caller of this request.
    async fn viewer(&self, ctx: &Context<'_>) -> Viewer {
        let operation = operation(ctx);
        Viewer::of(&operation.caller, operation.allowed_actions())
    }

    /// The state of both upstream APIs as observed by Switchboard. Never fails and takes no upstream call.
    async fn upstreams(&self, ctx: &Context<'_>) -> Vec<Upstream> {
        // Read last, so that it includes calls of this operation that failed.
        operation(ctx).after_all_others().await;
        upstreams(ctx)
    }
}

async fn provider(ctx: &Context<'_>, id: &ID) -> Option<Result<Provider, FieldError>> {
    match global_id::provider_id(id) {
        Ok(id) => node::provider(ctx, id).await,
        Err(refused) => Some(Err(refused.into())),
    }
}

async fn account(ctx: &Context<'_>, id: &ID) -> Option<Result<ConnectedAccount, FieldError>> {
    match global_id::account_id(id) {
        Ok(id) => node::account(ctx, id).await,
        Err(refused) => Some(Err(refused.into())),
    }
}

fn toolkit(slug: &str) -> Result<Toolkit, FieldError> {
    Ok(Toolkit(ToolkitSlug::check(slug)?))
}

/// Returns a user; `None` if the caller may not see it.
pub(super) fn user(ctx: &Context<'_>, id: &str) -> Option<Result<User, FieldError>> {
    if id.is_empty() {
        return Some(Err(BadInput::new(BadInputReason::BadId, "A user's id is not empty.").into()));
    }
    operation(ctx).caller.view().shows_user(id).then(|| Ok(User::new(id)))
}
