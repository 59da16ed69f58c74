//! The enums of the schema, one variant for each of the domain's words.

use async_graphql::Enum;

use super::object_type::write_enum;
use crate::domain::{accounts, auth_scheme, filters, providers};
use crate::loaders::lists::provider_page;

/// What an integration is for.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "providers::ProviderCategory")]
pub(super) enum ProviderCategory {
    Email,
    Calendar,
    Channels,
    Identity,
    Storage,
    Billing,
    /// A category that this layer does not know; `rawCategory` has the upstream's word.
    Other,
}

/// How an integration fares.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "providers::ProviderStatus")]
pub(super) enum ProviderStatus {
    Healthy,
    Degraded,
    NeedsReauth,
    Disconnected,
    /// A word that this layer does not know; `rawStatus` has the upstream's.
    Unknown,
}

/// The state of a connected account.
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
    /// A word that this layer does not know; `rawStatus` has the upstream's.
    Unknown,
}

/// How a connection authenticates.
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
    /// A scheme that this layer does not know; `rawAuthScheme` has the upstream's word.
    Other,
}

/// Who may use an account besides the user who connected it.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "accounts::AccountType")]
pub(super) enum AccountType {
    Private,
    Shared,
}

/// Which accounts by type; PRIVATE where a filter does not say.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "filters::AccountTypeFilter")]
pub(super) enum AccountTypeFilter {
    Private,
    Shared,
    All,
}

/// What providers can be ordered by; those without the value come last.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "provider_page::ProviderOrderField")]
pub(super) enum ProviderOrderField {
    Name,
    Category,
    Status,
    ConnectedAt,
    LastSyncAt,
}

/// What connected accounts can be ordered by.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "filters::AccountOrderField")]
pub(super) enum ConnectedAccountOrderField {
    CreatedAt,
    UpdatedAt,
}

/// Which way a list runs.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "filters::OrderDirection")]
pub(super) enum OrderDirection {
    Asc,
    Desc,
}

write_enum!(ProviderCategory, ProviderStatus, ConnectedAccountStatus, AuthScheme, AccountType);
