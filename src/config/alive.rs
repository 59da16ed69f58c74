//! Which settings can change while they are in force, and which have.
//!
//! One list says what can; all others need a restart. Values are compared by their digests, so that no secret is kept a second
//! time. Of a secret that comes from a file its text counts, and not where that lies.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};
use toml::Value;

use super::known::Known;
use super::layers::Layers;
use super::nested;
use super::problem::{ConfigErrors, Problem};

/// What can change alive: lists of sections by their names, secrets by the setting that is not `_file`.
pub(super) const ALIVE: &[&str] = &[
    "http.graphiql",
    "http.example",
    "http.body_limit_bytes",
    "http.body_timeout_ms",
    "http.cors_origins",
    "http.compression",
    "http.ws_init_timeout_ms",
    "http.stream_ping_ms",
    "http.subscriptions_per_connection_max",
    "limits.depth",
    "limits.complexity",
    "limits.aliases",
    "limits.directives",
    "limits.tokens",
    "limits.upstream_calls",
    "limits.operation_timeout_ms",
    "limits.complexity_at_once",
    "limits.wait_ms",
    "limits.introspection",
    "limits.suggestions",
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
    "toolkits.file",
    "health.abandoned_after_ms",
    "health.sync_stale_after_ms",
    "webhooks.composio_secrets",
    "log.level",
];

/// What every setting is, as far as two configurations can be compared by it.
#[derive(Debug, Clone, Default)]
pub(super) struct InForce(BTreeMap<String, [u8; 32]>);

impl InForce {
    pub(super) fn of(known: &Known, layers: &Layers<'_>) -> Self {
        let digest = |value: &Value| <[u8; 32]>::from(Sha256::digest(value.to_string()));
        let settings = known.iter().filter(|setting| !known.is_file_of_another(setting));
        let settings = settings.filter_map(|setting| {
            layers.get(&setting.name).map(|(value, _)| (setting.name.clone(), digest(value)))
        });
        let lists = known.lists().map(|list| {
            let entries =
                layers.entries(&list.name).iter().map(|entry| Value::Table(nested(&list.entry, entry)));
            (list.name.clone(), digest(&Value::Array(entries.collect())))
        });
        Self(settings.chain(lists).collect())
    }

    /// The names of the settings that differ, all of which can change alive.
    ///
    /// # Errors
    /// With a line for each that cannot.
    pub(super) fn changed_alive(&self, next: &Self) -> Result<Vec<String>, ConfigErrors> {
        let differ = next.0.iter().filter(|(name, digest)| self.0.get(*name) != Some(digest));
        let (alive, fixed): (Vec<_>, Vec<_>) =
            differ.map(|(name, _)| name.clone()).partition(|name| ALIVE.contains(&name.as_str()));
        let mut problems = ConfigErrors::default();
        for name in fixed {
            problems.add(Problem::new(name, "has changed, which needs a restart", None));
        }
        if problems.is_empty() { Ok(alive) } else { Err(problems) }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// What needs a restart, and why: a listener holds it, or what is kept and counted does.
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
    fn every_setting_either_changes_alive_or_needs_a_restart_and_whoever_adds_one_says_which() {
        let known = Known::built_in().unwrap();
        let names = InForce::of(&known, &Layers::over_defaults(&known)).0;
        let is_fixed = |name: &str| {
            FIXED.iter().any(|fixed| *fixed == name || fixed.ends_with('.') && name.starts_with(fixed))
        };
        for name in names.keys() {
            assert!(ALIVE.contains(&name.as_str()) != is_fixed(name), "{name}: put it into one of the two");
        }
        let alive: BTreeSet<_> = ALIVE.iter().copied().collect();
        assert_eq!(alive.len(), ALIVE.len());
        for name in alive {
            assert!(names.contains_key(name), "{name} is no setting");
        }
        for fixed in FIXED {
            assert!(names.keys().any(|name| name.starts_with(fixed)), "{fixed} is no setting");
        }
    }
}
