//! A reader of JSON text that decodes what its caller asks for, and skips the rest unread.
//!
//! [`read`] is the entry point; `lenient` adds the types of fields. If a name occurs twice in an object, the last value
//! is used, as in JavaScript and Python. serde_json with derived types was tried and rejected: it fails at a lone
//! surrogate, at a number too large for a double and at a repeated name, so such texts had to be repaired and decoded
//! again.

use std::borrow::Cow;

use super::name_lists::NameLists;
use crate::domain::credential::Fingerprint;
use crate::domain::json_text::plain_length;
use crate::domain::upstream_name::Composio;
use crate::upstream::known_accounts::KnownAccounts;

/// Error: the text is not JSON (RFC 8259).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::upstream) struct JsonError;

/// Conversions from each kind of JSON value. A kind without a conversion is skipped.
pub(in crate::upstream) trait FromJson: Sized {
    fn from_text(_: &str) -> Option<Self> {
        None
    }

    fn from_boolean(_: bool) -> Option<Self> {
        None
    }

    /// Converts a number, given as text that is exactly equal to it.
    fn from_number(_: &str) -> Option<Self> {
        None
    }

    fn from_list(json: &mut JsonReader<'_>) -> Result<Option<Self>, JsonError> {
        json.skip().map(|()| None)
    }

    fn from_object(json: &mut JsonReader<'_>) -> Result<Option<Self>, JsonError> {
        json.skip().map(|()| None)
    }
}

/// Content of a field.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(in crate::upstream) enum Field<T> {
    /// No value, or `null`.
    #[default]
    Absent,
    /// A value of the expected type.
    Read(T),
    /// A value of another type.
    Unreadable,
}

impl<T> Field<T> {
    /// Returns the value if it was read.
    pub(in crate::upstream) fn read(self) -> Option<T> {
        match self {
            Self::Read(value) => Some(value),
            Self::Absent | Self::Unreadable => None,
        }
    }
}

/// The accounts that are known, and the credential that received this text.
pub(in crate::upstream) type KnownRows<'j> = (&'j KnownAccounts, Fingerprint<Composio>);

/// A position in a JSON text.
pub(in crate::upstream) struct JsonReader<'j> {
    text: &'j str,
    at: usize,
    /// The closing brackets of the values that are being skipped.
    open: Vec<u8>,
    /// Lists of names in rows of this text, stored so that rows with equal lists share one.
    pub(super) name_lists: NameLists,
    pub(super) known_rows: Option<KnownRows<'j>>,
}

/// A string; `None` if it is not Unicode text, because it has a lone surrogate.
type Text<'j> = Option<Cow<'j, str>>;

/// Reads a text that is one value.
///
/// # Errors
/// If the text is not JSON, or its value is not of this type.
pub(in crate::upstream) fn read<T: FromJson>(text: &str) -> Result<T, JsonError> {
    read_with(text, None)
}

/// Like [`read`], but accounts that are known are not decoded.
///
/// # Errors
/// As [`read`].
pub(super) fn read_with<T: FromJson>(text: &str, known_rows: Option<KnownRows<'_>>) -> Result<T, JsonError> {
    let mut json = JsonReader::new(text, known_rows);
    match (json.field()?, json.peek()) {
        (Field::Read(value), None) => Ok(value),
        _ => Err(JsonError),
    }
}

impl<'j> JsonReader<'j> {
    fn new(text: &'j str, known_rows: Option<KnownRows<'j>>) -> Self {
        Self { text, at: 0, open: Vec::new(), name_lists: NameLists::default(), known_rows }
    }

