//! Which settings there are: those of the default file, and no other list.
//!
//! The default file tells a setting's name, its kind (that of its default), and whether it is a
//! secret: one that can be read from a file instead, by a setting of the same name with `_file`.

use serde::Deserialize as _;
use toml::de::{DeTable, DeValue, ValueDeserializer};
use toml::{Spanned, Table, Value};

use super::problem::Problem;

/// The default file.
pub(super) const DEFAULTS: &str = include_str!("../../switchboard.default.toml");

/// A value in a file, under its dotted name.
pub(super) struct Leaf {
    pub(super) name: String,
    /// `None` where TOML has it and no setting can (an integer over 64 bits).
    pub(super) value: Option<Value>,
    /// Where its name stands in the file, in bytes.
    pub(super) offset: usize,
}

/// The leaves of a document, in its order; a table that `is_leaf`, or is empty, is one leaf.
pub(super) fn leaves(table: &DeTable<'_>, is_leaf: &dyn Fn(&str) -> bool) -> Vec<Leaf> {
    fn walk(prefix: &str, table: &DeTable<'_>, is_leaf: &dyn Fn(&str) -> bool, found: &mut Vec<Leaf>) {
        for (key, value) in table {
            let name = if prefix.is_empty() {
                key.get_ref().to_string()
            } else {
                format!("{prefix}.{}", key.get_ref())
            };
            match value.get_ref() {
                DeValue::Table(inner) if !inner.is_empty() && !is_leaf(&name) => {
                    walk(&name, inner, is_leaf, found);
                }
                _ => found.push(Leaf { name, value: plain(value), offset: key.span().start }),
            }
        }
    }
    let mut found = Vec::new();
    walk("", table, is_leaf, &mut found);
    found.sort_by_key(|leaf| leaf.offset);
    found
}

fn plain(value: &Spanned<DeValue<'_>>) -> Option<Value> {
    Value::deserialize(ValueDeserializer::from(value.clone())).ok()
}

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

/// All settings, in the default file's order.
#[derive(Debug)]
pub(super) struct Known(Vec<Setting>);

impl Known {
    /// Reads the default file; fails in no build whose tests pass.
    pub(super) fn built_in() -> Result<Self, Problem> {
        let broken = |why: &str| Problem::new("switchboard.default.toml", why, None);
        let document = DeTable::parse(DEFAULTS).map_err(|error| broken(error.message()))?;
        let settings = leaves(document.get_ref(), &|_| false).into_iter().map(|leaf| {
            let default = leaf.value.ok_or_else(|| broken(&leaf.name))?;
            Ok(Setting { name: leaf.name, default })
        });
        settings.collect::<Result<_, _>>().map(Self)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Setting> {
        self.0.iter()
    }

    pub(super) fn get(&self, name: &str) -> Option<&Setting> {
        self.0.iter().find(|setting| setting.name == name)
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
        self.0.iter().any(|setting| setting.name.strip_prefix(name).is_some_and(|rest| rest.starts_with('.')))
    }

    /// The setting that an unknown name was most likely meant to be: the whole name is compared, and,
    /// for a setting in the wrong section, the last word.
    pub(super) fn nearest(&self, name: &str) -> Option<&Setting> {
        let key = name.rsplit_once('.').map_or(name, |(_, key)| key);
        let score = |setting: &Setting| {
            let whole = strsim::normalized_damerau_levenshtein(name, &setting.name);
            let last = strsim::normalized_damerau_levenshtein(key, setting.key());
            whole.max(0.8 * last)
        };
        self.0
            .iter()
            .map(|setting| (score(setting), setting))
            .filter(|(score, _)| *score >= 0.5)
            .max_by(|(a, left), (b, right)| {
                let whole = |s: &Setting| strsim::normalized_damerau_levenshtein(name, &s.name);
                a.total_cmp(b).then_with(|| whole(left).total_cmp(&whole(right)))
            })
            .map(|(_, setting)| setting)
    }

    /// The names of the sections, in the default file's order.
    pub(super) fn sections(&self) -> Vec<&str> {
        let mut sections: Vec<&str> = self.0.iter().map(Setting::section).collect();
        sections.dedup();
        sections
    }
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
