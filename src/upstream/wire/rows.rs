//! Decodes a list row by row. An unreadable row is a located problem and does not make the page unreadable.
//!
//! A row consists of [`Field`]s, which [`FieldProblems`] converts. If a required field is missing or unreadable, the
//! row is dropped. Any other unreadable field counts as missing.

use jiff::Timestamp;

use super::json::{JsonError, JsonReader};
use super::lenient::{Field, FromJson, Scopes, Text, Texts};
use crate::domain::problems::{ProblemLocation, ProblemRule, Problems};
use crate::domain::upstream_name::UpstreamName;

/// A field that is not as documented.
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

/// Problems of a row that concern single values.
#[derive(Debug, Default)]
pub(super) struct FieldProblems(Vec<FieldProblem>);

impl FieldProblems {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns a required value.
    pub(super) fn required<T>(field: &'static str, found: Field<T>) -> Result<T, FieldProblem> {
        match found {
            Field::Read(value) => Ok(value),
            Field::Absent => Err(FieldProblem::new(field, ProblemRule::Missing)),
            Field::Unreadable => Err(FieldProblem::new(field, ProblemRule::WrongType)),
        }
    }

    /// Returns an optional value.
    pub(super) fn optional<T>(&mut self, field: &'static str, found: Field<T>) -> Option<T> {
        self.otherwise(field, found, ProblemRule::UnreadableValue)
    }

    /// Returns an optional string.
    pub(super) fn text(&mut self, field: &'static str, found: Field<Text>) -> Option<Box<str>> {
        self.optional(field, found).map(|Text(text)| text)
    }

    /// Returns an optional timestamp.
    pub(super) fn timestamp(&mut self, field: &'static str, found: Field<Timestamp>) -> Option<Timestamp> {
        self.otherwise(field, found, ProblemRule::UnreadableTimestamp)
    }

    /// Returns scopes; empty if missing.
    pub(super) fn scopes(&mut self, field: &'static str, found: Field<Scopes>) -> Vec<Box<str>> {
        let found = self.otherwise(field, found, ProblemRule::UnreadableScope).unwrap_or_default();
        self.add(field, ProblemRule::UnreadableScope, found.unreadable);
        found.scopes
    }

    /// Returns strings; empty if missing.
    pub(super) fn texts(&mut self, field: &'static str, found: Field<Texts>) -> Vec<Box<str>> {
        let found = self.optional(field, found).unwrap_or_default();
        self.add(field, ProblemRule::UnreadableValue, found.unreadable);
        found.texts
    }

    /// Records a value of another type.
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

/// A row, or the problem for which it is left out; an error if the text is not JSON.
pub(super) type RowResult<T> = Result<Result<T, FieldProblem>, JsonError>;

/// Reads a row; `convert` makes it of the fields of an object.
pub(super) fn read_row<W: FromJson, T>(
    json: &mut JsonReader<'_>,
    problems: &mut FieldProblems,
    convert: impl FnOnce(W, &mut FieldProblems) -> Result<T, FieldProblem>,
) -> RowResult<T> {
    Ok(match json.field()? {
        Field::Read(fields) => convert(fields, problems),
        Field::Absent | Field::Unreadable => Err(FieldProblem::new("", ProblemRule::UnreadableRow)),
    })
}

/// The rows of a list.
pub(super) struct Rows<T> {
    /// The readable rows.
    pub(super) decoded: Vec<T>,
    /// The number of all rows.
    pub(super) sent: usize,
    /// The problems of all rows.
    pub(super) problems: Problems,
}

impl<T> Rows<T> {
    /// Reads a list; `convert` makes a row of the fields of an object.
    pub(super) fn read<W: FromJson>(
        json: &mut JsonReader<'_>,
        upstream: UpstreamName,
        mut convert: impl FnMut(W, &mut FieldProblems) -> Result<T, FieldProblem>,
    ) -> Result<Self, JsonError> {
        Self::read_each(json, upstream, |json, problems| read_row(json, problems, &mut convert))
    }

    /// Reads a list; `read` reads a row, as [`read_row`] does.
    pub(super) fn read_each(
        json: &mut JsonReader<'_>,
        upstream: UpstreamName,
        mut read: impl FnMut(&mut JsonReader<'_>, &mut FieldProblems) -> RowResult<T>,
    ) -> Result<Self, JsonError> {
        let mut rows = Self { decoded: Vec::new(), sent: 0, problems: Problems::none(upstream) };
        let mut row_problems = FieldProblems::default();
        json.list(|json| {
            match read(json, &mut row_problems)? {
                Ok(row) => rows.decoded.push(row),
                Err(problem) => {
                    // The row is left out, so its other problems are irrelevant.
                    row_problems.0.clear();
                    row_problems.0.push(problem);
                }
            }
            for FieldProblem { field, rule, count } in row_problems.0.drain(..) {
                rows.problems.note(ProblemLocation { row: Some(rows.sent), field }, rule, count);
            }
            rows.sent += 1;
            Ok(())
        })?;
        Ok(rows)
    }
}

#[cfg(test)]
mod tests {
    use super::super::json;
    use super::super::lenient::json_object;
    use super::*;

    json_object! {
        struct Row {
            id: Text = "id",
            at: Timestamp = "at",
        }
    }

    struct Page(Rows<Box<str>>);

    impl FromJson for Page {
        fn from_list(json: &mut JsonReader<'_>) -> Result<Option<Self>, JsonError> {
            let rows = Rows::read(json, UpstreamName::Composio, |row: Row, row_problems| {
                row_problems.timestamp("at", row.at);
                FieldProblems::required("id", row.id).map(|Text(id)| id)
            });
            rows.map(|rows| Some(Self(rows)))
        }
    }

    fn read(json: &str) -> (Vec<Box<str>>, Problems) {
        let Page(Rows { decoded, problems, .. }) = json::read(json).unwrap();
        (decoded, problems)
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
    fn a_skipped_row_is_exactly_one_problem() {
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
