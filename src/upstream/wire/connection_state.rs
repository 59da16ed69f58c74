//! `state`: `{"authScheme": …, "val": {…}}`, where `val` is open and full of secrets.
//!
//! UPSTREAMS.md A4 is the allow-list. What reads `val` keeps the values of the fields named here, skips
//! every other value unread, and keeps only its name.

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess};

use super::lenient::{Lenient, Scopes, Text, lenient};
use crate::domain::connection_state::{ConnectionSetting, ConnectionState};
use crate::domain::vocabulary::Word;

/// Fields of `val` that are settings and no secret (UPSTREAMS.md A4, classes TENANT DATA and SAFE).
const SETTINGS: [&str; 25] = [
    "subdomain",
    "your-domain",
    "region",
    "shop",
    "account_url",
    "COMPANYDOMAIN",
    "extension",
    "form_api_base_url",
    "instanceEndpoint",
    "api_url",
    "borneo_dashboard_url",
    "domain",
    "version",
    "dc",
    "site_name",
    "instanceName",
    "account_id",
    "your_server",
    "server_location",
    "base_url",
    "displayName",
    "expires_in",
    "client_id_issued_at",
    "client_secret_expires_at",
    "long_redirect_url",
];

/// How many names of withheld fields are kept, and how long one may be, in bytes.
const WITHHELD_MAX: usize = 64;

#[derive(Deserialize, Default)]
pub(super) struct State {
    #[serde(rename = "authScheme", default)]
    auth_scheme: Text,
    #[serde(default)]
    val: Val,
}

impl State {
    /// The state, with the auth config's scheme where it names none itself.
    pub(super) fn read(self, scheme: &str) -> ConnectionState {
        let Val {
            status,
            scopes,
            token_type,
            expires_at,
            expired_at,
            revoked_at,
            error,
            error_description,
            ..
        } = self.val;
        ConnectionState {
            auth_scheme: Word::read(self.auth_scheme.0.as_deref().unwrap_or(scheme)),
            status: status.0,
            scopes: scopes.0,
            token_type: token_type.0,
            expires_at: expires_at.moment(),
            expired_at: expired_at.moment(),
            revoked_at: revoked_at.moment(),
            error: error.0,
            error_description: error_description.0,
            settings: self.val.settings,
            withheld: self.val.withheld,
        }
    }
}

/// The fields of `val` that may be known.
#[derive(Default)]
struct Val {
    status: Text,
    scopes: Scopes,
    token_type: Text,
    expires_at: Text,
    expired_at: Text,
    revoked_at: Text,
    error: Text,
    error_description: Text,
    settings: Vec<ConnectionSetting>,
    withheld: Vec<Box<str>>,
}

impl<'de> Deserialize<'de> for Val {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        lenient(deserializer)
    }
}

impl Lenient for Val {
    fn of_object<'de, A: MapAccess<'de>>(mut map: A) -> Result<Self, A::Error> {
        let mut val = Self::default();
        while let Some(name) = map.next_key::<Box<str>>()? {
            match &*name {
                "status" => val.status = map.next_value()?,
                "scope" => val.scopes = map.next_value()?,
                "token_type" => val.token_type = map.next_value()?,
                "expires_at" => val.expires_at = map.next_value()?,
                "expired_at" => val.expired_at = map.next_value()?,
                "revoked_at" => val.revoked_at = map.next_value()?,
                "error" => val.error = map.next_value()?,
                "error_description" => val.error_description = map.next_value()?,
                other => match SETTINGS.into_iter().find(|setting| *setting == other) {
                    Some(name) => {
                        if let Text(Some(value)) = map.next_value()? {
                            // Of a name that comes twice the last is meant, as everywhere in JSON.
                            val.settings.retain(|known| known.name != name);
                            val.settings.push(ConnectionSetting { name, value });
                        }
                    }
                    None => {
                        map.next_value::<IgnoredAny>()?;
                        withhold(&mut val.withheld, name);
                    }
                },
            }
        }
        Ok(val)
    }
}

/// Keeps a name that is one; a hostile upstream could write anything where a name belongs.
fn withhold(withheld: &mut Vec<Box<str>>, name: Box<str>) {
    let is_name = name.len() <= WITHHELD_MAX
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'));
    if is_name && withheld.len() < WITHHELD_MAX && !withheld.contains(&name) {
        withheld.push(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> ConnectionState {
        serde_json::from_str::<State>(json).unwrap().read("OAUTH2")
    }

    #[test]
    fn secrets_are_named_and_settings_told() {
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
    fn a_name_that_is_none_is_not_shown() {
        let state = read(r#"{"val":{"my token is hush":1,"ok":2}}"#);
        assert_eq!(state.withheld.join(" "), "ok");
        assert_eq!(state.auth_scheme.raw(), "OAUTH2");
    }

    #[test]
    fn a_name_that_comes_twice_is_told_once() {
        let state = read(r#"{"val":{"region":"us","token":1,"region":"eu","token":2}}"#);
        let settings: Vec<_> = state.settings.iter().map(|setting| (setting.name, &*setting.value)).collect();
        assert_eq!((settings, state.withheld.join(" ")), (vec![("region", "eu")], "token".to_owned()));
    }

    #[test]
    fn a_val_that_is_no_object_is_an_empty_one() {
        for val in ["null", "[]", "\"none\"", "7"] {
            let state = read(&format!(r#"{{"authScheme":"SAML","val":{val}}}"#));
            assert_eq!((state.auth_scheme.raw(), state.withheld.len()), ("SAML", 0), "{val}");
        }
    }
}
