//! The configuration: the sum of each component's own settings.
//!
//! Layers, each over the one before: `switchboard.default.toml`, which is compiled in and is the
//! documentation; a file; `SWITCHBOARD__SECTION__KEY` variables; flags. All problems are reported at
//! once, a line each, with the setting's name and where its value stands.
//!
//! Not the `config` crate: its values remember a file but no line, it stops at the first value that
//! does not fit, and its variables are either all texts or guessed at, so that a key made of digits
//! becomes a number. Here the default file says of what kind a setting is, and `toml` where it stands.

mod alive;
mod callers;
mod document;
mod known;
mod layers;
mod problem;
mod replicas;
mod rules;

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
use crate::loaders::settings::{CacheSettings, ConnectionSettings, ListSettings, WatchSettings};
use crate::operation::persisted::trusted::TrustedDocuments;
use crate::operation::settings::{DocumentSettings, LimitSettings};
use crate::replicas::settings::ReplicaSettings;
use crate::telemetry::LogSettings;
use crate::telemetry::metrics::MetricsSettings;
use crate::telemetry::traces::settings::TraceSettings;
use crate::upstream::settings::UpstreamSettings;
use alive::InForce;
use known::Known;
use layers::Layers;
use problem::Origin;
pub use problem::{ConfigErrors, Problem};

/// The settings of every component. Only `app` and the commands see it whole.
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
    /// `[log]`
    pub log: LogSettings,
    /// `[traces]`
    pub traces: TraceSettings,
    /// `[metrics]`
    pub metrics: MetricsSettings,
    #[serde(skip)]
    redacted: String,
    #[serde(skip)]
    in_force: InForce,
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

/// Whether both upstreams' keys must be there in a mode that uses them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Keys {
    /// Yes, as to serve.
    #[default]
    Required,
    /// No: whoever asks will say what it makes of a missing one.
    Optional,
}

/// What a configuration is made of, besides the defaults.
#[derive(Debug, Default)]
pub struct Sources {
    /// A TOML file.
    pub file: Option<PathBuf>,
    /// The environment; what does not begin with `SWITCHBOARD__` is passed over.
    pub variables: Vec<(OsString, OsString)>,
    /// Settings given on the command line: the setting's name, the flag's, and the value's text.
    pub flags: Vec<(&'static str, &'static str, String)>,
    /// Whether keys must be there.
    pub keys: Keys,
}

impl Config {
    /// Lays the sources over the defaults and judges the whole.
    ///
    /// # Errors
    /// Everything that is wrong with it, at once: unknown settings, values of another kind or out of
    /// range, files that cannot be read, settings that do not go together, keys that are missing.
    pub fn load(sources: Sources) -> Result<Self, ConfigErrors> {
        let known = Known::built_in().map_err(ConfigErrors::from)?;
        let mut layers = Layers::over_defaults(&known);
        let mut keys = sources.keys;
        if let Some(file) = &sources.file
            && !layers.lay_file(file)
        {
            keys = Keys::Optional;
        }
        layers.lay_variables(sources.variables);
        for (name, flag, text) in sources.flags {
            layers.lay_text(name, text, Origin::Flag(flag));
        }
        layers.read_secret_files();
        let defaults = nested(&known, &Layers::over_defaults(&known));
        refuse_unfit(&known, &mut layers, &|table| table);
        for list in known.lists() {
            let alone = |entry| {
                let mut table = defaults.clone();
                known::insert(&mut table, &list.name, Value::Array(vec![Value::Table(entry)]));
                table
            };
            for entry in layers.entries_mut(&list.name) {
                refuse_unfit(&list.entry, entry, &alone);
            }
        }
        let mut config: Self = nested(&known, &layers)
            .try_into()
            .map_err(|error: toml::de::Error| Problem::new("configuration", error.message(), None))?;
        rules::judge(&config, keys, &mut layers);
        config.redacted = redacted(&known, &layers);
        config.in_force = InForce::of(&known, &layers);
        let problems = layers.into_problems();
        if problems.is_empty() { Ok(config) } else { Err(problems) }
    }

    /// Where `/ready` is answered, whatever else is in these sources: who asks there must learn no more than whether it is.
    ///
    /// # Errors
    /// Where that very setting is wrong, or stands in a file, if anywhere, that cannot be read.
    pub fn ops_listen(sources: Sources) -> Result<SocketAddr, ConfigErrors> {
        const NAME: &str = "ops.listen";
        let known = Known::built_in().map_err(ConfigErrors::from)?;
        let mut layers = Layers::over_defaults(&known);
        let is_read = sources.file.is_none_or(|file| layers.lay_file(&file));
        layers.lay_variables(sources.variables);
        for (name, flag, text) in sources.flags {
            layers.lay_text(name, text, Origin::Flag(flag));
        }
        let is_told = is_read || layers.get(NAME).is_some_and(|(_, origin)| *origin != Origin::Default);
        if is_told && !layers.concern(NAME) {
            let text = layers.text(NAME).to_owned();
            match text.parse() {
                Ok(address) => return Ok(address),
                Err(_) => layers.refuse(NAME, format!("{text:?} is no IP address with a port")),
            }
        }
        Err(layers.into_problems())
    }

