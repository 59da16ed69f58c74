//! A list's rows, read one by one: each that cannot be read is one located problem, and not a lost page.
//!
//! A row gives its fields as what was found of them ([`Field`]), and [`FieldProblems`] makes values of those: what a row cannot be told
//! without ends it at the first field that is not as it must be, any other value is told as if it were missing.

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::lenient::{Field, Scopes, Text, Texts};
use super::object;
use super::repair::repair;
use crate::domain::problems::{ProblemLocation, ProblemRule, Problems};
use crate::domain::upstream_name::UpstreamName;

/// Something in a row that is not as it should be.
#[derive(Debug, Clone, Copy)]
pub(super) struct FieldProblem {
    field: &'static str,
    rule: ProblemRule,
    count: u64,
}

impl FieldProblem {
    pub(super) fn new(field: &'static str, rule: ProblemRule) -> Self {
        Self { field, rule, count: 1 }
    }
}

/// What reading a row has met that costs it values, and not itself.
#[derive(Debug, Default)]
pub(super) struct FieldProblems(Vec<FieldProblem>);

impl FieldProblems {
    /// A value that the row cannot be told without.
    pub(super) fn required<T>(field: &'static str, found: Field<T>) -> Result<T, FieldProblem> {
        match found {
            Field::Read(value) => Ok(value),
            Field::Absent => Err(FieldProblem::new(field, ProblemRule::Missing)),
            Field::Unreadable => Err(FieldProblem::new(field, ProblemRule::WrongType)),
        }
    }

    /// A value that may be missing, but where it is there decides what the row says: no guess is made of it.
    pub(super) fn required_if_present<T>(
        field: &'static str,
        found: Field<T>,
    ) -> Result<Option<T>, FieldProblem> {
        match found {
            Field::Unreadable => Err(FieldProblem::new(field, ProblemRule::WrongType)),
            other => Ok(other.read()),
        }
    }

    /// A value that may be missing.
    pub(super) fn optional<T>(&mut self, field: &'static str, found: Field<T>) -> Option<T> {
        self.otherwise(field, found, ProblemRule::UnreadableValue)
    }

    /// A text that may be missing.
    pub(super) fn text(&mut self, field: &'static str, found: Field<Text>) -> Option<Box<str>> {
        self.optional(field, found).map(|Text(text)| text)
    }

    /// A moment that may be missing.
    pub(super) fn timestamp(&mut self, field: &'static str, found: Field<Timestamp>) -> Option<Timestamp> {
        self.otherwise(field, found, ProblemRule::UnreadableTimestamp)
    }

    /// Scopes; none where they are missing.
    pub(super) fn scopes(&mut self, field: &'static str, found: Field<Scopes>) -> Vec<Box<str>> {
        let found = self.otherwise(field, found, ProblemRule::UnreadableScope).unwrap_or_default();
        self.add(field, ProblemRule::UnreadableScope, found.unreadable);
        found.scopes
    }

    /// Texts; none where they are missing.
    pub(super) fn texts(&mut self, field: &'static str, found: Field<Texts>) -> Vec<Box<str>> {
        let found = self.optional(field, found).unwrap_or_default();
        self.add(field, ProblemRule::UnreadableValue, found.unreadable);
        found.texts
    }

    /// A value that was found to be of another type.
    pub(super) fn unreadable(&mut self, field: &'static str) {
        self.add(field, ProblemRule::UnreadableValue, 1);
    }

    fn otherwise<T>(&mut self, field: &'static str, found: Field<T>, rule: ProblemRule) -> Option<T> {
        if matches!(found, Field::Unreadable) {
            self.add(field, rule, 1);
        }
        found.read()
    }

    fn add(&mut self, field: &'static str, rule: ProblemRule, count: u64) {
        if count > 0 {
            self.0.push(FieldProblem { field, rule, count });
        }
    }
}

/// Reads each row by itself, tells those that could be read and the problems of all.
pub(super) fn rows<W: DeserializeOwned, T>(
    upstream: UpstreamName,
    raw: &[&RawValue],
    read: impl Fn(W, &mut FieldProblems) -> Result<T, FieldProblem>,
) -> (Vec<T>, Problems) {
    let mut problems = Problems::none(upstream);
    let mut flaws = FieldProblems::default();
    let mut told = Vec::new();
    for (row, json) in raw.iter().enumerate() {
        let read = match object::<W>(json.get()) {
            Some(fields) => read(fields, &mut flaws),
            None => match repair(json.get()).as_deref().and_then(object::<W>) {
                Some(fields) => read(fields, &mut flaws),
                None => Err(FieldProblem::new("", ProblemRule::UnreadableRow)),
            },
        };
        match read {
            Ok(row) => told.push(row),
            Err(flaw) => {
                // What else is wrong with it is nothing that anybody is shown.
                flaws.0.clear();
                flaws.0.push(flaw);
            }
        }
        for FieldProblem { field, rule, count } in flaws.0.drain(..) {
            problems.note(ProblemLocation { row: Some(row), field }, rule, count);
        }
    }
    (told, problems)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Row {
        #[serde(default)]
        id: Field<Text>,
        #[serde(default)]
        at: Field<Timestamp>,
    }

    fn read(json: &str) -> (Vec<Box<str>>, Problems) {
        let raw: Vec<&RawValue> = serde_json::from_str(json).unwrap();
        rows(UpstreamName::Composio, &raw, |row: Row, flaws| {
            flaws.timestamp("at", row.at);
            FieldProblems::required("id", row.id).map(|Text(id)| id)
        })
    }

    #[test]
    fn a_value_that_cannot_be_held_costs_itself() {
        let (rows, problems) =
            read(r#"[{"id":"a","at":"\ud800","x":1e400},{"id":"b\udfff"},{"id":1e400},{"id":"c"}]"#);
        assert_eq!(rows.join(" "), "a c");
        let located: Vec<_> =
            problems.located().map(|(path, rule, count)| format!("{path} {} {count}", rule.slug())).collect();
        assert_eq!(
            located,
            ["items[0].at unreadable_timestamp 1", "items[1].id wrong_type 1", "items[2].id wrong_type 1"]
        );
    }

    #[test]
    fn a_row_that_is_left_out_is_one_problem_whatever_else_is_wrong_with_it() {
        let (rows, problems) = read(r#"[{"id":"a","at":"x"},{"at":"x"},{"id":[],"at":3},[],{"id":1},{}]"#);
        assert_eq!(rows.join(" "), "a 1");
        let located: Vec<_> =
            problems.located().map(|(path, rule, count)| format!("{path} {} {count}", rule.slug())).collect();
        assert_eq!(
            located,
            [
                "items[0].at unreadable_timestamp 1",
                "items[1].id missing 1",
                "items[2].id wrong_type 1",
                "items[3] unreadable_row 1",
                "items[5].id missing 1",
            ]
        );
        assert_eq!(problems.rows_left_out(), 4);
    }
}
