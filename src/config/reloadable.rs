//! Settings that can change without a restart, and the comparison of two configurations.
//!
//! [`RELOADABLE`] lists the settings; all others need a restart. Values are compared by their digests, so that no
//! second copy of a secret is stored. For a secret in a file, the content is compared, not the path.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};
use toml::Value;

use super::problem::{ConfigErrors, ConfigProblem};
use super::schema::SettingsSchema;
use super::sources::{SettingValues, nested_table};

/// The reloadable settings. A list of sections, such as `[[tenants]]`, has one name for all its
/// entries. A secret that can also be given as `x_file` is listed as `x`.
pub(super) const RELOADABLE: &[&str] = &[
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
    "limits.depth",
    "limits.complexity",
    "limits.aliases",
    "limits.directives",
    "limits.tokens",
    "limits.upstream_calls",
    "limits.response_bytes",
    "limits.operation_timeout_ms",
    "limits.complexity_at_once",
    "limits.wait_ms",
    "limits.introspection",
    "limits.suggestions",
    "rate_limits.window_ms",
    "rate_limits.callers_max",
    "rate_limits.admin.requests",
    "rate_limits.admin.complexity",
    "rate_limits.admin.upstream_calls",
    "rate_limits.member.requests",
    "rate_limits.member.complexity",
    "rate_limits.member.upstream_calls",
    "documents.trusted",
    "documents.mode",
    "documents.automatic",
    "auth.tokens",
    "auth.jwt.jwks_url",
    "auth.jwt.jwks_file",
    "auth.jwt.jwks_ttl_ms",
    "auth.jwt.jwks_pause_ms",
    "auth.jwt.issuer",
    "auth.jwt.audience",
    "auth.jwt.algorithms",
    "auth.jwt.leeway_ms",
    "auth.jwt.role_claim",
    "auth.jwt.tenant_claim",
    "auth.jwt.user_id_claim",
    "tenants",
    "upstream.leadlex.api_key",
    "upstream.composio.api_key",
    "connections.providers_default",
    "connections.accounts_default",
    "connections.page_max",
    "connections.ids_max",
    "connections.toolkit_providers_max",
    "federation.version",
    "federation.left_out",
    "federation.authorization",
    "toolkits.file",
    "health.abandoned_after_ms",
    "health.sync_stale_after_ms",
    "actions.enabled",
    "actions.member",
    "actions.callback_origins",
    "actions.member_auth_configs",
    "actions.per_minute",
    "webhooks.composio_secrets",
    "log.level",
];

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
            changed.map(|(name, _)| name.clone()).partition(|name| RELOADABLE.contains(&name.as_str()));
        let mut problems = ConfigErrors::default();
        for name in fixed {
            problems.add(ConfigProblem::new(name, "has changed, which needs a restart", None));
        }
        if problems.is_empty() { Ok(reloadable) } else { Err(problems) }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

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
        let is_fixed = |name: &str| {
            FIXED.iter().any(|fixed| *fixed == name || fixed.ends_with('.') && name.starts_with(fixed))
        };
        for name in names.keys() {
            let is_reloadable = RELOADABLE.contains(&name.as_str());
            assert!(is_reloadable != is_fixed(name), "{name}: add it to exactly one of the two lists");
        }
        let reloadable: BTreeSet<_> = RELOADABLE.iter().copied().collect();
        assert_eq!(reloadable.len(), RELOADABLE.len());
        for name in reloadable {
            assert!(names.contains_key(name), "there is no setting {name}");
        }
        for fixed in FIXED {
            assert!(names.keys().any(|name| name.starts_with(fixed)), "there is no setting {fixed}");
        }
    }
}
