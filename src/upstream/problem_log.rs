//! What the log is logged_at of answers that hold what cannot be read: an upstream that changes its answers does so in each of them, and
//! a line for each read would be a flood.
//!
//! One line a minute for each set of rules says how much of what there was in one answer, and where the first is. The places are
//! logged_at at `debug`, and to whoever asks in the answer's own `extensions.switchboard.problems`.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::domain::problems::{ProblemRule, Problems};

/// How often the same is logged_at at most.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// How many problems of one answer are logged_at at `debug`: a megabyte of them is no reason for a megabyte of log.
const LOCATIONS_MAX: usize = 10;

/// What was logged_at when, by the rules that were broken.
#[derive(Debug, Default)]
pub(super) struct ProblemLog(Mutex<BTreeMap<Vec<ProblemRule>, Instant>>);

impl ProblemLog {
    /// Tells of an answer's problems, unless there are none or the same was logged_at a moment ago.
    pub(super) fn log(&self, problems: &Problems) {
        let rules: Vec<ProblemRule> = problems.counts().map(|(rule, _)| rule).collect();
        if rules.is_empty() {
            return;
        }
        let upstream = problems.upstream();
        for (path, rule, count) in problems.located().take(LOCATIONS_MAX) {
            let what = if rule.leaves_row_out() { "a row was left out" } else { "a value cannot be read" };
            tracing::debug!(%upstream, path, rule = rule.slug(), count, "{what}");
        }
        if self.is_due(rules) {
            let counts = problems.counts().map(|(rule, count)| format!("{} {count}", rule.slug()));
            tracing::warn!(
                %upstream,
                problems = counts.collect::<Vec<_>>().join(", "),
                rows_left_out = problems.rows_left_out(),
                first = problems.located().next().map(|(path, ..)| path),
                "an answer holds what cannot be read, or was not asked for"
            );
        }
    }

    fn is_due(&self, rules: Vec<ProblemRule>) -> bool {
        let mut logged_at = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let is_due = logged_at.get(&rules).is_none_or(|at| now.duration_since(*at) >= LOG_INTERVAL);
        if is_due {
            logged_at.insert(rules, now);
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::problems::ProblemLocation;
    use crate::domain::upstream_name::UpstreamName;
    use crate::telemetry::tests::logged;

    fn answer(rows: usize, rule: ProblemRule) -> Problems {
        let mut problems = Problems::none(UpstreamName::Composio);
        for row in 0..rows {
            problems.note(ProblemLocation { row: Some(row), field: "id" }, rule, 1);
        }
        problems
    }

    #[tokio::test(start_paused = true)]
    async fn the_same_is_one_line_a_minute_however_many_rows_and_reads_there_are() {
        let problem_log = ProblemLog::default();
        let read = |rule| logged(|| (0..50).for_each(|_| problem_log.log(&answer(5_000, rule))));
        let first = read(ProblemRule::Missing);
        assert_eq!(first.lines().count(), 1, "{first}");
        for word in ["WARN", "COMPOSIO", "missing 5000", "rows_left_out=5000", "items[0].id"] {
            assert!(first.contains(word), "{word}: {first}");
        }
        assert_eq!(read(ProblemRule::Missing), "");
        assert_eq!(read(ProblemRule::WrongType).lines().count(), 1, "something else");
        tokio::time::advance(LOG_INTERVAL).await;
        assert_eq!(read(ProblemRule::Missing).lines().count(), 1);
        assert_eq!(logged(|| problem_log.log(&answer(0, ProblemRule::Empty))), "");
    }
}
