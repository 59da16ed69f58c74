//! Settings that can change without a restart, and the comparison of two configurations.
//!
//! `RELOADABLE` lists the settings; all others need a restart. Values are compared by their digests, so that no
//! second copy of a secret is stored. For a secret in a file, the content is compared, not the path.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};
use toml::Value;

use super::problem::{ConfigErrors, ConfigProblem};
use super::schema::SettingsSchema;
use super::sources::{SettingValues, nested_table};

/// The reloadable settings. A name that ends in `.` stands for all settings of the section. A list of sections, such as
/// `[[tenants]]`, has one name for all its entries. A secret that can also be given as `x_file` is listed as `x`.
const RELOADABLE: &[&str] = &[
    "http.graphiql",
    "http.example",
    "http.image_origins",
    "http.body_limit_bytes",
    "http.body_timeout_ms",
    "http.cors_origins",
    "http.compression",
    "http.ws_init_timeout_ms",
    "http.stream_ping_ms",
    "http.subscriptions_per_connection_max",
    "http.draft_status_codes",
    "limits.",
    "rate_limits.",
    "documents.trusted",
    "documents.mode",
    "documents.automatic",
    "auth.tokens",
    "auth.jwt.",
    "tenants",
    "upstream.leadlex.api_key",
    "upstream.composio.api_key",
    "connections.",
    "federation.",
    "toolkits.file",
    "health.",
    "actions.",
    "webhooks.",
    "log.level",
];

/// Whether a reload applies a change of the setting.
pub(super) fn is_reloadable(name: &str) -> bool {
    is_listed(RELOADABLE, name)
}

fn is_listed(list: &[&str], name: &str) -> bool {
    list.iter().any(|listed| *listed == name || listed.ends_with('.') && name.starts_with(listed))
}

/// A digest of each setting's value, by the setting's name. `x_file` is left out: its content is the value of `x`.
///
/// Every setting has a value, at least its default, so that all configurations have the same names.
#[derive(Debug, Clone, Default)]
pub(super) struct SettingDigests(BTreeMap<String, [u8; 32]>);

impl SettingDigests {
    pub(super) fn of(schema: &SettingsSchema, values: &SettingValues<'_>) -> Self {
        let digest = |value: &Value| <[u8; 32]>::from(Sha256::digest(value.to_string()));
        let settings = schema.iter().filter(|setting| !schema.is_file_of_secret(setting));
        let settings = settings.filter_map(|setting| {
            values.get(&setting.name).map(|(value, _)| (setting.name.clone(), digest(value)))
        });
        let lists = schema.lists().map(|list| {
            let entries = values
                .entries(&list.name)
                .iter()
                .map(|entry| Value::Table(nested_table(&list.entry_schema, entry)));
            (list.name.clone(), digest(&Value::Array(entries.collect())))
        });
        Self(settings.chain(lists).collect())
    }

    /// Returns the names of the settings that differ, if all of them are reloadable.
    ///
    /// # Errors
    /// One line for each setting that is not.
    pub(super) fn reloadable_changes(&self, next: &Self) -> Result<Vec<String>, ConfigErrors> {
        let changed = next.0.iter().filter(|(name, digest)| self.0.get(*name) != Some(digest));
        let (reloadable, fixed): (Vec<_>, Vec<_>) =
            changed.map(|(name, _)| name.clone()).partition(|name| is_reloadable(name));
        let mut problems = ConfigErrors::default();
        for name in fixed {
            problems.add(ConfigProblem::new(name, "has changed, which needs a restart", None));
        }
        if problems.is_empty() { Ok(reloadable) } else { Err(problems) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Settings that are read once at startup: by listeners, caches, upstream clients, the log and exporters. A name
    /// that ends in `.` stands for all settings of the section.
    const FIXED: &[&str] = &[
        "auth.mode",
        "cache.",
        "documents.automatic_limit_bytes",
        "http.bodies_limit_bytes",
        "http.listen",
        "ids.key",
        "lists.",
        "log.format",
        "ops.listen",
        "metrics.",
        "redis.",
        "server.",
        "subscriptions.",
        "toolkits.expected",
        "traces.",
        "upstream.composio.base_url",
        "upstream.composio.body_limit_bytes",
        "upstream.composio.breaker.",
        "upstream.composio.concurrency.",
        "upstream.composio.deadline_ms",
        "upstream.composio.quota.",
        "upstream.composio.retry.",
        "upstream.composio.timeout_ms",
        "upstream.leadlex.base_url",
        "upstream.leadlex.body_limit_bytes",
        "upstream.leadlex.breaker.",
        "upstream.leadlex.concurrency.",
        "upstream.leadlex.deadline_ms",
        "upstream.leadlex.quota.",
        "upstream.leadlex.retry.",
        "upstream.leadlex.timeout_ms",
    ];

    #[test]
    fn each_setting_is_either_reloadable_or_needs_a_restart() {
        let schema = SettingsSchema::built_in().unwrap();
        let names = SettingDigests::of(&schema, &SettingValues::defaults(&schema)).0;
        for name in names.keys() {
            let is_fixed = is_listed(FIXED, name);
            assert!(is_reloadable(name) != is_fixed, "{name}: add it to exactly one of the two lists");
        }
        for listed in RELOADABLE.iter().chain(FIXED) {
            assert!(names.keys().any(|name| is_listed(&[listed], name)), "there is no setting {listed}");
        }
    }
}
