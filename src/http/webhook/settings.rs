//! Settings of webhooks.

use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

/// `[webhooks]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookSettings {
    /// The secrets with which Composio signs deliveries for the tenant `default`, separated by commas.
    pub composio_secrets: SecretString,
}

/// Splits such a setting into its secrets.
#[must_use]
pub fn secrets(setting: &SecretString) -> Vec<SecretString> {
    let parts = setting.expose_secret().split(',').map(str::trim).filter(|part| !part.is_empty());
    parts.map(SecretString::from).collect()
}
