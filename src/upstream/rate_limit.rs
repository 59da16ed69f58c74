//! Parsing of rate limit headers, in every dialect of docs/upstreams.md#composio-rate-limits, #rate-limit-reset.
//!
//! A window is the period to which the upstream's limit of calls applies. Where the upstream states its own time, that
//! time counts (`upstream_now`), and the local clock otherwise.
//!
//! A header that is not understood is ignored, and [`unreadable`] reports it to be counted. If a header is repeated or
//! has several spellings, the first value that is understood counts.

use std::time::Duration;

use http::{HeaderMap, HeaderName, header};
use jiff::{SignedDuration, Timestamp};

/// Longest plausible wait or window. Longer ones are ignored (docs/upstreams.md#rate-limit-reset).
const WAIT_MAX: Duration = Duration::from_secs(31 * 86_400);

/// Largest plausible difference between `Date` and the local clock. A larger one is a fault of the upstream's clock,
/// and its `Date` is ignored.
const SKEW_MAX: SignedDuration = SignedDuration::from_hours(24);

// Parsed once: a header map parses a name that is given as text at each look-up.
static DATES: [HeaderName; 1] = [header::DATE];
static RETRY_AFTER: [HeaderName; 1] = [header::RETRY_AFTER];
static LIMITS: [HeaderName; 3] = [
    HeaderName::from_static("x-ratelimit-limit"),
    HeaderName::from_static("ratelimit-limit"),
    HeaderName::from_static("x-ratelimit"),
];
static REMAINING: [HeaderName; 2] =
    [HeaderName::from_static("x-ratelimit-remaining"), HeaderName::from_static("ratelimit-remaining")];
static RESETS: [HeaderName; 2] =
    [HeaderName::from_static("x-ratelimit-reset"), HeaderName::from_static("ratelimit-reset")];
static WINDOWS: [HeaderName; 1] = [HeaderName::from_static("x-ratelimit-window-size")];

/// Returns the time to wait after a 429: from `Retry-After`, otherwise from the reset. Returns `None` if the headers
/// have no plausible value. `upstream_now` is the result of [`upstream_now`], here and below.
#[must_use]
pub fn wait(headers: &HeaderMap, upstream_now: Timestamp) -> Option<Duration> {
    if let Some(wait) = retry_after(headers, upstream_now) {
        return Some(wait);
    }
    // The headers describe the daily limit. If calls remain in it, the 429 came from the limit per minute, for which
    // there is no header. The daily reset would be far too long a wait.
    if remaining(headers).is_some_and(|left| left > 0) {
        return None;
    }
    at_least_a_second(resets_at(headers, upstream_now)?.duration_since(upstream_now))
}

/// Returns the wait that `Retry-After` states.
pub(super) fn retry_after(headers: &HeaderMap, upstream_now: Timestamp) -> Option<Duration> {
    first(headers, &RETRY_AFTER, |text| read_wait(text, upstream_now))
}

/// Returns the end of the window, in the upstream's time.
#[must_use]
pub fn resets_at(headers: &HeaderMap, upstream_now: Timestamp) -> Option<Timestamp> {
    first(headers, &RESETS, |text| read_reset(text, upstream_now))
}

/// Returns the limit of calls in the window.
#[must_use]
pub fn limit(headers: &HeaderMap) -> Option<u64> {
    first(headers, &LIMITS, read_limit)
}

/// Returns the remaining calls in the window; a negative number counts as 0.
#[must_use]
pub fn remaining(headers: &HeaderMap) -> Option<u64> {
    first(headers, &REMAINING, read_remaining)
}

/// Returns the length of the window.
pub(super) fn window(headers: &HeaderMap) -> Option<Duration> {
    first(headers, &WINDOWS, read_window)
}

/// Returns the upstream's own time, if stated.
#[must_use]
pub fn date(headers: &HeaderMap) -> Option<Timestamp> {
    first(headers, &DATES, timestamp)
}

/// Returns the upstream's own time if it is plausible, or else the local time.
#[must_use]
pub fn upstream_now(headers: &HeaderMap, local_now: Timestamp) -> Timestamp {
    let is_plausible = |date: &Timestamp| date.duration_since(local_now).abs() <= SKEW_MAX;
    date(headers).filter(is_plausible).unwrap_or(local_now)
}

