//! Problems with an upstream's response: unreadable or unexpected rows and values, located and counted but never
//! quoted.
//!
//! A location consists of a row number and one of this layer's own field names, and a rule is an enum, so a problem
//! cannot contain text from an upstream. Rejected: free text, which would have to be checked wherever a problem is
//! recorded. New fields, new enum values and missing optional fields are not problems.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::connection_state::PUBLIC_SETTINGS;
use super::text_enum::text_enum;
use super::upstream_name::UpstreamName;
use super::view::View;

/// Maximum number of located problems, in one response and in one operation. All others are only counted.
pub const LOCATED_PROBLEMS_MAX: usize = 20;

text_enum! {
    /// The kind of a problem.
    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    pub enum ProblemRule {
        /// A required field is missing; the row is dropped.
        Missing = "missing",
        /// A required field has another type; the row is dropped.
        WrongType = "wrong_type",
        /// A required field is empty; the row is dropped.
        Empty = "empty",
        /// The row is not an object or cannot be parsed; it is dropped.
        UnreadableRow = "unreadable_row",
        /// The row does not match the filter, or the caller may not see it; it is dropped.
        NotInFilter = "not_in_filter",
        /// The value is not an RFC 3339 timestamp and is returned as null (docs/upstreams.md#leadlex-open-questions).
        UnreadableTimestamp = "unreadable_timestamp",
        /// An entry of a list of scopes is not a scope and is dropped from the list
        /// (docs/upstreams.md#leadlex-open-questions).
        UnreadableScope = "unreadable_scope",
        /// An optional value has another type and is treated as missing.
        UnreadableValue = "unreadable_value",
    }

    /// Returns the rule as responses and metrics spell it.
    pub fn slug;
}

impl ProblemRule {
    /// Whether the row is dropped; otherwise only the value is.
    pub(crate) fn leaves_row_out(self) -> bool {
        match self {
            Self::Missing | Self::WrongType | Self::Empty | Self::UnreadableRow | Self::NotInFilter => true,
            Self::UnreadableTimestamp | Self::UnreadableScope | Self::UnreadableValue => false,
        }
    }

    /// Whether such a problem is visible in a view. A member sees LeadLex's rows and their problems, except unreadable
    /// optional values, which would reveal that a hidden value exists. A member sees no problems of Composio's rows,
    /// because the owner of an unreadable row is unknown.
    fn is_visible_to(self, view: &View, upstream: UpstreamName) -> bool {
        view.is_full() || (upstream == UpstreamName::Leadlex && self != Self::UnreadableValue)
    }
}

/// The location of a problem in an upstream's response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProblemLocation {
    /// The row's index in the response; `None` if the problem concerns several rows or the response itself.
    pub row: Option<usize>,
    /// The field within the row, or of the response; empty if the problem concerns the whole row.
    pub field: &'static str,
}

impl ProblemLocation {
    /// Several rows of a response, without their indices.
    pub const SEVERAL_ROWS: Self = Self { row: None, field: "" };

    /// `items[3].toolkit.slug`
    fn path(self, upstream: UpstreamName) -> String {
        if self.row.is_none() && !self.field.is_empty() {
            return self.field.to_owned();
        }
        let list = match upstream {
            UpstreamName::Leadlex => "data.providers",
            UpstreamName::Composio => "items",
        };
        let row = self.row.map_or_else(String::new, |row| format!("[{row}]"));
        let dot = if self.field.is_empty() { "" } else { "." };
        format!("{list}{row}{dot}{}", self.field)
    }
}

/// The fields that a problem can be located at, besides the settings of a connection.
const FIELDS: [&str; 51] = [
    "",
    "account_id",
    "alias",
    "auth_config",
    "auth_config.auth_scheme",
    "auth_config.deprecated",
    "auth_config.deprecated.uuid",
    "auth_config.id",
    "auth_config.is_composio_managed",
    "auth_config.is_disabled",
    "category",
    "connected",
    "connected_at",
    "created_at",
    "deprecated",
    "deprecated.labels",
    "deprecated.uuid",
    "display_name",
    "error_message",
    "experimental",
    "experimental.account_type",
    "id",
    "is_disabled",
    "last_sync_at",
    "meta",
    "meta.categories",
    "meta.description",
    "meta.logo",
    "name",
    "next_cursor",
    "scopes",
    "slug",
    "state",
    "state.authScheme",
    "state.val",
    "state.val.error",
    "state.val.error_description",
    "state.val.expired_at",
    "state.val.expires_at",
    "state.val.revoked_at",
    "state.val.scope",
    "state.val.status",
    "state.val.token_type",
    "status",
    "status_reason",
    "test_request_endpoint",
    "toolkit",
    "toolkit.slug",
    "updated_at",
    "user_id",
    "word_id",
];

/// The problems with one upstream response.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "StoredProblems", from = "StoredProblems")]
pub struct Problems {
    upstream: UpstreamName,
    /// The first problems.
    located: BTreeMap<(ProblemLocation, ProblemRule), u64>,
    /// The number of all problems.
    counts: BTreeMap<ProblemRule, u64>,
}

