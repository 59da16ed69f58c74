//! Decodes `state`: `{"authScheme": …, "val": {…}}`, where `val` has arbitrary fields, many of them secret.
//!
//! docs/upstreams.md#composio-secrets is the allow-list. It is [`Val`]'s fields and [`PUBLIC_SETTINGS`], whose values
//! the decoder stores. It skips all other values unread, and stores only their names.

use std::sync::LazyLock;

use ahash::AHashMap;
use jiff::Timestamp;

use super::json::{JsonError, JsonReader};
use super::lenient::{Field, FromJson, Scopes, Text, json_object};
use super::rows::FieldProblems;
use crate::domain::connection_state::{ConnectionSetting, ConnectionState, PUBLIC_SETTINGS, WithheldNames};
use crate::domain::open_enum::OpenValue;

/// Maximum number of names of withheld values.
const WITHHELD_NAMES_MAX: usize = 64;

/// Maximum length of such a name.
const NAME_BYTES_MAX: usize = 64;

/// [`PUBLIC_SETTINGS`] by name.
static SETTINGS: LazyLock<AHashMap<&str, (&str, &str)>> =
    LazyLock::new(|| PUBLIC_SETTINGS.iter().map(|setting| (setting.0, *setting)).collect());

json_object! {
    pub(super) struct WireState {
        auth_scheme: Text = "authScheme",
        val: Val = "val",
    }
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
            withheld_names,
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
            withheld: withheld_names,
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
    /// Names of all other fields.
    withheld_names: WithheldNames,
}

impl FromJson for Val {
    fn from_object(json: &mut JsonReader<'_>) -> Result<Option<Self>, JsonError> {
        let (mut val, mut withheld_names) = (Self::default(), json.name_lists.begin());
        json.object(|json, name| {
            match name {
                "status" => val.status = json.field()?,
                "scope" => val.scopes = json.field()?,
                "token_type" => val.token_type = json.field()?,
                "expires_at" => val.expires_at = json.field()?,
                "expired_at" => val.expired_at = json.field()?,
                "revoked_at" => val.revoked_at = json.field()?,
                "error" => val.error = json.field()?,
                "error_description" => val.error_description = json.field()?,
                other => match SETTINGS.get(other) {
                    Some((name, place)) => val.setting(name, place, json.field()?),
                    None => {
                        json.skip()?;
                        if withheld_names.count() < WITHHELD_NAMES_MAX && is_name(other) {
                            withheld_names.add(other);
                        }
                    }
                },
            }
            Ok(())
        })?;
        val.withheld_names = json.name_lists.list(withheld_names);
        Ok(Some(val))
    }
}

/// Whether a text looks like a name. A hostile upstream could put any text there.
fn is_name(text: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&text.len())
        && text.bytes().all(|byte| IS_OF_NAME.get(usize::from(byte)) == Some(&true))
}

/// Whether a name may contain a byte, by the byte.
#[expect(clippy::indexing_slicing, reason = "the compiler evaluates it")]
static IS_OF_NAME: [bool; 256] = {
    let (mut table, mut byte) = ([false; 256], 0_u8);
    while byte < 128 {
        table[byte as usize] = byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
        byte += 1;
    }
    table
};

impl Val {
    /// Stores a setting. If a name occurs twice, the last value replaces the first, even if it is null or unreadable.
    fn setting(&mut self, name: &'static str, place: &'static str, found: Field<Text>) {
        if !self.unreadable.is_empty() {
            self.unreadable.retain(|known| *known != place);
        }
        if self.settings.iter().any(|known| known.name == name) {
            self.settings.retain(|known| known.name != name);
        }
        match found {
            Field::Read(Text(value)) => self.settings.push(ConnectionSetting { name, value }),
            Field::Unreadable => self.unreadable.push(place),
            Field::Absent => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::json;
    use super::*;

    fn read(json: &str) -> ConnectionState {
        json::read::<WireState>(json).unwrap().read("OAUTH2", &mut FieldProblems::default())
    }

    #[test]
    fn secrets_are_only_named_and_settings_are_shown() {
        let state = read(
            r#"{"authScheme":"OAUTH2","val":{"status":"ACTIVE","access_token":"hush","region":"eu","scope":"a b",
                "authed_user":{"access_token":"hush"},"expires_in":3600,"brand_new":{"deep":["hush"]},"shop":null}}"#,
        );
        assert!(!format!("{state:?}").contains("hush"));
        assert!(state.withheld.iter().eq(["access_token", "authed_user", "brand_new"]), "{state:?}");
        let settings: Vec<_> = state.settings.iter().map(|setting| (setting.name, &*setting.value)).collect();
        assert_eq!(settings, [("region", "eu"), ("expires_in", "3600")]);
        assert_eq!(state.scopes.join(" "), "a b");
    }

    #[test]
    fn text_that_is_not_a_name_is_not_shown() {
        let state = read(r#"{"val":{"my token is hush":1,"ok":2}}"#);
        assert!(state.withheld.iter().eq(["ok"]), "{state:?}");
        assert_eq!(state.auth_scheme.raw(), "OAUTH2");
    }

    #[test]
    fn a_duplicate_name_is_reported_once() {
        let state = read(r#"{"val":{"region":"us","token":1,"region":"eu","token":2}}"#);
        let settings: Vec<_> = state.settings.iter().map(|setting| (setting.name, &*setting.value)).collect();
        assert_eq!(settings, [("region", "eu")]);
        assert!(state.withheld.iter().eq(["token"]), "{state:?}");
    }

    #[test]
    fn the_last_value_of_a_duplicate_setting_replaces_the_first() {
        for (last, problems) in [("null", 0), ("{}", 1), ("[7]", 1)] {
            let json = format!(r#"{{"val":{{"region":"us","region":{last}}}}}"#);
            let val = json::read::<WireState>(&json).unwrap().val.read().unwrap();
            assert_eq!((val.settings.len(), val.unreadable.len()), (0, problems), "{last}");
        }
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
            assert_eq!((state.auth_scheme.raw(), state.withheld.iter().count()), ("SAML", 0), "{val}");
        }
    }
}