/// Returns the names of the headers with a value that is not understood.
pub fn unreadable(headers: &HeaderMap, upstream_now: Timestamp) -> impl Iterator<Item = &'static str> + '_ {
    type IsUnderstood = fn(&str, Timestamp) -> bool;
    let kinds: [(&'static [HeaderName], IsUnderstood); 6] = [
        (&DATES, |text, _| timestamp(text).is_some()),
        (&RETRY_AFTER, |text, now| read_wait(text, now).is_some()),
        (&WINDOWS, |text, _| read_window(text).is_some()),
        (&LIMITS, |text, _| read_limit(text).is_some()),
        (&REMAINING, |text, _| read_remaining(text).is_some()),
        (&RESETS, |text, now| read_reset(text, now).is_some()),
    ];
    let names = kinds.into_iter().flat_map(|(names, read)| names.iter().map(move |name| (name, read)));
    let unreadable = names.filter(move |(name, is_understood)| {
        let mut values = headers.get_all(*name).iter();
        values.any(|value| !value.to_str().is_ok_and(|text| is_understood(text.trim(), upstream_now)))
    });
    unreadable.map(|(name, _)| name.as_str())
}

fn first<T>(headers: &HeaderMap, names: &[HeaderName], read: impl Fn(&str) -> Option<T>) -> Option<T> {
    let mut values = names.iter().flat_map(|name| headers.get_all(name));
    values.find_map(|value| read(value.to_str().ok()?.trim()))
}

fn read_wait(text: &str, upstream_now: Timestamp) -> Option<Duration> {
    at_least_a_second(match non_negative(text) {
        Some(seconds) => SignedDuration::try_from_secs_f64(seconds).ok()?,
        None => timestamp(text)?.duration_since(upstream_now),
    })
}

fn read_reset(text: &str, upstream_now: Timestamp) -> Option<Timestamp> {
    let Some(number) = non_negative(text) else {
        return timestamp(text);
    };
    if number >= 1e12 {
        Timestamp::from_millisecond(whole(number)).ok()
    } else if number >= 1e9 {
        Timestamp::from_second(whole(number)).ok()
    } else {
        upstream_now.checked_add(SignedDuration::try_from_secs_f64(number).ok()?).ok()
    }
}

/// `100, 100;w=60`: the limit in force comes first (draft-ietf-httpapi-ratelimit-headers-06, 3.1).
fn read_limit(text: &str) -> Option<u64> {
    non_negative(text.split([',', ';']).next().unwrap_or_default().trim()).map(count)
}

fn read_remaining(text: &str) -> Option<u64> {
    text.parse::<f64>().ok().filter(|left| left.is_finite()).map(count)
}

/// Parses an integer with a unit, such as `60s` (docs/upstreams.md#composio-rate-limits); without a unit it is in
/// seconds.
fn read_window(text: &str) -> Option<Duration> {
    let (number, unit) =
        text.split_at_checked(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))?;
    let seconds = match unit.trim() {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    let length = Duration::from_secs(number.parse::<u64>().ok()?.checked_mul(seconds)?);
    Some(length).filter(|length| !length.is_zero() && *length <= WAIT_MAX)
}

/// Returns the wait, at least one second: a time in the past becomes one second. `None` if the wait is implausibly
/// long.
fn at_least_a_second(wait: SignedDuration) -> Option<Duration> {
    let wait = wait.max(SignedDuration::from_secs(1));
    Duration::try_from(wait).ok().filter(|wait| *wait <= WAIT_MAX)
}

fn non_negative(text: &str) -> Option<f64> {
    text.parse::<f64>().ok().filter(|number| number.is_finite() && *number >= 0.0)
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "`as` drops the fraction and saturates at the ends of the range"
)]
fn whole(number: f64) -> i64 {
    number as i64
}

/// A number of calls; a negative one is 0.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "`as` drops the fraction and saturates at the ends of the range"
)]
fn count(number: f64) -> u64 {
    number as u64
}