    /// Which settings of another configuration differ from these, where all of them can change while it is served.
    ///
    /// # Errors
    /// A line for each that cannot.
    pub fn changed_alive(&self, next: &Self) -> Result<Vec<String>, ConfigErrors> {
        self.in_force.changed_alive(&next.in_force)
    }

    /// The settings in force as TOML, each that was set with where; secrets as `[redacted]`.
    #[must_use]
    pub fn redacted(&self) -> &str {
        &self.redacted
    }

    /// What is allowed and still worth a word, a line each, without any value.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        rules::warnings(self)
    }

    /// The documents of `documents.trusted`; none where it is not set.
    ///
    /// # Errors
    /// Where they have changed for the worse since the configuration was loaded.
    pub fn trusted_documents(&self) -> Result<Option<TrustedDocuments>, ConfigErrors> {
        rules::trusted_documents(self).map_err(|why| Problem::new("documents.trusted", why, None).into())
    }

    /// Refuses trusted documents that cannot be run, each by its id and why.
    ///
    /// # Errors
    /// Where there is one, with a line for each.
    pub(crate) fn refuse_documents(broken: Vec<(String, String)>) -> Result<(), ConfigErrors> {
        let mut problems = ConfigErrors::default();
        for (id, why) in broken {
            problems.add(Problem::new("documents.trusted", format!("{id:?} cannot be run: {why}"), None));
        }
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }

    /// Which toolkits stand for which provider: the file of `toolkits.file`, else what is compiled in.
    ///
    /// # Errors
    /// Where the file has changed for the worse since the configuration was loaded.
    pub fn toolkit_mapping(&self) -> Result<ToolkitMapping, ConfigErrors> {
        rules::toolkit_mapping(self).map_err(|why| Problem::new("toolkits.file", why, None).into())
    }
}

/// Tries each value that was set, alone over the defaults, so that every one that does not fit is
/// named and not only the first; those that do not are put back to the default. `whole` makes a configuration of
/// defaults with the one value in them: of an entry's, one with that entry alone.
fn refuse_unfit<'a>(known: &'a Known, layers: &mut Layers<'a>, whole: &dyn Fn(Table) -> Table) {
    let defaults = nested(known, &Layers::over_defaults(known));
    for setting in known.iter().filter(|setting| !known.is_file_of_another(setting)) {
        let Some((value, origin)) = layers.get(&setting.name) else { continue };
        if *origin == Origin::Default {
            continue;
        }
        let objection = rules::objection(&setting.name, value).or_else(|| {
            let mut table = defaults.clone();
            known::insert(&mut table, &setting.name, value.clone());
            let unfit = whole(table).try_into::<Config>().err()?;
            let reason = unfit.message();
            Some(match known.file_of(setting) {
                Some(_) => "does not fit".to_owned(),
                None => format!(
                    "{} does not fit: {reason}; {} would",
                    layers::shown(value),
                    layers::shown(&setting.default)
                ),
            })
        });
        if let Some(objection) = objection {
            layers.refuse(&setting.name, objection);
            layers.forget(setting);
        }
    }
}

/// The values in force as the components' settings want them: in sections, secrets already read.
fn nested(known: &Known, layers: &Layers<'_>) -> Table {
    let mut table = Table::new();
    for setting in known.iter().filter(|setting| !known.is_file_of_another(setting)) {
        if let Some((value, _)) = layers.get(&setting.name) {
            known::insert(&mut table, &setting.name, value.clone());
        }
    }
    for list in known.lists() {
        let entries = layers.entries(&list.name).iter().map(|entry| Value::Table(nested(&list.entry, entry)));
        known::insert(&mut table, &list.name, Value::Array(entries.collect()));
    }
    table
}

fn redacted(known: &Known, layers: &Layers<'_>) -> String {
    let mut text = String::new();
    write_redacted(&mut text, known, layers);
    for list in known.lists() {
        for entry in layers.entries(&list.name) {
            let _ = writeln!(text, "\n[[{}]] # {}", list.name, entry.origin);
            write_redacted(&mut text, &list.entry, entry);
        }
    }
    text
}

fn write_redacted(text: &mut String, known: &Known, layers: &Layers<'_>) {
    let mut section = "";
    for setting in known.iter() {
        let Some((value, origin)) = layers.get(&setting.name) else { continue };
        if setting.section() != section {
            section = setting.section();
            let gap = if text.is_empty() { "" } else { "\n" };
            let _ = writeln!(text, "{gap}[{section}]");
        }
        let secret = known.file_of(setting).is_some() && value.as_str() != Some("");
        let value = if secret { &Value::from("[redacted]") } else { value };
        let _ = match origin {
            Origin::Default => writeln!(text, "{} = {value}", setting.key()),
            origin => writeln!(text, "{} = {value} # {origin}", setting.key()),
        };
    }
}

#[cfg(test)]
mod tests;
