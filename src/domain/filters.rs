//! What a list is narrowed to and how it is ordered, checked and in one normal form.
//!
//! Composio joins a list's values with commas and takes an empty value for "not given"
//! (UPSTREAMS.md A2), so a value that is empty or holds a comma would *widen* the filter: both are
//! refused here, before anything is built of them. Equal filters have one form, so that they share
//! one scan and one cache entry.

use std::time::Duration;

use super::accounts::AccountStatus;
use super::health::{HealthRules, HealthState, HealthVerdict, STATUSES_NEEDING_ATTENTION};
use super::input::{BadInput, BadInputReason};
use super::open_enum::OpenEnum;
use super::providers::{Provider, ProviderCategory, ProviderStatus};

/// How many values one list of a filter takes: what one upstream page can answer.
pub const FILTER_VALUES_MAX: usize = 100;

/// How long one value may be, in bytes: far over any id of either upstream. A list goes into a URL, and a hundred of
/// these fill the longest that there is.
pub const FILTER_VALUE_BYTES_MAX: usize = 256;

/// A filter's values: sorted, without repeats, none that could widen it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct FilterValues(Box<[Box<str>]>);

impl FilterValues {
    /// Checks and sorts the values of one list.
    ///
    /// # Errors
    /// `BAD_FILTER` for an empty value, one with a comma or a control character, one that is too long, and too many.
    pub fn new(list: &str, values: impl IntoIterator<Item = impl Into<Box<str>>>) -> Result<Self, BadInput> {
        let refused = |why: String| Err(BadInput::new(BadInputReason::BadFilter, format!("`{list}`: {why}")));
        let mut values: Vec<Box<str>> = values.into_iter().map(Into::into).collect();
        if let Some(place) = values.iter().position(|value| value.trim().is_empty()) {
            return refused(format!("value {place} is empty; leave the list out to ask for everything."));
        }
        if let Some(place) = values.iter().position(|value| value.contains(',')) {
            return refused(format!("value {place} holds a comma, which the upstream reads as two values."));
        }
        if let Some(place) = values.iter().position(|value| value.contains(char::is_control)) {
            return refused(format!("value {place} holds a control character."));
        }
        if let Some(place) = values.iter().position(|value| value.len() > FILTER_VALUE_BYTES_MAX) {
            return refused(format!("value {place} is longer than {FILTER_VALUE_BYTES_MAX} bytes."));
        }
        values.sort_unstable();
        values.dedup();
        if values.len() > FILTER_VALUES_MAX {
            return refused(format!("holds {} values; it takes {FILTER_VALUES_MAX}.", values.len()));
        }
        Ok(Self(values.into()))
    }

    /// The one value of a parent that is known to be right.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn one(list: &str, value: &str) -> Result<Self, BadInput> {
        Self::new(list, [value])
    }

    /// One value that passed [`Self::one`] before.
    pub(super) fn checked(value: &str) -> Self {
        Self([value.into()].into())
    }

    /// The union of several lists.
    pub fn union<'a>(lists: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut values: Vec<Box<str>> = lists.into_iter().flat_map(|list| list.0.iter().cloned()).collect();
        values.sort_unstable();
        values.dedup();
        Self(values.into())
    }

    /// Whether nothing can match: an empty list was given.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a value is among them, to the letter.
    #[must_use]
    pub fn contains(&self, value: &str) -> bool {
        self.0.binary_search_by(|held| held.as_ref().cmp(value)).is_ok()
    }

    /// The values, in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(AsRef::as_ref)
    }
}

/// Which accounts by type; not given means PRIVATE, as upstream (UPSTREAMS.md A2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AccountTypeFilter {
    /// Private ones.
    Private,
    /// Shared ones.
    Shared,
    /// Both.
    All,
}

/// A filter over accounts; `None` asks for everything, an empty list for nothing.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct AccountFilter {
    /// `ca_…` ids.
    pub ids: Option<FilterValues>,
    /// Toolkit slugs, in lower case.
    pub toolkits: Option<FilterValues>,
    /// Statuses, in the upstream's words.
    pub statuses: Option<FilterValues>,
    /// End users.
    pub user_ids: Option<FilterValues>,
    /// `ac_…` ids.
    pub auth_config_ids: Option<FilterValues>,
    /// Private or shared.
    pub account_type: Option<AccountTypeFilter>,
    /// Of the accounts that wait for their users, only those whose last change is longer ago than this. No upstream filters
    /// by it: it is looked at when a page is read, and is as old as the page.
    pub pending_longer_than: Option<Duration>,
}

impl AccountFilter {
    /// The accounts that somebody has to act on, by some rules.
    #[must_use]
    pub fn needing_attention(rules: &HealthRules) -> Self {
        let mut words: Vec<Box<str>> =
            STATUSES_NEEDING_ATTENTION.iter().map(|status| status.as_str().into()).collect();
        words.sort_unstable();
        Self {
            statuses: Some(FilterValues(words.into())),
            pending_longer_than: Some(rules.abandoned_after),
            ..Self::default()
        }
    }

