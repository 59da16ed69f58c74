//! Query parameters of the account list, in all forms that released clients send
//! (docs/upstreams.md#composio-list-request).
//!
//! Arrays are joined by commas, repeated, or named `name[]`; an empty value means that the parameter is absent; a limit
//! may be `2.0`. All errors are collected, because the error envelope can list several.

use super::accounts::{Order, STATUSES};

/// Larger limits are clamped silently, as observed for a similar list.
const LIMIT_MAX: f64 = 100.0;

/// The parsed parameters of a list request.
#[derive(Default)]
pub(super) struct ListQuery {
    pub(super) toolkits: Vec<String>,
    pub(super) statuses: Vec<String>,
    pub(super) users: Vec<String>,
    pub(super) auth_configs: Vec<String>,
    pub(super) ids: Vec<String>,
    pub(super) order: Order,
    pub(super) ascending: bool,
    pub(super) limit: Option<usize>,
    pub(super) cursor: Option<String>,
    pub(super) account_types: AccountTypes,
}

/// `account_type`.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum AccountTypes {
    #[default]
    Private,
    Shared,
    All,
}

impl ListQuery {
    /// Parses a query string.
    ///
    /// # Errors
    /// All errors of the query, a sentence each.
    pub(super) fn parse(text: &str) -> Result<Self, Vec<String>> {
        let mut query = Self::default();
        let mut errors = Vec::new();
        for (name, value) in url::form_urlencoded::parse(text.as_bytes()) {
            if value.is_empty() {
                continue;
            }
            let values = || value.split(',').filter(|value| !value.is_empty()).map(str::to_owned);
            match name.strip_suffix("[]").unwrap_or(&name) {
                "toolkit_slugs" => query.toolkits.extend(values()),
                "statuses" => query.statuses.extend(values()),
                "user_ids" => query.users.extend(values()),
                "auth_config_ids" => query.auth_configs.extend(values()),
                "connected_account_ids" => query.ids.extend(values()),
                "cursor" => query.cursor = Some(value.into_owned()),
                "limit" => match limit(&value) {
                    Some(limit) => query.limit = Some(limit),
                    None => errors.push("limit: must be a whole number of at least 1".to_owned()),
                },
                "order_by" => match &*value {
                    "created_at" => query.order = Order::CreatedAt,
                    "updated_at" => query.order = Order::UpdatedAt,
                    _ => errors.push("order_by: must be created_at or updated_at".to_owned()),
                },
                "order_direction" => match &*value {
                    "asc" => query.ascending = true,
                    "desc" => query.ascending = false,
                    _ => errors.push("order_direction: must be asc or desc".to_owned()),
                },
                "account_type" => match &*value {
                    "PRIVATE" => query.account_types = AccountTypes::Private,
                    "SHARED" => query.account_types = AccountTypes::Shared,
                    "ALL" => query.account_types = AccountTypes::All,
                    _ => errors.push("account_type: must be PRIVATE, SHARED or ALL".to_owned()),
                },
                _ => {}
            }
        }
        for status in query.statuses.iter().filter(|status| !STATUSES.contains(&status.as_str())) {
            errors.push(format!("statuses: {status:?} is not one of {}", STATUSES.join(", ")));
        }
        if errors.is_empty() { Ok(query) } else { Err(errors) }
    }
}

fn limit(value: &str) -> Option<usize> {
    let limit: f64 = value.parse().ok()?;
    // The cast is exact: the value is whole and between 1 and 100.
    (limit >= 1.0 && limit.fract() == 0.0).then(|| limit.min(LIMIT_MAX) as usize)
}
