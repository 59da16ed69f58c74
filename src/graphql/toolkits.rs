//! The type `Toolkit`: joins LeadLex's providers with Composio's accounts by the toolkit's slug.

use std::sync::Arc;

use async_graphql::{Context, ID};

use super::account_connection::{ConnectedAccountConnection, resolve_account_connection};
use super::account_filters::{ConnectedAccountOrder, ProviderAccountFilter};
use super::errors::FieldError;
use super::object_type::object_type;
use super::operation_context::operation;
use super::preserialized::Preserialized;
use super::providers::Provider;
use crate::domain::global_id::GlobalId;
use crate::domain::input::{BadInput, BadInputReason};
use crate::domain::page::PageArguments;
use crate::domain::toolkits::{ToolkitDetails, ToolkitSlug};
use crate::loaders::cache::freshness::Cached;
use crate::loaders::lists::parent::Parent;

pub(super) struct Toolkit(pub(super) ToolkitSlug);

impl Toolkit {
    /// Returns this toolkit as the parent of a list of accounts.
    fn as_parent(&self) -> Result<Parent, BadInput> {
        let unusable = |_| {
            let message = "Composio cannot list the accounts of this toolkit: its slug is blank, longer than 256 bytes, \
                or has a comma or a control character. Query the root field `connectedAccounts` without a filter by toolkit.";
            BadInput::new(BadInputReason::BadSlug, message)
        };
        Parent::toolkits([&self.0]).map_err(unusable)
    }

    /// Returns Composio's data about the toolkit; `None` if it has none.
    async fn details(&self, ctx: &Context<'_>) -> Option<Result<Arc<ToolkitDetails>, FieldError>> {
        // A malformed slug could make Composio refuse the call for all toolkits.
        if !self.0.is_well_formed() {
            return None;
        }
        operation(ctx).toolkit_details(self.0.clone()).await.transpose()
    }

    async fn text(
        &self,
        ctx: &Context<'_>,
        of: impl FnOnce(&ToolkitDetails) -> Option<&str>,
    ) -> Option<Result<String, FieldError>> {
        let details = self.details(ctx).await?;
        details.map(|details| of(&details).map(str::to_owned)).transpose()
    }
}

/// Returns all providers of a toolkit. The list has no pages and must not be truncated silently, so more providers than
/// `toolkit_providers_max` are an error. The cost of the query is computed with that number.
pub(super) async fn providers_of(ctx: &Context<'_>, slug: &ToolkitSlug) -> Result<Vec<Provider>, FieldError> {
    // No mapping contains a malformed slug, so the toolkit has no provider. Composio may still have accounts of it.
    if !slug.is_well_formed() {
        return Ok(Vec::new());
    }
    let operation = operation(ctx);
    let Cached { value: list, freshness } = operation.providers().await?;
    let matching =
        list.iter().filter(|listed| operation.parts.mapping.toolkits_of(&listed.provider).contains(slug));
    let evaluator = &operation.loader().evaluator;
    let providers: Vec<_> =
        matching.map(|listed| Provider(Arc::clone(listed), freshness, Arc::clone(evaluator))).collect();
    match operation.parts.connections.toolkit_providers_max {
        allowed if providers.len() > allowed => {
            Err(FieldError::TooManyProviders { found: providers.len(), allowed })
        }
        _ => Ok(providers),
    }
}

object_type! {
    /// An external service that accounts connect to, by its Composio slug.
    impl Toolkit |Self(slug)| {
        /// The global ID of the object. Opaque, stable across restarts and replicas, and free of personal data.
        pub(super) id: ID = GlobalId::Toolkit(slug.clone()).encode().into();

        /// The slug in lower case, such as `gmail` or `googlecalendar`.
        slug: &str = slug.as_str();

        /// The name of the service, such as `Google Calendar`. Null if Composio does not have the toolkit. One upstream
        /// call reads `name`, `logoUrl`, `categories` and `description` of all toolkits. They are cached for hours.
        async fn name(&self, ctx: &Context<'_>) -> Option<Result<String, FieldError>> {
            self.text(ctx, |details| details.name.as_deref()).await
        }

        /// The https URL of the logo at Composio. A page that shows the logo must allow the logo's origin in its
        /// Content-Security-Policy.
        async fn logo_url(&self, ctx: &Context<'_>) -> Option<Result<String, FieldError>> {
            self.text(ctx, |details| details.logo_url.as_deref()).await
        }

        /// The names of the categories, such as `scheduling & booking`.
        async fn categories(&self, ctx: &Context<'_>) -> Option<Result<Vec<String>, FieldError>> {
            let details = self.details(ctx).await?;
            Some(details.map(|details| details.categories.iter().map(ToString::to_string).collect()))
        }

        /// A description of the service.
        async fn description(&self, ctx: &Context<'_>) -> Option<Result<String, FieldError>> {
            self.text(ctx, |details| details.description.as_deref()).await
        }

        /// The providers of the workspace that correspond to this toolkit.
        async fn providers(&self, ctx: &Context<'_>) -> Option<Result<Vec<Provider>, FieldError>> {
            Some(providers_of(ctx, &self.0).await)
        }

        /// The accounts connected to this toolkit.
        #[expect(clippy::too_many_arguments, reason = "the arguments are the schema's own")]
        async fn connected_accounts(
            &self,
            ctx: &Context<'_>,
            after: Option<String>,
            before: Option<String>,
            first: Option<i32>,
            last: Option<i32>,
            // The filter has no `toolkits`, because the parent is the toolkit. `Provider.connectedAccounts` has the
            // same filter type for the same reason: its parent determines the toolkits, too.
            filter: Option<ProviderAccountFilter>,
            #[graphql(default_with = "Some(ConnectedAccountOrder::default())")] order_by: Option<
                ConnectedAccountOrder,
            >,
        ) -> Option<Result<Preserialized<ConnectedAccountConnection>, FieldError>> {
            let page = PageArguments { after, before, first, last };
            let filter = filter.unwrap_or_default().check();
            Some(resolve_account_connection(ctx, self.as_parent(), filter, page, order_by).await)
        }
    }
}
