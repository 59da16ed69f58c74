//! A connected account, and what it was made with.

use std::sync::Arc;

use async_graphql::{Context, ID, Object, SimpleObject};

use super::account_connection::{ConnectedAccountConnection, connect};
use super::account_filters::{AuthConfigAccountFilter, ConnectedAccountOrder};
use super::connection_state::ConnectionState;
use super::errors::FieldError;
use super::freshness::DataFreshness;
use super::health::HealthVerdict;
use super::moment::{DateTime, moment};
use super::plain::Plain;
use super::plain::PlainField::{self, Leaf, Objects};
use super::providers::Provider;
use super::toolkits::{Toolkit, providers_of};
use super::users::User;
use super::words::{AccountType, AuthScheme, ConnectedAccountStatus};
use super::written::One;
use crate::domain::accounts::{self, SharedAccount};
use crate::domain::global_id::GlobalId;
use crate::domain::page::PageArguments;
use crate::domain::toolkits::ToolkitSlug;
use crate::loaders::cache::freshness::Freshness;
use crate::loaders::health::Judge;
use crate::loaders::lists::parent::Parent;

pub(super) struct ConnectedAccount(pub(super) SharedAccount, pub(super) Freshness, pub(super) Arc<Judge>);

/// A user's authenticated connection to an external service.
#[Object]
impl ConnectedAccount {
    /// Opaque, stable across restarts and replicas, and free of personal data.
    pub(super) async fn id(&self) -> ID {
        GlobalId::Account(self.0.id.clone()).encode().into()
    }

    /// The upstream's own id, `ca_…`.
    async fn connected_account_id(&self) -> ID {
        ID::from(&*self.0.id)
    }

    /// A readable name, unique in the project.
    async fn word_id(&self) -> Option<&str> {
        self.0.word_id.as_deref()
    }

    /// The name that the application gave the connection.
    async fn alias(&self) -> Option<&str> {
        self.0.alias.as_deref()
    }

    async fn toolkit(&self) -> Toolkit {
        Toolkit::upstreams(&self.0.toolkit)
    }

    async fn auth_config(&self) -> AuthConfig {
        AuthConfig(self.0.clone())
    }

    /// The end user who connected the account.
    async fn user(&self) -> Option<User> {
        self.0.user_id.as_deref().map(User::new)
    }

    async fn user_id(&self) -> Option<&str> {
        self.0.user_id.as_deref()
    }

    async fn status(&self) -> ConnectedAccountStatus {
        self.0.status.kind().into()
    }

    /// The status in the upstream's own word.
    async fn raw_status(&self) -> &str {
        self.0.status.raw()
    }

    /// Why the account has its status, in the upstream's words.
    async fn status_reason(&self) -> Option<&str> {
        self.0.status_reason.as_deref()
    }

    async fn is_disabled(&self) -> bool {
        self.0.is_disabled
    }

    async fn account_type(&self) -> Option<AccountType> {
        self.0.account_type.map(Into::into)
    }

    async fn created_at(&self) -> Option<DateTime> {
        moment(self.0.created_at)
    }

    async fn updated_at(&self) -> Option<DateTime> {
        moment(self.0.updated_at)
    }

    /// What may be shown of the connection's authentication. Secrets never leave the layer: they are named, not told.
    async fn state(&self) -> ConnectionState {
        ConnectionState(self.0.clone())
    }

    async fn test_request_endpoint(&self) -> Option<&str> {
        self.0.test_request_endpoint.as_deref()
    }

    /// Identifiers from before the current API version.
    async fn legacy(&self) -> Option<LegacyAccount> {
        self.0.legacy.as_ref().map(Into::into)
    }

    /// The verdict for people: one state, the reasons for it, and whether somebody has to act.
    async fn health(&self) -> HealthVerdict {
        HealthVerdict(self.2.account(&self.0))
    }

    async fn freshness(&self) -> DataFreshness {
        DataFreshness(self.1)
    }

    /// The workspace integrations that this account's toolkit stands for.
    async fn providers(&self, ctx: &Context<'_>) -> Option<Result<Vec<Provider>, FieldError>> {
        match ToolkitSlug::parse(&self.0.toolkit) {
            Some(slug) => Some(providers_of(ctx, &slug).await),
            None => Some(Ok(Vec::new())),
        }
    }
}

