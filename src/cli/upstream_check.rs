//! What one call to an upstream tells about key, permission, clock, quota and version, in plain words.

use crate::domain::upstream_name::UpstreamName;
use crate::upstream::error::{UpstreamError, UpstreamFailure};
use crate::upstream::probe::ProbeReport;

/// How far the two clocks may differ: more than a slow answer and a rounded header explain.
const CLOCK_SECONDS: i64 = 60;

/// What is to be said of an upstream.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum CheckResult {
    /// It answers, with this to tell.
    Fine(String),
    /// It was not asked, for this reason.
    NotAsked(String),
    /// It cannot be used well, for these reasons.
    Wrong(String),
}

impl CheckResult {
    /// The line that `check` prints of an upstream.
    pub(super) fn line_of(&self, upstream: UpstreamName) -> String {
        self.line(name(upstream))
    }

    /// The line that `check` prints.
    pub(super) fn line(&self, subject: &str) -> String {
        let (word, text) = match self {
            Self::Fine(text) => ("ok", text),
            Self::NotAsked(text) => ("-", text),
            Self::Wrong(text) => ("WRONG", text),
        };
        format!("{subject:<9} {word:<6} {text}").trim_end().to_owned()
    }
}

fn name(upstream: UpstreamName) -> &'static str {
    match upstream {
        UpstreamName::Leadlex => "LeadLex",
        UpstreamName::Composio => "Composio",
    }
}

/// Judges what one call gave.
pub(super) fn upstream_check(
    upstream: UpstreamName,
    probed: &Result<ProbeReport, UpstreamError>,
    callers_bring_keys: bool,
) -> CheckResult {
    match probed {
        Ok(report) => of_answer(report),
        Err(error) if error.failure == UpstreamFailure::NoCredential && callers_bring_keys => {
            CheckResult::NotAsked("not asked: there is no key here, callers bring their own".to_owned())
        }
        Err(error) => CheckResult::Wrong(of_failure(upstream, error)),
    }
}

fn of_answer(report: &ProbeReport) -> CheckResult {
    let mut wrong = Vec::new();
    if let Some(date) = report.date {
        let ahead = report.local_date.as_second().saturating_sub(date.as_second());
        if ahead.abs() > CLOCK_SECONDS {
            let side = if ahead > 0 { "ahead of" } else { "behind" };
            let seconds = grouped(ahead.unsigned_abs());
            wrong.push(format!("the clock here is {seconds} s {side} its clock: set it right"));
        }
    }
    if report.problems > 0 {
        wrong.push(format!("{} of its items cannot be read: its version may have changed", report.problems));
    }
    let quota = quota(report);
    match (report.remaining, report.limit) {
        (Some(0), _) => wrong.push(format!("no calls are left: {quota}")),
        (Some(left), Some(limit)) if left < limit.div_ceil(20) => {
            wrong.push(format!("few calls are left: {quota}"));
        }
        _ if wrong.is_empty() => return CheckResult::Fine(quota),
        _ => {}
    }
    if let Some(id) = &report.request_id {
        wrong.push(format!("request {id}"));
    }
    CheckResult::Wrong(wrong.join("; "))
}

/// The quota as far as the upstream tells it: nothing, where it tells nothing (an unmetered key).
fn quota(report: &ProbeReport) -> String {
    let Some(remaining) = report.remaining else { return String::new() };
    let mut words = format!("quota {}", grouped(remaining));
    if let Some(limit) = report.limit {
        words.push_str(&format!(" of {}", grouped(limit)));
    }
    words.push_str(" left");
    if let Some(moment) = report.resets_at {
        words.push_str(&format!(" until {moment}"));
    }
    words
}

fn of_failure(upstream: UpstreamName, error: &UpstreamError) -> String {
    let section = match upstream {
        UpstreamName::Leadlex => "upstream.leadlex",
        UpstreamName::Composio => "upstream.composio",
    };
    let mut words = match error.failure {
        UpstreamFailure::NoCredential => format!("there is no key: set {section}.api_key"),
        UpstreamFailure::Unauthorized => format!("the key was refused (401): set {section}.api_key"),
        UpstreamFailure::Forbidden => match upstream {
            UpstreamName::Leadlex => "the key lacks a permission (403): give it read:settings".to_owned(),
            UpstreamName::Composio => "the key may not list connected accounts (403)".to_owned(),
        },
        UpstreamFailure::RateLimited => match error.retry_after {
            Some(wait) => {
                format!("the quota is used up (429): it asks to wait {} s", grouped(wait.as_secs().max(1)))
            }
            None => "the quota is used up (429)".to_owned(),
        },
        UpstreamFailure::Timeout | UpstreamFailure::DeadlineExceeded => {
            format!("no answer within {section}.timeout_ms")
        }
        UpstreamFailure::Unavailable => match error.status {
            Some(status) => format!("it is down: it answered {status}"),
            None => format!("it cannot be reached: is {section}.base_url right, and the network up?"),
        },
        UpstreamFailure::Rejected => match error.status {
            Some(404) => format!("no such API there (404): is {section}.base_url right?"),
            Some(status) => format!("it refused the request ({status}): its version may have changed"),
            None => "it refused the request: its version may have changed".to_owned(),
        },
        UpstreamFailure::BadResponse => {
            format!("it answered something else than its API does: is {section}.base_url right?")
        }
        UpstreamFailure::Internal => "its answer met a fault of Switchboard's own".to_owned(),
    };
    if let Some(slug) = &error.slug {
        words.push_str(&format!("; code {slug}"));
    }
    if let Some(id) = &error.request_id {
        words.push_str(&format!("; request {id}"));
    }
    words
}

