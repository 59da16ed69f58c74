//! Logs responses with unreadable parts or with rows that the request did not match. An upstream that has changed its
//! format does so in each response, so one line per response would flood the log.
//!
//! At most once a minute for each set of broken rules, a warning states the counts of one response and the first
//! location. The first [`LOCATIONS_MAX`] locations of every response are logged at `debug`. Clients receive the
//! locations in `extensions.switchboard.problems`.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::domain::problems::{ProblemRule, Problems};

/// Minimum interval between two lines about the same rules.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// Maximum number of locations of one response that are logged at `debug`.
const LOCATIONS_MAX: usize = 10;

/// Time of the last line, by broken rules.
#[derive(Debug, Default)]
pub(super) struct ProblemLog(Mutex<BTreeMap<Vec<ProblemRule>, Instant>>);

impl ProblemLog {
    /// Logs the problems of a response; the warning only if none about the same rules was written within
    /// [`LOG_INTERVAL`].
    pub(super) fn log(&self, problems: &Problems) {
        let rules: Vec<ProblemRule> = problems.counts().map(|(rule, _)| rule).collect();
        if rules.is_empty() {
            return;
        }
        let upstream = problems.upstream();
        for (path, rule, count) in problems.located().take(LOCATIONS_MAX) {
            let message = if rule.leaves_row_out() { "row left out" } else { "value unreadable" };
            tracing::debug!(%upstream, path, rule = rule.slug(), count, "{message}");
        }
        if self.is_due(rules) {
            let counts = problems.counts().map(|(rule, count)| format!("{} {count}", rule.slug()));
            tracing::warn!(
                %upstream,
                problems = counts.collect::<Vec<_>>().join(", "),
                rows_left_out = problems.rows_left_out(),
                first = problems.located().next().map(|(path, ..)| path),
                "response has unreadable parts or rows that do not match the request"
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

    fn problems(rows: usize, rule: ProblemRule) -> Problems {
        let mut problems = Problems::none(UpstreamName::Composio);
        for row in 0..rows {
            problems.note(ProblemLocation { row: Some(row), field: "id" }, rule, 1);
        }
        problems
    }

    #[tokio::test(start_paused = true)]
    async fn the_same_rules_are_logged_once_a_minute() {
        let problem_log = ProblemLog::default();
        let read = |rule| logged(|| (0..50).for_each(|_| problem_log.log(&problems(5_000, rule))));
        let first = read(ProblemRule::Missing);
        assert_eq!(first.lines().count(), 1, "{first}");
        for word in ["WARN", "COMPOSIO", "missing 5000", "rows_left_out=5000", "items[0].id"] {
            assert!(first.contains(word), "{word}: {first}");
        }
        assert_eq!(read(ProblemRule::Missing), "");
        assert_eq!(read(ProblemRule::WrongType).lines().count(), 1, "another rule");
        tokio::time::advance(LOG_INTERVAL).await;
        assert_eq!(read(ProblemRule::Missing).lines().count(), 1);
        assert_eq!(logged(|| problem_log.log(&problems(0, ProblemRule::Empty))), "");
    }
}
