//! Reads the request id and the code or slug from the body of an error response.
//!
//! Upstreams deviate from the documented format of error bodies (docs/upstreams.md#composio-errors,
//! #leadlex-open-questions), so every known format is tried and no field is required. Messages are never read, because
//! they are the upstream's own text.

use serde::de::{IgnoredAny, MapAccess};

use super::wire::lenient::{Field, FromJson, Text};

/// The parts of an error body that are safe to show.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ErrorBody {
    pub(super) slug: Option<String>,
    pub(super) request_id: Option<String>,
}

#[derive(Default)]
struct Envelope {
    error: Field<Inner>,
    code: Field<Text>,
}

impl FromJson for Envelope {
    fn from_object<'de, A: MapAccess<'de>>(mut object: A) -> Result<Option<Self>, A::Error> {
        let mut envelope = Self::default();
        while let Some(name) = object.next_key::<Box<str>>()? {
            match &*name {
                "error" => envelope.error = object.next_value()?,
                "code" => envelope.code = object.next_value()?,
                _ => drop(object.next_value::<IgnoredAny>()?),
            }
        }
        Ok(Some(envelope))
    }
}

/// `error`: an object with details, or only a code.
#[derive(Default)]
struct Inner {
    slug: Field<Text>,
    code: Field<Text>,
    request_id: Field<Text>,
}

impl FromJson for Inner {
    fn from_text(code: &str) -> Option<Self> {
        Some(Self { code: Text::from_text(code).map_or(Field::Absent, Field::Read), ..Self::default() })
    }

    fn from_object<'de, A: MapAccess<'de>>(mut object: A) -> Result<Option<Self>, A::Error> {
        let mut inner = Self::default();
        while let Some(name) = object.next_key::<Box<str>>()? {
            match &*name {
                "slug" => inner.slug = object.next_value()?,
                "code" => inner.code = object.next_value()?,
                "request_id" => inner.request_id = object.next_value()?,
                _ => drop(object.next_value::<IgnoredAny>()?),
            }
        }
        Ok(Some(inner))
    }
}

/// Reads `{"error":{…}}`, `{"error":"code"}`, `{"code":…}`, or nothing.
pub(super) fn read(body: &[u8]) -> ErrorBody {
    let envelope: Field<Envelope> = serde_json::from_slice(body).unwrap_or_default();
    let Envelope { error, code } = envelope.read().unwrap_or_default();
    let error = error.read().unwrap_or_default();
    let public = |text: Field<Text>| public_token(&text.read()?.0);
    let slug = public(error.slug).or_else(|| public(error.code)).or_else(|| public(code));
    ErrorBody { slug, request_id: public(error.request_id) }
}

/// Returns the text if it is safe to show: `[A-Za-z0-9_-]{1,64}`.
pub(super) fn public_token(text: &str) -> Option<String> {
    let fits = (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
    fits.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(body: &str) -> (Option<String>, Option<String>) {
        let ErrorBody { slug, request_id } = read(body.as_bytes());
        (slug, request_id)
    }

    #[test]
    fn every_form_of_error_body_is_parsed_and_none_is_required() {
        let some = |text: &str| Some(text.to_owned());
        let envelope =
            r#"{"error":{"message":"m","code":1803,"slug":"not_found","status":400,"request_id":"8b62"}}"#;
        assert_eq!(parsed(envelope), (some("not_found"), some("8b62")));
        assert_eq!(
            parsed(r#"{"error":{"message":"m","code":1803,"suggested_fix":""}}"#),
            (some("1803"), None)
        );
        assert_eq!(parsed(r#"{"error":"rate_limited","message":"m"}"#), (some("rate_limited"), None));
        assert_eq!(parsed(r#"{"code":"invalid_key","message":"m"}"#), (some("invalid_key"), None));
        for none in [
            "",
            "<html>",
            "[]",
            "null",
            r#"{"message":"Rate limit exceeded"}"#,
            r#"{"error":{"slug":["x"]}}"#,
            r#"{"error":["slug"],"code":{}}"#,
        ] {
            assert_eq!(parsed(none), (None, None), "{none}");
        }
    }

    #[test]
    fn free_text_is_not_shown() {
        assert_eq!(parsed(r#"{"error":{"slug":"your key ak_1 is wrong"}}"#), (None, None));
        assert_eq!(public_token(&"a".repeat(65)), None);
    }
}
