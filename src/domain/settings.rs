//! What can be set about ids and about the mapping of toolkits.
//!
//! Only values: files that they name are read by whoever loads the configuration.

use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::global_id::IdKey;

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

/// `[toolkits]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToolkitSettings {
    /// The file that replaces the compiled-in mapping; empty where none does.
    pub file: PathBuf,
}

impl ToolkitSettings {
    /// The file that replaces the compiled-in mapping.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        (!self.file.as_os_str().is_empty()).then_some(self.file.as_path())
    }
}
