//! The type `Provider`: an integration of the workspace.

use std::sync::Arc;

use async_graphql::{Context, ID};

use super::account_connection::{ConnectedAccountConnection, resolve_account_connection};
use super::account_filters::{ConnectedAccountOrder, ProviderAccountFilter};
use super::date_time::{DateTime, date_time};
use super::enums::{ProviderCategory, ProviderStatus};
use super::errors::FieldError;
use super::freshness::DataFreshness;
use super::health::{HealthReason, HealthVerdict, disagreement};
use super::object_type::object_type;
use super::operation_context::operation;
use super::preserialized::Preserialized;
use super::toolkits::Toolkit;
use crate::domain::global_id::GlobalId;
use crate::domain::page::PageArguments;
use crate::loaders::cache::freshness::Freshness;
use crate::loaders::health::HealthEvaluator;
use crate::loaders::lists::parent::Parent;
use crate::loaders::lists::providers::ListedProvider;

pub(super) struct Provider(
    pub(super) Arc<ListedProvider>,
    pub(super) Freshness,
    pub(super) Arc<HealthEvaluator>,
);

object_type! {
    /// An integration of the workspace, as the workspace API reports it.
    impl Provider |Self(listed, freshness, evaluator)| {
        /// The global ID of the object. Opaque, stable across restarts and replicas, and free of personal data.
        pub(super) id: ID = GlobalId::Provider(listed.id).encode().into();
        category: ProviderCategory = listed.provider.category.kind().into();

        /// The category as the upstream spells it.
        raw_category: &str = listed.provider.category.raw();

        /// The name of the integration, such as `gmail` or `slack`. Not unique: `microsoft` is both an email and a
        /// calendar integration.
        name: &str = &listed.provider.name;
        connected: bool = listed.provider.connected;

        /// The ID of the account at the provider; null while nothing is connected.
        account_id: Option<&str> = listed.provider.account_id.as_deref();
        display_name: Option<&str> = listed.provider.display_name.as_deref();

        /// The granted OAuth scopes.
        scopes: &[Box<str>] = &listed.provider.scopes;
        connected_at: Option<DateTime> = date_time(listed.provider.connected_at);

        /// The time of the last successful sync.
        last_sync_at: Option<DateTime> = date_time(listed.provider.last_sync_at);
        status: ProviderStatus = listed.provider.status.kind().into();

        /// The status as the upstream spells it.
        raw_status: &str = listed.provider.status.raw();

        /// The upstream's explanation while the integration is not healthy.
        error_message: Option<&str> = listed.provider.error_message.as_deref();

        /// The health of the integration according to the workspace API: one state, the reasons for it, and whether it
        /// needs attention.
        object health: HealthVerdict = HealthVerdict(evaluator.provider(&listed.provider));

        /// A contradiction between the two upstreams about this integration; null if they agree or one is unavailable.
        /// Requires a call to the connected-accounts API.
        async fn disagreement(&self, ctx: &Context<'_>) -> Option<Result<HealthReason, FieldError>> {
            disagreement(ctx, &self.0.provider).await.transpose()
        }
        object freshness: DataFreshness = DataFreshness(*freshness);

        /// The toolkits that correspond to this integration in the connected-accounts API.
        async fn toolkits(&self, ctx: &Context<'_>) -> Vec<Toolkit> {
            operation(ctx).parts.mapping.toolkits_of(&self.0.provider).iter().cloned().map(Toolkit).collect()
        }

        /// The accounts connected through the integration's toolkits. Selected on many integrations at once, it takes
        /// one upstream call per 100 accounts requested, not one per integration; more if the accounts are unevenly
        /// spread.
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
            let parent = Parent::toolkits(operation(ctx).parts.mapping.toolkits_of(&self.0.provider));
            let page = PageArguments { after, before, first, last };
            let filter = filter.unwrap_or_default().check();
            Some(resolve_account_connection(ctx, parent, filter, page, order_by).await)
        }
    }
}
