//! Repairs rows with values that JSON's grammar allows but a Rust value cannot represent.
//!
//! A lone surrogate in a string (`"\ud800"`) and a number beyond the range of a double (`1e400`) make serde_json fail
//! for the whole row. A number that no double equals (`1e-400`, `0.10000000000000001`) is decoded as another number.
//! [`repair`] replaces each such value by `[[]]`, which no field accepts, so that only this value is unreadable. It
//! runs only for text that could not be decoded or [`may_have_inexact_number`].

/// Replaces the unreadable values of a row. Returns `None` if it has no such value.
pub(super) fn repair(json: &str) -> Option<String> {
    let bytes = json.as_bytes();
    let mut repaired = String::with_capacity(json.len());
    let (mut copied, mut at) = (0, 0);
    while let Some(byte) = bytes.get(at) {
        let end = match byte {
            b'"' => end_of_string(bytes, at),
            b'-' | b'0'..=b'9' => end_of_number(bytes, at),
            _ => {
                at += 1;
                continue;
            }
        };
        let token = json.get(at..end)?;
        let replacement = match byte {
            b'"' if serde_json::from_str::<serde::de::IgnoredAny>(token).is_err() => return None,
            b'"' if !is_text(token) => Some(if is_key(bytes, end) { "\"\"" } else { UNREADABLE }),
            b'"' => None,
            _ => (!is_exact(token)).then_some(UNREADABLE),
        };
        if let Some(replacement) = replacement {
            repaired.push_str(json.get(copied..at)?);
            repaired.push_str(replacement);
            copied = end;
        }
        at = end;
    }
    repaired.push_str(json.get(copied..)?);
    (copied > 0).then_some(repaired)
}

/// A value that no field accepts: neither a text, a number, a boolean, an object, nor a list of any of these.
const UNREADABLE: &str = "[[]]";

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
