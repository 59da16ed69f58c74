//! Optional fields that are read if they are what they should be, and are absent otherwise.

use std::fmt;

use jiff::Timestamp;
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A string, number or boolean as text; anything else is absent.
#[derive(Debug, Default)]
pub(in crate::upstream) struct Text(pub(in crate::upstream) Option<Box<str>>);

impl Text {
    /// The text as a moment; absent where it is no RFC 3339 one.
    pub(in crate::upstream) fn moment(&self) -> Option<Timestamp> {
        self.0.as_deref()?.parse().ok()
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextVisitor)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Text, E> {
        Ok(Text(Some(text.into())))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Text, E> {
        Ok(Text(Some(value.to_string().into())))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Text, E> {
        Ok(Text(Some(value.to_string().into())))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Text, E> {
        Ok(Text(Some(value.to_string().into())))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Text, E> {
        Ok(Text(Some(value.to_string().into())))
    }

    fn visit_unit<E: Error>(self) -> Result<Text, E> {
        Ok(Text(None))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Text, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Text(None))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Text, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Text(None))
    }
}

/// OAuth scopes in every form seen: a string of several (RFC 6749, 3.3; some services use commas),
/// a list of strings, a list of objects (UPSTREAMS.md A4, B2), `null`.
#[derive(Debug, Default)]
pub(in crate::upstream) struct Scopes(pub(in crate::upstream) Vec<Box<str>>);

impl<'de> Deserialize<'de> for Scopes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScopesVisitor)
    }
}

struct ScopesVisitor;

impl<'de> Visitor<'de> for ScopesVisitor {
    type Value = Scopes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Scopes, E> {
        let scopes = text.split([' ', ',', '\t', '\n']).filter(|scope| !scope.is_empty());
        Ok(Scopes(scopes.map(Into::into).collect()))
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Scopes, E> {
        Ok(Scopes::default())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Scopes, E> {
        Ok(Scopes::default())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Scopes, E> {
        Ok(Scopes::default())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Scopes, E> {
        Ok(Scopes::default())
    }

    fn visit_unit<E: Error>(self) -> Result<Scopes, E> {
        Ok(Scopes::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Scopes, A::Error> {
        let mut scopes = Vec::new();
        while let Some(Scope(scope)) = list.next_element()? {
            scopes.extend(scope);
        }
        Ok(Scopes(scopes))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Scopes, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Scopes::default())
    }
}

/// One scope of a list: a string, or an object that names it as `scope`, `name`, `value` or `id`.
struct Scope(Option<Box<str>>);

impl<'de> Deserialize<'de> for Scope {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScopeVisitor)
    }
}

struct ScopeVisitor;

impl<'de> Visitor<'de> for ScopeVisitor {
    type Value = Scope;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Scope, E> {
        Ok(Scope((!text.is_empty()).then(|| text.into())))
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Scope, E> {
        Ok(Scope(None))
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Scope, E> {
        Ok(Scope(None))
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Scope, E> {
        Ok(Scope(None))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Scope, E> {
        Ok(Scope(None))
    }

    fn visit_unit<E: Error>(self) -> Result<Scope, E> {
        Ok(Scope(None))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Scope, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Scope(None))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Scope, A::Error> {
        let mut named: [Option<Box<str>>; 4] = Default::default();
        while let Some(key) = map.next_key::<Box<str>>()? {
            let [scope, name, value, id] = &mut named;
            let place = match &*key {
                "scope" => scope,
                "name" => name,
                "value" => value,
                "id" => id,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            *place = map.next_value::<Text>()?.0;
        }
        Ok(Scope(named.into_iter().flatten().next()))
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
}