impl Plain for ConnectedAccount {
    const FIELDS: &'static [(&'static str, PlainField<Self>)] = &[
        ("id", Leaf(|Self(account, ..), json| json.put(GlobalId::Account(account.id.clone()).encode()))),
        ("connectedAccountId", Leaf(|Self(account, ..), json| json.put(&account.id))),
        ("wordId", Leaf(|Self(account, ..), json| json.put(&account.word_id))),
        ("alias", Leaf(|Self(account, ..), json| json.put(&account.alias))),
        (
            "toolkit",
            Objects(|below| below.one(|Self(account, ..), show| show(&Toolkit::upstreams(&account.toolkit)))),
        ),
        (
            "authConfig",
            Objects(|below| below.one(|Self(account, ..), show| show(&AuthConfig(account.clone())))),
        ),
        (
            "user",
            Objects(|below| {
                below.one_or_null(|Self(account, ..), show| {
                    account.user_id.iter().for_each(|id| show(&User::new(id)))
                })
            }),
        ),
        ("userId", Leaf(|Self(account, ..), json| json.put(&account.user_id))),
        (
            "status",
            Leaf(|Self(account, ..), json| json.word(ConnectedAccountStatus::from(account.status.kind()))),
        ),
        ("rawStatus", Leaf(|Self(account, ..), json| json.put(account.status.raw()))),
        ("statusReason", Leaf(|Self(account, ..), json| json.put(&account.status_reason))),
        ("isDisabled", Leaf(|Self(account, ..), json| json.put(account.is_disabled))),
        (
            "accountType",
            Leaf(|Self(account, ..), json| json.word_or_null(account.account_type.map(AccountType::from))),
        ),
        ("createdAt", Leaf(|Self(account, ..), json| json.moment(account.created_at))),
        ("updatedAt", Leaf(|Self(account, ..), json| json.moment(account.updated_at))),
        (
            "state",
            Objects(|below| below.one(|Self(account, ..), show| show(&ConnectionState(account.clone())))),
        ),
        ("testRequestEndpoint", Leaf(|Self(account, ..), json| json.put(&account.test_request_endpoint))),
        (
            "legacy",
            Objects(|below| {
                below.one_or_null(|Self(account, ..), show| {
                    account.legacy.iter().for_each(|legacy| show(&LegacyAccount::from(legacy)))
                })
            }),
        ),
        (
            "health",
            Objects(|below| {
                below.one(|Self(account, _, judge), show| show(&HealthVerdict(judge.account(account))))
            }),
        ),
        (
            "freshness",
            Objects(|below| below.one(|Self(_, freshness, _), show| show(&DataFreshness(*freshness)))),
        ),
    ];
}

/// An account's identifiers from before the current API version.
#[derive(SimpleObject)]
pub(super) struct LegacyAccount {
    uuid: String,
    labels: Vec<String>,
}

impl From<&accounts::LegacyAccount> for LegacyAccount {
    fn from(legacy: &accounts::LegacyAccount) -> Self {
        let labels = legacy.labels.iter().map(ToString::to_string).collect();
        Self { uuid: legacy.uuid.to_string(), labels }
    }
}

impl Plain for LegacyAccount {
    const FIELDS: &'static [(&'static str, PlainField<Self>)] = &[
        ("uuid", Leaf(|legacy, json| json.put(&legacy.uuid))),
        ("labels", Leaf(|legacy, json| json.put(&legacy.labels))),
    ];
}

pub(super) struct AuthConfig(SharedAccount);

/// What connections are made with: an OAuth application, or a kind of key.
#[Object]
impl AuthConfig {
    /// The upstream's own id, `ac_…`.
    async fn id(&self) -> ID {
        ID::from(&*self.0.auth_config.id)
    }

    async fn auth_scheme(&self) -> AuthScheme {
        self.0.auth_config.auth_scheme.kind().into()
    }

    /// The scheme in the upstream's own word.
    async fn raw_auth_scheme(&self) -> &str {
        self.0.auth_config.auth_scheme.raw()
    }

    /// Whether its OAuth application is Composio's own.
    async fn is_composio_managed(&self) -> bool {
        self.0.auth_config.is_composio_managed
    }

    async fn is_disabled(&self) -> bool {
        self.0.auth_config.is_disabled
    }

    /// Its id from before the current API version.
    async fn legacy_uuid(&self) -> Option<&str> {
        self.0.auth_config.legacy_uuid.as_deref()
    }

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
    ) -> Option<Result<One<ConnectedAccountConnection>, FieldError>> {
        let parent = Parent::auth_config(&self.0.auth_config.id);
        let page = PageArguments { after, before, first, last };
        Some(connect(ctx, parent, filter.unwrap_or_default().check(), page, order_by).await)
    }
}

impl Plain for AuthConfig {
    const FIELDS: &'static [(&'static str, PlainField<Self>)] = &[
        ("id", Leaf(|Self(account), json| json.put(&account.auth_config.id))),
        (
            "authScheme",
            Leaf(|Self(account), json| json.word(AuthScheme::from(account.auth_config.auth_scheme.kind()))),
        ),
        ("rawAuthScheme", Leaf(|Self(account), json| json.put(account.auth_config.auth_scheme.raw()))),
        ("isComposioManaged", Leaf(|Self(account), json| json.put(account.auth_config.is_composio_managed))),
        ("isDisabled", Leaf(|Self(account), json| json.put(account.auth_config.is_disabled))),
        ("legacyUuid", Leaf(|Self(account), json| json.put(&account.auth_config.legacy_uuid))),
    ];
}
