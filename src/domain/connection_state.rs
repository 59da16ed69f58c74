//! The public part of a connection's authentication state.
//!
//! These types cannot carry a secret. A field of the upstream's open `state.val` is either on the allow-list of
//! docs/upstreams.md#composio-secrets, or only its *name* is stored.

use std::sync::Arc;

use jiff::Timestamp;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::auth_scheme::AuthScheme;
use super::open_enum::OpenValue;

/// Fields of `val` that are settings, not secrets (docs/upstreams.md#composio-secrets, tenant data
/// and safe fields), with their paths.
pub const PUBLIC_SETTINGS: [(&str, &str); 25] = [
    ("subdomain", "state.val.subdomain"),
    ("your-domain", "state.val.your-domain"),
    ("region", "state.val.region"),
    ("shop", "state.val.shop"),
    ("account_url", "state.val.account_url"),
    ("COMPANYDOMAIN", "state.val.COMPANYDOMAIN"),
    ("extension", "state.val.extension"),
    ("form_api_base_url", "state.val.form_api_base_url"),
    ("instanceEndpoint", "state.val.instanceEndpoint"),
    ("api_url", "state.val.api_url"),
    ("borneo_dashboard_url", "state.val.borneo_dashboard_url"),
    ("domain", "state.val.domain"),
    ("version", "state.val.version"),
    ("dc", "state.val.dc"),
    ("site_name", "state.val.site_name"),
    ("instanceName", "state.val.instanceName"),
    ("account_id", "state.val.account_id"),
    ("your_server", "state.val.your_server"),
    ("server_location", "state.val.server_location"),
    ("base_url", "state.val.base_url"),
    ("displayName", "state.val.displayName"),
    ("expires_in", "state.val.expires_in"),
    ("client_id_issued_at", "state.val.client_id_issued_at"),
    ("client_secret_expires_at", "state.val.client_secret_expires_at"),
    ("long_redirect_url", "state.val.long_redirect_url"),
];

/// The public part of `state`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConnectionState {
    /// `state.authScheme`.
    pub auth_scheme: OpenValue<AuthScheme>,
    /// `val.status`; it can differ from the account's status.
    pub status: Option<Box<str>>,
    /// `val.scope`, a string or a list, as a list.
    pub scopes: Vec<Box<str>>,
    /// `val.token_type`.
    pub token_type: Option<Box<str>>,
    /// `val.expires_at`.
    pub expires_at: Option<Timestamp>,
    /// `val.expired_at`.
    pub expired_at: Option<Timestamp>,
    /// `val.revoked_at`.
    pub revoked_at: Option<Timestamp>,
    /// `val.error`, a code.
    pub error: Option<Box<str>>,
    /// `val.error_description`.
    pub error_description: Option<Box<str>>,
    /// The settings on the allow-list, in the upstream's order.
    pub settings: Vec<ConnectionSetting>,
    /// The names, without values, of all other fields of `val`. Rows of one page share equal lists.
    pub withheld: WithheldNames,
}

/// The names of withheld fields, as one text with a line end after each name: a list then needs one allocation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WithheldNames(Arc<str>);

impl WithheldNames {
    /// Ends each name. No name contains it.
    pub(crate) const END: char = '\n';

    /// Creates a list from its text.
    pub(crate) fn from_text(text: &str) -> Self {
        Self(text.into())
    }

    /// Returns the names.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.split_terminator(Self::END)
    }

    /// Returns the text.
    pub(crate) fn text(&self) -> &str {
        &self.0
    }
}

impl Serialize for WithheldNames {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for WithheldNames {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut text = String::new();
        for name in Vec::<Box<str>>::deserialize(deserializer)? {
            if name.contains(Self::END) {
                return Err(D::Error::custom("a name of a field has a line end"));
            }
            text.push_str(&name);
            text.push(Self::END);
        }
        Ok(Self(text.into()))
    }
}

/// One public setting of a connection.
#[derive(Debug, Serialize)]
pub struct ConnectionSetting {
    /// The upstream's name of the setting.
    pub name: &'static str,
    /// The value as text.
    pub value: Box<str>,
}

/// The serialized form of a setting.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NamedSetting {
    name: Box<str>,
    value: Box<str>,
}

/// Deserialization applies the allow-list as well: an unknown name is an error.
impl<'de> Deserialize<'de> for ConnectionSetting {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let NamedSetting { name, value } = NamedSetting::deserialize(deserializer)?;
        let known = PUBLIC_SETTINGS.into_iter().find(|(setting, _)| **setting == *name);
        known
            .map(|(name, _)| Self { name, value })
            .ok_or_else(|| D::Error::custom("unknown connection setting"))
    }
}

impl ConnectionState {
    /// Returns the account's name at the external service (`val.displayName`); `None` if it is absent or blank.
    #[must_use]
    pub fn display_name(&self) -> Option<&str> {
        let setting = self.settings.iter().find(|setting| setting.name == "displayName")?;
        Some(&*setting.value).filter(|name| !name.trim().is_empty())
    }

    /// Returns the approximate heap use in bytes.
    pub(crate) fn weight_bytes(&self) -> usize {
        let text = |text: &Option<Box<str>>| text.as_deref().map_or(0, str::len);
        let list =
            |list: &[Box<str>]| list.iter().map(|item| item.len() + size_of::<Box<str>>()).sum::<usize>();
        self.auth_scheme.weight_bytes()
            + list(&self.scopes)
            + self.withheld.0.len()
            + self
                .settings
                .iter()
                .map(|setting| setting.value.len() + size_of::<ConnectionSetting>())
                .sum::<usize>()
            + text(&self.status)
            + text(&self.token_type)
            + text(&self.error)
            + text(&self.error_description)
    }
}
