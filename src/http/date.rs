//! The `Date` header (RFC 9110, 6.6.1).
//!
//! hyper sets one too, but it updates the header only when its time is later than the last one. If the clock is set
//! back, hyper's header does not change until the old time is reached again.

use std::cell::RefCell;

use axum::http::HeaderValue;
use axum::http::header::{DATE, Entry, HeaderMap};
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;

thread_local! {
    /// The last value of this thread, and its time in whole seconds.
    static LAST: RefCell<Option<(i64, HeaderValue)>> = const { RefCell::new(None) };
}

/// Sets the header, unless the response has one.
pub(super) fn set(headers: &mut HeaderMap, now: Timestamp) {
    if let Entry::Vacant(entry) = headers.entry(DATE)
        && let Some(value) = value(now)
    {
        entry.insert(value);
    }
}

/// Returns the header's value; `None` for years that the format cannot express.
fn value(now: Timestamp) -> Option<HeaderValue> {
    let second = now.as_second();
    LAST.with_borrow_mut(|last| match last {
        Some((rendered, value)) if *rendered == second => Some(value.clone()),
        _ => {
            let text = DateTimePrinter::new().timestamp_to_rfc9110_string(&now).ok()?;
            let value = HeaderValue::try_from(text).ok()?;
            *last = Some((second, value.clone()));
            Some(value)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_follows_the_clock_in_both_directions() {
        for (now, expected) in [
            ("2026-11-21T12:00:00.9Z", "Sat, 21 Nov 2026 12:00:00 GMT"),
            ("2026-11-21T20:00:00Z", "Sat, 21 Nov 2026 20:00:00 GMT"),
            ("2026-11-21T10:00:00Z", "Sat, 21 Nov 2026 10:00:00 GMT"),
        ] {
            let mut headers = HeaderMap::new();
            set(&mut headers, now.parse().unwrap());
            assert_eq!(headers[DATE], expected);
        }
    }

    #[test]
    fn a_date_header_of_the_response_is_kept() {
        let mut headers =
            HeaderMap::from_iter([(DATE, HeaderValue::from_static("Sat, 01 Jan 2000 00:00:00 GMT"))]);
        set(&mut headers, Timestamp::UNIX_EPOCH);
        assert_eq!(headers[DATE], "Sat, 01 Jan 2000 00:00:00 GMT");
    }
}
