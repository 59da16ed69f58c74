//! Validated filters and orders of lists, in a canonical form.
//!
//! Composio expects a list's values joined with commas, and treats an empty value as no filter
//! (docs/upstreams.md#composio-list-request). A value that is empty or contains a comma would therefore *widen* the
//! filter, so both are refused here. Equal filters have one form and share one scan and one cache entry.

use std::time::Duration;

use super::accounts::AccountStatus;
use super::health::{HealthRules, HealthState, HealthVerdict, STATUSES_NEEDING_ATTENTION};
use super::input::{BadInput, BadInputReason};
use super::open_enum::OpenEnum;
use super::providers::{Provider, ProviderCategory, ProviderStatus};

/// Maximum number of values in one list of a filter: the size of one upstream page.
pub const FILTER_VALUES_MAX: usize = 100;

/// Maximum length of one value in bytes, far above any id of either upstream. A list goes into a URL, and a hundred
/// such values fill the longest accepted URL.
pub const FILTER_VALUE_BYTES_MAX: usize = 256;

/// The values of one filter list: sorted, distinct, and none of them widens the filter.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct FilterValues(Box<[Box<str>]>);

impl FilterValues {
    /// Validates and sorts the values of one list.
    ///
    /// # Errors
    /// `BAD_FILTER` if there are too many values, or if one is empty, too long, or contains a comma or a control
    /// character.
    pub fn new(list: &str, values: impl IntoIterator<Item = impl Into<Box<str>>>) -> Result<Self, BadInput> {
        let refused = |why: String| Err(BadInput::new(BadInputReason::BadFilter, format!("`{list}`: {why}")));
        let mut values: Vec<Box<str>> = values.into_iter().map(Into::into).collect();
        if let Some(index) = values.iter().position(|value| value.trim().is_empty()) {
            return refused(format!("value {index} is empty; omit the list to match everything."));
        }
        if let Some(index) = values.iter().position(|value| value.contains(',')) {
            return refused(format!(
                "value {index} contains a comma, which the upstream reads as two values."
            ));
        }
        if let Some(index) = values.iter().position(|value| value.contains(char::is_control)) {
            return refused(format!("value {index} contains a control character."));
        }
        if let Some(index) = values.iter().position(|value| value.len() > FILTER_VALUE_BYTES_MAX) {
            return refused(format!("value {index} is longer than {FILTER_VALUE_BYTES_MAX} bytes."));
        }
        values.sort_unstable();
        values.dedup();
        if values.len() > FILTER_VALUES_MAX {
            return refused(format!("has {} values; at most {FILTER_VALUES_MAX} are allowed.", values.len()));
        }
        Ok(Self(values.into()))
    }

    /// Creates a list of one value.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn one(list: &str, value: &str) -> Result<Self, BadInput> {
        Self::new(list, [value])
    }

    /// Whether a list can have a value.
    pub(super) fn accepts(value: &str) -> bool {
        Self::one("", value).is_ok()
    }

    /// Creates a list of one value that [`Self::one`] already accepted.
    pub(super) fn checked(value: &str) -> Self {
        Self([value.into()].into())
    }

    /// Returns the union of several lists.
    pub fn union<'a>(lists: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut values: Vec<Box<str>> = lists.into_iter().flat_map(|list| list.0.iter().cloned()).collect();
        values.sort_unstable();
        values.dedup();
        Self(values.into())
    }

    /// Whether the list is empty, which matches nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the list contains a value (exact comparison).
    #[must_use]
    pub fn contains(&self, value: &str) -> bool {
        self.0.binary_search_by(|known| known.as_ref().cmp(value)).is_ok()
    }

    /// Returns the value, if there is exactly one.
    #[must_use]
    pub fn only(&self) -> Option<&str> {
        match &*self.0 {
            [value] => Some(value),
            _ => None,
        }
    }

    /// Returns the values, sorted.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(AsRef::as_ref)
    }
}

/// A filter by account type. No filter means PRIVATE, as in Composio (docs/upstreams.md#composio-list-request).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AccountTypeFilter {
    /// Private accounts.
    Private,
    /// Shared accounts.
    Shared,
    /// Both types.
    All,
}

/// A filter over accounts; `None` matches everything, an empty list matches nothing.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct AccountFilter {
    /// `ca_…` ids.
    pub ids: Option<FilterValues>,
    /// Toolkit slugs, in lower case.
    pub toolkits: Option<FilterValues>,
    /// Statuses, as the upstream spells them.
    pub statuses: Option<FilterValues>,
    /// Ids of end users.
    pub user_ids: Option<FilterValues>,
    /// `ac_…` ids.
    pub auth_config_ids: Option<FilterValues>,
    /// Account type.
    pub account_type: Option<AccountTypeFilter>,
    /// Excludes pending accounts whose last change is more recent than this. No upstream can filter by it, so it is
    /// applied when a page is read.
    pub pending_longer_than: Option<Duration>,
}

impl AccountFilter {
    /// Creates a filter for accounts that need attention under the given rules.
    pub(crate) fn needing_attention(rules: &HealthRules) -> Self {
        let mut values: Vec<Box<str>> =
            STATUSES_NEEDING_ATTENTION.iter().map(|status| status.as_str().into()).collect();
        values.sort_unstable();
        Self {
            statuses: Some(FilterValues(values.into())),
            pending_longer_than: Some(rules.abandoned_after),
            ..Self::default()
        }
    }

    /// Whether the filter has an empty list and matches nothing, so that no upstream call is needed.
    #[must_use]
    pub fn matches_nothing(&self) -> bool {
        [&self.ids, &self.toolkits, &self.statuses, &self.user_ids, &self.auth_config_ids]
            .into_iter()
            .flatten()
            .any(FilterValues::is_empty)
    }
}

