//! The enums of the schema, which mirror the open enums of `domain`.

use async_graphql::Enum;

use super::object_type::write_enum;
use crate::domain::{accounts, auth_scheme, filters, providers};
use crate::loaders::lists::provider_page;

/// The category of an integration.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "providers::ProviderCategory")]
pub(super) enum ProviderCategory {
    Email,
    Calendar,
    Channels,
    Identity,
    Storage,
    Billing,
    /// An unrecognized category. See `rawCategory`.
    Other,
}

/// The status of an integration.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "providers::ProviderStatus")]
pub(super) enum ProviderStatus {
    Healthy,
    Degraded,
    NeedsReauth,
    Disconnected,
    /// An unrecognized status. See `rawStatus`.
    Unknown,
}

/// The status of a connected account.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "accounts::AccountStatus")]
pub(super) enum ConnectedAccountStatus {
    Initializing,
    Initiated,
    Active,
    Failed,
    Expired,
    Inactive,
    Revoked,
    /// An unrecognized status. See `rawStatus`.
    Unknown,
}

/// The authentication scheme of a connection.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "auth_scheme::AuthScheme")]
pub(super) enum AuthScheme {
    #[graphql(name = "OAUTH2")]
    Oauth2,
    #[graphql(name = "OAUTH1")]
    Oauth1,
    ApiKey,
    Basic,
    BillcomAuth,
    BearerToken,
    GoogleServiceAccount,
    NoAuth,
    BasicWithJwt,
    CalcomAuth,
    ServiceAccount,
    Saml,
    DcrOauth,
    CimdOauth,
    #[graphql(name = "S2S_OAUTH2")]
    S2sOauth2,
    /// An unrecognized scheme. See `rawAuthScheme`.
    Other,
}

/// The visibility of a connected account beyond the user who connected it.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "accounts::AccountType")]
pub(super) enum AccountType {
    Private,
    Shared,
}

/// The account types to include. Filters default to `PRIVATE`.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "filters::AccountTypeFilter")]
pub(super) enum AccountTypeFilter {
    Private,
    Shared,
    All,
}

/// The fields by which integrations can be ordered. Integrations without a value come last.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "provider_page::ProviderOrderField")]
pub(super) enum ProviderOrderField {
    Name,
    Category,
    Status,
    ConnectedAt,
    LastSyncAt,
}

/// The fields by which connected accounts can be ordered.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "filters::AccountOrderField")]
pub(super) enum ConnectedAccountOrderField {
    CreatedAt,
    UpdatedAt,
}

/// The direction of an ordering.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "filters::OrderDirection")]
pub(super) enum OrderDirection {
    Asc,
    Desc,
}

write_enum!(ProviderCategory, ProviderStatus, ConnectedAccountStatus, AuthScheme, AccountType);
