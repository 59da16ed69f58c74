//! Input types that filter and order connections of accounts.

use async_graphql::{ID, InputObject};

use super::enums::{AccountTypeFilter, ConnectedAccountOrderField, ConnectedAccountStatus, OrderDirection};
use crate::domain::filters::{AccountFilter, AccountOrder, FilterValues, status_values};
use crate::domain::global_id;
use crate::domain::input::BadInput;
use crate::domain::toolkits::ToolkitSlug;

/// Filters for connected accounts. An omitted or null list matches everything; an empty list matches nothing.
#[derive(InputObject, Default)]
pub(super) struct ConnectedAccountFilter {
    /// Filter by account IDs: global IDs or Composio's `ca_…`.
    ids: Option<Vec<ID>>,
    /// Filter by toolkit slugs. Case-insensitive.
    toolkits: Option<Vec<String>>,
    statuses: Option<Vec<ConnectedAccountStatus>>,
    user_ids: Option<Vec<String>>,
    auth_config_ids: Option<Vec<ID>>,
    account_type: Option<AccountTypeFilter>,
}

/// Filters for the accounts of an integration or a toolkit. An omitted or null list matches everything; an empty list
/// matches nothing.
#[derive(InputObject, Default)]
pub(super) struct ProviderAccountFilter {
    statuses: Option<Vec<ConnectedAccountStatus>>,
    user_ids: Option<Vec<String>>,
    auth_config_ids: Option<Vec<ID>>,
    account_type: Option<AccountTypeFilter>,
}

/// Filters for the accounts of an end user. An omitted or null list matches everything; an empty list matches nothing.
#[derive(InputObject, Default)]
pub(super) struct UserAccountFilter {
    /// Filter by toolkit slugs. Case-insensitive.
    toolkits: Option<Vec<String>>,
    statuses: Option<Vec<ConnectedAccountStatus>>,
    auth_config_ids: Option<Vec<ID>>,
    account_type: Option<AccountTypeFilter>,
}

/// Filters for the accounts of an auth config. An omitted or null list matches everything; an empty list matches
/// nothing.
#[derive(InputObject, Default)]
pub(super) struct AuthConfigAccountFilter {
    /// Filter by toolkit slugs. Case-insensitive.
    toolkits: Option<Vec<String>>,
    statuses: Option<Vec<ConnectedAccountStatus>>,
    user_ids: Option<Vec<String>>,
    account_type: Option<AccountTypeFilter>,
}

/// Ordering options for connected accounts.
#[derive(InputObject, Clone, Copy)]
pub(super) struct ConnectedAccountOrder {
    field: ConnectedAccountOrderField,
    #[graphql(default_with = "OrderDirection::Desc")]
    direction: OrderDirection,
}

impl ConnectedAccountOrder {
    pub(super) const NEWEST_CHANGE_FIRST: Self =
        Self { field: ConnectedAccountOrderField::UpdatedAt, direction: OrderDirection::Desc };
}

impl Default for ConnectedAccountOrder {
    fn default() -> Self {
        Self { field: ConnectedAccountOrderField::CreatedAt, direction: OrderDirection::Desc }
    }
}

impl From<ConnectedAccountOrder> for AccountOrder {
    fn from(order: ConnectedAccountOrder) -> Self {
        Self { field: order.field.into(), direction: order.direction.into() }
    }
}

impl ConnectedAccountFilter {
    pub(super) fn check(self) -> Result<AccountFilter, BadInput> {
        let ids = |ids: Vec<ID>| -> Result<FilterValues, BadInput> {
            let ids = ids.iter().map(|id| global_id::account_id(id)).collect::<Result<Vec<_>, _>>()?;
            FilterValues::new("ids", ids)
        };
        let toolkits = |slugs: Vec<String>| -> Result<FilterValues, BadInput> {
            let slugs = slugs.iter().map(|slug| ToolkitSlug::check(slug)).collect::<Result<Vec<_>, _>>()?;
            FilterValues::new("toolkits", slugs.iter().map(ToolkitSlug::as_str))
        };
        let statuses =
            |statuses: Vec<ConnectedAccountStatus>| status_values(statuses.into_iter().map(Into::into));
        let auth_config_ids =
            |ids: Vec<ID>| FilterValues::new("authConfigIds", ids.into_iter().map(String::from));
        Ok(AccountFilter {
            ids: self.ids.map(ids).transpose()?,
            toolkits: self.toolkits.map(toolkits).transpose()?,
            statuses: self.statuses.map(statuses).transpose()?,
            user_ids: self.user_ids.map(|ids| FilterValues::new("userIds", ids)).transpose()?,
            auth_config_ids: self.auth_config_ids.map(auth_config_ids).transpose()?,
            account_type: self.account_type.map(Into::into),
            ..Default::default()
        })
    }
}

/// Validates filters that have some of the fields of [`ConnectedAccountFilter`].
macro_rules! checked_as_account_filter {
    ($($filter:ident { $($field:ident),+ })+) => {$(
        impl $filter {
            pub(super) fn check(self) -> Result<AccountFilter, BadInput> {
                let Self { $($field),+ } = self;
                ConnectedAccountFilter { $($field,)+ ..Default::default() }.check()
            }
        }
    )+};
}

checked_as_account_filter! {
    ProviderAccountFilter { statuses, user_ids, auth_config_ids, account_type }
    UserAccountFilter { toolkits, statuses, auth_config_ids, account_type }
    AuthConfigAccountFilter { toolkits, statuses, user_ids, account_type }
}
