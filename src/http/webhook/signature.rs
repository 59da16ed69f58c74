//! Signatures of webhook deliveries (Standard Webhooks, as Composio implements them:
//! docs/upstreams.md#composio-webhooks).
//!
//! A signature is `v1,` and the base64 of an HMAC-SHA-256 over id, timestamp and raw body. A header can have several,
//! separated by spaces. Composio uses the secret's text as key, neither decoded nor trimmed. Other senders of Standard
//! Webhooks use the bytes of the base64 after `whsec_`, so that key is accepted too: it is as hard to guess as the
//! text.

use axum::http::HeaderMap;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::Sha256;

use super::settings::decoded;
use crate::http::error::HttpError;

/// Maximum length of a delivery id: `msg_` and a UUID have 40 bytes.
const ID_BYTES_MAX: usize = 128;

/// Maximum number of signatures that are checked per delivery.
const SIGNATURES_MAX: usize = 8;

/// The signature headers of a delivery.
pub(super) struct Signature<'h> {
    pub(super) id: &'h str,
    /// Seconds since 1970.
    pub(super) timestamp: i64,
    /// The timestamp's original text, which is part of the signed data.
    written: &'h str,
    codes: Vec<Vec<u8>>,
}

impl<'h> Signature<'h> {
    /// Reads the three headers.
    pub(super) fn read(headers: &'h HeaderMap) -> Result<Self, HttpError> {
        let missing = || {
            HttpError::malformed(
                "A delivery must have `webhook-id`, `webhook-timestamp` and `webhook-signature`, once each.",
            )
        };
        let id = header(headers, "webhook-id").filter(|id| (1..=ID_BYTES_MAX).contains(&id.len()));
        let written = header(headers, "webhook-timestamp").ok_or_else(missing)?;
        let codes = header(headers, "webhook-signature").ok_or_else(missing)?;
        let codes = codes.split(' ').filter_map(|code| code.strip_prefix("v1,")).take(SIGNATURES_MAX);
        let codes = codes.filter_map(|code| BASE64_STANDARD.decode(code).ok()).collect();
        let timestamp = written.parse().map_err(|_| missing())?;
        Ok(Self { id: id.ok_or_else(missing)?, timestamp, written, codes })
    }

    /// Whether the delivery was signed with a secret.
    pub(super) fn is_of(&self, secret: &SecretString, body: &[u8]) -> bool {
        // Both keys are tried, even after a match.
        self.has_key(secret.expose_secret().as_bytes(), body)
            | decoded(secret).is_some_and(|key| self.has_key(&key, body))
    }

    fn has_key(&self, key: &[u8], body: &[u8]) -> bool {
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
            return false;
        };
        mac.update(self.id.as_bytes());
        mac.update(b".");
        mac.update(self.written.as_bytes());
        mac.update(b".");
        mac.update(body);
        // Each comparison takes constant time, and none is skipped.
        self.codes.iter().filter(|code| mac.clone().verify_slice(code).is_ok()).count() > 0
    }
}

/// Returns a header of a delivery, if it is present exactly once.
fn header<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let mut lines = headers.get_all(name).into_iter();
    match (lines.next(), lines.next()) {
        (Some(line), None) => line.to_str().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn headers(id: &str, timestamp: &str, signature: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in
            [("webhook-id", id), ("webhook-timestamp", timestamp), ("webhook-signature", signature)]
        {
            headers.insert(name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    /// Computed with OpenSSL: `printf 'msg_1.1700000000.{}' | openssl dgst -sha256 -hmac whsec_abc -binary | base64`.
    const KNOWN: &str = "lhQs/PLrX1gVq9Hrcgh2RFtdY4WlKgwJG57ZgXGcRhI=";

    #[test]
    fn a_signature_covers_the_id_the_timestamp_and_the_body() {
        let secret = SecretString::from("whsec_abc");
        let several = format!("v1,AAAA v2,{KNOWN} v1,{KNOWN} v1,?");
        for (id, timestamp, signature, secret, body, is_right) in [
            ("msg_1", "1700000000", format!("v1,{KNOWN}"), &secret, "{}", true),
            ("msg_1", "1700000000", several, &secret, "{}", true),
            ("msg_2", "1700000000", format!("v1,{KNOWN}"), &secret, "{}", false),
            ("msg_1", "1700000001", format!("v1,{KNOWN}"), &secret, "{}", false),
            ("msg_1", "1700000000", format!("v1,{KNOWN}"), &secret, "{ }", false),
            ("msg_1", "1700000000", format!("v1,{KNOWN}"), &SecretString::from("abc"), "{}", false),
            ("msg_1", "1700000000", format!("v2,{KNOWN}"), &secret, "{}", false),
            ("msg_1", "1700000000", String::new(), &secret, "{}", false),
        ] {
            let headers = headers(id, timestamp, &signature);
            let signature = Signature::read(&headers).ok().unwrap();
            assert_eq!(signature.is_of(secret, body.as_bytes()), is_right, "{id} {timestamp} {body}");
        }
    }

    /// Computed with OpenSSL, where KEY is the 24 bytes of the base64:
    /// `printf 'msg_1.1700000000.{}' | openssl dgst -sha256 -mac HMAC -macopt hexkey:KEY -binary | base64`.
    #[test]
    fn both_forms_of_a_secret_are_keys() {
        let secret = SecretString::from("whsec_MDEyMzQ1Njc4OWFiY2RlZmdoaWprbG1u");
        for (code, is_right) in [(BY_TEXT, true), (BY_BYTES, true), (KNOWN, false)] {
            let headers = headers("msg_1", "1700000000", &format!("v1,{code}"));
            assert_eq!(Signature::read(&headers).ok().unwrap().is_of(&secret, b"{}"), is_right, "{code}");
        }
        let bare = SecretString::from("MDEyMzQ1Njc4OWFiY2RlZmdoaWprbG1u");
        let headers = headers("msg_1", "1700000000", &format!("v1,{BY_BYTES}"));
        assert!(
            !Signature::read(&headers).ok().unwrap().is_of(&bare, b"{}"),
            "without `whsec_` it is a text"
        );
    }

    const BY_TEXT: &str = "R6t9gT+GIID6KtQeovrZ6YJTOWPQtAWbW0kP2LGK7nY=";
    const BY_BYTES: &str = "/K1l9UQlQFiC9vWSzcBzVntnxjzzMzUqATYiwF20DiY=";

    #[test]
    fn a_delivery_without_its_three_headers_is_refused() {
        let whole = headers("msg_1", "1700000000", "v1,AAAA");
        assert!(Signature::read(&whole).is_ok());
        for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
            let mut without = whole.clone();
            without.remove(name);
            assert!(Signature::read(&without).is_err(), "{name}");
            let mut twice = whole.clone();
            twice.append(name, HeaderValue::from_static("1"));
            assert!(Signature::read(&twice).is_err(), "{name} twice");
        }
        for (id, timestamp) in [("", "1"), (&*"x".repeat(129), "1"), ("msg_1", "yesterday"), ("msg_1", "1e9")]
        {
            assert!(Signature::read(&headers(id, timestamp, "v1,AAAA")).is_err(), "{id} {timestamp}");
        }
    }
}