/// Parses RFC 3339 or an HTTP date in any of its three forms (RFC 9110, 5.6.7).
fn timestamp(text: &str) -> Option<Timestamp> {
    let obsolete = |format| {
        let civil = jiff::civil::DateTime::strptime(format, text).ok()?;
        Some(civil.to_zoned_datetime(jiff::tz::TimeZone::UTC).ok()?.timestamp())
    };
    let rfc_3339 = || text.parse().ok();
    let fixed = || Some(jiff::fmt::rfc2822::parse(text).ok()?.timestamp());
    // HTTP dates begin with the name of a day. The likely form is tried first, because an error costs more than a success.
    let parsed = if text.starts_with(|first: char| first.is_ascii_alphabetic()) {
        fixed().or_else(rfc_3339)
    } else {
        rfc_3339().or_else(fixed)
    };
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

    fn wait_s(pairs: &[(&'static str, &str)]) -> Option<f64> {
        let headers = headers(pairs);
        wait(&headers, upstream_now(&headers, NOW.parse().unwrap())).map(|wait| wait.as_secs_f64())
    }

    #[test]
    fn every_dialect_of_a_wait_is_parsed() {
        for (name, value, wait) in [
            ("retry-after", "7", 7.0),
            ("retry-after", "1.5", 1.5),
            ("retry-after", "Sat, 21 Nov 2026 12:01:00 GMT", 60.0),
            ("retry-after", "Saturday, 21-Nov-26 12:01:00 GMT", 60.0),
            ("retry-after", "Sat Nov 21 12:01:00 2026", 60.0),
            ("x-ratelimit-reset", "1795262430", 30.0),
            ("x-ratelimit-reset", "1795262430000", 30.0),
            ("ratelimit-reset", "45", 45.0),
            ("x-ratelimit-reset", "2026-11-21T12:00:10Z", 10.0),
            ("x-ratelimit-reset", "1", 1.0),
            ("retry-after", "0", 1.0),
        ] {
            assert_eq!(wait_s(&[(name, value)]), Some(wait), "{name}: {value}");
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
    fn headers_that_are_not_understood_are_named() {
        let names = |pairs: &[(&'static str, &str)]| {
            unreadable(&headers(pairs), NOW.parse().unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(
            names(&[("retry-after", "7"), ("x-ratelimit-limit", "100;w=60"), ("server", "?")]),
            [] as [&str; 0]
        );
        assert_eq!(
            names(&[
                ("date", "now"),
                ("retry-after", "soon"),
                ("x-ratelimit-window-size", "0s"),
                ("x-ratelimit", "-1")
            ]),
            ["date", "retry-after", "x-ratelimit-window-size", "x-ratelimit"]
        );
        let mut repeated = headers(&[("ratelimit-remaining", "?"), ("x-ratelimit-reset", "later")]);
        repeated.append("ratelimit-remaining", "7".parse().unwrap());
        repeated.append("retry-after", http::HeaderValue::from_bytes(b"\xff").unwrap());
        assert_eq!(
            unreadable(&repeated, NOW.parse().unwrap()).collect::<Vec<_>>(),
            ["retry-after", "ratelimit-remaining", "x-ratelimit-reset"]
        );
        assert_eq!(remaining(&repeated), Some(7));
    }

    #[test]
    fn a_date_far_from_the_local_clock_is_ignored() {
        let wrong = [("date", "Thu, 01 Jan 1970 00:00:00 GMT"), ("x-ratelimit-reset", "1795262430")];
        assert_eq!(wait_s(&wrong), Some(30.0));
        let wrong =
            [("date", "Sat, 21 Nov 2099 12:00:00 GMT"), ("retry-after", "Sat, 21 Nov 2026 12:01:00 GMT")];
        assert_eq!(wait_s(&wrong), Some(60.0));
    }

    #[test]
    fn waits_are_relative_to_the_upstreams_clock() {
        let skewed = [("date", "Sat, 21 Nov 2026 11:50:00 GMT"), ("x-ratelimit-reset", "1795261810")];
        assert_eq!(wait_s(&skewed), Some(10.0));
    }

    #[test]
    fn a_429_with_remaining_calls_does_not_wait_for_the_daily_reset() {
        assert_eq!(wait_s(&[("x-ratelimit-remaining", "995"), ("x-ratelimit-reset", "1795262430")]), None);
        assert_eq!(
            wait_s(&[("x-ratelimit-remaining", "-1"), ("x-ratelimit-reset", "1795262430")]),
            Some(30.0)
        );
    }
}
