//! What of an upstream's answer could not be read, or was not what was asked for: located and counted, never quoted.
//!
//! A place is made of a row's number and of this layer's own names of fields, and a rule is one of a few words, so that nothing
//! that an upstream wrote can stand in a problem: a text for either, the rejected choice, would have to be watched in each
//! place that makes one. New fields, new words and optional fields that are missing are no problem.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::connection_state::PUBLIC_SETTINGS;
use super::upstream_name::UpstreamName;
use super::view::View;

/// How many problems of one answer are located, and how many an operation is told; of all others it learns the number.
pub const LOCATED_PROBLEMS_MAX: usize = 20;

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProblemRule {
    /// A field without which there is no row is not there: the row is left out.
    Missing,
    /// A field that a row cannot be told without is of another type: the row is left out.
    WrongType,
    /// A field that must say something is empty: the row is left out.
    Empty,
    /// What stands in a row's place is no object, or none that can be parsed: it is left out.
    UnreadableRow,
    /// The row is not what the filter asked for, or not the caller's to see: it is left out.
    NotInFilter,
    /// The value is no RFC 3339 moment, and told as null (UPSTREAMS.md B2).
    UnreadableTimestamp,
    /// An entry of a list of scopes that names none is left out of the list (UPSTREAMS.md B2).
    UnreadableScope,
    /// An optional value of another type is told as if it were missing.
    UnreadableValue,
}

impl ProblemRule {
    /// Its word, as answers and metrics tell it.
    #[must_use]
    pub fn slug(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::WrongType => "wrong_type",
            Self::Empty => "empty",
            Self::UnreadableRow => "unreadable_row",
            Self::NotInFilter => "not_in_filter",
            Self::UnreadableTimestamp => "unreadable_timestamp",
            Self::UnreadableScope => "unreadable_scope",
            Self::UnreadableValue => "unreadable_value",
        }
    }

    /// Whether it costs the row; else it costs the value alone.
    #[must_use]
    pub fn leaves_row_out(self) -> bool {
        match self {
            Self::Missing | Self::WrongType | Self::Empty | Self::UnreadableRow | Self::NotInFilter => true,
            Self::UnreadableTimestamp | Self::UnreadableScope | Self::UnreadableValue => false,
        }
    }

    /// Whether a view may learn of such a problem. A member sees LeadLex's rows and learns of problems with them, except for
    /// optional values: an unreadable one would reveal that a hidden value exists. It learns of no problem with Composio's
    /// rows, because an unreadable row cannot be checked for its owner.
    fn is_visible_to(self, view: &View, upstream: UpstreamName) -> bool {
        view.is_full() || (upstream == UpstreamName::Leadlex && self != Self::UnreadableValue)
    }
}

/// Where something is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProblemLocation {
    /// The row, counted from 0 as the upstream sent them; none where it is about several.
    pub row: Option<usize>,
    /// The field within it, by its known name; empty where it is about the row itself.
    pub field: &'static str,
}

impl ProblemLocation {
    /// `items[3].toolkit.slug`
    fn path(self, upstream: UpstreamName) -> String {
        let list = match upstream {
            UpstreamName::Leadlex => "data.providers",
            UpstreamName::Composio => "items",
        };
        let row = self.row.map_or_else(String::new, |row| format!("[{row}]"));
        let dot = if self.field.is_empty() { "" } else { "." };
        format!("{list}{row}{dot}{}", self.field)
    }
}

/// Where problems are, by name, besides the settings of a connection.
const FIELDS: [&str; 45] = [
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
    "name",
    "scopes",
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

/// The problems of one answer of an upstream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "StoredProblems", from = "StoredProblems")]
pub struct Problems {
    upstream: UpstreamName,
    /// The first ones that were met.
    located: BTreeMap<(ProblemLocation, ProblemRule), u64>,
    /// All.
    counts: BTreeMap<ProblemRule, u64>,
}

/// The problems of all the answers that a value was made of. FilterValues that were made of the same answer share them, which tells
/// an operation that it met them once.
pub type ProblemReports = Vec<Arc<Problems>>;

/// Problems as they are written down.
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
                .map(|((place, rule), count)| (place.row, place.field.into(), rule, count))
                .collect(),
            counts: problems.counts.into_iter().collect(),
        }
    }
}

impl From<StoredProblems> for Problems {
    /// A place that has no name here is another version's: it is counted, and not told.
    fn from(written: StoredProblems) -> Self {
        let known = |field: &str| {
            let settings = PUBLIC_SETTINGS.into_iter().map(|(_, place)| place);
            FIELDS.into_iter().chain(settings).find(|known| *known == field)
        };
        let place = |(row, field, rule, count): (_, Box<str>, _, _)| {
            Some(((ProblemLocation { row, field: known(&field)? }, rule), count))
        };
        Self {
            upstream: written.upstream,
            located: written.located.into_iter().filter_map(place).take(LOCATED_PROBLEMS_MAX).collect(),
            counts: written.counts.into_iter().collect(),
        }
    }
}

impl Problems {
    /// No problem so far.
    #[must_use]
    pub fn none(upstream: UpstreamName) -> Self {
        Self { upstream, located: BTreeMap::new(), counts: BTreeMap::new() }
    }

