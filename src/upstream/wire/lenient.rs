//! Lenient fields: each is absent, read, or unreadable.
//!
//! A [`FromJson`] type defines which kinds of JSON values it accepts. [`Field`] is the visitor for all of these types;
//! it skips every other value unread. Decoding therefore does not stop at the first mismatch, as serde otherwise would.
//! The code that builds the domain value decides the effect of an unreadable field, and knows its location. Rejected:
//! untagged enums. They first build every value that they inspect, including secrets.

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;

use jiff::Timestamp;
use serde::de::value::MapAccessDeserializer;
use serde::de::{
    Deserialize, DeserializeOwned, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

thread_local! {
    /// Whether a number with a fraction or an exponent ends the decoding with an error.
    static REFUSES_DOUBLES: Cell<bool> = const { Cell::new(false) };
}

/// Runs `decode` on text in which no number should have a fraction or an exponent. Such a number ends `decode` with an
/// error, because a double may differ from the text. The caller then decodes the text again, comparing numbers with
/// their texts ([`super::repair`]). Comparing them always would take as long as the decoding itself.
pub(super) fn without_doubles<T>(decode: impl FnOnce() -> T) -> T {
    struct Reset;
    impl Drop for Reset {
        fn drop(&mut self) {
            REFUSES_DOUBLES.set(false);
        }
    }
    let _reset = Reset;
    REFUSES_DOUBLES.set(true);
    decode()
}

/// Maximum length of one value in bytes. Longer ones are unreadable, because an operation may repeat each value many
/// times in its response.
const TEXT_BYTES_MAX: usize = 16 * 1024;

/// Maximum number of scopes of one value, and maximum length of a scope. Further or longer ones are skipped.
const SCOPES_MAX: usize = 1_000;
const SCOPE_BYTES_MAX: usize = 1024;

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

    fn from_list<'de, A: SeqAccess<'de>>(mut list: A) -> Result<Option<Self>, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn from_object<'de, A: MapAccess<'de>>(mut object: A) -> Result<Option<Self>, A::Error> {
        while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(None)
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

    fn of(read: Option<T>) -> Self {
        read.map_or(Self::Unreadable, Self::Read)
    }
}

impl<'de, T: FromJson> Deserialize<'de> for Field<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue(PhantomData))
    }
}

struct AnyValue<T>(PhantomData<T>);

