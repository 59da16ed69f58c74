//! A connected account, and what it was made with.

use std::sync::Arc;

use async_graphql::{Context, ID};

use super::account_connection::{ConnectedAccountConnection, connect};
use super::account_filters::{AuthConfigAccountFilter, ConnectedAccountOrder};
use super::connection_state::ConnectionState;
use super::date_time::{DateTime, date_time};
use super::enums::{AccountType, AuthScheme, ConnectedAccountStatus};
use super::errors::FieldError;
use super::freshness::DataFreshness;
use super::health::HealthVerdict;
use super::object_type::{IdRef, object_type};
use super::preserialized::Preserialized;
use super::providers::Provider;
use super::toolkits::{Toolkit, providers_of};
use super::users::User;
use crate::domain::accounts::{self, SharedAccount};
use crate::domain::global_id::GlobalId;
use crate::domain::page::PageArguments;
use crate::domain::toolkits::ToolkitSlug;
use crate::loaders::cache::freshness::Freshness;
use crate::loaders::health::HealthEvaluator;
use crate::loaders::lists::parent::Parent;

pub(super) struct ConnectedAccount(
    pub(super) SharedAccount,
    pub(super) Freshness,
    pub(super) Arc<HealthEvaluator>,
);

object_type! {
    /// A user's authenticated connection to an external service.
    impl ConnectedAccount |Self(account, freshness, evaluator)| {
        /// Opaque, stable across restarts and replicas, and free of personal data.
        pub(super) id: ID = GlobalId::Account(account.id.clone()).encode().into();

        /// The upstream's own id, `ca_…`.
        connected_account_id: IdRef<'_> = IdRef(&account.id);

        /// A readable name, unique in the project.
        word_id: Option<&str> = account.word_id.as_deref();

        /// The name that the application gave the connection.
        alias: Option<&str> = account.alias.as_deref();
        object toolkit: Toolkit = Toolkit::upstreams(&account.toolkit);
        object auth_config: AuthConfig = AuthConfig(account.clone());

        /// The end user who connected the account.
        object user: Option<User> = account.user_id.as_deref().map(User::new);
        user_id: Option<&str> = account.user_id.as_deref();
        status: ConnectedAccountStatus = account.status.kind().into();

        /// The status in the upstream's own word.
        raw_status: &str = account.status.raw();

        /// Why the account has its status, in the upstream's words.
        status_reason: Option<&str> = account.status_reason.as_deref();
        is_disabled: bool = account.is_disabled;
        account_type: Option<AccountType> = account.account_type.map(Into::into);
        created_at: Option<DateTime> = date_time(account.created_at);
        updated_at: Option<DateTime> = date_time(account.updated_at);

        /// What may be shown of the connection's authentication. Secrets never leave the layer: they are named, not told.
        object state: ConnectionState = ConnectionState(account.clone());
        test_request_endpoint: Option<&str> = account.test_request_endpoint.as_deref();

        /// Identifiers from before the current API version.
        object legacy: Option<LegacyAccount> = account.legacy.as_ref().map(Into::into);

        /// The verdict for people: one state, the reasons for it, and whether somebody has to act.
        object health: HealthVerdict = HealthVerdict(evaluator.account(account));
        object freshness: DataFreshness = DataFreshness(*freshness);

        /// The workspace integrations that this account's toolkit stands for.
        async fn providers(&self, ctx: &Context<'_>) -> Option<Result<Vec<Provider>, FieldError>> {
            match ToolkitSlug::parse(&self.0.toolkit) {
                Some(slug) => Some(providers_of(ctx, &slug).await),
                None => Some(Ok(Vec::new())),
            }
        }
    }
}

object_type! {
    /// An account's identifiers from before the current API version.
    pub(super) struct LegacyAccount {
        uuid: String,
        labels: Vec<String>,
    }
}

impl From<&accounts::LegacyAccount> for LegacyAccount {
    fn from(legacy: &accounts::LegacyAccount) -> Self {
        let labels = legacy.labels.iter().map(ToString::to_string).collect();
        Self { uuid: legacy.uuid.to_string(), labels }
    }
}

pub(super) struct AuthConfig(SharedAccount);

object_type! {
    /// What connections are made with: an OAuth application, or a kind of key.
    impl AuthConfig |Self(account)| {
        /// The upstream's own id, `ac_…`.
        id: IdRef<'_> = IdRef(&account.auth_config.id);
        auth_scheme: AuthScheme = account.auth_config.auth_scheme.kind().into();

        /// The scheme in the upstream's own word.
        raw_auth_scheme: &str = account.auth_config.auth_scheme.raw();

        /// Whether its OAuth application is Composio's own.
        is_composio_managed: bool = account.auth_config.is_composio_managed;
        is_disabled: bool = account.auth_config.is_disabled;

        /// Its id from before the current API version.
        legacy_uuid: Option<&str> = account.auth_config.legacy_uuid.as_deref();

        /// The accounts that were made with it.
        #[expect(clippy::too_many_arguments, reason = "the arguments are the schema's own")]
        async fn connected_accounts(
            &self,
            ctx: &Context<'_>,
            after: Option<String>,
            before: Option<String>,
            first: Option<i32>,
            last: Option<i32>,
            filter: Option<AuthConfigAccountFilter>,
            #[graphql(default_with = "Some(ConnectedAccountOrder::default())")] order_by: Option<
                ConnectedAccountOrder,
            >,
        ) -> Option<Result<Preserialized<ConnectedAccountConnection>, FieldError>> {
            let parent = Parent::auth_config(&self.0.auth_config.id);
            let page = PageArguments { after, before, first, last };
            Some(connect(ctx, parent, filter.unwrap_or_default().check(), page, order_by).await)
        }
    }
}
