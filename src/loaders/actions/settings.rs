//! Settings of actions on connected accounts.

use serde::Deserialize;
use url::{Origin, Url};

use crate::domain::actions::{Action, UserError, UserErrorCode};
use crate::domain::global_id::is_upstream_id;
use crate::domain::settings::Ranges;
use crate::domain::web_url::is_safe_for_browsers;

/// Maximum length of a callback URL in bytes.
const CALLBACK_URL_BYTES_MAX: usize = 2_048;

/// `[actions]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActionSettings {
    /// Whether accounts can be changed.
    pub enabled: bool,
    /// The actions of a MEMBER on its own accounts.
    pub member: MemberActions,
    /// The origins of allowed callback URLs.
    pub callback_origins: CallbackOrigins,
    /// The auth configs with which a MEMBER can connect an account.
    pub member_auth_configs: AuthConfigIds,
    /// Maximum number of actions of one caller in any minute.
    pub per_minute: u32,
}

impl ActionSettings {
    /// Allowed ranges.
    pub(crate) const RANGES: Ranges = &[("per_minute", 1..=1_000)];
}

/// Returns the parts of a comma-separated list.
fn parts(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty())
}

/// Actions by their names: `connect, rename`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct MemberActions(Vec<Action>);

impl TryFrom<String> for MemberActions {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let action = |name: &str| {
            let names = || Action::ALL.iter().map(|action| action.name()).collect::<Vec<_>>().join(", ");
            Action::from_name(name)
                .ok_or_else(|| format!("`{name}` is not an action. The actions are {}", names()))
        };
        parts(&text).map(action).collect::<Result<_, _>>().map(Self)
    }
}

impl MemberActions {
    /// Whether an action is listed.
    #[must_use]
    pub fn contains(&self, action: Action) -> bool {
        self.0.contains(&action)
    }
}

/// Auth configs by their ids: `ac_1, ac_2`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct AuthConfigIds(Vec<String>);

impl TryFrom<String> for AuthConfigIds {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let id = |id: &str| match is_upstream_id(id) {
            true => Ok(id.to_owned()),
            false => {
                Err(format!("`{id}` is not the id of an auth config. Copy it from Composio, as in ac_1a2b3c"))
            }
        };
        parts(&text).map(id).collect::<Result<_, _>>().map(Self)
    }
}

impl AuthConfigIds {
    /// Whether an auth config is listed.
    #[must_use]
    pub fn contains(&self, id: &str) -> bool {
        self.0.iter().any(|listed| listed == id)
    }
}

/// Origins to which a browser may return after a sign-in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct CallbackOrigins(Vec<Origin>);

impl TryFrom<String> for CallbackOrigins {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        parts(&text).map(origin).collect::<Result<_, _>>().map(Self)
    }
}

fn origin(text: &str) -> Result<Origin, String> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    let Some(url) = url else {
        return Err(format!(
            "`{text}` is not an origin. Give scheme, host and port, for example https://app.example.com"
        ));
    };
    let spelled = url.origin().ascii_serialization();
    if spelled != text {
        return Err(format!("`{text}` is more than an origin. Use `{spelled}`"));
    }
    if !is_safe_for_browsers(&url) {
        return Err(format!("`{text}` is not encrypted. Use https; http is allowed only for this machine"));
    }
    Ok(url.origin())
}

impl CallbackOrigins {
    /// Checks a callback URL and returns it in the form to which browsers normalize it, so that the checked URL is the
    /// one that is sent.
    pub(super) fn check(&self, text: &str) -> Result<Box<str>, UserError> {
        let refused = |code, message| Err(UserError::new(code, "callbackUrl", message));
        let url = Url::parse(text).ok().filter(|_| text.len() <= CALLBACK_URL_BYTES_MAX);
        let Some(url) = url else {
            return refused(
                UserErrorCode::InvalidCallbackUrl,
                "`callbackUrl` is not a URL. Pass an absolute one of at most 2,048 bytes, such as \
                 https://app.example.com/connected.",
            );
        };
        if !is_safe_for_browsers(&url) || !self.0.contains(&url.origin()) {
            return refused(
                UserErrorCode::CallbackUrlNotAllowed,
                "`callbackUrl` is not allowed here. Its scheme, host and port must equal one of the setting \
                 `actions.callback_origins`, and it must not contain a user name or password.",
            );
        }
        Ok(String::from(url).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origins(text: &str) -> Result<CallbackOrigins, String> {
        text.to_owned().try_into()
    }

    #[test]
    fn invalid_lists_are_refused_with_a_correction() {
        let actions = |text: &str| MemberActions::try_from(text.to_owned());
        assert!(actions(" connect, revoke,").unwrap().contains(Action::Revoke));
        assert!(!actions("").unwrap().contains(Action::Connect));
        assert_eq!(
            actions("delete").unwrap_err(),
            "`delete` is not an action. The actions are connect, reconnect, enable, rename, revoke, remove"
        );
        let configs = |text: &str| AuthConfigIds::try_from(text.to_owned());
        assert!(configs("ac_1, ac_2").unwrap().contains("ac_2"));
        assert!(configs("ac 1").unwrap_err().contains("is not the id of an auth config"));
        for (text, part) in [
            ("app.example.com", "Give scheme, host and port"),
            ("https://app.example.com/", "Use `https://app.example.com`"),
            ("https://user@app.example.com", "Use `https://app.example.com`"),
            ("https://app.example.com/done?x", "Use `https://app.example.com`"),
            ("http://app.example.com", "Use https"),
            ("*", "is not an origin"),
        ] {
            let refused = origins(text).unwrap_err();
            assert!(refused.contains(part), "{text}: {refused}");
        }
    }

    #[test]
    fn callback_urls_need_an_allowed_origin() {
        let allowed = origins("https://app.example.com, http://localhost:3000").unwrap();
        let check = |text: &str| allowed.check(text).map_err(|error| error.code);
        assert_eq!(&*check("https://app.example.com/done?x=1").unwrap(), "https://app.example.com/done?x=1");
        assert_eq!(&*check("http://localhost:3000").unwrap(), "http://localhost:3000/");
        // Browsers read a backslash as a slash, and so does the check.
        assert_eq!(&*check("https:\\\\app.example.com\\x").unwrap(), "https://app.example.com/x");
        for text in [
            "https://app.example.com.evil.example/",
            "https://evil.example/https://app.example.com",
            "https://app.example.com@evil.example/",
            "https://user@app.example.com/",
            "https://app.example.com:8443/",
            "http://app.example.com/",
            "http://localhost/",
            "javascript:alert(1)//app.example.com",
        ] {
            assert_eq!(check(text), Err(UserErrorCode::CallbackUrlNotAllowed), "{text}");
        }
        let long = format!("https://app.example.com/{}", "x".repeat(2_048));
        for text in ["", "/done", "app.example.com/done", "//app.example.com/done", &long] {
            assert_eq!(check(text), Err(UserErrorCode::InvalidCallbackUrl), "{text}");
        }
        assert!(CallbackOrigins::default().check("https://app.example.com/").is_err(), "empty allows none");
    }
}
