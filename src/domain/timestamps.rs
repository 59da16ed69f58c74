//! Timestamps as text: RFC 3339 in UTC, the only form that upstreams are known to send and the only one that is
//! returned.
//!
//! A response has several timestamps in each row, so this form is parsed and written here: jiff's parser and printer,
//! which know many more forms, take about ten times as long. Every other form goes to jiff, so results are always the
//! same as jiff's.

use std::io::Write as _;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;

/// Parses a timestamp; `None` if it is not RFC 3339.
#[must_use]
pub fn parse(text: &str) -> Option<Timestamp> {
    parse_utc(text.as_bytes()).or_else(|| text.parse().ok())
}

/// Parses `2026-11-21T12:00:00.000Z`.
fn parse_utc(text: &[u8]) -> Option<Timestamp> {
    let (seconds, rest) = text.split_first_chunk::<19>()?;
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, b'T', h1, h2, b':', n1, n2, b':', s1, s2] = seconds
    else {
        return None;
    };
    let fraction: &[u8] = match rest {
        [b'Z'] => &[],
        [b'.', digits @ .., b'Z'] if (1..=9).contains(&digits.len()) => digits,
        _ => return None,
    };
    let nanoseconds = parse_digits(fraction)? * 10_i32.pow(9 - u32::try_from(fraction.len()).ok()?);
    let year = i16::try_from(parse_digits(&[*y1, *y2, *y3, *y4])?).ok()?;
    let two = |tens: &u8, ones: &u8| i8::try_from(parse_digits(&[*tens, *ones])?).ok();
    let (month, day) = (two(m1, m2)?, two(d1, d2)?);
    let (hour, minute, second) = (two(h1, h2)?, two(n1, n2)?, two(s1, s2)?);
    let time = DateTime::new(year, month, day, hour, minute, second, nanoseconds).ok()?;
    Offset::UTC.to_timestamp(time).ok()
}

/// Returns the value of at most nine decimal digits.
fn parse_digits(digits: &[u8]) -> Option<i32> {
    digits
        .iter()
        .try_fold(0, |value, digit| digit.is_ascii_digit().then(|| value * 10 + i32::from(digit - b'0')))
}

/// Appends a timestamp to a text, exactly as its `Display` would write it.
pub fn write(at: Timestamp, text: &mut Vec<u8>) {
    let time = Offset::UTC.to_datetime(at);
    if time.year() < 0 {
        // Writing to a vector does not fail.
        let _ = write!(text, "{at}");
        return;
    }
    write_to_seconds(time, text);
    if time.subsec_nanosecond() != 0 {
        text.push(b'.');
        text.extend(digits::<9>(time.subsec_nanosecond().unsigned_abs()));
        while text.last() == Some(&b'0') {
            text.pop();
        }
    }
    text.push(b'Z');
}

/// Appends a timestamp after the year 0 with six digits of its fraction, so that all have the same length.
pub fn write_microseconds(at: Timestamp, text: &mut Vec<u8>) {
    let time = Offset::UTC.to_datetime(at);
    write_to_seconds(time, text);
    text.push(b'.');
    text.extend(digits::<6>(time.subsec_nanosecond().unsigned_abs() / 1_000));
    text.push(b'Z');
}

/// Appends date and time up to the second.
fn write_to_seconds(time: DateTime, text: &mut Vec<u8>) {
    let two = |part: i8| digits::<2>(u32::from(part.unsigned_abs()));
    let [y1, y2, y3, y4] = digits::<4>(u32::from(time.year().unsigned_abs()));
    let ([m1, m2], [d1, d2]) = (two(time.month()), two(time.day()));
    let ([h1, h2], [n1, n2], [s1, s2]) = (two(time.hour()), two(time.minute()), two(time.second()));
    text.extend([y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, b'T', h1, h2, b':', n1, n2, b':', s1, s2]);
}

/// Returns the last `COUNT` digits of a number, with leading zeros.
fn digits<const COUNT: usize>(number: u32) -> [u8; COUNT] {
    let mut digits = [b'0'; COUNT];
    let mut rest = number;
    for digit in digits.iter_mut().rev() {
        *digit += u8::try_from(rest % 10).unwrap_or_default();
        rest /= 10;
    }
    digits
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(at: Timestamp) -> String {
        let mut text = Vec::new();
        write(at, &mut text);
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn timestamps_are_those_of_jiff() {
        for text in [
            "2026-11-21T12:00:00Z",
            "2026-11-21T12:00:00.1Z",
            "2026-11-21T12:00:00.123456789Z",
            "2026-11-21T12:00:00.1234567890Z",
            "2026-11-21T12:00:00.Z",
            "2026-11-21T12:00:00",
            "2026-11-21t12:00:00z",
            "2026-11-21 12:00:00Z",
            "2026-11-21T12:00:00+01:00",
            "2026-11-21T12:00:00Z[UTC]",
            "2024-02-29T00:00:00Z",
            "2026-02-29T00:00:00Z",
            "2026-04-31T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-12-31T23:59:60Z",
            "2026-12-31T24:00:00Z",
            "2026-12-31T23:60:00Z",
            "0000-01-01T00:00:00Z",
            "9999-12-31T23:59:59Z",
            "+2026-11-21T12:00:00Z",
            "2026-1１-21T12:00:00Z",
            "202a-11-21T12:00:00Z",
            "",
        ] {
            assert_eq!(parse(text), text.parse().ok(), "{text}");
        }
        for at in [Timestamp::MIN, Timestamp::MAX, Timestamp::UNIX_EPOCH] {
            assert_eq!(written(at), at.to_string());
        }
    }

    #[test]
    fn microseconds_have_six_digits() {
        for (at, expected) in [
            ("2026-11-30T04:05:06Z", "2026-11-30T04:05:06.000000Z"),
            ("2026-11-30T04:05:06.070800999Z", "2026-11-30T04:05:06.070800Z"),
        ] {
            let mut text = Vec::new();
            write_microseconds(at.parse().unwrap(), &mut text);
            assert_eq!(String::from_utf8(text).unwrap(), expected);
        }
    }

    proptest! {
        #[test]
        fn a_timestamp_is_written_as_by_jiff_and_read_again(
            seconds in -377_705_023_201_i64..253_402_207_200,
            nanoseconds in prop_oneof![Just(0), 0..1_000_000_000, (0..1_000).prop_map(|ms| ms * 1_000_000)],
        ) {
            let at = Timestamp::new(seconds, nanoseconds).unwrap();
            prop_assert_eq!(written(at), at.to_string());
            prop_assert_eq!(parse(&written(at)), Some(at));
        }
    }
}
