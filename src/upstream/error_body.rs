//! Reads the request id and the code or slug from the body of an error response.
//!
//! Upstreams deviate from the documented format of error bodies (docs/upstreams.md#composio-errors,
//! #leadlex-open-questions), so every known format is tried and no field is required. Messages are never read, because
//! they are the upstream's own text.

use super::wire::json::{self, JsonError, JsonReader};
use super::wire::lenient::{Field, FromJson, Text, json_object};

/// The parts of an error body that are safe to show.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ErrorBody {
    pub(super) slug: Option<String>,
    pub(super) request_id: Option<String>,
}

json_object! {
    struct Envelope {
        error: Inner = "error",
        code: Text = "code",
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

    fn from_object(json: &mut JsonReader<'_>) -> Result<Option<Self>, JsonError> {
        let mut inner = Self::default();
        json.object(|json, name| {
            match name {
                "slug" => inner.slug = json.field()?,
                "code" => inner.code = json.field()?,
                "request_id" => inner.request_id = json.field()?,
                _ => json.skip()?,
            }
            Ok(())
        })?;
        Ok(Some(inner))
    }
}

/// Reads `{"error":{…}}`, `{"error":"code"}`, `{"code":…}`, or nothing.
pub(super) fn read(body: &[u8]) -> ErrorBody {
    // A byte that is not UTF-8 can only be in a text that is not shown.
    let Ok(Envelope { error, code }) = json::read(&String::from_utf8_lossy(body)) else {
        return ErrorBody::default();
    };
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