/// Validates the statuses of a filter.
///
/// # Errors
/// `BAD_FILTER` for UNKNOWN, because no upstream can filter by it.
pub fn status_values(statuses: impl IntoIterator<Item = AccountStatus>) -> Result<FilterValues, BadInput> {
    let mut values = Vec::new();
    for status in statuses {
        if status == AccountStatus::Unknown {
            return Err(BadInput::new(
                BadInputReason::BadFilter,
                "`statuses`: UNKNOWN stands for statuses that this version does not know; the upstream cannot filter by it.",
            ));
        }
        values.push(status.as_str());
    }
    FilterValues::new("statuses", values)
}

/// The timestamp that accounts are ordered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AccountOrderField {
    /// Creation time.
    CreatedAt,
    /// Time of the last change.
    UpdatedAt,
}

/// The direction of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OrderDirection {
    /// Ascending: smallest, alphabetically first or oldest first.
    Asc,
    /// Descending.
    Desc,
}

/// The order of a list of accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AccountOrder {
    /// The timestamp.
    pub field: AccountOrderField,
    /// The direction.
    pub direction: OrderDirection,
}

impl AccountOrder {
    /// The default order: newest first, as in Composio (docs/upstreams.md#composio-list-request).
    pub const NEWEST_FIRST: Self =
        Self { field: AccountOrderField::CreatedAt, direction: OrderDirection::Desc };

    /// Returns the reverse order.
    #[must_use]
    pub fn opposite(self) -> Self {
        let direction = match self.direction {
            OrderDirection::Asc => OrderDirection::Desc,
            OrderDirection::Desc => OrderDirection::Asc,
        };
        Self { direction, ..self }
    }
}

/// A filter over providers, applied in memory; `None` matches everything.
#[derive(Debug, Clone, Default)]
pub struct ProviderFilter {
    /// Categories.
    pub categories: Option<Vec<ProviderCategory>>,
    /// Names (exact comparison).
    pub names: Option<Vec<String>>,
    /// Statuses.
    pub statuses: Option<Vec<ProviderStatus>>,
    /// Whether a valid connection exists.
    pub connected: Option<bool>,
    /// Health states.
    pub health_states: Option<Vec<HealthState>>,
    /// Whether the integration needs attention.
    pub needs_attention: Option<bool>,
    /// Part of the name or display name, compared without regard to case.
    pub search: Option<String>,
}

impl ProviderFilter {
    /// Whether a provider matches. `evaluate` is called only if the filter depends on health.
    pub fn matches(&self, provider: &Provider, evaluate: impl FnOnce() -> HealthVerdict) -> bool {
        let matches_search = |needle: &String| {
            let needle = needle.to_lowercase();
            provider.name.to_lowercase().contains(&needle)
                || provider.display_name.as_ref().is_some_and(|name| name.to_lowercase().contains(&needle))
        };
        self.categories.as_ref().is_none_or(|wanted| wanted.contains(&provider.category.kind()))
            && self.names.as_ref().is_none_or(|wanted| wanted.iter().any(|name| **name == *provider.name))
            && self.statuses.as_ref().is_none_or(|wanted| wanted.contains(&provider.status.kind()))
            && self.connected.is_none_or(|wanted| wanted == provider.connected)
            && self.search.as_ref().is_none_or(matches_search)
            && self.matches_health(evaluate)
    }

    fn matches_health(&self, evaluate: impl FnOnce() -> HealthVerdict) -> bool {
        if self.health_states.is_none() && self.needs_attention.is_none() {
            return true;
        }
        let verdict = evaluate();
        self.health_states.as_ref().is_none_or(|wanted| wanted.contains(&verdict.state))
            && self.needs_attention.is_none_or(|wanted| wanted == verdict.needs_attention)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_would_widen_a_filter_are_refused() {
        for (values, says) in [
            (vec!["a", ""], "value 1 is empty"),
            (vec![" "], "empty"),
            (vec!["a,b"], "comma"),
            (vec!["a\n"], "control"),
        ] {
            let refused = FilterValues::new("userIds", values).unwrap_err();
            assert_eq!(refused.reason, BadInputReason::BadFilter);
            assert!(refused.message.starts_with("`userIds`") && refused.message.contains(says), "{refused}");
        }
        assert!(FilterValues::new("userIds", ["a".repeat(256)]).is_ok());
        let long = FilterValues::new("userIds", ["a".repeat(257)]).unwrap_err();
        assert!(long.message.contains("value 0 is longer than 256 bytes"), "{long}");
        let many = (0..101).map(|number| number.to_string());
        assert!(FilterValues::new("toolkits", many).unwrap_err().message.contains("at most 100"));
        assert!(status_values([AccountStatus::Unknown]).is_err());
    }

    #[test]
    fn filters_with_the_same_meaning_are_equal() {
        let one = FilterValues::new("toolkits", ["slack", "gmail", "slack"]).unwrap();
        let other = FilterValues::new("toolkits", ["gmail", "slack"]).unwrap();
        assert_eq!(one, other);
        assert!(one.contains("gmail") && !one.contains("gma"));
    }

    #[test]
    fn an_empty_list_matches_nothing_and_a_missing_list_matches_everything() {
        let none: [&str; 0] = [];
        let filter =
            AccountFilter { ids: Some(FilterValues::new("ids", none).unwrap()), ..Default::default() };
        assert!(filter.matches_nothing());
        assert!(!AccountFilter::default().matches_nothing());
    }
}
