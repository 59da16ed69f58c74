//! Validation of API keys, for all sections that have some.

use secrecy::{ExposeSecret, SecretString};

use super::sources::SettingValues;
use crate::domain::credential::Credential;
use crate::domain::upstream_name::{Upstream, UpstreamName};

/// Validates the key of an upstream, if it is set.
pub(super) fn validate_key<U: Upstream>(name: &str, key: &SecretString, values: &mut SettingValues<'_>) {
    let secret = key.expose_secret();
    if secret.is_empty() {
        return;
    }
    let (other, prefix) = match U::NAME {
        UpstreamName::Leadlex => ("Composio", "ak_"),
        UpstreamName::Composio => ("LeadLex", "wbk_"),
    };
    if secret.starts_with(prefix) {
        values.add_problem(name, format!("begins with {prefix}: that is a key to {other}"));
    } else if let Err(error) = Credential::<U>::new(secret) {
        values.add_problem(name, error.to_string());
    }
}

/// Reports a missing key; `instruction` says how to set it without a file.
pub(super) fn reject_missing_key(name: &str, instruction: &str, values: &mut SettingValues<'_>) {
    let by_file = format!("{name}_file");
    let is_reported = values.has_problem(name) || values.has_problem(&by_file);
    if values.text(name).is_empty() && !is_reported {
        values.add_problem(name, format!("missing: {instruction}, or name a file in {by_file}"));
    }
}