/// A number with a comma between every three digits.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    /// An answer at noon, by the clock here.
    fn report(date: &str, remaining: Option<u64>) -> Result<ProbeReport, UpstreamError> {
        Ok(ProbeReport {
            date: Some(at(date)),
            local_date: at("2026-11-21T12:00:00Z"),
            limit: remaining.and(Some(10_000)),
            remaining,
            resets_at: remaining.and(Some(at("2026-11-22T00:00:00Z"))),
            request_id: Some("req_1".into()),
            problems: 0,
        })
    }

    fn leadlex(probed: &Result<ProbeReport, UpstreamError>) -> String {
        upstream_check(UpstreamName::Leadlex, probed, false).line_of(UpstreamName::Leadlex)
    }

    #[test]
    fn an_upstream_that_answers_well_is_ok_with_its_quota() {
        let line = leadlex(&report("2026-11-21T12:00:58Z", Some(9_873)));
        assert_eq!(line, "LeadLex   ok     quota 9,873 of 10,000 left until 2026-11-22T00:00:00Z");
        assert_eq!(leadlex(&report("2026-11-21T12:00:00Z", None)), "LeadLex   ok");
        // Composio tells no moment, only how long a window is.
        let mut minute = report("2026-11-21T12:00:00Z", Some(9_999)).unwrap();
        minute.resets_at = None;
        assert_eq!(leadlex(&Ok(minute)), "LeadLex   ok     quota 9,999 of 10,000 left");
    }

    #[test]
    fn items_that_cannot_be_read_hint_at_another_version() {
        let mut strange = report("2026-11-21T12:00:00Z", None).unwrap();
        strange.problems = 3;
        assert!(leadlex(&Ok(strange)).contains("WRONG  3 of its items cannot be read"));
    }

    #[test]
    fn a_clock_that_is_off_is_wrong_on_either_side() {
        let line = leadlex(&report("2026-11-21T11:00:00Z", Some(9_000)));
        assert_eq!(
            line,
            "LeadLex   WRONG  the clock here is 3,600 s ahead of its clock: set it right; request req_1"
        );
        assert!(leadlex(&report("2026-11-21T12:01:01Z", None)).contains("61 s behind its clock"));
    }

    #[test]
    fn a_quota_that_is_used_up_or_nearly_is_wrong() {
        let date = "2026-11-21T12:00:00Z";
        assert!(leadlex(&report(date, Some(0))).contains("WRONG  no calls are left: quota 0 of 10,000"));
        assert!(leadlex(&report(date, Some(499))).contains("WRONG  few calls are left: quota 499 of 10,000"));
        assert!(leadlex(&report(date, Some(500))).contains(" ok "));
    }

    #[test]
    fn every_failure_says_what_to_do() {
        let line = |upstream, failure, status: Option<u16>| {
            let mut error = UpstreamError::new(upstream, failure).caused_by("x-api-key: ak_canary");
            error.status = status;
            let line = upstream_check(upstream, &Err(error), false).line_of(upstream);
            assert!(!line.contains("canary"), "{line}");
            line
        };
        use UpstreamFailure as F;
        use UpstreamName::{Composio, Leadlex};
        assert_eq!(
            line(Composio, F::Unauthorized, Some(401)),
            "Composio  WRONG  the key was refused (401): set upstream.composio.api_key"
        );
        for (upstream, failure, status, words) in [
            (Leadlex, F::NoCredential, None, "there is no key: set upstream.leadlex.api_key"),
            (Leadlex, F::Forbidden, Some(403), "give it read:settings"),
            (Composio, F::Forbidden, Some(403), "may not list connected accounts"),
            (Leadlex, F::RateLimited, Some(429), "the quota is used up (429)"),
            (Leadlex, F::Timeout, None, "no answer within upstream.leadlex.timeout_ms"),
            (Leadlex, F::Unavailable, None, "cannot be reached: is upstream.leadlex.base_url right"),
            (Leadlex, F::Unavailable, Some(503), "it answered 503"),
            (Composio, F::Rejected, Some(404), "no such API there (404)"),
            (Composio, F::Rejected, Some(422), "its version may have changed"),
            (Composio, F::BadResponse, Some(200), "something else than its API does"),
        ] {
            let line = line(upstream, failure, status);
            assert!(line.contains(" WRONG ") && line.contains(words), "{line}");
        }
    }

    #[test]
    fn a_missing_key_is_nothing_wrong_where_callers_bring_theirs() {
        let missing = Err(UpstreamError::new(UpstreamName::Composio, UpstreamFailure::NoCredential));
        let said = upstream_check(UpstreamName::Composio, &missing, true);
        assert!(said.line_of(UpstreamName::Composio).starts_with("Composio  -      not asked"), "{said:?}");
    }
}
