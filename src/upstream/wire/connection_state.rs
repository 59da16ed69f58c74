//! Decodes `state`: `{"authScheme": …, "val": {…}}`, where `val` has arbitrary fields, many of them secret.
//!
//! docs/upstreams.md#composio-secrets is the allow-list. The decoder stores the values of the fields named here. It
//! skips all other values unread, and stores only their names.

use std::fmt;

use jiff::Timestamp;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::lenient::{Field, FromJson, Scopes, Text};
use super::rows::FieldProblems;
use crate::domain::connection_state::{ConnectionSetting, ConnectionState, PUBLIC_SETTINGS};
use crate::domain::open_enum::OpenValue;

/// Maximum number of withheld names, and maximum length of such a name in bytes.
const WITHHELD_MAX: usize = 64;

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct WireState {
    #[serde(rename = "authScheme")]
    auth_scheme: Field<Text>,
    val: Field<Val>,
}

impl WireState {
    /// Converts the state. The auth config's scheme is used if the state has none.
    pub(super) fn read(self, scheme: &str, problems: &mut FieldProblems) -> ConnectionState {
        let auth_scheme = problems.text("state.authScheme", self.auth_scheme);
        let Val {
            status,
            scopes,
            token_type,
            expires_at,
            expired_at,
            revoked_at,
            error,
            error_description,
            settings,
            unreadable,
            withheld,
        } = problems.optional("state.val", self.val).unwrap_or_default();
        for place in unreadable {
            problems.unreadable(place);
        }
        ConnectionState {
            auth_scheme: OpenValue::parse(auth_scheme.as_deref().unwrap_or(scheme)),
            status: problems.text("state.val.status", status),
            scopes: problems.scopes("state.val.scope", scopes),
            token_type: problems.text("state.val.token_type", token_type),
            expires_at: problems.timestamp("state.val.expires_at", expires_at),
            expired_at: problems.timestamp("state.val.expired_at", expired_at),
            revoked_at: problems.timestamp("state.val.revoked_at", revoked_at),
            error: problems.text("state.val.error", error),
            error_description: problems.text("state.val.error_description", error_description),
            settings,
            withheld,
        }
    }
}

/// The fields of `val` that may be stored.
#[derive(Default)]
struct Val {
    status: Field<Text>,
    scopes: Field<Scopes>,
    token_type: Field<Text>,
    expires_at: Field<Timestamp>,
    expired_at: Field<Timestamp>,
    revoked_at: Field<Timestamp>,
    error: Field<Text>,
    error_description: Field<Text>,
    settings: Vec<ConnectionSetting>,
    /// Locations of settings with another type.
    unreadable: Vec<&'static str>,
    withheld: Vec<Box<str>>,
}

impl FromJson for Val {
    fn from_object<'de, A: MapAccess<'de>>(mut map: A) -> Result<Option<Self>, A::Error> {
        let mut val = Self::default();
        while let Some(name) = map.next_key()? {
            match name {
                Name::Status => val.status = map.next_value()?,
                Name::Scope => val.scopes = map.next_value()?,
                Name::TokenType => val.token_type = map.next_value()?,
                Name::ExpiresAt => val.expires_at = map.next_value()?,
                Name::ExpiredAt => val.expired_at = map.next_value()?,
                Name::RevokedAt => val.revoked_at = map.next_value()?,
                Name::Error => val.error = map.next_value()?,
                Name::ErrorDescription => val.error_description = map.next_value()?,
                Name::Setting(name, place) => val.setting(name, place, map.next_value()?),
                Name::Other(name) => {
                    map.next_value::<IgnoredAny>()?;
                    val.withhold(name);
                }
            }
        }
        Ok(Some(val))
    }
}

/// The name of a field of `val`. Only the names of other fields are allocated.
enum Name {
    Status,
    Scope,
    TokenType,
    ExpiresAt,
    ExpiredAt,
    RevokedAt,
    Error,
    ErrorDescription,
    Setting(&'static str, &'static str),
    /// `None` if it does not look like a name. A hostile upstream could put any text there.
    Other(Option<Box<str>>),
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(NameVisitor)
    }
}

struct NameVisitor;

