//! The line of `switchboard check` for one upstream: key, permission, clock, quota and API version, from a single call.

use crate::domain::upstream_name::UpstreamName;
use crate::upstream::connection_failure::ConnectionFailure;
use crate::upstream::error::{UpstreamError, UpstreamFailure};
use crate::upstream::probe::ProbeReport;

/// Tolerated difference of the two clocks; a slow response and rounding explain less.
const CLOCK_TOLERANCE_SECONDS: i64 = 60;

/// The result of one check.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum CheckResult {
    /// Usable, with details.
    Ok(String),
    /// Not called, with the reason.
    Skipped(String),
    /// Not usable, with the reasons.
    Failed(String),
}

impl CheckResult {
    /// Returns the line that `check` prints for an upstream.
    pub(super) fn line_of(&self, upstream: UpstreamName) -> String {
        self.line(name(upstream))
    }

    /// Returns the line that `check` prints.
    pub(super) fn line(&self, subject: &str) -> String {
        let (word, text) = match self {
            Self::Ok(text) => ("ok", text),
            Self::Skipped(text) => ("-", text),
            Self::Failed(text) => ("WRONG", text),
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

/// Evaluates the result of one call.
pub(super) fn upstream_check(
    upstream: UpstreamName,
    probed: &Result<ProbeReport, UpstreamError>,
    callers_bring_keys: bool,
) -> CheckResult {
    match probed {
        Ok(report) => check_report(report),
        Err(error) if error.failure == UpstreamFailure::NoCredential && callers_bring_keys => {
            CheckResult::Skipped("not called: no key is configured, callers bring their own".to_owned())
        }
        Err(error) => CheckResult::Failed(failure_text(upstream, error)),
    }
}

/// Evaluates the write that changes nothing, for `[actions]`.
pub(super) fn write_check(probed: &Result<(), UpstreamError>) -> CheckResult {
    match probed {
        Ok(()) => CheckResult::Ok(String::new()),
        Err(error) if error.failure == UpstreamFailure::Forbidden => CheckResult::Failed(
            "the Composio key may only read (403): grant it writing of connected accounts, or set actions.enabled = false"
                .to_owned(),
        ),
        Err(error) => CheckResult::Failed(failure_text(UpstreamName::Composio, error)),
    }
}

fn check_report(report: &ProbeReport) -> CheckResult {
    let mut problems = Vec::new();
    if let Some(date) = report.date {
        let ahead = report.local_date.as_second().saturating_sub(date.as_second());
        if ahead.abs() > CLOCK_TOLERANCE_SECONDS {
            let relation = if ahead > 0 { "ahead of" } else { "behind" };
            let seconds = with_separators(ahead.unsigned_abs());
            problems
                .push(format!("the clock of this machine is {seconds} s {relation} its clock: correct it"));
        }
    }
    if report.problems > 0 {
        problems.push(format!(
            "{} of its items cannot be decoded: the version of its API may have changed",
            report.problems
        ));
    }
    let quota = quota(report);
    match (report.remaining, report.limit) {
        (Some(0), _) => problems.push(format!("its rate limit is exhausted: {quota}")),
        (Some(left), Some(limit)) if left < limit.div_ceil(20) => {
            problems.push(format!("its rate limit is nearly exhausted: {quota}"));
        }
        _ if problems.is_empty() => return CheckResult::Ok(quota),
        _ => {}
    }
    if let Some(id) = &report.request_id {
        problems.push(format!("request {id}"));
    }
    CheckResult::Failed(problems.join("; "))
}

/// Returns the quota in the response's headers; empty without such headers (an unmetered key).
fn quota(report: &ProbeReport) -> String {
    let Some(remaining) = report.remaining else { return String::new() };
    let mut text = format!("quota {}", with_separators(remaining));
    if let Some(limit) = report.limit {
        text.push_str(&format!(" of {}", with_separators(limit)));
    }
    text.push_str(" left");
    if let Some(moment) = report.resets_at {
        text.push_str(&format!(" until {moment}"));
    }
    text
}

fn failure_text(upstream: UpstreamName, error: &UpstreamError) -> String {
    let section = match upstream {
        UpstreamName::Leadlex => "upstream.leadlex",
        UpstreamName::Composio => "upstream.composio",
    };
    let mut text = match error.failure {
        UpstreamFailure::NoCredential => format!("no key is configured: set {section}.api_key"),
        UpstreamFailure::Unauthorized => format!("the key was refused (401): set {section}.api_key"),
        UpstreamFailure::Forbidden => match upstream {
            UpstreamName::Leadlex => "the key lacks a permission (403): grant it read:settings".to_owned(),
            UpstreamName::Composio => {
                "the key may not list connected accounts (403): use a key of the project".to_owned()
            }
        },
        UpstreamFailure::RateLimited => match error.retry_after {
            Some(wait) => {
                format!(
                    "the rate limit is exhausted (429): retry after {} s",
                    with_separators(wait.as_secs().max(1))
                )
            }
            None => "the rate limit is exhausted (429): retry later".to_owned(),
        },
        UpstreamFailure::Timeout | UpstreamFailure::DeadlineExceeded => {
            format!(
                "no response within {section}.timeout_ms: check {section}.base_url and the network, or raise it"
            )
        }
        UpstreamFailure::Unavailable => match error.status {
            Some(status) => format!("it is unavailable: it returned {status}"),
            None => match std::error::Error::source(error).and_then(ConnectionFailure::of) {
                Some(cause) => format!("cannot connect with {section}.base_url: {cause}"),
                None => format!("cannot connect: check {section}.base_url and the network"),
            },
        },
        UpstreamFailure::Rejected => match error.status {
            Some(404) => format!("not found (404): check {section}.base_url"),
            // TLS servers answer plain HTTP with 400.
            Some(400) => {
                format!("it refused the request (400): check {section}.base_url, which may need https://")
            }
            Some(status) => {
                format!("it refused the request ({status}): the version of its API may have changed")
            }
            None => "it refused the request: the version of its API may have changed".to_owned(),
        },
        UpstreamFailure::BadResponse | UpstreamFailure::UnknownUsers => {
            format!("the response is not one of its API: check {section}.base_url")
        }
        UpstreamFailure::Internal => {
            "Switchboard failed to process its response: please report this".to_owned()
        }
    };
    if let Some(slug) = &error.slug {
        text.push_str(&format!("; code {slug}"));
    }
    if let Some(id) = &error.request_id {
        text.push_str(&format!("; request {id}"));
    }
    text
}

/// Formats a number with a comma between every three digits.
fn with_separators(number: u64) -> String {
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

    /// A response at noon, by the clock of this machine.
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
    fn a_usable_upstream_is_reported_with_its_quota() {
        let line = leadlex(&report("2026-11-21T12:00:58Z", Some(9_873)));
        assert_eq!(line, "LeadLex   ok     quota 9,873 of 10,000 left until 2026-11-22T00:00:00Z");
        assert_eq!(leadlex(&report("2026-11-21T12:00:00Z", None)), "LeadLex   ok");
        // Composio sends the length of the window, and no time of its end.
        let mut minute = report("2026-11-21T12:00:00Z", Some(9_999)).unwrap();
        minute.resets_at = None;
        assert_eq!(leadlex(&Ok(minute)), "LeadLex   ok     quota 9,999 of 10,000 left");
    }

    #[test]
    fn undecodable_items_hint_at_another_api_version() {
        let mut strange = report("2026-11-21T12:00:00Z", None).unwrap();
        strange.problems = 3;
        assert!(leadlex(&Ok(strange)).contains("WRONG  3 of its items cannot be decoded"));
    }

    #[test]
    fn a_clock_difference_is_a_failure_in_both_directions() {
        let line = leadlex(&report("2026-11-21T11:00:00Z", Some(9_000)));
        assert_eq!(
            line,
            "LeadLex   WRONG  the clock of this machine is 3,600 s ahead of its clock: correct it; request req_1"
        );
        assert!(leadlex(&report("2026-11-21T12:01:01Z", None)).contains("61 s behind its clock"));
    }

    #[test]
    fn an_exhausted_or_nearly_exhausted_quota_is_a_failure() {
        let date = "2026-11-21T12:00:00Z";
        assert!(
            leadlex(&report(date, Some(0))).contains("WRONG  its rate limit is exhausted: quota 0 of 10,000")
        );
        assert!(
            leadlex(&report(date, Some(499)))
                .contains("WRONG  its rate limit is nearly exhausted: quota 499 of 10,000")
        );
        assert!(leadlex(&report(date, Some(500))).contains(" ok "));
    }

    #[test]
    fn each_failure_is_reported_with_what_to_do() {
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
            (Leadlex, F::NoCredential, None, "no key is configured: set upstream.leadlex.api_key"),
            (Leadlex, F::Forbidden, Some(403), "grant it read:settings"),
            (Composio, F::Forbidden, Some(403), "may not list connected accounts"),
            (Leadlex, F::RateLimited, Some(429), "the rate limit is exhausted (429): retry later"),
            (Leadlex, F::Timeout, None, "no response within upstream.leadlex.timeout_ms"),
            (Leadlex, F::Unavailable, None, "cannot connect: check upstream.leadlex.base_url"),
            (Leadlex, F::Unavailable, Some(503), "it returned 503"),
            (Composio, F::Rejected, Some(404), "not found (404)"),
            (Composio, F::Rejected, Some(422), "the version of its API may have changed"),
            (Composio, F::BadResponse, Some(200), "not one of its API"),
        ] {
            let line = line(upstream, failure, status);
            assert!(line.contains(" WRONG ") && line.contains(words), "{line}");
        }
    }

    #[test]
    fn a_failed_connection_is_reported_with_its_cause() {
        let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        let error =
            UpstreamError::new(UpstreamName::Leadlex, UpstreamFailure::Unavailable).caused_by(refused);
        assert_eq!(
            leadlex(&Err(error)),
            "LeadLex   WRONG  cannot connect with upstream.leadlex.base_url: the connection was refused: nothing listens at that host and port"
        );
    }

    #[test]
    fn in_passthrough_mode_a_missing_key_is_not_a_failure() {
        let missing = Err(UpstreamError::no_credential(UpstreamName::Composio));
        let said = upstream_check(UpstreamName::Composio, &missing, true);
        assert!(said.line_of(UpstreamName::Composio).starts_with("Composio  -      not called"), "{said:?}");
    }
}
