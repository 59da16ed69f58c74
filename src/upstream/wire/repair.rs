//! Rows with values that JSON's grammar allows and a Rust value cannot hold.
//!
//! A lone surrogate in a string (`"\ud800"`) and a number beyond the range of a double (`1e400`) end serde_json's reading of the whole row. Such a
//! value must cost only itself, so [`repair`] replaces it by `[[]]`, which no field of a row can read: it then counts as unreadable where it stands.
//! It runs only for a row that could not be read, and copies no value apart from the row's text.

/// Replaces the unreadable values of a row. `None` if it has no such value.
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
            _ => token.parse::<f64>().is_ok_and(f64::is_infinite).then_some(UNREADABLE),
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

/// A value that is neither a text, a number, a boolean, an object, nor a list of any of them.
const UNREADABLE: &str = "[[]]";

/// Whether a string has no lone surrogates. Only escapes can write them.
fn is_text(token: &str) -> bool {
    !token.contains("\\u") || serde_json::from_str::<Text>(token).is_ok()
}

/// Decodes a string without keeping it, as it may be a secret.
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
}