/// The problems of all responses from which a value was made. Values from the same response share its problems, so that
/// an operation counts them once.
pub type ProblemReports = Vec<Arc<Problems>>;

/// The serialized form of [`Problems`].
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredProblems {
    upstream: UpstreamName,
    located: Vec<(Option<usize>, Box<str>, ProblemRule, u64)>,
    counts: Vec<(ProblemRule, u64)>,
}

impl From<Problems> for StoredProblems {
    fn from(problems: Problems) -> Self {
        let located = problems.located.into_iter();
        Self {
            upstream: problems.upstream,
            located: located
                .map(|((location, rule), count)| (location.row, location.field.into(), rule, count))
                .collect(),
            counts: problems.counts.into_iter().collect(),
        }
    }
}

impl From<StoredProblems> for Problems {
    /// A location that this version does not know comes from another version. It is counted but not located.
    fn from(stored: StoredProblems) -> Self {
        let known_field = |field: &str| {
            let settings = PUBLIC_SETTINGS.into_iter().map(|(_, location)| location);
            FIELDS.into_iter().chain(settings).find(|name| *name == field)
        };
        let location = |(row, field, rule, count): (_, Box<str>, _, _)| {
            Some(((ProblemLocation { row, field: known_field(&field)? }, rule), count))
        };
        Self {
            upstream: stored.upstream,
            located: stored.located.into_iter().filter_map(location).take(LOCATED_PROBLEMS_MAX).collect(),
            counts: stored.counts.into_iter().collect(),
        }
    }
}

impl Problems {
    /// Creates an empty set of problems.
    #[must_use]
    pub fn none(upstream: UpstreamName) -> Self {
        Self { upstream, located: BTreeMap::new(), counts: BTreeMap::new() }
    }

    /// Records a problem at a location, `count` times.
    pub fn note(&mut self, location: ProblemLocation, rule: ProblemRule, count: u64) {
        *self.counts.entry(rule).or_default() += count;
        if self.located.len() < LOCATED_PROBLEMS_MAX || self.located.contains_key(&(location, rule)) {
            *self.located.entry((location, rule)).or_default() += count;
        }
    }

    /// Returns the upstream whose response has the problems.
    #[must_use]
    pub fn upstream(&self) -> UpstreamName {
        self.upstream
    }

    /// Returns the number of problems by rule.
    pub fn counts(&self) -> impl Iterator<Item = (ProblemRule, u64)> {
        self.counts.iter().map(|(rule, count)| (*rule, *count))
    }

    /// Returns the first problems: path, rule and number.
    pub fn located(&self) -> impl Iterator<Item = (String, ProblemRule, u64)> {
        self.located.iter().map(|((location, rule), count)| (location.path(self.upstream), *rule, *count))
    }

    /// Returns the number of dropped rows.
    #[must_use]
    pub fn rows_left_out(&self) -> u64 {
        self.counts().filter(|(rule, _)| rule.leaves_row_out()).map(|(_, count)| count).sum()
    }

    /// Converts them to reports; empty if there are no problems.
    #[must_use]
    pub fn reports(self) -> ProblemReports {
        if self.counts.is_empty() { ProblemReports::new() } else { vec![Arc::new(self)] }
    }

    /// Returns the approximate memory use in bytes.
    pub(crate) fn weight_bytes(&self) -> usize {
        let (located, counts) =
            (size_of::<(ProblemLocation, ProblemRule, u64)>(), size_of::<(ProblemRule, u64)>());
        size_of::<Self>() + self.located.len() * located + self.counts.len() * counts
    }

    /// Returns the located problems that a view may include, and the number of those without a location.
    fn visible_to(&self, view: &View) -> (impl Iterator<Item = (ProblemLocation, ProblemRule, u64)>, u64) {
        let is_visible = |rule: ProblemRule| rule.is_visible_to(view, self.upstream);
        let located = self.located.iter().map(|((location, rule), count)| (*location, *rule, *count));
        let located: Vec<_> = located.filter(|(_, rule, _)| is_visible(*rule)).collect();
        let all: u64 = self.counts().filter(|(rule, _)| is_visible(*rule)).map(|(_, count)| count).sum();
        let located_count = located.iter().map(|(_, _, count)| count).sum();
        (located.into_iter(), all.saturating_sub(located_count))
    }
}

/// A problem as clients receive it.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// `LEADLEX` or `COMPOSIO`.
    pub upstream: String,
    /// The path in the upstream's response.
    pub path: String,
    /// [`ProblemRule::slug`].
    pub rule: &'static str,
    /// The number of occurrences.
    pub count: u64,
}

/// The problems of one operation.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ProblemSummary {
    /// The first problems, ordered by upstream, row, field and rule.
    pub problems: Vec<Problem>,
    /// The number of further problems.
    pub more: u64,
}