    /// Whether an empty list makes it match nothing, so that nobody need be asked.
    #[must_use]
    pub fn matches_nothing(&self) -> bool {
        [&self.ids, &self.toolkits, &self.statuses, &self.user_ids, &self.auth_config_ids]
            .into_iter()
            .flatten()
            .any(FilterValues::is_empty)
    }
}

/// Checks statuses to filter by.
///
/// # Errors
/// `BAD_FILTER` for UNKNOWN, which no upstream can filter by.
pub fn status_values(statuses: impl IntoIterator<Item = AccountStatus>) -> Result<FilterValues, BadInput> {
    let mut words = Vec::new();
    for status in statuses {
        if status == AccountStatus::Unknown {
            return Err(BadInput::new(
                BadInputReason::BadFilter,
                "`statuses`: UNKNOWN stands for words that this layer does not know, and the upstream cannot filter by it.",
            ));
        }
        words.push(status.as_str());
    }
    FilterValues::new("statuses", words)
}

/// The moment that accounts are ordered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AccountOrderField {
    /// When it was created.
    CreatedAt,
    /// When it last changed.
    UpdatedAt,
}

/// Which way a list runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OrderDirection {
    /// Smallest, first in the alphabet or oldest first.
    Asc,
    /// The other way.
    Desc,
}

/// The order of a list of accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AccountOrder {
    /// By what.
    pub field: AccountOrderField,
    /// Which way.
    pub direction: OrderDirection,
}

impl AccountOrder {
    /// The order where a query names none: newest first, as upstream (UPSTREAMS.md A2).
    pub const NEWEST_FIRST: Self =
        Self { field: AccountOrderField::CreatedAt, direction: OrderDirection::Desc };

    /// The same order from its other end.
    #[must_use]
    pub fn opposite(self) -> Self {
        let direction = match self.direction {
            OrderDirection::Asc => OrderDirection::Desc,
            OrderDirection::Desc => OrderDirection::Asc,
        };
        Self { direction, ..self }
    }
}

/// A filter over providers, applied in memory; `None` asks for everything.
#[derive(Debug, Clone, Default)]
pub struct ProviderFilter {
    /// Categories.
    pub categories: Option<Vec<ProviderCategory>>,
    /// Names, to the letter.
    pub names: Option<Vec<String>>,
    /// Statuses.
    pub statuses: Option<Vec<ProviderStatus>>,
    /// Whether a valid connection exists.
    pub connected: Option<bool>,
    /// States of health.
    pub health_states: Option<Vec<HealthState>>,
    /// Whether somebody has to act.
    pub needs_attention: Option<bool>,
    /// Part of the name or the display name, without regard to case.
    pub search: Option<String>,
}

impl ProviderFilter {
    /// Whether a provider passes; `judge` is asked where that hangs on its health.
    pub fn matches(&self, provider: &Provider, judge: impl FnOnce() -> HealthVerdict) -> bool {
        let found = |needle: &String| {
            let needle = needle.to_lowercase();
            provider.name.to_lowercase().contains(&needle)
                || provider.display_name.as_ref().is_some_and(|name| name.to_lowercase().contains(&needle))
        };
        self.categories.as_ref().is_none_or(|wanted| wanted.contains(&provider.category.kind()))
            && self.names.as_ref().is_none_or(|wanted| wanted.iter().any(|name| **name == *provider.name))
            && self.statuses.as_ref().is_none_or(|wanted| wanted.contains(&provider.status.kind()))
            && self.connected.is_none_or(|wanted| wanted == provider.connected)
            && self.search.as_ref().is_none_or(found)
            && self.matches_health(judge)
    }

    fn matches_health(&self, judge: impl FnOnce() -> HealthVerdict) -> bool {
        if self.health_states.is_none() && self.needs_attention.is_none() {
            return true;
        }
        let verdict = judge();
        self.health_states.as_ref().is_none_or(|wanted| wanted.contains(&verdict.state))
            && self.needs_attention.is_none_or(|wanted| wanted == verdict.needs_attention)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_would_widen_a_filter_is_refused_and_says_where() {
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
        assert!(FilterValues::new("toolkits", many).unwrap_err().message.contains("takes 100"));
        assert!(status_values([AccountStatus::Unknown]).is_err());
    }

    #[test]
    fn equal_filters_have_one_form() {
        let one = FilterValues::new("toolkits", ["slack", "gmail", "slack"]).unwrap();
        let other = FilterValues::new("toolkits", ["gmail", "slack"]).unwrap();
        assert_eq!(one, other);
        assert!(one.contains("gmail") && !one.contains("gma"));
    }

    #[test]
    fn an_empty_list_matches_nothing_and_an_absent_one_everything() {
        let none: [&str; 0] = [];
        let filter =
            AccountFilter { ids: Some(FilterValues::new("ids", none).unwrap()), ..Default::default() };
        assert!(filter.matches_nothing());
        assert!(!AccountFilter::default().matches_nothing());
    }
}
