//! The types `ConnectedAccount` and `AuthConfig`.

use std::sync::Arc;

use async_graphql::{Context, ID};

use super::account_connection::{ConnectedAccountConnection, resolve_account_connection};
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
use crate::loaders::cache::freshness::Freshness;
use crate::loaders::health::HealthEvaluator;
use crate::loaders::lists::parent::Parent;

pub(super) struct ConnectedAccount(
    pub(super) SharedAccount,
    pub(super) Freshness,
    pub(super) Arc<HealthEvaluator>,
);

object_type! {
    /// An end user's authenticated connection to an external service.
    impl ConnectedAccount |Self(account, freshness, evaluator)| {
        /// The global ID of the object. Opaque, stable across restarts and replicas, and free of personal data.
        pub(super) id: ID = GlobalId::Account(account.id.clone()).encode().into();

        /// The Composio ID of the account, `ca_…`.
        connected_account_id: IdRef<'_> = IdRef(&account.id);

        /// A human-readable name, unique within the project.
        word_id: Option<&str> = account.word_id.as_deref();

        /// The name that the application assigned to the connection.
        alias: Option<&str> = account.alias.as_deref();

        /// The name of the account at the external service, such as an e-mail address. It distinguishes two accounts of
        /// one toolkit.
        display_name: Option<&str> = account.state.display_name();
        object toolkit: Toolkit = Toolkit(account.toolkit.clone());
        object auth_config: AuthConfig = AuthConfig(account.clone());

        /// The end user who connected the account; null if Composio does not name it and the query asks for no single
        /// user.
        object user: Option<User> = account.user_id.as_deref().map(User::new);

        /// The ID of the end user; null as `user` is.
        user_id: Option<&str> = account.user_id.as_deref();
        status: ConnectedAccountStatus = account.status.kind().into();

        /// The status as the upstream spells it.
        raw_status: &str = account.status.raw();

        /// The upstream's explanation of the status.
        status_reason: Option<&str> = account.status_reason.as_deref();
        is_disabled: bool = account.is_disabled;
        account_type: Option<AccountType> = account.account_type.map(Into::into);
        created_at: Option<DateTime> = date_time(account.created_at);
        updated_at: Option<DateTime> = date_time(account.updated_at);

        /// The authentication state, without secrets. Withheld fields are listed by name only.
        object state: ConnectionState = ConnectionState(account.clone());
        test_request_endpoint: Option<&str> = account.test_request_endpoint.as_deref();

        /// Identifiers from the previous version of the Composio API.
        object legacy: Option<LegacyAccount> = account.legacy.as_ref().map(Into::into);

        /// The health of the account: one state, the reasons for it, and whether it needs attention.
        object health: HealthVerdict = HealthVerdict(evaluator.account(account));
        object freshness: DataFreshness = DataFreshness(*freshness);

        /// The providers of the workspace that correspond to the account's toolkit.
        async fn providers(&self, ctx: &Context<'_>) -> Option<Result<Vec<Provider>, FieldError>> {
            Some(providers_of(ctx, &self.0.toolkit).await)
        }
    }
}

object_type! {
    /// Identifiers of an account in the previous version of the Composio API.
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
    /// The configuration that accounts are connected with: an OAuth application or a type of API key.
    impl AuthConfig |Self(account)| {
        /// The Composio ID of the auth config, `ac_…`.
        id: IdRef<'_> = IdRef(&account.auth_config.id);
        auth_scheme: AuthScheme = account.auth_config.auth_scheme.kind().into();

        /// The authentication scheme as the upstream spells it.
        raw_auth_scheme: &str = account.auth_config.auth_scheme.raw();

        /// Whether the OAuth application is managed by Composio.
        is_composio_managed: bool = account.auth_config.is_composio_managed;
        is_disabled: bool = account.auth_config.is_disabled;

        /// The ID in the previous version of the Composio API.
        legacy_uuid: Option<&str> = account.auth_config.legacy_uuid.as_deref();

        /// The accounts connected with this auth config.
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
            let filter = filter.unwrap_or_default().check();
            Some(resolve_account_connection(ctx, parent, filter, page, order_by).await)
        }
    }
}
