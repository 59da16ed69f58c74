//! Settings of ids, health and the toolkit mapping, and the type of the ranges of all settings.
//!
//! These are plain values. The configuration loader reads the files that they name.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::global_id::IdKey;
use super::health::HealthRules;

/// Allowed ranges of the numbers of one section, by the key of each setting.
///
/// Upper bounds exclude numbers that are surely a mistake, such as a point in time instead of a duration, and keep sums
/// of times and sizes far from overflow.
pub type Ranges = &'static [(&'static str, RangeInclusive<i64>)];

/// A year of 365 days, in milliseconds.
const YEAR_MS: i64 = 365 * 24 * 60 * 60 * 1_000;

/// One gibibyte, in bytes.
pub const GIB: i64 = 1 << 30;

/// `[ids]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdSettings {
    /// The secret key of global ids and cursors, the same on all replicas. If it is empty, the objects of an
    /// upstream get a key that is derived from the tenant's API key of that upstream.
    pub key: SecretString,
}

impl IdSettings {
    /// Returns the configured key. `None` if the setting is empty: a key is then derived from each API key.
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
    /// Milliseconds after which an account that is being connected counts as abandoned.
    pub abandoned_after_ms: u64,
    /// Milliseconds after which a provider's last successful sync counts as stale; 0 disables the check.
    pub sync_stale_after_ms: u64,
}

impl HealthSettings {
    /// Allowed ranges.
    pub(crate) const RANGES: Ranges =
        &[("abandoned_after_ms", 1..=YEAR_MS), ("sync_stale_after_ms", 0..=YEAR_MS)];

    /// Returns the rules of health evaluation.
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
    /// The file that maps LeadLex's providers to Composio's toolkits, instead of the built-in mapping. Empty: built-in.
    pub file: PathBuf,
    /// The providers that a workspace of LeadLex most likely has. Their accounts are requested before the list of
    /// providers has arrived. A wrong entry costs a call and changes no response.
    pub expected: ExpectedProviders,
}

/// Providers by category and name, as LeadLex spells them: `email/gmail, calendar/google`.
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
            _ => Err(format!("`{entry}` is not a provider. Write category/name, for example email/gmail.")),
        });
        parsed.collect::<Result<_, _>>().map(Self)
    }
}

impl ToolkitSettings {
    /// Returns the file that replaces the built-in mapping.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        (!self.file.as_os_str().is_empty()).then_some(self.file.as_path())
    }
}
