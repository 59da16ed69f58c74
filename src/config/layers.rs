//! The layers of a configuration, laid over the defaults: file, variables, flags, secret files.
//!
//! Every value keeps its origin, so that a refusal can say where it stands.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::Path;

use toml::Value;
use toml::de::DeTable;

use super::known::{self, Known, PREFIX, Setting};
use super::problem::{ConfigErrors, Origin, Problem};

/// The values in force so far, by the setting's name.
pub(super) struct Layers<'a> {
    known: &'a Known,
    values: BTreeMap<&'a str, (Value, Origin)>,
    /// What was wrong so far.
    pub(super) problems: ConfigErrors,
}

impl<'a> Layers<'a> {
    pub(super) fn over_defaults(known: &'a Known) -> Self {
        let values = known.iter().map(|s| (s.name.as_str(), (s.default.clone(), Origin::Default))).collect();
        Self { known, values, problems: ConfigErrors::default() }
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
        let origin = self.get(name).map(|(_, origin)| origin.clone()).filter(|o| *o != Origin::Default);
        self.problems.add(Problem::new(name, message, origin));
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
        for leaf in known::leaves(document.get_ref(), &|name| self.known.get(name).is_some()) {
            let (line, _) = position(&text, leaf.offset);
            let origin = Origin::File(path.to_owned(), line);
            match leaf.value {
                Some(value) => self.lay(&leaf.name, value, origin),
                None => self.problems.add(Problem::new(leaf.name, "the number is too large", Some(origin))),
            }
        }
        true
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
                Err(_) => self.problems.add(Problem::new(name, "the text is not UTF-8", Some(origin))),
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
            return self.problems.add(Problem::new(name, message, Some(origin)));
        };
        if !value.same_type(&setting.default) {
            let secret = self.known.file_of(setting).is_some();
            let right = kind(&setting.default);
            let message = if secret {
                format!("takes {right}, not {}", kind(&value))
            } else {
                format!("takes {right}, like {}, not {}", shown(&setting.default), described(&value))
            };
            return self.problems.add(Problem::new(name, message, Some(origin)));
        }
        self.values.insert(&setting.name, (value, origin));
    }

    fn unknown(&self, name: &str, origin: &Origin) -> String {
        if self.known.is_section(name) {
            return "this is a section: it takes settings, not a value".to_owned();
        }
        match (self.known.nearest(name), origin) {
            (Some(setting), Origin::Variable(_)) => {
                format!("unknown setting; did you mean {}?", known::variable(&setting.name))
            }
            (Some(setting), _) => format!("unknown setting; did you mean {}?", setting.name),
            (None, _) => format!("unknown setting; the sections are {}", self.known.sections().join(", ")),
        }
    }

    /// Reads the files that secrets are to come from.
    pub(super) fn read_secret_files(&mut self) {
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
