//! Decodes the responses to writes of connected accounts (docs/upstreams.md#composio-writes), by allow-list.

use jiff::Timestamp;
use secrecy::SecretString;

use super::lenient::{Field, Identifier, Text, Texts, json_object};
use super::{UnexpectedShape, decode};
use crate::domain::actions::ConnectLink;
use crate::domain::global_id::account_id;

json_object! {
    struct Link {
        redirect_url: Text = "redirect_url",
        expires_at: Timestamp = "expires_at",
        connected_account_id: Identifier = "connected_account_id",
    }
}

json_object! {
    struct Done {
        success: bool = "success",
    }
}

json_object! {
    struct Revoked {
        revoked_tokens: Texts = "revoked_tokens",
    }
}

/// Decodes a started sign-in. It must have its URL and the id of its account.
pub(in crate::upstream) fn link(body: &[u8]) -> Result<ConnectLink, UnexpectedShape> {
    let Link { redirect_url, expires_at, connected_account_id } = decode(body)?;
    let Text(redirect_url) = redirect_url.read().ok_or(UnexpectedShape)?;
    let Identifier(id) = connected_account_id.read().ok_or(UnexpectedShape)?;
    let account_id = account_id(&id).map_err(|_| UnexpectedShape)?;
    Ok(ConnectLink {
        redirect_url: SecretString::from(String::from(redirect_url)),
        expires_at: expires_at.read(),
        account_id,
    })
}

/// Decodes the confirmation of a write. A missing body, or one without `success`, confirms it too, because the HTTP
/// status was 2xx.
pub(in crate::upstream) fn done(body: &[u8]) -> Result<(), UnexpectedShape> {
    if body.is_empty() {
        return Ok(());
    }
    let Done { success } = decode(body)?;
    match success {
        Field::Read(false) | Field::Unreadable => Err(UnexpectedShape),
        Field::Read(true) | Field::Absent => Ok(()),
    }
}

/// Decodes the kinds of the revoked credentials.
pub(in crate::upstream) fn revoked_tokens(body: &[u8]) -> Result<Vec<Box<str>>, UnexpectedShape> {
    let Revoked { revoked_tokens } = decode(body)?;
    let Texts { texts, .. } = revoked_tokens.read().ok_or(UnexpectedShape)?;
    // A kind is a short word. Any other text could be the credential itself.
    let is_word = |kind: &str| {
        (1..=20).contains(&kind.len()) && kind.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
    };
    Ok(texts.into_iter().filter(|kind| is_word(kind)).collect())
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn a_link_needs_its_url_and_the_id_of_its_account() {
        let read = link(
            br#"{"link_token":"lk_1","redirect_url":"https://connect.composio.dev/lk_1",
                "expires_at":"2026-11-21T12:10:00Z","connected_account_id":"ca_1"}"#,
        )
        .unwrap();
        assert_eq!(read.redirect_url.expose_secret(), "https://connect.composio.dev/lk_1");
        assert_eq!((&*read.account_id, read.expires_at.is_some()), ("ca_1", true));
        assert!(!format!("{read:?}").contains("lk_1"));
        for body in [
            r#"{"redirect_url":"https://a.example"}"#,
            r#"{"connected_account_id":"ca_1"}"#,
            r#"{"redirect_url":"https://a.example","connected_account_id":"ca_1,ca_2"}"#,
            "[]",
            "",
        ] {
            assert!(link(body.as_bytes()).is_err(), "{body}");
        }
    }

    #[test]
    fn a_confirmation_is_any_object_that_does_not_deny_success() {
        for body in ["", "{}", r#"{"success":true}"#, r#"{"id":"ca_1","status":"ACTIVE"}"#] {
            assert!(done(body.as_bytes()).is_ok(), "{body}");
        }
        for body in ["<html>", "[]", r#"{"success":false}"#, r#"{"success":"yes"}"#] {
            assert!(done(body.as_bytes()).is_err(), "{body}");
        }
    }

    #[test]
    fn only_words_are_kinds_of_credentials() {
        let read = revoked_tokens(br#"{"revoked_tokens":["access_token","ya29.secret",7],"token":"x"}"#);
        assert_eq!(read.unwrap(), [Box::from("access_token")]);
        assert!(revoked_tokens(br#"{"revoked_tokens":[]}"#).unwrap().is_empty());
        assert!(revoked_tokens(b"{}").is_err());
    }
}
