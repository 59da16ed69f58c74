//! Lenient fields: each is absent, read, or unreadable.
//!
//! A [`FromJson`] type defines which kinds of JSON values it accepts. [`JsonReader::field`] skips every other kind
//! unread. Decoding therefore does not stop at the first mismatch, as serde otherwise would. The code that builds the
//! domain value decides the effect of an unreadable field, and knows its location. Rejected: untagged enums. They first
//! build every value that they inspect, including secrets.

use jiff::Timestamp;

pub(in crate::upstream) use super::json::{Field, FromJson};
use super::json::{JsonError, JsonReader};
use crate::domain::open_enum::{OpenEnum, OpenValue};
use crate::domain::timestamps;

/// Maximum length of one value in bytes. Longer ones are unreadable, because an operation may repeat each value many
/// times in its response.
const TEXT_BYTES_MAX: usize = 16 * 1024;

/// Maximum number of scopes of one value, and maximum length of a scope. Further or longer ones are skipped.
const SCOPES_MAX: usize = 1_000;
const SCOPE_BYTES_MAX: usize = 1024;

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

/// As [`Identifier`], but a known value needs no memory.
impl<V: OpenEnum> FromJson for OpenValue<V> {
    fn from_text(text: &str) -> Option<Self> {
        (text.len() <= TEXT_BYTES_MAX).then(|| Self::parse(text))
    }

    fn from_number(number: &str) -> Option<Self> {
        (!number.contains('.')).then(|| Self::parse(number))
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
        timestamps::parse(text)
    }
}

/// Declares an object of known fields, each of them lenient: `field: Type = "name"`.
macro_rules! json_object {
    ($visibility:vis struct $name:ident { $($field:ident: $type:ty = $json:literal,)+ }) => {
        #[derive(Default)]
        $visibility struct $name {
            $($field: $crate::upstream::wire::lenient::Field<$type>,)+
        }

        impl $crate::upstream::wire::lenient::FromJson for $name {
            fn from_object(
                json: &mut $crate::upstream::wire::json::JsonReader<'_>,
            ) -> Result<Option<Self>, $crate::upstream::wire::json::JsonError> {
                let mut fields = Self::default();
                json.object(|json, name| {
                    match name {
                        $($json => fields.$field = json.field()?,)+
                        _ => json.skip()?,
                    }
                    Ok(())
                })?;
                Ok(Some(fields))
            }
        }
    };
}
pub(in crate::upstream) use json_object;

/// A list of strings; entries of other types are skipped.
#[derive(Debug, Default)]
pub(in crate::upstream) struct Texts {
    pub(in crate::upstream) texts: Vec<Box<str>>,
    pub(in crate::upstream) unreadable: u64,
}

impl FromJson for Texts {
    fn from_list(json: &mut JsonReader<'_>) -> Result<Option<Self>, JsonError> {
        let mut read = Self::default();
        json.list(|json| {
            match json.field()? {
                Field::Read(Text(text)) if read.texts.len() < SCOPES_MAX => read.texts.push(text),
                Field::Read(_) | Field::Unreadable => read.unreadable += 1,
                Field::Absent => {}
            }
            Ok(())
        })?;
        Ok(Some(read))
    }
}

/// OAuth scopes in every observed form: one string with several scopes (RFC 6749, 3.3; some services use commas), a
/// list of strings, a list of objects (docs/upstreams.md#composio-connection-state, #leadlex-open-questions), or
/// `null`. Entries without a scope are skipped.
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

    fn from_list(json: &mut JsonReader<'_>) -> Result<Option<Self>, JsonError> {
        let mut read = Self::default();
        json.list(|json| {
            match json.field()? {
                Field::Read(Scope(scope)) => read.add(&scope),
                Field::Unreadable => read.unreadable += 1,
                Field::Absent => {}
            }
            Ok(())
        })?;
        Ok(Some(read))
    }
}

/// One scope of a list: a string, or an object with `scope`, `name`, `value` or `id`.
struct Scope(Box<str>);

impl FromJson for Scope {
    fn from_text(text: &str) -> Option<Self> {
        Some(Self(text.into()))
    }

    fn from_object(json: &mut JsonReader<'_>) -> Result<Option<Self>, JsonError> {
        let mut named: [Option<Text>; 4] = Default::default();
        json.object(|json, name| {
            let [scope, name_of, value, id] = &mut named;
            let found = match name {
                "scope" => scope,
                "name" => name_of,
                "value" => value,
                "id" => id,
                _ => return json.skip(),
            };
            *found = json.field()?.read();
            Ok(())
        })?;
        Ok(named.into_iter().flatten().next().map(|Text(text)| Self(text)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::json::read;
    use super::*;

    /// An object with one field.
    struct Holder<T>(Field<T>);

    impl<T: FromJson> FromJson for Holder<T> {
        fn from_object(json: &mut JsonReader<'_>) -> Result<Option<Self>, JsonError> {
            let mut field = Field::Absent;
            json.object(|json, _| {
                field = json.field()?;
                Ok(())
            })?;
            Ok(Some(Self(field)))
        }
    }

    fn field<T: FromJson>(json: &str) -> Field<T> {
        read::<Holder<T>>(&format!("{{\"field\":{json}}}")).unwrap().0
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
