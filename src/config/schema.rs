//! The list of all settings, read from the default file; there is no second list.
//!
//! The default file gives each setting's name, its type (the type of its default), and whether it is a secret: a
//! setting `x` is a secret if there is a setting `x_file`, which names a file to read it from. The default file
//! contains one entry of each list of sections (`[[tenants]]`), which only shows the keys of an entry.

use toml::de::DeTable;
use toml::{Table, Value};

use super::problem::ConfigProblem;
use super::toml_document::{self, Content, Leaf};

/// The default file.
pub(super) const DEFAULTS: &str = include_str!("../../switchboard.default.toml");

/// The section with the settings of both upstreams, and the section that gets those which it does not contain itself.
const SHARED_DEFAULTS: (&str, &str) = ("upstream.leadlex", "upstream.composio");

/// A setting.
#[derive(Debug)]
pub(super) struct Setting {
    /// Dotted name, like `upstream.leadlex.api_key`.
    pub(super) name: String,
    /// Default, which also gives the type.
    pub(super) default: Value,
}

impl Setting {
    /// Returns its section, like `upstream.leadlex`.
    pub(super) fn section(&self) -> &str {
        self.name.rsplit_once('.').map_or("", |(section, _)| section)
    }

    /// Returns its name within its section.
    pub(super) fn key(&self) -> &str {
        self.name.rsplit_once('.').map_or(&self.name, |(_, key)| key)
    }
}

/// Returns the environment variable of a setting: `http.listen` is `SWITCHBOARD__HTTP__LISTEN`.
pub(super) fn variable(name: &str) -> String {
    format!("{PREFIX}{}", name.replace('.', "__").to_uppercase())
}

/// Prefix of all environment variables.
pub(super) const PREFIX: &str = "SWITCHBOARD__";

/// All settings, in the order of the default file; or the settings of a list's entry.
#[derive(Debug)]
pub(super) struct SettingsSchema {
    settings: Vec<Setting>,
    lists: Vec<SectionList>,
}

/// A list of sections.
#[derive(Debug)]
pub(super) struct SectionList {
    /// Dotted name, like `auth.tokens`.
    pub(super) name: String,
    /// The settings of each entry.
    pub(super) entry_schema: SettingsSchema,
}

impl SettingsSchema {
    /// Reads the default file. Cannot fail in a build whose tests pass.
    pub(super) fn built_in() -> Result<Self, ConfigProblem> {
        let document = DeTable::parse(DEFAULTS).map_err(|error| invalid_default(error.message()))?;
        let mut schema = Self::of(toml_document::leaves_of(document.get_ref(), &|_| false))?;
        schema.share_defaults();
        Ok(schema)
    }

    fn of(leaves: Vec<Leaf>) -> Result<Self, ConfigProblem> {
        let mut schema = Self { settings: Vec::new(), lists: Vec::new() };
        for Leaf { name, content, .. } in leaves {
            match content {
                Content::Value(default) => schema.settings.push(Setting { name, default }),
                Content::NumberTooLarge => return Err(invalid_default(&name)),
                Content::Entries(entries) => {
                    let template = entries.into_iter().next().ok_or_else(|| invalid_default(&name))?;
                    schema.lists.push(SectionList { name, entry_schema: Self::of(template.leaves)? });
                }
            }
        }
        Ok(schema)
    }

    /// Copies the settings of LeadLex to Composio, except those that Composio's section contains itself.
    fn share_defaults(&mut self) {
        let (from, to) = SHARED_DEFAULTS;
        let copies = self.settings.iter().filter_map(|setting| {
            let name = format!("{to}{}", setting.name.strip_prefix(from)?);
            let is_missing = self.get(&name).is_none();
            is_missing.then(|| Setting { name, default: setting.default.clone() })
        });
        let copies: Vec<_> = copies.collect();
        let end = self.settings.iter().rposition(|setting| is_under(&setting.name, to));
        let end = end.map_or(self.settings.len(), |last| last + 1);
        self.settings.splice(end..end, copies);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Setting> {
        self.settings.iter()
    }

    pub(super) fn get(&self, name: &str) -> Option<&Setting> {
        self.settings.iter().find(|setting| setting.name == name)
    }

    pub(super) fn lists(&self) -> impl Iterator<Item = &SectionList> {
        self.lists.iter()
    }

    /// Returns the list of that name.
    pub(super) fn list(&self, name: &str) -> Option<&SectionList> {
        self.lists.iter().find(|list| list.name == name)
    }

    /// Returns the list to which a name like `tenants.name` belongs, as if the list were a section.
    pub(super) fn list_containing(&self, name: &str) -> Option<&SectionList> {
        self.lists.iter().find(|list| is_under(name, &list.name))
    }

    /// Returns the setting that names a secret's file; `None` if the setting is not a secret.
    pub(super) fn file_setting_of(&self, secret: &Setting) -> Option<&Setting> {
        self.get(&format!("{}_file", secret.name))
    }

    /// Whether the setting is a secret. Each secret can also be given as a file.
    pub(super) fn is_secret(&self, setting: &Setting) -> bool {
        self.file_setting_of(setting).is_some()
    }

    /// Whether the setting names the file of another setting, a secret.
    pub(super) fn is_file_of_secret(&self, setting: &Setting) -> bool {
        setting.name.strip_suffix("_file").is_some_and(|secret| self.get(secret).is_some())
    }

    /// Whether there are settings under this name.
    pub(super) fn is_section(&self, name: &str) -> bool {
        self.settings.iter().any(|setting| is_under(&setting.name, name))
    }

    /// Returns the setting or list whose name is most similar to an unknown one. Both the whole name and its last part
    /// are compared, because the section may be wrong.
    pub(super) fn nearest(&self, name: &str) -> Option<&str> {
        let similarity = strsim::normalized_damerau_levenshtein;
        let last = |name: &'_ str| name.rsplit_once('.').map_or(0, |(section, _)| section.len() + 1);
        let key = |name: &'_ str| name.get(last(name)..).unwrap_or_default().to_owned();
        let score = |known: &str| similarity(name, known).max(0.8 * similarity(&key(name), &key(known)));
        let settings = self.settings.iter().map(|setting| setting.name.as_str());
        settings
            .chain(self.lists.iter().map(|list| list.name.as_str()))
            .map(|known| (score(known), similarity(name, known), known))
            .filter(|(score, ..)| *score >= 0.5)
            .max_by(|a, b| a.0.total_cmp(&b.0).then_with(|| a.1.total_cmp(&b.1)))
            .map(|(.., known)| known)
    }

    /// Returns the names of the sections, in the default file's order.
    pub(super) fn sections(&self) -> Vec<&str> {
        let mut sections: Vec<&str> = self.settings.iter().map(Setting::section).collect();
        sections.dedup();
        sections.extend(self.lists.iter().map(|list| list.name.as_str()));
        sections
    }
}

fn invalid_default(why: &str) -> ConfigProblem {
    ConfigProblem::new("switchboard.default.toml", why, None)
}

fn is_under(name: &str, section: &str) -> bool {
    name.strip_prefix(section).is_some_and(|rest| rest.starts_with('.'))
}

/// Inserts a value into nested tables under its dotted name.
pub(super) fn insert(table: &mut Table, name: &str, value: Value) {
    match name.split_once('.') {
        None => {
            table.insert(name.to_owned(), value);
        }
        Some((section, rest)) => {
            let inner = table.entry(section).or_insert_with(|| Value::Table(Table::new()));
            if let Value::Table(inner) = inner {
                insert(inner, rest, value);
            }
        }
    }
}
