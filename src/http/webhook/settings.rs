//! Settings of webhooks.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
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

/// Returns the bytes that a secret `whsec_…` contains as base64, as Standard Webhooks defines it; `None` for a secret
/// of another form.
#[must_use]
pub fn decoded(secret: &SecretString) -> Option<Vec<u8>> {
    BASE64_STANDARD.decode(secret.expose_secret().strip_prefix("whsec_")?).ok()
}
