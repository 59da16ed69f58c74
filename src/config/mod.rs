//! The configuration: the settings of all components in one value.
//!
//! [`Config::load`] applies the sources in this order; later ones override earlier ones:
//!
//! 1. `switchboard.default.toml`, which is compiled in and documents every setting;
//! 2. a file;
//! 3. `SWITCHBOARD__SECTION__KEY` variables;
//! 4. flags.
//!
//! It reports all problems at once, one line each, with the setting's name and the origin of its value.
//!
//! Rejected: the `config` crate. It does not know in which line a value is, stops at the first value of a wrong type,
//! and guesses the types of variables, so that a key made of digits becomes a number. Here the default file gives the
//! type of each setting, and `toml` its position.

mod callers;
mod checks;
mod otel;
mod problem;
#[cfg(test)]
mod reference;
mod reloadable;
mod replicas;
mod schema;
mod sources;
mod toml_document;
mod validation;
mod variables;

use std::ffi::OsString;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Deserialize;
use toml::{Table, Value};

use crate::domain::settings::{HealthSettings, IdSettings, ToolkitSettings};
use crate::domain::toolkits::ToolkitMapping;
use crate::graphql::federation::FederationSettings;
use crate::http::caller::settings::{AuthSettings, TenantSettings};
use crate::http::settings::{HttpSettings, OpsSettings, ServerSettings};
use crate::http::webhook::settings::WebhookSettings;
use crate::loaders::actions::settings::ActionSettings;
use crate::loaders::settings::{CacheSettings, ConnectionSettings, ListSettings, WatchSettings};
use crate::operation::persisted::trusted::TrustedDocuments;
use crate::operation::rate_limits::settings::RateLimitSettings;
use crate::operation::settings::{DocumentSettings, LimitSettings};
use crate::replicas::settings::ReplicaSettings;
use crate::telemetry::LogSettings;
use crate::telemetry::metrics::MetricsSettings;
use crate::telemetry::traces::settings::TraceSettings;
use crate::upstream::settings::UpstreamSettings;
use problem::ValueOrigin;
pub use problem::{ConfigErrors, ConfigProblem};
use reloadable::SettingDigests;
use schema::SettingsSchema;
use sources::SettingValues;

/// The settings of every component. Only `app` and the commands see all of it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `[http]`
    pub http: HttpSettings,
    /// `[ops]`
    pub ops: OpsSettings,
    /// `[server]`
    pub server: ServerSettings,
    /// `[limits]`
    pub limits: LimitSettings,
    /// `[rate_limits]`
    pub rate_limits: RateLimitSettings,
    /// `[documents]`
    pub documents: DocumentSettings,
    /// `[auth]`
    pub auth: AuthSettings,
    /// `[webhooks]`
    pub webhooks: WebhookSettings,
    /// `[[tenants]]`
    pub tenants: Vec<TenantSettings>,
    /// `[upstream.leadlex]` and `[upstream.composio]`
    pub upstream: Upstreams,
    /// `[cache]`
    pub cache: CacheSettings,
    /// `[redis]`
    pub redis: ReplicaSettings,
    /// `[connections]`
    pub connections: ConnectionSettings,
    /// `[subscriptions]`
    pub subscriptions: WatchSettings,
    /// `[lists]`
    pub lists: ListSettings,
    /// `[federation]`
    pub federation: FederationSettings,
    /// `[ids]`
    pub ids: IdSettings,
    /// `[toolkits]`
    pub toolkits: ToolkitSettings,
    /// `[health]`
    pub health: HealthSettings,
    /// `[actions]`
    pub actions: ActionSettings,
    /// `[log]`
    pub log: LogSettings,
    /// `[traces]`
    pub traces: TraceSettings,
    /// `[metrics]`
    pub metrics: MetricsSettings,
    #[serde(skip)]
    redacted: String,
    #[serde(skip)]
    changed: String,
    #[serde(skip)]
    digests: SettingDigests,
    #[serde(skip)]
    files: LoadedFiles,
}

/// The files that settings name, read and parsed when the configuration was loaded.
#[derive(Debug, Clone, Default)]
struct LoadedFiles {
    trusted_documents: Option<TrustedDocuments>,
    toolkit_mapping: ToolkitMapping,
}

/// The settings of both upstreams.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Upstreams {
    /// `[upstream.leadlex]`
    pub leadlex: UpstreamSettings,
    /// `[upstream.composio]`
    pub composio: UpstreamSettings,
}