impl Visitor<'_> for NameVisitor {
    type Value = Name;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a field")
    }

    fn visit_str<E>(self, name: &str) -> Result<Name, E> {
        Ok(match name {
            "status" => Name::Status,
            "scope" => Name::Scope,
            "token_type" => Name::TokenType,
            "expires_at" => Name::ExpiresAt,
            "expired_at" => Name::ExpiredAt,
            "revoked_at" => Name::RevokedAt,
            "error" => Name::Error,
            "error_description" => Name::ErrorDescription,
            other => match PUBLIC_SETTINGS.into_iter().find(|(setting, _)| *setting == other) {
                Some((name, place)) => Name::Setting(name, place),
                None => Name::Other(is_name(other).then(|| other.into())),
            },
        })
    }
}

fn is_name(text: &str) -> bool {
    let is_of_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    (1..=WITHHELD_MAX).contains(&text.len()) && text.bytes().all(is_of_name)
}

impl Val {
    /// Stores the name of a withheld field, once.
    fn withhold(&mut self, name: Option<Box<str>>) {
        if let Some(name) = name
            && self.withheld.len() < WITHHELD_MAX
            && !self.withheld.contains(&name)
        {
            self.withheld.push(name);
        }
    }

    /// Stores a setting. If a name occurs twice, the last value wins, as usual in JSON.
    fn setting(&mut self, name: &'static str, place: &'static str, found: Field<Text>) {
        self.unreadable.retain(|known| *known != place);
        match found {
            Field::Read(Text(value)) => {
                self.settings.retain(|known| known.name != name);
                self.settings.push(ConnectionSetting { name, value });
            }
            Field::Unreadable => self.unreadable.push(place),
            Field::Absent => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> ConnectionState {
        serde_json::from_str::<WireState>(json).unwrap().read("OAUTH2", &mut FieldProblems::default())
    }

    #[test]
    fn secrets_are_only_named_and_settings_are_shown() {
        let state = read(
            r#"{"authScheme":"OAUTH2","val":{"status":"ACTIVE","access_token":"hush","region":"eu","scope":"a b",
                "authed_user":{"access_token":"hush"},"expires_in":3600,"brand_new":{"deep":["hush"]},"shop":null}}"#,
        );
        assert!(!format!("{state:?}").contains("hush"));
        assert_eq!(state.withheld.join(" "), "access_token authed_user brand_new");
        let settings: Vec<_> = state.settings.iter().map(|setting| (setting.name, &*setting.value)).collect();
        assert_eq!(settings, [("region", "eu"), ("expires_in", "3600")]);
        assert_eq!(state.scopes.join(" "), "a b");
    }

    #[test]
    fn text_that_is_not_a_name_is_not_shown() {
        let state = read(r#"{"val":{"my token is hush":1,"ok":2}}"#);
        assert_eq!(state.withheld.join(" "), "ok");
        assert_eq!(state.auth_scheme.raw(), "OAUTH2");
    }

    #[test]
    fn a_duplicate_name_is_reported_once() {
        let state = read(r#"{"val":{"region":"us","token":1,"region":"eu","token":2}}"#);
        let settings: Vec<_> = state.settings.iter().map(|setting| (setting.name, &*setting.value)).collect();
        assert_eq!((settings, state.withheld.join(" ")), (vec![("region", "eu")], "token".to_owned()));
    }

    #[test]
    fn a_display_name_is_text_that_is_not_blank() {
        for (value, name) in [
            (r#""ann@example.com""#, Some("ann@example.com")),
            ("42", Some("42")),
            (r#""""#, None),
            (r#"" ""#, None),
            ("null", None),
            (r#"{"raw":"hush"}"#, None),
        ] {
            let state = read(&format!(r#"{{"val":{{"displayName":{value}}}}}"#));
            assert_eq!(state.display_name(), name, "{value}");
        }
        assert_eq!(read(r#"{"val":{}}"#).display_name(), None);
    }

    #[test]
    fn a_val_of_another_type_is_empty() {
        for val in ["null", "[]", "\"none\"", "7"] {
            let state = read(&format!(r#"{{"authScheme":"SAML","val":{val}}}"#));
            assert_eq!((state.auth_scheme.raw(), state.withheld.len()), ("SAML", 0), "{val}");
        }
    }
}