impl<'de, T: FromJson> Visitor<'de> for AnyValue<T> {
    type Value = Field<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Field<T>, E> {
        Ok(Field::of(T::from_text(text)))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Field<T>, E> {
        Ok(Field::of(T::from_boolean(value)))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Field<T>, E> {
        Ok(Field::of(T::from_number(&value.to_string())))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Field<T>, E> {
        Ok(Field::of(T::from_number(&value.to_string())))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Field<T>, E> {
        if REFUSES_DOUBLES.get() {
            return Err(E::custom("a number that a double may change"));
        }
        Ok(Field::of(exact(value).and_then(|number| T::from_number(&number))))
    }

    fn visit_unit<E: Error>(self) -> Result<Field<T>, E> {
        Ok(Field::Absent)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Field<T>, A::Error> {
        T::from_list(list).map(Field::of)
    }

    fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<Field<T>, A::Error> {
        T::from_object(object).map(Field::of)
    }
}

/// Number of decimal digits that every double can represent (IEEE 754).
const EXACT_DIGITS: usize = 15;

/// Largest integer up to which all integers are exact in a double.
const EXACT_MAX: f64 = 9_007_199_254_740_991.0;

/// Formats a double. Returns `None` if the JSON may have had more digits than a double can represent.
fn exact(number: f64) -> Option<String> {
    let text = if number == 0.0 { "0".to_owned() } else { number.to_string() };
    let digits = text.trim_start_matches(['-', '0', '.']).bytes().filter(u8::is_ascii_digit).count();
    let is_whole = number.fract() == 0.0 && number.abs() <= EXACT_MAX;
    // A subnormal double has fewer digits.
    if number.is_subnormal() {
        return None;
    }
    (is_whole || digits <= EXACT_DIGITS).then_some(text).filter(|_| number.abs() <= EXACT_MAX)
}

/// An identifier or an enum value: a string, or an integer that an upstream sends without quotes.
#[derive(Debug, Default)]
pub(in crate::upstream) struct Identifier(pub(in crate::upstream) Box<str>);

impl FromJson for Identifier {
    fn from_text(text: &str) -> Option<Self> {
        (text.len() <= TEXT_BYTES_MAX).then(|| Self(text.into()))
    }

    fn from_number(number: &str) -> Option<Self> {
        (!number.contains('.')).then(|| Self(number.into()))
    }
}

/// A cursor: a string, or a number as text. A boolean is unreadable: it says whether pages follow, and not which.
#[derive(Debug)]
pub(in crate::upstream) struct PageCursor(pub(in crate::upstream) Box<str>);

/// Maximum length of a cursor, in bytes. It is part of cache keys, of the next call's URL and of the cursors that
/// clients receive. Observed cursors are shorter than 100 bytes.
const CURSOR_BYTES_MAX: usize = 4 * 1024;

impl FromJson for PageCursor {
    fn from_text(text: &str) -> Option<Self> {
        (text.len() <= CURSOR_BYTES_MAX).then(|| Self(text.into()))
    }

    fn from_number(number: &str) -> Option<Self> {
        Some(Self(number.into()))
    }
}

/// A count: an integer, or a string with one.
#[derive(Debug, Clone, Copy)]
pub(in crate::upstream) struct Count(pub(in crate::upstream) u64);

impl FromJson for Count {
    fn from_text(text: &str) -> Option<Self> {
        text.trim().parse().ok().map(Self)
    }

    fn from_number(number: &str) -> Option<Self> {
        number.parse().ok().map(Self)
    }
}

/// A string, number or boolean, as a string.
#[derive(Debug, Default)]
pub(in crate::upstream) struct Text(pub(in crate::upstream) Box<str>);

impl FromJson for Text {
    fn from_text(text: &str) -> Option<Self> {
        (text.len() <= TEXT_BYTES_MAX).then(|| Self(text.into()))
    }

    fn from_boolean(value: bool) -> Option<Self> {
        Some(Self(value.to_string().into()))
    }

    fn from_number(number: &str) -> Option<Self> {
        Some(Self(number.into()))
    }
}

/// A boolean, or its text, or 0 or 1.
impl FromJson for bool {
    fn from_boolean(value: bool) -> Option<Self> {
        Some(value)
    }

    fn from_text(text: &str) -> Option<Self> {
        match text {
            "true" | "True" | "TRUE" => Some(true),
            "false" | "False" | "FALSE" => Some(false),
            _ => None,
        }
    }

    fn from_number(number: &str) -> Option<Self> {
        match number {
            "0" => Some(false),
            "1" => Some(true),
            _ => None,
        }
    }
}

/// RFC 3339.
impl FromJson for Timestamp {
    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

/// An object of known fields, each of them lenient.
pub(in crate::upstream) struct Object<T>(pub(in crate::upstream) T);

impl<T: DeserializeOwned> FromJson for Object<T> {
    fn from_object<'de, A: MapAccess<'de>>(object: A) -> Result<Option<Self>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(object)).map(|fields| Some(Self(fields)))
    }
}

/// A list of strings; entries of other types are skipped.
#[derive(Debug, Default)]
pub(in crate::upstream) struct Texts {
    pub(in crate::upstream) texts: Vec<Box<str>>,
    pub(in crate::upstream) unreadable: u64,
}

impl FromJson for Texts {
    fn from_list<'de, A: SeqAccess<'de>>(mut list: A) -> Result<Option<Self>, A::Error> {
        let mut read = Self::default();
        while let Some(entry) = list.next_element()? {
            match entry {
                Field::Read(Text(text)) if read.texts.len() < SCOPES_MAX => read.texts.push(text),
                Field::Read(_) | Field::Unreadable => read.unreadable += 1,
                Field::Absent => {}
            }
        }
        Ok(Some(read))
    }
}

/// OAuth scopes in every observed form: one string with several scopes (RFC 6749, 3.3; some services use commas), a
/// list of strings, a list of objects (docs/upstreams.md#composio-connection-state, #leadlex-open-questions), or
/// `null`. Entries without a scope are skipped.
/// #leadlex-open-questions), `null`. Entries without a scope are skipped.
#[derive(Debug, Default)]
pub(in crate::upstream) struct Scopes {
    pub(in crate::upstream) scopes: Vec<Box<str>>,
    pub(in crate::upstream) unreadable: u64,
}

impl Scopes {
    fn add(&mut self, scope: &str) {
        if scope.len() > SCOPE_BYTES_MAX || self.scopes.len() >= SCOPES_MAX {
            self.unreadable += 1;
        } else if !scope.is_empty() {
            self.scopes.push(scope.into());
        }
    }
}

impl FromJson for Scopes {
    fn from_text(text: &str) -> Option<Self> {
        let mut read = Self::default();
        let scopes = text.split([' ', ',', '\t', '\n']).filter(|scope| !scope.is_empty());
        scopes.for_each(|scope| read.add(scope));
        Some(read)
    }

    fn from_list<'de, A: SeqAccess<'de>>(mut list: A) -> Result<Option<Self>, A::Error> {
        let mut read = Self::default();
        while let Some(entry) = list.next_element()? {
            match entry {
                Field::Read(Scope(scope)) => read.add(&scope),
                Field::Unreadable => read.unreadable += 1,
                Field::Absent => {}
            }
        }
        Ok(Some(read))
    }
}

/// One scope of a list: a string, or an object with `scope`, `name`, `value` or `id`.
struct Scope(Box<str>);

impl FromJson for Scope {
    fn from_text(text: &str) -> Option<Self> {
        Some(Self(text.into()))
    }

    fn from_object<'de, A: MapAccess<'de>>(mut object: A) -> Result<Option<Self>, A::Error> {
        let mut named: [Option<Text>; 4] = Default::default();
        while let Some(key) = object.next_key::<Box<str>>()? {
            let [scope, name, value, id] = &mut named;
            let place = match &*key {
                "scope" => scope,
                "name" => name,
                "value" => value,
                "id" => id,
                _ => {
                    object.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            *place = object.next_value::<Field<Text>>()?.read();
        }
        Ok(named.into_iter().flatten().next().map(|Text(text)| Self(text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field<T: FromJson>(json: &str) -> Field<T> {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn scopes_are_decoded_in_every_observed_form() {
        let scopes = |json: &str| {
            let Scopes { scopes, unreadable } = field(json).read().unwrap();
            (scopes.join("|"), unreadable)
        };
        assert_eq!(scopes(r#""a b,c""#), ("a|b|c".to_owned(), 0));
        assert_eq!(scopes(r#"["a b","c","",null]"#), ("a b|c".to_owned(), 0));
        let mixed = r#"[{"scope":"a"},{"name":"b"},{"x":1,"id":"c"},{},null,3,[],{"name":[1]},true]"#;
        assert_eq!(scopes(mixed), ("a|b|c".to_owned(), 5));
        assert_eq!(scopes("[{}]"), (String::new(), 1));
        assert_eq!(scopes("[]"), (String::new(), 0));
        assert!(matches!(field::<Scopes>("null"), Field::Absent));
        for none in ["3", "true", r#"{"scope":"a"}"#] {
            assert!(matches!(field::<Scopes>(none), Field::Unreadable), "{none}");
        }
    }

    #[test]
    fn texts_and_scopes_are_bounded() {
        let text = |bytes: usize| format!("\"{}\"", "x".repeat(bytes));
        assert!(field::<Text>(&text(TEXT_BYTES_MAX)).read().is_some());
        assert!(matches!(field::<Text>(&text(TEXT_BYTES_MAX + 1)), Field::Unreadable));
        assert!(matches!(field::<Identifier>(&text(TEXT_BYTES_MAX + 1)), Field::Unreadable));
        let scopes = |json: &str| {
            let Scopes { scopes, unreadable } = field(json).read().unwrap();
            (scopes.len(), unreadable)
        };
        assert_eq!(scopes(&format!("\"{}\"", "a ".repeat(3_500_000))), (SCOPES_MAX, 3_499_000));
        assert_eq!(scopes(&format!("[{}\"a\"]", "\"a\",".repeat(SCOPES_MAX))), (SCOPES_MAX, 1));
        assert_eq!(scopes(&text(SCOPE_BYTES_MAX + 1)), (0, 1));
        let Texts { texts, unreadable } = field(&format!("[{}1]", "1,".repeat(SCOPES_MAX))).read().unwrap();
        assert_eq!((texts.len(), unreadable), (SCOPES_MAX, 1));
    }

    #[test]
    fn a_field_of_another_type_is_unreadable_and_not_an_error() {
        for (json, text) in [("\"a\"", "a"), ("3600", "3600"), ("true", "true"), ("-1", "-1"), ("1.5", "1.5")]
        {
            assert_eq!(&*field::<Text>(json).read().unwrap().0, text);
        }
        for other in ["{\"a\":1}", "[1]"] {
            assert!(matches!(field::<Text>(other), Field::Unreadable), "{other}");
        }
        assert!(matches!(field::<Text>("null"), Field::Absent));
        assert_eq!(&*field::<Identifier>("12").read().unwrap().0, "12");
        for other in ["1.5", "true", "[]"] {
            assert!(matches!(field::<Identifier>(other), Field::Unreadable), "{other}");
        }
        for other in ["\"yes\"", "2", "-1", "1.5", "{}", "[]"] {
            assert_eq!(field::<bool>(other), Field::Unreadable, "{other}");
        }
        for (json, value) in
            [("false", false), ("\"true\"", true), ("\"False\"", false), ("1", true), ("0", false)]
        {
            assert_eq!(field(json), Field::Read(value), "{json}");
        }
    }

    #[test]
    fn a_number_as_text_is_exact_or_unreadable() {
        for (json, text) in [
            ("3.0", "3"),
            ("-0", "0"),
            ("-0.0", "0"),
            ("9007199254740991", "9007199254740991"),
            ("18446744073709551615", "18446744073709551615"),
            ("0.1", "0.1"),
            ("1e3", "1000"),
            ("1e-7", "0.0000001"),
        ] {
            assert_eq!(&*field::<Text>(json).read().unwrap().0, text, "{json}");
        }
        for json in [
            "18446744073709551616",
            "1e300",
            "0.12345678901234567",
            "9007199254740993.5",
            "1e16",
            "1.200103381e-313",
        ] {
            assert!(matches!(field::<Text>(json), Field::Unreadable), "{json}");
        }
    }

    #[test]
    fn timestamps_are_rfc_3339() {
        assert!(field::<Timestamp>("\"2026-11-21T12:00:00+01:00\"").read().is_some());
        for other in ["\"yesterday\"", "\"\"", "1708905600", "{}", "\"2026-11-21\""] {
            assert_eq!(field::<Timestamp>(other), Field::Unreadable, "{other}");
        }
        assert_eq!(field::<Timestamp>("null"), Field::Absent);
    }

    #[test]
    fn entries_of_other_types_are_skipped_in_lists_of_strings() {
        let Texts { texts, unreadable } = field(r#"["a",null,{"b":["c"]},2]"#).read().unwrap();
        assert_eq!((texts.join("|"), unreadable), ("a|2".to_owned(), 1));
        for none in ["\"a\"", "7", "{}"] {
            assert!(matches!(field::<Texts>(none), Field::Unreadable), "{none}");
        }
    }
}