/// Whether the keys of both upstreams must be set, in a mode that uses them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ApiKeys {
    /// A missing key is a problem, as for `serve`.
    #[default]
    Required,
    /// A missing key is allowed.
    Optional,
}

/// Sources of a configuration besides the defaults.
#[derive(Debug, Default)]
pub struct ConfigSources {
    /// A TOML file.
    pub file: Option<PathBuf>,
    /// The environment. Variables that begin with `SWITCHBOARD__` are settings; one that spells a setting differently
    /// is a problem, and all others are ignored.
    pub variables: Vec<(OsString, OsString)>,
    /// Settings from the command line: the setting's name, the flag's name, and the value as text.
    pub flags: Vec<(&'static str, &'static str, String)>,
    /// Whether keys must be set.
    pub keys: ApiKeys,
}

impl Config {
    /// Applies the sources over the defaults and validates the result.
    ///
    /// # Errors
    /// All problems at once: unknown settings, values of a wrong type or out of range, files that cannot be read,
    /// settings that contradict each other, missing keys.
    pub fn load(sources: ConfigSources) -> Result<Self, ConfigErrors> {
        let schema = SettingsSchema::built_in().map_err(ConfigErrors::from)?;
        let mut values = SettingValues::defaults(&schema);
        let mut keys = sources.keys;
        if let Some(file) = &sources.file
            && !values.apply_file(file)
        {
            keys = ApiKeys::Optional;
        }
        values.apply_variables(sources.variables.clone());
        for (name, flag, text) in sources.flags {
            values.apply_text(name, text, ValueOrigin::Flag(flag));
        }
        values.read_secret_files();
        otel::apply(&mut values, &sources.variables);
        let defaults = nested_table(&schema, &SettingValues::defaults(&schema));
        reset_invalid(&schema, &mut values, &|table| table);
        for list in schema.lists() {
            let alone = |entry| {
                let mut table = defaults.clone();
                schema::insert(&mut table, &list.name, Value::Array(vec![Value::Table(entry)]));
                table
            };
            for entry in values.entries_mut(&list.name) {
                reset_invalid(&list.entry, entry, &alone);
            }
        }
        let mut config: Self = nested_table(&schema, &values)
            .try_into()
            .map_err(|error: toml::de::Error| ConfigProblem::new("configuration", error.message(), None))?;
        config.files = validation::validate(&config, keys, &mut values);
        config.redacted = redacted(&schema, &values, true);
        config.changed = redacted(&schema, &values, false);
        config.digests = SettingDigests::of(&schema, &values);
        let problems = values.into_problems();
        if problems.is_empty() { Ok(config) } else { Err(problems) }
    }

    /// Returns the address of `/ready` alone. Problems of other settings are ignored: a health check must not fail
    /// because of a file that the running process has not loaded.
    ///
    /// # Errors
    /// If `ops.listen` is invalid. If the file cannot be read, unless a variable or flag sets it.
    pub fn ops_listen(sources: ConfigSources) -> Result<SocketAddr, ConfigErrors> {
        const NAME: &str = "ops.listen";
        let schema = SettingsSchema::built_in().map_err(ConfigErrors::from)?;
        let mut values = SettingValues::defaults(&schema);
        let is_read = sources.file.is_none_or(|file| values.apply_file(&file));
        values.apply_variables(sources.variables);
        for (name, flag, text) in sources.flags {
            values.apply_text(name, text, ValueOrigin::Flag(flag));
        }
        let is_set = values.get(NAME).is_some_and(|(_, origin)| *origin != ValueOrigin::Default);
        if (is_read || is_set) && !values.has_problem(NAME) {
            let text = values.text(NAME).to_owned();
            match text.parse() {
                Ok(address) => return Ok(address),
                Err(_) => values.reject(NAME, format!("{text:?} is not an IP address with a port")),
            }
        }
        Err(values.into_problems())
    }

    /// Returns the names of the settings that differ in `next`, if all of them are reloadable.
    ///
    /// # Errors
    /// One line for each that needs a restart.
    pub fn reloadable_changes(&self, next: &Self) -> Result<Vec<String>, ConfigErrors> {
        self.digests.reloadable_changes(&next.digests)
    }

    /// Returns the settings in force as TOML. Each changed one has a comment with the origin of its value; secrets are
    /// `[redacted]`.
    #[must_use]
    pub fn redacted(&self) -> &str {
        &self.redacted
    }

    /// Returns only the settings that a source sets, in the form of [`Self::redacted`]; can be empty.
    #[must_use]
    pub fn changed(&self) -> &str {
        &self.changed
    }

