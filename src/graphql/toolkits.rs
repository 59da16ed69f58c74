//! The type `Toolkit`, through which the two upstreams are joined.

use std::sync::Arc;

use async_graphql::{Context, ID};

use super::account_connection::{ConnectedAccountConnection, connect};
use super::account_filters::{ConnectedAccountOrder, ProviderAccountFilter};
use super::errors::FieldError;
use super::object_type::object_type;
use super::operation_context::operation;
use super::preserialized::Preserialized;
use super::providers::Provider;
use crate::domain::global_id::GlobalId;
use crate::domain::input::{BadInput, BadInputReason};
use crate::domain::page::PageArguments;
use crate::domain::toolkits::ToolkitSlug;
use crate::loaders::cache::freshness::Cached;
use crate::loaders::lists::parent::Parent;

pub(super) struct Toolkit(pub(super) ToolkitSlug);

impl Toolkit {
    fn parent(&self) -> Result<Parent, BadInput> {
        let unusable = |_| {
            let message = "Composio cannot list the accounts of this toolkit: its slug is blank, longer than 256 bytes, \
                or has a comma or a control character. Select the accounts without this toolkit.";
            BadInput::new(BadInputReason::BadSlug, message)
        };
        Parent::toolkits([&self.0]).map_err(unusable)
    }
}

/// Returns all providers of a toolkit. A list without pages must not be truncated silently, so it is an error if there
/// are more than the cost of the query assumes.
pub(super) async fn providers_of(ctx: &Context<'_>, slug: &ToolkitSlug) -> Result<Vec<Provider>, FieldError> {
    if !slug.is_well_formed() {
        return Ok(Vec::new());
    }
    let operation = operation(ctx);
    let Cached { value: list, freshness } = operation.providers().await?;
    let stands_for = list.iter().filter(|listed| operation.mapping().maps_to(slug, &listed.provider));
    let evaluator = operation.loader().health_evaluator();
    let providers: Vec<_> =
        stands_for.map(|listed| Provider(Arc::clone(listed), freshness, Arc::clone(evaluator))).collect();
    match operation.connection_settings().toolkit_providers_max {
        allowed if providers.len() > allowed => {
            Err(FieldError::TooManyProviders { there: providers.len(), allowed })
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

        /// The workspace integrations that correspond to this toolkit.
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
            filter: Option<ProviderAccountFilter>,
            #[graphql(default_with = "Some(ConnectedAccountOrder::default())")] order_by: Option<
                ConnectedAccountOrder,
            >,
        ) -> Option<Result<Preserialized<ConnectedAccountConnection>, FieldError>> {
            let page = PageArguments { after, before, first, last };
            Some(connect(ctx, self.parent(), filter.unwrap_or_default().check(), page, order_by).await)
        }
    }
}