    /// Returns the text from the next value on.
    pub(super) fn rest(&mut self) -> &'j str {
        self.skip_white_space();
        self.text.get(self.at..).unwrap_or_default()
    }

    /// Returns the number of bytes that are not read yet.
    pub(super) fn rest_length(&self) -> usize {
        self.text.len() - self.at
    }

    /// Takes a value of this length, which begins [`Self::rest`].
    pub(super) fn take(&mut self, length: usize) {
        self.at += length;
    }

    /// Reads a value of any type as a field.
    pub(in crate::upstream) fn field<T: FromJson>(&mut self) -> Result<Field<T>, JsonError> {
        let read = match self.peek() {
            Some(b'"') => self.string()?.and_then(|text| T::from_text(&text)),
            Some(b'{') => T::from_object(self)?,
            Some(b'[') => T::from_list(self)?,
            Some(b't') => self.word("true").map(|()| T::from_boolean(true))?,
            Some(b'f') => self.word("false").map(|()| T::from_boolean(false))?,
            Some(b'n') => return self.word("null").map(|()| Field::Absent),
            _ => exact(self.number()?).and_then(|number| T::from_number(&number)),
        };
        Ok(read.map_or(Field::Unreadable, Field::Read))
    }

    /// Reads an object: `field` gets each name, and reads or skips its value. A name that is not text is empty.
    pub(in crate::upstream) fn object(
        &mut self,
        mut field: impl FnMut(&mut Self, &str) -> Result<(), JsonError>,
    ) -> Result<(), JsonError> {
        self.expect(b'{')?;
        if self.take_if(b'}') {
            return Ok(());
        }
        loop {
            let name = self.name()?.unwrap_or_default();
            field(self, &name)?;
            if self.take_end_or_comma(b'}')? {
                return Ok(());
            }
        }
    }

    /// Reads a list; `item` reads or skips each item.
    pub(in crate::upstream) fn list(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Result<(), JsonError>,
    ) -> Result<(), JsonError> {
        self.expect(b'[')?;
        if self.take_if(b']') {
            return Ok(());
        }
        loop {
            item(self)?;
            if self.take_end_or_comma(b']')? {
                return Ok(());
            }
        }
    }

    /// Skips a value, which may be nested to any depth.
    #[inline]
    pub(in crate::upstream) fn skip(&mut self) -> Result<(), JsonError> {
        if self.peek() == Some(b'"') { self.skip_string() } else { self.skip_any() }
    }

    fn skip_any(&mut self) -> Result<(), JsonError> {
        self.open.clear();
        loop {
            match self.peek() {
                Some(b'"') => self.skip_string()?,
                Some(b'{') => {
                    self.at += 1;
                    if !self.take_if(b'}') {
                        self.open.push(b'}');
                        self.skip_name()?;
                        continue;
                    }
                }
                Some(b'[') => {
                    self.at += 1;
                    if !self.take_if(b']') {
                        self.open.push(b']');
                        continue;
                    }
                }
                Some(b't') => self.word("true")?,
                Some(b'f') => self.word("false")?,
                Some(b'n') => self.word("null")?,
                _ => drop(self.number()?),
            }
            loop {
                let Some(close) = self.open.last().copied() else { return Ok(()) };
                if self.take_end_or_comma(close)? {
                    self.open.pop();
                    continue;
                }
                if close == b'}' {
                    self.skip_name()?;
                }
                break;
            }
        }
    }

    /// Skips white space and returns the byte after it, without taking it.
    #[inline]
    fn peek(&mut self) -> Option<u8> {
        loop {
            let byte = self.byte()?;
            if byte > b' ' || !matches!(byte, b' ' | b'\n' | b'\t' | b'\r') {
                return Some(byte);
            }
            self.at += 1;
        }
    }

    #[inline]
    fn skip_white_space(&mut self) {
        let _ = self.peek();
    }

    #[inline]
    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Skips white space, and takes the byte after it if it is this one. Returns whether it was taken.
    #[inline]
    fn take_if(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    /// Takes the closing bracket and returns true, or takes a comma and returns false.
    #[inline]
    fn take_end_or_comma(&mut self, close: u8) -> Result<bool, JsonError> {
        let next = self.peek();
        self.at += 1;
        match next {
            Some(b',') => Ok(false),
            Some(byte) if byte == close => Ok(true),
            _ => Err(JsonError),
        }
    }

    #[inline]
    fn expect(&mut self, byte: u8) -> Result<(), JsonError> {
        if self.take_if(byte) { Ok(()) } else { Err(JsonError) }
    }

    fn word(&mut self, word: &str) -> Result<(), JsonError> {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        if !rest.starts_with(word.as_bytes()) {
            return Err(JsonError);
        }
        self.at += word.len();
        Ok(())
    }

    /// Reads the name of a field and the colon after it.
    #[inline(always)]
    fn name(&mut self) -> Result<Text<'j>, JsonError> {
        self.skip_white_space();
        let name = self.string()?;
        if self.byte() == Some(b':') {
            self.at += 1;
        } else {
            self.expect(b':')?;
        }
        Ok(name)
    }

    fn skip_name(&mut self) -> Result<(), JsonError> {
        self.skip_white_space();
        self.skip_string()?;
        self.expect(b':')
    }

    /// Reads a string.
    #[inline(always)]
    fn string(&mut self) -> Result<Text<'j>, JsonError> {
        match self.plain_string() {
            Some(text) => Ok(Some(Cow::Borrowed(text))),
            None => self.escaped_string(),
        }
    }

    /// Reads a string without escapes, as most are; `None` if it has some, or is not valid.
    #[inline(always)]
    fn plain_string(&mut self) -> Option<&'j str> {
        let [b'"', rest @ ..] = self.text.as_bytes().get(self.at..)? else { return None };
        let (start, length) = (self.at + 1, plain_length(rest));
        if rest.get(length) != Some(&b'"') {
            return None;
        }
        self.at = start + length + 1;
        self.text.get(start..start + length)
    }

    #[cold]
    fn escaped_string(&mut self) -> Result<Text<'j>, JsonError> {
        let start = self.at + 1;
        self.skip_string()?;
        let text = self.text.get(start..self.at - 1).ok_or(JsonError)?;
        Ok(unescaped(text).map(Cow::Owned))
    }

    /// Skips a string and checks its grammar.
    fn skip_string(&mut self) -> Result<(), JsonError> {
        let bytes = self.text.as_bytes();
        if bytes.get(self.at) != Some(&b'"') {
            return Err(JsonError);
        }
        let mut at = self.at + 1;
        loop {
            at += plain_length(bytes.get(at..).unwrap_or_default());
            match bytes.get(at..).unwrap_or_default() {
                [b'"', ..] => {
                    self.at = at + 1;
                    return Ok(());
                }
                [b'\\', b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => at += 2,
                [b'\\', b'u', a, b, c, d, ..] if [a, b, c, d].into_iter().all(u8::is_ascii_hexdigit) => {
                    at += 6
                }
                _ => return Err(JsonError),
            }
        }
    }

    /// Reads a number, as it is written.
    fn number(&mut self) -> Result<&'j str, JsonError> {
        let start = self.at;
        self.at += usize::from(self.byte() == Some(b'-'));
        let whole = self.at;
        let digits = self.digits()?;
        if digits > 1 && self.text.as_bytes().get(whole) == Some(&b'0') {
            return Err(JsonError);
        }
        if self.byte() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.byte(), Some(b'e' | b'E')) {
            self.at += 1;
            self.at += usize::from(matches!(self.byte(), Some(b'+' | b'-')));
            self.digits()?;
        }
        self.text.get(start..self.at).ok_or(JsonError)
    }

    /// Takes digits, at least one, and returns their number.
    fn digits(&mut self) -> Result<usize, JsonError> {
        let start = self.at;
        while self.byte().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at > start { Ok(self.at - start) } else { Err(JsonError) }
    }
}

