//! Which settings there are: those of the default file, and no other list.
//!
//! The default file tells a setting's name, its kind (that of its default), and whether it is a
//! secret: one that can be read from a file instead, by a setting of the same name with `_file`. A list of
//! sections (`[[tenants]]`) stands in it once, to tell what an entry holds; none is in force until a file has one.

use toml::de::DeTable;
use toml::{Table, Value};

use super::document::{self, Content, Leaf};
use super::problem::Problem;

/// The default file.
pub(super) const DEFAULTS: &str = include_str!("../../switchboard.default.toml");

/// A setting.
#[derive(Debug)]
pub(super) struct Setting {
    /// Its dotted name, like `upstream.leadlex.api_key`.
    pub(super) name: String,
    /// Its default, which also is its kind.
    pub(super) default: Value,
}

impl Setting {
    /// The section it stands in, like `upstream.leadlex`.
    pub(super) fn section(&self) -> &str {
        self.name.rsplit_once('.').map_or("", |(section, _)| section)
    }

    /// Its name within its section.
    pub(super) fn key(&self) -> &str {
        self.name.rsplit_once('.').map_or(&self.name, |(_, key)| key)
    }
}

/// The variable that sets a setting: `http.listen` is `SWITCHBOARD__HTTP__LISTEN`.
pub(super) fn variable(name: &str) -> String {
    format!("{PREFIX}{}", name.replace('.', "__").to_uppercase())
}

/// What the names of all variables begin with.
pub(super) const PREFIX: &str = "SWITCHBOARD__";

/// All settings, in the default file's order; or those of an entry of a list.
#[derive(Debug)]
pub(super) struct Known {
    settings: Vec<Setting>,
    lists: Vec<List>,
}

/// A list of sections.
#[derive(Debug)]
pub(super) struct List {
    /// Its dotted name, like `auth.tokens`.
    pub(super) name: String,
    /// What each entry holds.
    pub(super) entry: Known,
}

impl Known {
    /// Reads the default file; fails in no build whose tests pass.
    pub(super) fn built_in() -> Result<Self, Problem> {
        let document = DeTable::parse(DEFAULTS).map_err(|error| broken(error.message()))?;
        Self::of(document::leaves(document.get_ref(), &|_| false))
    }

    fn of(leaves: Vec<Leaf>) -> Result<Self, Problem> {
        let mut known = Self { settings: Vec::new(), lists: Vec::new() };
        for Leaf { name, content, .. } in leaves {
            match content {
                Content::Value(Some(default)) => known.settings.push(Setting { name, default }),
                Content::Value(None) => return Err(broken(&name)),
                Content::Entries(entries) => {
                    let template = entries.into_iter().next().ok_or_else(|| broken(&name))?;
                    known.lists.push(List { name, entry: Self::of(template.leaves)? });
                }
            }
        }
        Ok(known)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Setting> {
        self.settings.iter()
    }

    pub(super) fn get(&self, name: &str) -> Option<&Setting> {
        self.settings.iter().find(|setting| setting.name == name)
    }

    pub(super) fn lists(&self) -> impl Iterator<Item = &List> {
        self.lists.iter()
    }

    /// The list of that name.
    pub(super) fn list(&self, name: &str) -> Option<&List> {
        self.lists.iter().find(|list| list.name == name)
    }

    /// The list that a name looks for a setting in, as if it were a section.
    pub(super) fn list_around(&self, name: &str) -> Option<&List> {
        self.lists.iter().find(|list| is_under(name, &list.name))
    }

    /// The setting that names a file to read a secret from; a setting with one is a secret.
    pub(super) fn file_of(&self, secret: &Setting) -> Option<&Setting> {
        self.get(&format!("{}_file", secret.name))
    }

    /// Whether the setting only names the file of another.
    pub(super) fn is_file_of_another(&self, setting: &Setting) -> bool {
        setting.name.strip_suffix("_file").is_some_and(|secret| self.get(secret).is_some())
    }

    /// Whether there are settings under this name.
    pub(super) fn is_section(&self, name: &str) -> bool {
        self.settings.iter().any(|setting| is_under(&setting.name, name))
    }

    /// The setting or list that an unknown name was most likely meant to be: the whole name is compared, and,
    /// for a setting in the wrong section, the last word.
    pub(super) fn nearest(&self, name: &str) -> Option<&str> {
        let likeness = strsim::normalized_damerau_levenshtein;
        let last = |name: &'_ str| name.rsplit_once('.').map_or(0, |(section, _)| section.len() + 1);
        let key = |name: &'_ str| name.get(last(name)..).unwrap_or_default().to_owned();
        let score = |known: &str| likeness(name, known).max(0.8 * likeness(&key(name), &key(known)));
        let settings = self.settings.iter().map(|setting| setting.name.as_str());
        settings
            .chain(self.lists.iter().map(|list| list.name.as_str()))
            .map(|known| (score(known), likeness(name, known), known))
            .filter(|(score, ..)| *score >= 0.5)
            .max_by(|a, b| a.0.total_cmp(&b.0).then_with(|| a.1.total_cmp(&b.1)))
            .map(|(.., known)| known)
    }

    /// The names of the sections, in the default file's order.
    pub(super) fn sections(&self) -> Vec<&str> {
        let mut sections: Vec<&str> = self.settings.iter().map(Setting::section).collect();
        sections.dedup();
        sections.extend(self.lists.iter().map(|list| list.name.as_str()));
        sections
    }
}

fn broken(why: &str) -> Problem {
    Problem::new("switchboard.default.toml", why, None)
}

fn is_under(name: &str, section: &str) -> bool {
    name.strip_prefix(section).is_some_and(|rest| rest.starts_with('.'))
}

/// Puts a value into nested tables under its dotted name.
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
