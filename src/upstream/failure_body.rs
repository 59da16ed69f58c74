//! What little of an error's body may be known: a request id, and a code or slug.
//!
//! The documented envelopes are not kept to (UPSTREAMS.md A7, B2), so every shape is tried and
//! nothing is required. Messages are never read: they are the upstream's own text.

use serde::Deserialize;

/// The parts of an error's body that may be shown.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) slug: Option<String>,
    pub(super) request_id: Option<String>,
}

#[derive(Deserialize)]
struct Envelope {
    error: Option<Inner>,
    code: Option<Token>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Inner {
    Object { slug: Option<Token>, code: Option<Token>, request_id: Option<Token> },
    Code(Token),
}

/// A code as a word or a number; anything else is no code.
#[derive(Deserialize)]
#[serde(untagged)]
enum Token {
    Word(String),
    Number(u64),
    Other(serde::de::IgnoredAny),
}

impl Token {
    fn public(self) -> Option<String> {
        match self {
            Self::Word(word) => public_token(&word),
            Self::Number(number) => Some(number.to_string()),
            Self::Other(_) => None,
        }
    }
}

/// Reads `{"error":{…}}`, `{"error":"code"}`, `{"code":…}`, or nothing.
pub(super) fn read(body: &[u8]) -> Told {
    let Ok(envelope) = serde_json::from_slice::<Envelope>(body) else {
        return Told::default();
    };
    match envelope.error {
        Some(Inner::Object { slug, code, request_id }) => Told {
            slug: slug.and_then(Token::public).or_else(|| code?.public()),
            request_id: request_id.and_then(Token::public),
        },
        Some(Inner::Code(code)) => Told { slug: code.public(), request_id: None },
        None => Told { slug: envelope.code.and_then(Token::public), request_id: None },
    }
}

/// A text that may be shown: `[A-Za-z0-9_-]{1,64}`.
pub(super) fn public_token(text: &str) -> Option<String> {
    let fits = (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
    fits.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(body: &str) -> (Option<String>, Option<String>) {
        let Told { slug, request_id } = read(body.as_bytes());
        (slug, request_id)
    }

    #[test]
    fn every_shape_of_an_error_is_read_and_none_is_required() {
        let some = |text: &str| Some(text.to_owned());
        let envelope =
            r#"{"error":{"message":"m","code":1803,"slug":"not_found","status":400,"request_id":"8b62"}}"#;
        assert_eq!(told(envelope), (some("not_found"), some("8b62")));
        assert_eq!(told(r#"{"error":{"message":"m","code":1803,"suggested_fix":""}}"#), (some("1803"), None));
        assert_eq!(told(r#"{"error":"rate_limited","message":"m"}"#), (some("rate_limited"), None));
        assert_eq!(told(r#"{"code":"invalid_key","message":"m"}"#), (some("invalid_key"), None));
        for none in [
            "",
            "<html>",
            "[]",
            "null",
            r#"{"message":"Rate limit exceeded"}"#,
            r#"{"error":{"slug":["x"]}}"#,
        ] {
            assert_eq!(told(none), (None, None), "{none}");
        }
    }

    #[test]
    fn a_code_that_is_a_text_is_not_shown() {
        assert_eq!(told(r#"{"error":{"slug":"your key ak_1 is wrong"}}"#), (None, None));
        assert_eq!(public_token(&"a".repeat(65)), None);
    }
}
