//! The layers of a configuration, laid over the defaults: file, variables, flags, secret files.
//!
//! Every value keeps its origin, so that a refusal can say where it stands. An entry of a list of sections is a small
//! configuration of its own, over the defaults of its kind; variables and flags cannot set it, as they have no way to
//! say which.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::Path;

use toml::Value;
use toml::de::DeTable;

use super::document::{self, Content, Entry, Leaf};
use super::known::{self, Known, List, PREFIX, Setting};
use super::problem::{ConfigErrors, Origin, Problem};

/// The values in force so far, by the setting's name.
pub(super) struct Layers<'a> {
    known: &'a Known,
    values: BTreeMap<&'a str, (Value, Origin)>,
    entries: BTreeMap<&'a str, Vec<Self>>,
    /// What stands before the names of its settings in messages: nothing, or an entry's (`tenants[0].`).
    prefix: String,
    /// Where it begins: an entry in its file.
    pub(super) origin: Origin,
    /// What was wrong so far.
    pub(super) problems: ConfigErrors,
}

impl<'a> Layers<'a> {
    pub(super) fn over_defaults(known: &'a Known) -> Self {
        let values = known.iter().map(|s| (s.name.as_str(), (s.default.clone(), Origin::Default))).collect();
        Self {
            known,
            values,
            entries: BTreeMap::new(),
            prefix: String::new(),
            origin: Origin::Default,
            problems: ConfigErrors::default(),
        }
    }

    /// The entries of a list, in the file's order.
    pub(super) fn entries(&self, list: &str) -> &[Self] {
        self.entries.get(list).map_or(&[], Vec::as_slice)
    }

    /// The same, to judge them.
    pub(super) fn entries_mut(&mut self, list: &str) -> &mut [Self] {
        self.entries.get_mut(list).map_or(&mut [], Vec::as_mut_slice)
    }

    /// What was wrong, in its entries too.
    pub(super) fn into_problems(self) -> ConfigErrors {
        let mut problems = self.problems;
        for entry in self.entries.into_values().flatten() {
            problems.join(entry.into_problems());
        }
        problems
    }

    /// The value in force, and where it came from.
    pub(super) fn get(&self, name: &str) -> Option<&(Value, Origin)> {
        self.values.get(name)
    }

    /// The text in force; empty where the setting is none, or is no text.
    pub(super) fn text(&self, name: &str) -> &str {
        self.get(name).and_then(|(value, _)| value.as_str()).unwrap_or("")
    }

    /// Says that a setting is wrong, and where it was set.
    pub(super) fn refuse(&mut self, name: &str, message: impl Into<String>) {
        let origin = self.get(name).map(|(_, origin)| origin).filter(|origin| **origin != Origin::Default);
        let origin = Some(origin.unwrap_or(&self.origin).clone()).filter(|origin| *origin != Origin::Default);
        self.complain(name, message, origin);
    }

    fn complain(&mut self, name: &str, message: impl Into<String>, origin: Option<Origin>) {
        self.problems.add(Problem::new(format!("{}{name}", self.prefix), message, origin));
    }

    /// Whether a setting is known to be wrong, so that nothing more need be said of it.
    pub(super) fn concern(&self, name: &str) -> bool {
        self.problems.concern(&format!("{}{name}", self.prefix))
    }

    /// Puts a setting back to its default, so that the rest can still be judged.
    pub(super) fn forget(&mut self, setting: &'a Setting) {
        self.values.insert(&setting.name, (setting.default.clone(), Origin::Default));
    }

