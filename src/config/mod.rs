//! The configuration: the settings of all components in one value.
//!
//! [`Config::load`] applies the sources in this order; later ones override earlier ones:
//!
//! 1. `switchboard.default.toml`, which is compiled in and documents every setting;
//! 2. a file;
//! 3. `SWITCHBOARD__SECTION__KEY` variables;
//! 4. flags.
//!
//! Then secrets are read from the files that settings such as `api_key_file` name. Last, OpenTelemetry's `OTEL_*`
//! variables set what no other source sets of `[traces]` (`otel`).
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
mod settings;
mod sources;
mod toml_document;
mod validation;
mod variables;

use std::ffi::OsString;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;

use toml::{Table, Value};

use crate::domain::toolkits::ToolkitMapping;
use crate::operation::persisted::trusted::TrustedDocuments;
use problem::ValueOrigin;
pub use problem::{ConfigErrors, ConfigProblem};
use reloadable::SettingDigests;
use schema::SettingsSchema;
pub use settings::{ApiKeys, Config, Upstreams};
use sources::{SettingValues, nested_table};

/// Sources of a configuration besides the defaults.
#[derive(Debug, Default)]
pub struct ConfigSources {
    /// A TOML file.
    pub file: Option<PathBuf>,
    /// The environment. Variables that begin with `SWITCHBOARD__` are settings; one that spells a setting differently
    /// is a problem. OpenTelemetry's variables set `[traces]`, and all others are ignored.
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
        let is_read = sources.file.is_none_or(|file| values.apply_file(&file));
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
                reset_invalid(&list.entry_schema, entry, &alone);
            }
        }
        // The rules below would report settings as missing or unsafe that are in the file.
        if !is_read {
            return Err(values.into_problems());
        }
        let mut config: Self = nested_table(&schema, &values)
            .try_into()
            .map_err(|error: toml::de::Error| ConfigProblem::new("configuration", error.message(), None))?;
        config.files = validation::validate(&config, sources.keys, &mut values);
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
                Err(_) => values.add_problem(NAME, format!("{text:?} is not an IP address with a port")),
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
    pub(crate) fn trusted_documents(&self) -> Option<&TrustedDocuments> {
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
    for setting in schema.iter().filter(|setting| !schema.is_file_of_secret(setting)) {
        let Some((value, origin)) = values.get(&setting.name) else { continue };
        if *origin == ValueOrigin::Default {
            continue;
        }
        let problem = validation::value_problem(&setting.name, value).or_else(|| {
            let mut table = defaults.clone();
            schema::insert(&mut table, &setting.name, value.clone());
            let error = complete(table).try_into::<Config>().err()?;
            let reason = error.message();
            Some(match schema.file_setting_of(setting) {
                Some(_) => "is not valid".to_owned(),
                None => sources::invalid(setting, value, reason),
            })
        });
        if let Some(problem) = problem {
            values.add_problem(&setting.name, problem);
            values.reset(setting);
        }
    }
}

fn redacted(schema: &SettingsSchema, values: &SettingValues<'_>, with_defaults: bool) -> String {
    let mut text = String::new();
    write_redacted(&mut text, schema, values, with_defaults);
    for list in schema.lists() {
        for entry in values.entries(&list.name) {
            let _ = writeln!(text, "\n[[{}]] # {}", list.name, entry.origin);
            write_redacted(&mut text, &list.entry_schema, entry, with_defaults);
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
        let secret = schema.is_secret(setting) && value.as_str() != Some("");
        let value = if secret { &Value::from("[redacted]") } else { value };
        let _ = match origin {
            ValueOrigin::Default => writeln!(text, "{} = {value}", setting.key()),
            origin => writeln!(text, "{} = {value} # {origin}", setting.key()),
        };
    }
}

#[cfg(test)]
mod tests;