    /// Returns warnings about settings that are allowed but risky, one line each, without their values.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        validation::warnings(self)
    }

    /// Returns the documents of `documents.trusted`; `None` if that is not set.
    #[must_use]
    pub fn trusted_documents(&self) -> Option<&TrustedDocuments> {
        self.files.trusted_documents.as_ref()
    }

    /// Returns the mapping of providers to toolkits: the file of `toolkits.file` if that is set, else the one compiled
    /// in.
    #[must_use]
    pub fn toolkit_mapping(&self) -> &ToolkitMapping {
        &self.files.toolkit_mapping
    }

    /// Returns an error if there are invalid trusted documents, each with its id and the reason.
    ///
    /// # Errors
    /// One line for each document.
    pub(crate) fn reject_documents(invalid: Vec<(String, String)>) -> Result<(), ConfigErrors> {
        let mut problems = ConfigErrors::default();
        for (id, why) in invalid {
            problems.add(ConfigProblem::new(
                "documents.trusted",
                format!("{id:?} is not valid: {why}"),
                None,
            ));
        }
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }
}

/// Checks each value that was set, alone with defaults for everything else, so that every invalid value is reported and
/// not only the first. Invalid values are reset to their default. `complete` makes a whole configuration from the table
/// with the value: for a setting, the table itself; for a setting of a list's entry, the defaults with that entry.
fn reset_invalid<'a>(
    schema: &'a SettingsSchema,
    values: &mut SettingValues<'a>,
    complete: &dyn Fn(Table) -> Table,
) {
    let defaults = nested_table(schema, &SettingValues::defaults(schema));
    for setting in schema.iter().filter(|setting| !schema.is_file_of_another(setting)) {
        let Some((value, origin)) = values.get(&setting.name) else { continue };
        if *origin == ValueOrigin::Default {
            continue;
        }
        let problem = validation::value_problem(&setting.name, value).or_else(|| {
            let mut table = defaults.clone();
            schema::insert(&mut table, &setting.name, value.clone());
            let error = complete(table).try_into::<Config>().err()?;
            let reason = error.message();
            Some(match schema.file_of(setting) {
                Some(_) => "is not valid".to_owned(),
                None => sources::invalid(setting, value, reason),
            })
        });
        if let Some(problem) = problem {
            values.reject(&setting.name, problem);
            values.reset(setting);
        }
    }
}

/// Returns the values in force as nested tables, without the settings that only name a secret's file.
fn nested_table(schema: &SettingsSchema, values: &SettingValues<'_>) -> Table {
    let mut table = Table::new();
    for setting in schema.iter().filter(|setting| !schema.is_file_of_another(setting)) {
        if let Some((value, _)) = values.get(&setting.name) {
            schema::insert(&mut table, &setting.name, value.clone());
        }
    }
    for list in schema.lists() {
        let entries =
            values.entries(&list.name).iter().map(|entry| Value::Table(nested_table(&list.entry, entry)));
        schema::insert(&mut table, &list.name, Value::Array(entries.collect()));
    }
    table
}

fn redacted(schema: &SettingsSchema, values: &SettingValues<'_>, with_defaults: bool) -> String {
    let mut text = String::new();
    write_redacted(&mut text, schema, values, with_defaults);
    for list in schema.lists() {
        for entry in values.entries(&list.name) {
            let _ = writeln!(text, "\n[[{}]] # {}", list.name, entry.origin);
            write_redacted(&mut text, &list.entry, entry, with_defaults);
        }
    }
    text
}

fn write_redacted(
    text: &mut String,
    schema: &SettingsSchema,
    values: &SettingValues<'_>,
    with_defaults: bool,
) {
    let mut section = "";
    for setting in schema.iter() {
        let Some((value, origin)) = values.get(&setting.name) else { continue };
        if !with_defaults && *origin == ValueOrigin::Default {
            continue;
        }
        if setting.section() != section {
            section = setting.section();
            let gap = if text.is_empty() { "" } else { "\n" };
            let _ = writeln!(text, "{gap}[{section}]");
        }
        let secret = schema.file_of(setting).is_some() && value.as_str() != Some("");
        let value = if secret { &Value::from("[redacted]") } else { value };
        let _ = match origin {
            ValueOrigin::Default => writeln!(text, "{} = {value}", setting.key()),
            origin => writeln!(text, "{} = {value} # {origin}", setting.key()),
        };
    }
}

#[cfg(test)]
mod tests;
