//! Parsing of rate limit headers, in every dialect of docs/upstreams.md#composio-rate-limits, #rate-limit-reset.

use std::time::Duration;

use http::HeaderMap;
use jiff::{SignedDuration, Timestamp};

/// Longer waits are implausible and ignored (docs/upstreams.md#rate-limit-reset).
const WAIT_MAX: Duration = Duration::from_secs(31 * 86_400);

/// Returns how long to wait after a 429, from `Retry-After` or else from the reset; `None` if the headers
/// state nothing plausible.
#[must_use]
pub fn wait(headers: &HeaderMap, local_now: Timestamp) -> Option<Duration> {
    let now = date(headers).unwrap_or(local_now);
    let sane = |wait: SignedDuration| {
        let wait = wait.max(SignedDuration::from_secs(1));
        Duration::try_from(wait).ok().filter(|wait| *wait <= WAIT_MAX)
    };
    if let Some(text) = text(headers, &["retry-after"]) {
        let asked = match seconds(text) {
            Some(seconds) => SignedDuration::try_from_secs_f64(seconds).ok(),
            None => timestamp(text).map(|at| at.duration_since(now)),
        };
        if let Some(wait) = asked.and_then(sane) {
            return Some(wait);
        }
    }
    // If calls remain, the reset is that of the day, and the limit per minute was exceeded, which has no
    // header.
    if remaining(headers).is_some_and(|left| left > 0) {
        return None;
    }
    sane(resets_at(headers, now)?.duration_since(now))
}

/// Returns the end of the counted window.
#[must_use]
pub fn resets_at(headers: &HeaderMap, now: Timestamp) -> Option<Timestamp> {
    let text = text(headers, &["x-ratelimit-reset", "ratelimit-reset"])?;
    let Some(number) = seconds(text) else {
        return timestamp(text);
    };
    if number >= 1e12 {
        Timestamp::from_millisecond(whole(number)).ok()
    } else if number >= 1e9 {
        Timestamp::from_second(whole(number)).ok()
    } else {
        now.checked_add(SignedDuration::try_from_secs_f64(number).ok()?).ok()
    }
}

/// Returns the limit of the counted window.
#[must_use]
pub fn limit(headers: &HeaderMap) -> Option<u64> {
    let text = text(headers, &["x-ratelimit-limit", "ratelimit-limit", "x-ratelimit"])?;
    // `100, 100;w=60`: the limit in force comes first (draft-ietf-httpapi-ratelimit-headers-06, 3.1).
    let first = text.split([',', ';']).next().unwrap_or_default().trim();
    seconds(first).map(count)
}

/// Returns the remaining calls in the window; a negative number counts as 0.
#[must_use]
pub fn remaining(headers: &HeaderMap) -> Option<u64> {
    let left = text(headers, &["x-ratelimit-remaining", "ratelimit-remaining"])?.parse::<f64>().ok()?;
    left.is_finite().then(|| count(left))
}

/// Returns the upstream's own time, if stated.
#[must_use]
pub fn date(headers: &HeaderMap) -> Option<Timestamp> {
    timestamp(text(headers, &["date"])?)
}

fn text<'h>(headers: &'h HeaderMap, names: &[&str]) -> Option<&'h str> {
    names.iter().find_map(|name| headers.get(*name)?.to_str().ok()).map(str::trim)
}

fn seconds(text: &str) -> Option<f64> {
    text.parse::<f64>().ok().filter(|number| number.is_finite() && *number >= 0.0)
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a float becomes the nearest whole number, at worst the largest"
)]
fn whole(number: f64) -> i64 {
    number as i64
}

/// A number of calls; a negative one is 0.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float becomes the nearest whole number in range"
)]
fn count(number: f64) -> u64 {
    number as u64
}

/// Parses RFC 3339 or an HTTP date in any of its three forms (RFC 9110, 5.6.7).
fn timestamp(text: &str) -> Option<Timestamp> {
    let obsolete = |format| {
        let civil = jiff::civil::DateTime::strptime(format, text).ok()?;
        Some(civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
    };
    let fixed = || Some(jiff::fmt::rfc2822::parse(text).ok()?.timestamp());
    let parsed = text.parse().ok().or_else(fixed);
    parsed.or_else(|| obsolete(RFC_850_DATE)).or_else(|| obsolete(ASCTIME_DATE))
}

const RFC_850_DATE: &str = "%A, %d-%b-%y %H:%M:%S GMT";
const ASCTIME_DATE: &str = "%a %b %e %H:%M:%S %Y";

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-11-21T12:00:00Z";

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap()))
            .collect()
    }

    fn wait_s(pairs: &[(&'static str, &str)]) -> Option<u64> {
        wait(&headers(pairs), NOW.parse().unwrap()).map(|wait| wait.as_secs())
    }

    #[test]
    fn every_dialect_of_a_wait_is_parsed() {
        for (name, value, says) in [
            ("retry-after", "7", 7),
            ("retry-after", "1.5", 1),
            ("retry-after", "Sat, 21 Nov 2026 12:01:00 GMT", 60),
            ("retry-after", "Saturday, 21-Nov-26 12:01:00 GMT", 60),
            ("retry-after", "Sat Nov 21 12:01:00 2026", 60),
            ("x-ratelimit-reset", "1795262430", 30),
            ("x-ratelimit-reset", "1795262430000", 30),
            ("ratelimit-reset", "45", 45),
            ("x-ratelimit-reset", "2026-11-21T12:00:10Z", 10),
            ("x-ratelimit-reset", "1", 1),
            ("retry-after", "0", 1),
        ] {
            assert_eq!(wait_s(&[(name, value)]), Some(says), "{name}: {value}");
        }
    }

    #[test]
    fn limits_are_read_in_every_form() {
        let limit_of = |value| limit(&headers(&[("ratelimit-limit", value)]));
        for (value, calls) in
            [("100", Some(100)), ("100, 100;w=60", Some(100)), ("100;w=60", Some(100)), ("1e3", Some(1_000))]
        {
            assert_eq!(limit_of(value), calls, "{value}");
        }
        for value in ["", "-1", "many", "inf", "NaN", ", 100"] {
            assert_eq!(limit_of(value), None, "{value}");
        }
        let left_of = |value| remaining(&headers(&[("x-ratelimit-remaining", value)]));
        for (value, calls) in [
            ("7", Some(7)),
            ("7.0", Some(7)),
            ("-3", Some(0)),
            ("99999999999999999999", Some(u64::MAX)),
            ("x", None),
        ] {
            assert_eq!(left_of(value), calls, "{value}");
        }
    }

    #[test]
    fn implausible_waits_are_ignored() {
        for value in ["", "soon", "NaN", "-3", "1e300", "99999999"] {
            assert_eq!(wait_s(&[("retry-after", value)]), None, "{value}");
        }
        assert_eq!(wait_s(&[]), None);
    }

    #[test]
    fn waits_are_relative_to_the_upstreams_clock() {
        let skewed = [("date", "Sat, 21 Nov 2026 11:50:00 GMT"), ("x-ratelimit-reset", "1795261810")];
        assert_eq!(wait_s(&skewed), Some(10));
    }

    #[test]
    fn a_429_with_remaining_calls_does_not_wait_for_the_daily_reset() {
        assert_eq!(wait_s(&[("x-ratelimit-remaining", "995"), ("x-ratelimit-reset", "1795262430")]), None);
        assert_eq!(wait_s(&[("x-ratelimit-remaining", "-1"), ("x-ratelimit-reset", "1795262430")]), Some(30));
    }
}
