//! Repairs rows with values that JSON's grammar allows but a Rust value cannot represent.
//!
//! A lone surrogate in a string (`"\ud800"`) and a number beyond the range of a double (`1e400`) make serde_json fail
//! for the whole row. A number that no double equals (`1e-400`, `0.10000000000000001`) is decoded as another number.
//! [`repair`] replaces each such value by `[[]]`, which no field accepts, so that only this value is unreadable.
//! A name that occurs twice in one object makes serde_json fail too. The last value is used, as in JavaScript and
//! Python: the earlier names are replaced by `""`, which is the name of no field.
//! It runs only for text that could not be decoded or [`may_have_inexact_number`].

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

/// Replaces the unreadable values and repeated names of a row. Returns `None` if it has none.
pub(super) fn repair(json: &str) -> Option<String> {
    let bytes = json.as_bytes();
    let mut replacements: Vec<(Range<usize>, &str)> = Vec::new();
    // The names of each object around the current token; an array has none.
    let mut names: Vec<HashMap<Cow<'_, str>, Range<usize>>> = Vec::new();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let end = match byte {
            b'"' => end_of_string(bytes, at),
            b'-' | b'0'..=b'9' => end_of_number(bytes, at),
            _ => {
                match byte {
                    b'{' | b'[' => names.push(HashMap::new()),
                    b'}' | b']' => drop(names.pop()),
                    _ => {}
                }
                at += 1;
                continue;
            }
        };
        let token = json.get(at..end)?;
        match byte {
            b'"' if serde_json::from_str::<serde::de::IgnoredAny>(token).is_err() => return None,
            b'"' if !is_text(token) => {
                replacements.push((at..end, if is_key(bytes, end) { NO_NAME } else { UNREADABLE }));
            }
            b'"' if is_key(bytes, end) => {
                let earlier = names.last_mut().and_then(|names| names.insert(name(token), at..end));
                replacements.extend(earlier.map(|earlier| (earlier, NO_NAME)));
            }
            b'"' => {}
            _ if !is_exact(token) => replacements.push((at..end, UNREADABLE)),
            _ => {}
        }
        at = end;
    }
    if replacements.is_empty() {
        return None;
    }
    replacements.sort_unstable_by_key(|(token, _)| token.start);
    let (mut repaired, mut copied) = (String::with_capacity(json.len()), 0);
    for (token, replacement) in replacements {
        repaired.push_str(json.get(copied..token.start)?);
        repaired.push_str(replacement);
        copied = token.end;
    }
    repaired.push_str(json.get(copied..)?);
    Some(repaired)
}

/// A value that no field accepts: neither a text, a number, a boolean, an object, nor a list of any of these.
const UNREADABLE: &str = "[[]]";

/// The name of no field.
const NO_NAME: &str = "\"\"";

/// Number of decimal digits that every double can represent (IEEE 754).
const DOUBLE_DIGITS: usize = 15;

/// Whether a text may have a number that no double equals: one with a small exponent, or with many digits.
pub(super) fn may_have_inexact_number(json: &str) -> bool {
    // One pass over the bytes, because this runs before each row is decoded.
    let (mut digits, mut power) = (0_usize, 0_usize);
    json.bytes().any(|byte| {
        digits = if byte.is_ascii_digit() || byte == b'.' { digits + 1 } else { 0 };
        power = match (power, byte) {
            (_, b'e' | b'E') => 1,
            (1, b'-') => 2,
            (2..=4, b'0'..=b'9') => power + 1,
            _ => 0,
        };
        digits > DOUBLE_DIGITS + 1 || power == 5
    })
}

/// Whether serde_json decodes a number exactly, or as a double that is known to be inexact.
fn is_exact(token: &str) -> bool {
    let Ok(number) = token.parse::<f64>() else { return false };
    if token.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') {
        return number.is_finite();
    }
    let mantissa = token.split(['e', 'E']).next().unwrap_or_default();
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let significant = digits.trim_matches('0').len();
    significant <= DOUBLE_DIGITS && (number.is_normal() || significant == 0)
}

/// Whether a string has no lone surrogates, which only escapes can write.
fn is_text(token: &str) -> bool {
    !token.contains("\\u") || serde_json::from_str::<Text>(token).is_ok()
}

/// Decodes a string without storing it, because it may be a secret.
struct Text;

impl<'de> serde::Deserialize<'de> for Text {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyText;
        impl serde::de::Visitor<'_> for AnyText {
            type Value = Text;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a string")
            }

            fn visit_str<E>(self, _: &str) -> Result<Text, E> {
                Ok(Text)
            }
        }
        deserializer.deserialize_str(AnyText)
    }
}

/// The name that a token writes, without its escapes.
fn name(token: &str) -> Cow<'_, str> {
    let plain = token.trim_matches('"');
    match token.contains('\\') {
        true => serde_json::from_str(token).map_or(Cow::Borrowed(plain), Cow::Owned),
        false => Cow::Borrowed(plain),
    }
}

fn is_key(bytes: &[u8], end: usize) -> bool {
    let mut rest = bytes.iter().skip(end).skip_while(|byte| byte.is_ascii_whitespace());
    rest.next() == Some(&b':')
}

fn end_of_string(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

fn end_of_number(bytes: &[u8], start: usize) -> usize {
    let is_part = |byte: &&u8| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E');
    start + bytes.iter().skip(start).take_while(is_part).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_unrepresentable_values_are_replaced() {
        let row = r#"{"a":"\ud800","b":"\ud83d\ude00 \"1e400\"","c":[1e400,-1e999,1.5e3],"\udc00":7,"d":{"e":"x\udfff"}}"#;
        let repaired = r#"{"a":[[]],"b":"\ud83d\ude00 \"1e400\"","c":[[[]],[[]],1.5e3],"":7,"d":{"e":[[]]}}"#;
        assert_eq!(repair(row).as_deref(), Some(repaired));
        assert!(serde_json::from_str::<serde_json::Value>(repaired).is_ok());
        assert_eq!(repair(r#"{"a":"b","c":1,"d":"é"}"#), None);
    }

    #[test]
    fn of_equal_names_in_one_object_the_last_is_left() {
        let row = r#"{"a":1,"b":{"a":2,"\u0061":[{"a":3}]},"c":[{"a":4},{"a":5}],"a":6,"a":"a","\ud800":7}"#;
        let repaired = r#"{"":1,"b":{"":2,"\u0061":[{"a":3}]},"c":[{"a":4},{"a":5}],"":6,"a":"a","":7}"#;
        assert_eq!(repair(row).as_deref(), Some(repaired));
        assert_eq!(repair(r#"{"a":{"a":{"a":1}},"b":[{"a":1},{"a":1}]}"#), None);
    }

    #[test]
    fn numbers_that_a_double_would_change_are_replaced() {
        for (number, is_changed) in [
            ("1e-400", true),
            ("-1E-999", true),
            ("5e-324", true),
            ("0e-400", false),
            ("0.0", false),
            ("1e-300", false),
        ] {
            let row = format!("[{number}]");
            assert_eq!(repair(&row).is_some(), is_changed, "{number}");
            assert!(!is_changed || may_have_inexact_number(&row), "{number}");
        }
        let long = format!("[0.{}1]", "0".repeat(400));
        assert!(may_have_inexact_number(&long) && repair(&long).is_some());
        assert!(!may_have_inexact_number(r#"{"a":"d34e-4b","b":1e-5,"c":0.001}"#));
    }
}
