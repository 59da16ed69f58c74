//! What can be set about webhooks.

use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

/// `[webhooks]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookSettings {
    /// What Composio signs deliveries for the tenant `default` with; several with commas between.
    pub composio_secrets: SecretString,
}

/// The secrets of such a setting.
#[must_use]
pub fn secrets(setting: &SecretString) -> Vec<SecretString> {
    let parts = setting.expose_secret().split(',').map(str::trim).filter(|part| !part.is_empty());
    parts.map(SecretString::from).collect()
}
