//! What a list of connected accounts is asked for: every form in which released clients write it (UPSTREAMS.md A2).
//!
//! Arrays come comma-joined, as repeated keys or as `name[]`; an empty value means that the parameter was not given; a
//! limit may read `2.0`. What is wrong is collected, not stopped at: the envelope has a place for several complaints.

use super::accounts::{Order, STATUSES};

/// Clamped in silence, as a sibling list was seen to do.
const LIMIT_MOST: f64 = 100.0;

/// One list request, understood.
#[derive(Default)]
pub(super) struct ListQuery {
    pub(super) toolkits: Vec<String>,
    pub(super) statuses: Vec<String>,
    pub(super) users: Vec<String>,
    pub(super) auth_configs: Vec<String>,
    pub(super) ids: Vec<String>,
    pub(super) order: Option<Order>,
    pub(super) ascending: bool,
    pub(super) limit: Option<usize>,
    pub(super) cursor: Option<String>,
    pub(super) shown: Shown,
}

/// `account_type`.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Shown {
    #[default]
    Private,
    Shared,
    All,
}

impl ListQuery {
    /// # Errors
    ///
    /// Everything that is wrong with the query, a sentence each.
    pub(super) fn parse(query: &str) -> Result<Self, Vec<String>> {
        let mut asked = Self::default();
        let mut wrong = Vec::new();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            if value.is_empty() {
                continue;
            }
            let values = || value.split(',').filter(|value| !value.is_empty()).map(str::to_owned);
            match name.strip_suffix("[]").unwrap_or(&name) {
                "toolkit_slugs" => asked.toolkits.extend(values()),
                "statuses" => asked.statuses.extend(values()),
                "user_ids" => asked.users.extend(values()),
                "auth_config_ids" => asked.auth_configs.extend(values()),
                "connected_account_ids" => asked.ids.extend(values()),
                "cursor" => asked.cursor = Some(value.into_owned()),
                "limit" => match limit(&value) {
                    Some(limit) => asked.limit = Some(limit),
                    None => wrong.push("limit: must be a whole number of at least 1".to_owned()),
                },
                "order_by" => match &*value {
                    "created_at" => asked.order = Some(Order::CreatedAt),
                    "updated_at" => asked.order = Some(Order::UpdatedAt),
                    _ => wrong.push("order_by: must be created_at or updated_at".to_owned()),
                },
                "order_direction" => match &*value {
                    "asc" => asked.ascending = true,
                    "desc" => asked.ascending = false,
                    _ => wrong.push("order_direction: must be asc or desc".to_owned()),
                },
                "account_type" => match &*value {
                    "PRIVATE" => asked.shown = Shown::Private,
                    "SHARED" => asked.shown = Shown::Shared,
                    "ALL" => asked.shown = Shown::All,
                    _ => wrong.push("account_type: must be PRIVATE, SHARED or ALL".to_owned()),
                },
                _ => {}
            }
        }
        for status in asked.statuses.iter().filter(|status| !STATUSES.contains(&status.as_str())) {
            wrong.push(format!("statuses: {status:?} is none of {}", STATUSES.join(", ")));
        }
        if wrong.is_empty() { Ok(asked) } else { Err(wrong) }
    }

    pub(super) fn order(&self) -> Order {
        self.order.unwrap_or(Order::CreatedAt)
    }
}

fn limit(value: &str) -> Option<usize> {
    let limit: f64 = value.parse().ok()?;
    // The cast is exact: the value is whole and between 1 and 100.
    (limit >= 1.0 && limit.fract() == 0.0).then(|| limit.min(LIMIT_MOST) as usize)
}
