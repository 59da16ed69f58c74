//! What can be set about ids and about the mapping of toolkits.
//!
//! Only values: files that they name are read by whoever loads the configuration.

use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::global_id::IdKey;
use super::health::HealthRules;

/// `[ids]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdSettings {
    /// The secret that global ids and cursors are keyed with, the same on all replicas; empty where
    /// it is to be derived from the upstream's key.
    pub key: SecretString,
}

impl IdSettings {
    /// The configured key; `None` where each tenant's is derived from its credential.
    #[must_use]
    pub fn key(&self) -> Option<IdKey> {
        let secret = self.key.expose_secret();
        (!secret.is_empty()).then(|| IdKey::from_secret(secret))
    }
}

/// `[health]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HealthSettings {
    /// How long connecting an account may take before it counts as abandoned, in milliseconds.
    pub abandoned_after_ms: u64,
    /// How long ago a provider's last successful sync may be, in milliseconds; 0 where that is not looked at.
    pub sync_stale_after_ms: u64,
}

impl HealthSettings {
    /// The rules that verdicts go by.
    #[must_use]
    pub fn rules(&self) -> HealthRules {
        let sync_stale_after = Duration::from_millis(self.sync_stale_after_ms);
        HealthRules {
            abandoned_after: Duration::from_millis(self.abandoned_after_ms),
            sync_stale_after: Some(sync_stale_after).filter(|time| !time.is_zero()),
        }
    }
}

/// `[toolkits]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToolkitSettings {
    /// The file that replaces the compiled-in mapping; empty where none does.
    pub file: PathBuf,
    /// The providers that workspaces most likely have.
    pub expected: ExpectedProviders,
}

/// Providers by category and name, in LeadLex's words: `email/gmail, calendar/google`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct ExpectedProviders(pub Vec<(String, String)>);

impl TryFrom<String> for ExpectedProviders {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        let parsed = entries.map(|entry| match entry.split_once('/') {
            Some((category, name)) if !category.trim().is_empty() && !name.trim().is_empty() => {
                Ok((category.trim().to_owned(), name.trim().to_owned()))
            }
            _ => Err(format!("`{entry}` is no provider: write category/name, as in email/gmail")),
        });
        parsed.collect::<Result<_, _>>().map(Self)
    }
}

impl ToolkitSettings {
    /// The file that replaces the compiled-in mapping.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        (!self.file.as_os_str().is_empty()).then_some(self.file.as_path())
    }
}