/// Decodes the escapes of a string whose grammar was checked; `None` if it has a lone surrogate.
fn unescaped(text: &str) -> Option<String> {
    let mut decoded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, escape)) = rest.split_once('\\') {
        decoded.push_str(before);
        let (kind, after) = escape.split_at_checked(1)?;
        rest = after;
        decoded.push(match kind {
            "b" => '\u{8}',
            "f" => '\u{c}',
            "n" => '\n',
            "r" => '\r',
            "t" => '\t',
            "u" => {
                let first = unit(&mut rest)?;
                let units = match first {
                    0xd800..=0xdbff => {
                        rest = rest.strip_prefix("\\u")?;
                        vec![first, unit(&mut rest)?]
                    }
                    _ => vec![first],
                };
                char::decode_utf16(units).next()?.ok()?
            }
            other => other.chars().next()?,
        });
    }
    decoded.push_str(rest);
    Some(decoded)
}

/// Takes the four digits of a UTF-16 code unit.
fn unit(rest: &mut &str) -> Option<u16> {
    let (digits, after) = rest.split_at_checked(4)?;
    *rest = after;
    u16::from_str_radix(digits, 16).ok()
}

/// Number of decimal digits that every double preserves (IEEE 754).
const EXACT_DIGITS: usize = 15;

/// Largest integer up to which all integers are exact in a double.
const EXACT_MAX: f64 = 9_007_199_254_740_991.0;