    /// Notes that something is wrong at a place, so many times.
    pub fn note(&mut self, place: ProblemLocation, rule: ProblemRule, count: u64) {
        *self.counts.entry(rule).or_default() += count;
        if self.located.len() < LOCATED_PROBLEMS_MAX || self.located.contains_key(&(place, rule)) {
            *self.located.entry((place, rule)).or_default() += count;
        }
    }

    /// Whose they are.
    #[must_use]
    pub fn upstream(&self) -> UpstreamName {
        self.upstream
    }

    /// How many there are of each rule.
    pub fn counts(&self) -> impl Iterator<Item = (ProblemRule, u64)> {
        self.counts.iter().map(|(rule, count)| (*rule, *count))
    }

    /// The first ones, as path, rule and number.
    pub fn located(&self) -> impl Iterator<Item = (String, ProblemRule, u64)> {
        self.located.iter().map(|((place, rule), count)| (place.path(self.upstream), *rule, *count))
    }

    /// How many rows they cost.
    #[must_use]
    pub fn rows_left_out(&self) -> u64 {
        self.counts().filter(|(rule, _)| rule.leaves_row_out()).map(|(_, count)| count).sum()
    }

    /// Them as what goes with a value: nothing where there are none.
    #[must_use]
    pub fn reports(self) -> ProblemReports {
        if self.counts.is_empty() { ProblemReports::new() } else { vec![Arc::new(self)] }
    }

    /// About how many bytes they take in memory.
    #[must_use]
    pub fn weight_bytes(&self) -> usize {
        let (located, counts) =
            (size_of::<(ProblemLocation, ProblemRule, u64)>(), size_of::<(ProblemRule, u64)>());
        size_of::<Self>() + self.located.len() * located + self.counts.len() * counts
    }

    /// Those that a view is told, by place, and how many of them have none.
    fn visible_to(&self, view: &View) -> (impl Iterator<Item = (ProblemLocation, ProblemRule, u64)>, u64) {
        let is_seen = |rule: ProblemRule| rule.is_visible_to(view, self.upstream);
        let located = self.located.iter().map(|((place, rule), count)| (*place, *rule, *count));
        let located: Vec<_> = located.filter(|(_, rule, _)| is_seen(*rule)).collect();
        let all: u64 = self.counts().filter(|(rule, _)| is_seen(*rule)).map(|(_, count)| count).sum();
        let placed = located.iter().map(|(_, _, count)| count).sum();
        (located.into_iter(), all.saturating_sub(placed))
    }
}

/// A problem as a client is told it.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// `LEADLEX` or `COMPOSIO`.
    pub upstream: String,
    /// Where, in the upstream's answer.
    pub path: String,
    /// [`ProblemRule::slug`].
    pub rule: &'static str,
    /// How many times.
    pub count: u64,
}

/// The problems of all that one operation was made of.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ProblemSummary {
    /// The first of them, ordered by upstream, row, field and rule.
    pub problems: Vec<Problem>,
    /// How many more there are.
    pub more: u64,
}

/// What a view is told of the problems of several answers. Of two answers with the same problem the counts are added; an answer
/// that is met twice counts once. The order is always the same, whichever way they were read.
#[must_use]
pub fn summarize<'p>(view: &View, reports: impl IntoIterator<Item = &'p Arc<Problems>>) -> ProblemSummary {
    let (mut met, mut merged, mut more) = (HashSet::new(), BTreeMap::new(), 0);
    for problems in reports {
        if !met.insert(Arc::as_ptr(problems)) {
            continue;
        }
        let (located, unplaced) = problems.visible_to(view);
        for (place, rule, count) in located {
            *merged.entry((problems.upstream, place, rule)).or_default() += count;
        }
        more += unplaced;
    }
    let mut merged = merged.into_iter().map(|((upstream, place, rule), count)| Problem {
        upstream: upstream.to_string(),
        path: place.path(upstream),
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
    fn problems_are_merged_and_told_in_one_order_whichever_way_they_were_met() {
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
            // What was met twice is one answer still.
            let summary = summarize(&View::FULL, order.into_iter().chain([&accounts]));
            assert_eq!(lines(&summary), expected);
            assert_eq!(summary.more, 0);
        }
    }

    #[test]
    fn of_many_the_first_are_located_and_all_are_counted() {
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
    fn a_member_learns_nothing_of_composio_and_nothing_of_values_that_it_does_not_see() {
        let composio = of(UpstreamName::Composio, &[(Some(1), "id", ProblemRule::Missing, 1)]);
        let mut hidden: Vec<_> =
            (0..30).map(|row| (Some(row), "error_message", ProblemRule::UnreadableValue, 1)).collect();
        hidden.push((Some(2), "", ProblemRule::UnreadableRow, 1));
        let leadlex = of(UpstreamName::Leadlex, &hidden);
        let member = View::of(&Role::Member(MemberId::new("user_1").unwrap()));
        let summary = summarize(&member, [&composio, &leadlex]);
        // That one was past those that are located.
        assert_eq!((lines(&summary), summary.more), (vec![], 1));
    }

    #[test]
    fn every_rule_has_a_word_of_its_own() {
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