    /// Lays a file over; `false` where nothing of it could be read.
    pub(super) fn lay_file(&mut self, path: &Path) -> bool {
        let unreadable = |why: String, at| Problem::new(path.display().to_string(), why, at);
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => {
                self.problems.add(unreadable(format!("cannot read the configuration: {error}"), None));
                return false;
            }
        };
        let document = match DeTable::parse(&text) {
            Ok(document) => document,
            Err(error) => {
                // The library's own Display quotes the line, which may hold a secret.
                let (line, column) = position(&text, error.span().map_or(0, |span| span.start));
                let why = format!("line {line}, column {column}: no TOML: {}", error.message());
                self.problems.add(unreadable(why, None));
                return false;
            }
        };
        let leaves = document::leaves(document.get_ref(), &|name| self.known.get(name).is_some());
        self.lay_leaves(leaves, &|offset| Origin::File(path.to_owned(), position(&text, offset).0));
        true
    }

    fn lay_leaves(&mut self, leaves: Vec<Leaf>, at: &dyn Fn(usize) -> Origin) {
        for Leaf { name, content, offset } in leaves {
            match (content, self.known.list(&name)) {
                (Content::Entries(entries), Some(list)) => self.lay_entries(list, entries, at),
                // An empty list has no entries.
                (Content::Value(Some(Value::Array(none))), Some(_)) if none.is_empty() => {}
                (Content::Value(_), Some(_)) => {
                    let message = format!("is a list of sections: begin each of them with [[{name}]]");
                    self.complain(&name, message, Some(at(offset)));
                }
                (Content::Entries(_), None) => self.lay(&name, Value::Array(Vec::new()), at(offset)),
                (Content::Value(Some(value)), None) => self.lay(&name, value, at(offset)),
                (Content::Value(None), None) => {
                    self.complain(&name, "the number is too large", Some(at(offset)));
                }
            }
        }
    }

    fn lay_entries(&mut self, list: &'a List, entries: Vec<Entry>, at: &dyn Fn(usize) -> Origin) {
        let laid = entries.into_iter().enumerate().map(|(index, Entry { leaves, offset })| {
            let mut entry = Self::over_defaults(&list.entry);
            entry.prefix = format!("{}{}[{index}].", self.prefix, list.name);
            entry.origin = at(offset);
            entry.lay_leaves(leaves, at);
            entry
        });
        let laid = laid.collect();
        self.entries.insert(&list.name, laid);
    }

    /// Lays the environment over: all that begins with `SWITCHBOARD__`.
    pub(super) fn lay_variables(&mut self, mut variables: Vec<(OsString, OsString)>) {
        variables.sort();
        for (variable, text) in variables {
            let variable = variable.to_string_lossy().into_owned();
            let Some(rest) = variable.strip_prefix(PREFIX) else { continue };
            let name = rest.replace("__", ".").to_lowercase();
            let origin = Origin::Variable(variable);
            match text.into_string() {
                Ok(text) => self.lay_text(&name, text, origin),
                Err(_) => self.complain(&name, "the text is not UTF-8", Some(origin)),
            }
        }
    }

    /// Lays a text over that has yet to become of the setting's kind.
    pub(super) fn lay_text(&mut self, name: &str, text: String, origin: Origin) {
        let kind = self.known.get(name).map(|setting| &setting.default);
        let value = match kind {
            Some(Value::Integer(_)) => text.parse().map(Value::Integer).ok(),
            Some(Value::Boolean(_)) => text.parse().map(Value::Boolean).ok(),
            _ => None,
        };
        self.lay(name, value.unwrap_or(Value::String(text)), origin);
    }

    fn lay(&mut self, name: &str, value: Value, origin: Origin) {
        let Some(setting) = self.known.get(name) else {
            // A section whose every line is commented out sets nothing.
            if value.is_table() && self.known.is_section(name) {
                return;
            }
            let message = self.unknown(name, &origin);
            return self.complain(name, message, Some(origin));
        };
        if !value.same_type(&setting.default) {
            let secret = self.known.file_of(setting).is_some();
            let right = kind(&setting.default);
            let message = if secret {
                format!("takes {right}, not {}", kind(&value))
            } else {
                format!("takes {right}, like {}, not {}", shown(&setting.default), described(&value))
            };
            return self.complain(name, message, Some(origin));
        }
        self.values.insert(&setting.name, (value, origin));
    }

    fn unknown(&self, name: &str, origin: &Origin) -> String {
        if self.known.is_section(name) {
            return "this is a section: it takes settings, not a value".to_owned();
        }
        let is_variable = matches!(origin, Origin::Variable(_));
        if let Some(List { name, .. }) = self.known.list(name).or_else(|| self.known.list_around(name)) {
            return match is_variable {
                true => format!("{name} is a list of sections, which only a file can hold"),
                false => format!("{name} is a list of sections: begin each of them with [[{name}]]"),
            };
        }
        match self.known.nearest(name) {
            Some(near) if is_variable && self.known.get(near).is_some() => {
                format!("unknown setting; did you mean {}?", known::variable(near))
            }
            Some(near) => format!("unknown setting; did you mean {near}?"),
            None if self.prefix.is_empty() => {
                format!("unknown setting; the sections are {}", self.known.sections().join(", "))
            }
            None => {
                let names: Vec<&str> = self.known.iter().map(|setting| setting.name.as_str()).collect();
                format!("unknown setting; an entry has {}", names.join(", "))
            }
        }
    }

    /// Reads the files that secrets are to come from.
    pub(super) fn read_secret_files(&mut self) {
        self.entries.values_mut().flatten().for_each(Self::read_secret_files);
        for secret in self.known.iter() {
            let Some(by_file) = self.known.file_of(secret) else { continue };
            let path = self.text(&by_file.name).to_owned();
            if path.is_empty() {
                continue;
            }
            if let (false, Some((_, origin))) = (self.text(&secret.name).is_empty(), self.get(&secret.name)) {
                let message = format!("set beside {} ({origin}): give one of the two", secret.name);
                self.refuse(&by_file.name, message);
                continue;
            }
            match fs::read_to_string(&path) {
                Ok(text) => {
                    let text = text.strip_suffix('\n').map_or(&*text, |t| t.strip_suffix('\r').unwrap_or(t));
                    if text.is_empty() {
                        self.refuse(&by_file.name, format!("{path:?} is empty"));
                        continue;
                    }
                    let origin = self.get(&by_file.name).map_or(Origin::Default, |(_, o)| o.clone());
                    self.values.insert(&secret.name, (Value::String(text.to_owned()), origin));
                }
                Err(error) => self.refuse(&by_file.name, format!("cannot read {path:?}: {error}")),
            }
        }
    }
}

/// Line and column of a byte, counted from 1.
pub(super) fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    (line, column)
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "a text in quotes",
        Value::Integer(_) => "a whole number",
        Value::Float(_) => "a number with a fraction",
        Value::Boolean(_) => "true or false",
        Value::Datetime(_) => "a date",
        Value::Array(_) => "a list",
        Value::Table(_) => "a section",
    }
}

fn described(value: &Value) -> String {
    match value {
        Value::String(_) => format!("the text {}", shown(value)),
        Value::Integer(_) | Value::Float(_) => format!("the number {}", shown(value)),
        Value::Boolean(_) => shown(value),
        _ => kind(value).to_owned(),
    }
}

/// A value as a message shows it: on one line.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => format!("{text:?}"),
        other => other.to_string(),
    }
}