/// Returns a number without an exponent and without zeros at the end of its fraction; `None` if that may not be exactly
/// the number that was written.
fn exact(number: &str) -> Option<Cow<'_, str>> {
    if number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') {
        let is_in_range = number.parse::<i64>().is_ok() || number.parse::<u64>().is_ok();
        return is_in_range.then_some(if number == "-0" {
            Cow::Borrowed("0")
        } else {
            Cow::Borrowed(number)
        });
    }
    let value = number.parse::<f64>().ok()?;
    let mantissa = number.split(['e', 'E']).next().unwrap_or_default();
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let significant = digits.trim_matches('0').len();
    if significant == 0 {
        return Some(Cow::Borrowed("0"));
    }
    let is_exact = significant <= EXACT_DIGITS && value.is_normal() && value.abs() <= EXACT_MAX;
    is_exact.then(|| Cow::Owned(value.to_string()))
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    /// An object that is skipped.
    struct Skipped;

    impl FromJson for Skipped {
        fn from_object(json: &mut JsonReader<'_>) -> Result<Option<Self>, JsonError> {
            json.skip().map(|()| Some(Self))
        }
    }

    fn is_object(text: &str) -> bool {
        read::<Skipped>(text).is_ok()
    }

    fn is_value(json: &str) -> bool {
        is_object(&format!("{{\"a\":{json}}}"))
    }

    fn string(json: &str) -> Text<'_> {
        JsonReader::new(json, None).string().unwrap()
    }

    #[test]
    fn the_grammar_is_that_of_rfc_8259() {
        for json in [
            "0",
            "-0",
            "1.50e+3",
            "1E5",
            "\"\"",
            "\"a\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\ud800\"",
            "true",
            "null",
            "[]",
            "[1,[2,{}],{\"a\":[{}]}]",
            " { \"a\" : [ ] ,\r\n\t\"b\" : false } ",
            "\"é\u{7f}\u{2028}\"",
            "1e999",
        ] {
            assert!(is_value(json), "{json}");
            assert!(
                json.contains("ud800") || json == "1e999" || serde_json::from_str::<Value>(json).is_ok(),
                "{json}"
            );
        }
        for json in [
            "",
            "01",
            "1.",
            ".5",
            "+1",
            "-",
            "1e",
            "1e+",
            "nul",
            "True",
            "\"a",
            "\"\\x\"",
            "\"\\u12g4\"",
            "\"\u{1}\"",
            "\"\n\"",
            "[1,]",
            "[,1]",
            "[1 2]",
            "{\"a\"}",
            "{\"a\":}",
            "{a:1}",
            "{\"a\":1,}",
            "{\"a\":1]",
            "[1}",
            "NaN",
            "1 1",
            "\u{a0}1",
            "'a'",
        ] {
            assert!(!is_value(json), "{json}");
            assert!(serde_json::from_str::<Value>(json).is_err(), "{json}");
        }
        for text in ["", "[]", "{} {}", "{}x", "1", "{\"a\":1"] {
            assert!(!is_object(text), "{text}");
        }
    }

    #[test]
    fn values_are_skipped_at_any_depth() {
        let depth = 100_000;
        assert!(is_value(&format!("{}{}", "[".repeat(depth), "]".repeat(depth))));
        assert!(!is_value(&"[".repeat(depth)));
    }

    #[test]
    fn escapes_are_decoded_and_lone_surrogates_are_no_text() {
        assert_eq!(
            string(r#""a\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00é""#).unwrap(),
            "a\"\\/\u{8}\u{c}\n\r\té😀é"
        );
        for lone in [r#""\ud800""#, r#""\ud800x""#, r#""\udfff""#, r#""\ud800\u0041""#, r#""\ud800\ud800""#] {
            assert_eq!(string(lone), None, "{lone}");
        }
    }

    proptest! {
        #[test]
        fn texts_are_read_as_by_serde_json(text in any::<String>(), is_escaped in any::<bool>()) {
            let mut json = serde_json::to_string(&text).unwrap();
            if is_escaped {
                json = text.encode_utf16().fold("\"".to_owned(), |mut json, unit| {
                    write!(json, "\\u{unit:04X}").unwrap();
                    json
                }) + "\"";
            }
            prop_assert_eq!(string(&json).unwrap(), text);
        }

        #[test]
        fn texts_with_one_changed_byte_are_accepted_as_by_serde_json(
            at in 0_usize..120,
            byte in prop::sample::select(b"{}[]\",:\\0-.eE tfn\n\x01u".to_vec()),
        ) {
            let json = br#"{"a":[1,-2.5e3,"b\n\u00e9",true,{"c":null,"d":[]}],"long text of many words":"0123456789 abcdef \\","e":{}}"#;
            let mut json = json.to_vec();
            if let Some(place) = json.get_mut(at) {
                *place = byte;
            }
            let text = String::from_utf8(json).unwrap();
            let ours = is_object(&text);
            // serde_json reads other values than objects too.
            let theirs = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok() && text.trim().starts_with('{');
            prop_assert_eq!(ours, theirs, "{}", text);
        }
    }

    #[test]
    fn a_number_as_text_is_exact_or_unreadable() {
        for (json, text) in [
            ("3.0", "3"),
            ("-0", "0"),
            ("-0.0", "0"),
            ("0e-400", "0"),
            ("9007199254740991", "9007199254740991"),
            ("18446744073709551615", "18446744073709551615"),
            ("-9223372036854775808", "-9223372036854775808"),
            ("0.1", "0.1"),
            ("1e3", "1000"),
            ("1e-7", "0.0000001"),
            ("-1.25e2", "-125"),
        ] {
            assert_eq!(exact(json).as_deref(), Some(text), "{json}");
        }
        for json in [
            "18446744073709551616",
            "-9223372036854775809",
            "1e300",
            "1e400",
            "-1E-999",
            "5e-324",
            "0.12345678901234567",
            "9007199254740993.5",
            "1e16",
            "1.200103381e-313",
        ] {
            assert_eq!(exact(json), None, "{json}");
        }
    }
}
