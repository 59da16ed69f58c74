//! Optional fields that are read if they are what they should be, and are absent otherwise.
//!
//! A type says which kinds of values it wants and what becomes of them ([`Lenient`]); one visitor does
//! the rest. Untagged enums, the rejected choice, first build every
//! value that they look at, secrets included.

use std::fmt;
use std::marker::PhantomData;

use jiff::Timestamp;
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// What a JSON value of any kind becomes: a kind that is not wanted is skipped, and is absent.
pub(in crate::upstream) trait Lenient: Default {
    fn of_text(_: &str) -> Self {
        Self::default()
    }

    fn of_number_or_boolean(_: impl ToString) -> Self {
        Self::default()
    }

    fn of_list<'de, A: SeqAccess<'de>>(mut list: A) -> Result<Self, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Self::default())
    }

    fn of_object<'de, A: MapAccess<'de>>(mut object: A) -> Result<Self, A::Error> {
        while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Self::default())
    }
}

/// Reads whatever value comes next.
pub(in crate::upstream) fn lenient<'de, T: Lenient, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    deserializer.deserialize_any(AnyValue(PhantomData))
}

struct AnyValue<T>(PhantomData<T>);

impl<'de, T: Lenient> Visitor<'de> for AnyValue<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        Ok(T::of_text(text))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<T, E> {
        Ok(T::of_number_or_boolean(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<T, E> {
        Ok(T::of_number_or_boolean(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<T, E> {
        Ok(T::of_number_or_boolean(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<T, E> {
        Ok(T::of_number_or_boolean(value))
    }

    fn visit_unit<E: Error>(self) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<T, A::Error> {
        T::of_list(list)
    }

    fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<T, A::Error> {
        T::of_object(object)
    }
}

/// A string, number or boolean as text; anything else is absent.
#[derive(Debug, Default)]
pub(in crate::upstream) struct Text(pub(in crate::upstream) Option<Box<str>>);

impl Text {
    /// The text as a moment; absent where it is no RFC 3339 one.
    pub(in crate::upstream) fn moment(&self) -> Option<Timestamp> {
        self.0.as_deref()?.parse().ok()
    }
}

impl Lenient for Text {
    fn of_text(text: &str) -> Self {
        Self(Some(text.into()))
    }

    fn of_number_or_boolean(value: impl ToString) -> Self {
        Self(Some(value.to_string().into()))
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        lenient(deserializer)
    }
}

/// A list of texts; items that are none are left out.
#[derive(Debug, Default)]
pub(in crate::upstream) struct Texts(pub(in crate::upstream) Vec<Box<str>>);

impl Lenient for Texts {
    fn of_list<'de, A: SeqAccess<'de>>(mut list: A) -> Result<Self, A::Error> {
        let mut texts = Vec::new();
        while let Some(Text(text)) = list.next_element()? {
            texts.extend(text);
        }
        Ok(Self(texts))
    }
}

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        lenient(deserializer)
    }
}

/// OAuth scopes in every form seen: a string of several (RFC 6749, 3.3; some services use commas),
/// a list of strings, a list of objects (UPSTREAMS.md A4, B2), `null`.
#[derive(Debug, Default)]
pub(in crate::upstream) struct Scopes(pub(in crate::upstream) Vec<Box<str>>);

impl Lenient for Scopes {
    fn of_text(text: &str) -> Self {
        let scopes = text.split([' ', ',', '\t', '\n']).filter(|scope| !scope.is_empty());
        Self(scopes.map(Into::into).collect())
    }

    fn of_list<'de, A: SeqAccess<'de>>(mut list: A) -> Result<Self, A::Error> {
        let mut scopes = Vec::new();
        while let Some(Scope(scope)) = list.next_element()? {
            scopes.extend(scope);
        }
        Ok(Self(scopes))
    }
}

impl<'de> Deserialize<'de> for Scopes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        lenient(deserializer)
    }
}

/// One scope of a list: a string, or an object that names it as `scope`, `name`, `value` or `id`.
#[derive(Default)]
struct Scope(Option<Box<str>>);

impl Lenient for Scope {
    fn of_text(text: &str) -> Self {
        Self((!text.is_empty()).then(|| text.into()))
    }

    fn of_object<'de, A: MapAccess<'de>>(mut object: A) -> Result<Self, A::Error> {
        let mut named: [Option<Box<str>>; 4] = Default::default();
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
            *place = object.next_value::<Text>()?.0;
        }
        Ok(Self(named.into_iter().flatten().next()))
    }
}

impl<'de> Deserialize<'de> for Scope {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        lenient(deserializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_read_in_every_form_that_was_seen() {
        let scopes = |json: &str| serde_json::from_str::<Scopes>(json).unwrap().0.join("|");
        assert_eq!(scopes(r#""a b,c""#), "a|b|c");
        assert_eq!(scopes(r#"["a b","c"]"#), "a b|c");
        assert_eq!(scopes(r#"[{"scope":"a"},{"name":"b"},{"x":1,"id":"c"},{},null,3,[]]"#), "a|b|c");
        for none in ["null", "[]", "[{}]", "3", "true", r#"{"scope":"a"}"#] {
            assert_eq!(scopes(none), "", "{none}");
        }
    }

    #[test]
    fn an_optional_field_of_another_type_is_absent_and_not_an_error() {
        for (json, text) in [
            ("\"a\"", Some("a")),
            ("3600", Some("3600")),
            ("true", Some("true")),
            ("{\"a\":1}", None),
            ("[1]", None),
            ("null", None),
        ] {
            assert_eq!(serde_json::from_str::<Text>(json).unwrap().0.as_deref(), text);
        }
    }

    #[test]
    fn of_a_list_of_texts_what_is_none_is_left_out() {
        let texts = |json: &str| serde_json::from_str::<Texts>(json).unwrap().0.join("|");
        assert_eq!(texts(r#"["a",null,{"b":["c"]},2]"#), "a|2");
        for none in ["null", "\"a\"", "7", "{}"] {
            assert_eq!(texts(none), "", "{none}");
        }
    }
}