/// Merges the problems of several responses that are visible in a view. Equal problems of two responses are added up; a
/// response that occurs twice counts once. The result does not depend on the order of the reports.
pub(crate) fn summarize<'p>(
    view: &View,
    reports: impl IntoIterator<Item = &'p Arc<Problems>>,
) -> ProblemSummary {
    let (mut seen, mut merged, mut more) = (HashSet::new(), BTreeMap::new(), 0);
    for problems in reports {
        if !seen.insert(Arc::as_ptr(problems)) {
            continue;
        }
        let (located, unlocated) = problems.visible_to(view);
        for (location, rule, count) in located {
            *merged.entry((problems.upstream, location, rule)).or_default() += count;
        }
        more += unlocated;
    }
    let mut merged = merged.into_iter().map(|((upstream, location, rule), count)| Problem {
        upstream: upstream.to_string(),
        path: location.path(upstream),
        rule: rule.slug(),
        count,
    });
    let problems = merged.by_ref().take(LOCATED_PROBLEMS_MAX).collect();
    ProblemSummary { problems, more: more + merged.map(|problem| problem.count).sum::<u64>() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::role::{MemberId, Role};

    fn of(
        upstream: UpstreamName,
        noted: &[(Option<usize>, &'static str, ProblemRule, u64)],
    ) -> Arc<Problems> {
        let mut problems = Problems::none(upstream);
        for (row, field, rule, count) in noted {
            problems.note(ProblemLocation { row: *row, field }, *rule, *count);
        }
        Arc::new(problems)
    }

    fn lines(summary: &ProblemSummary) -> Vec<String> {
        let line = |problem: &Problem| {
            format!("{} {} {} {}", problem.upstream, problem.path, problem.rule, problem.count)
        };
        summary.problems.iter().map(line).collect()
    }

    #[test]
    fn problems_are_merged_in_one_order() {
        let accounts = of(
            UpstreamName::Composio,
            &[
                (Some(10), "id", ProblemRule::Missing, 1),
                (Some(2), "toolkit.slug", ProblemRule::WrongType, 1),
                (None, "", ProblemRule::NotInFilter, 3),
                (Some(2), "", ProblemRule::UnreadableRow, 1),
            ],
        );
        let further = of(UpstreamName::Composio, &[(Some(10), "id", ProblemRule::Missing, 1)]);
        let providers = of(UpstreamName::Leadlex, &[(Some(0), "scopes", ProblemRule::UnreadableScope, 2)]);
        let expected = [
            "LEADLEX data.providers[0].scopes unreadable_scope 2",
            "COMPOSIO items not_in_filter 3",
            "COMPOSIO items[2] unreadable_row 1",
            "COMPOSIO items[2].toolkit.slug wrong_type 1",
            "COMPOSIO items[10].id missing 2",
        ];
        for order in [[&accounts, &further, &providers], [&providers, &further, &accounts]] {
            // A response that occurs twice counts once.
            let summary = summarize(&View::FULL, order.into_iter().chain([&accounts]));
            assert_eq!(lines(&summary), expected);
            assert_eq!(summary.more, 0);
        }
    }

    #[test]
    fn the_first_problems_are_located_and_all_are_counted() {
        let many: Vec<_> = (0..5_000).map(|row| (Some(row), "id", ProblemRule::Missing, 1)).collect();
        let (one, other) = (
            of(UpstreamName::Composio, &many),
            of(UpstreamName::Leadlex, &[(None, "", ProblemRule::Empty, 7)]),
        );
        assert!(one.weight_bytes() < 4_096);
        assert_eq!(one.rows_left_out(), 5_000);
        let summary = summarize(&View::FULL, [&one, &other]);
        assert_eq!(summary.problems.len(), LOCATED_PROBLEMS_MAX);
        let located: u64 = summary.problems.iter().map(|problem| problem.count).sum();
        assert_eq!(located + summary.more, 5_007);
    }

    #[test]
    fn a_member_sees_no_problems_of_composio_or_of_hidden_values() {
        let composio = of(UpstreamName::Composio, &[(Some(1), "id", ProblemRule::Missing, 1)]);
        let mut hidden: Vec<_> =
            (0..30).map(|row| (Some(row), "error_message", ProblemRule::UnreadableValue, 1)).collect();
        hidden.push((Some(2), "", ProblemRule::UnreadableRow, 1));
        let leadlex = of(UpstreamName::Leadlex, &hidden);
        let member = View::of(&Role::Member(MemberId::new("user_1").unwrap()));
        let summary = summarize(&member, [&composio, &leadlex]);
        // Its problem is past those that are located.
        assert_eq!((lines(&summary), summary.more), (vec![], 1));
    }

    #[test]
    fn every_rule_has_its_own_slug() {
        let rules = [
            ProblemRule::Missing,
            ProblemRule::WrongType,
            ProblemRule::Empty,
            ProblemRule::UnreadableRow,
            ProblemRule::NotInFilter,
            ProblemRule::UnreadableTimestamp,
            ProblemRule::UnreadableScope,
            ProblemRule::UnreadableValue,
        ];
        let slugs: HashSet<_> = rules.into_iter().map(ProblemRule::slug).collect();
        assert_eq!(slugs.len(), rules.len());
    }
}
