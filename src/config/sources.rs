//! Values of the settings. Each source (file, variables, flags, secret files) is applied over the defaults and the
//! sources before it.
//!
//! Each value is stored with its origin, for messages about problems. Each entry of a list of sections is a small
//! configuration of its own, over the defaults of its list. Variables and flags cannot set entries, because their names
//! cannot say which entry.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::Path;

use toml::de::DeTable;
use toml::{Table, Value};

use super::problem::{ConfigErrors, ConfigProblem, ValueOrigin};
use super::schema::{self, PREFIX, SectionList, Setting, SettingsSchema};
use super::toml_document::{self, Content, Entry, Leaf, position};
use super::variables;

/// The values in force so far, by the setting's name.
pub(super) struct SettingValues<'a> {
    schema: &'a SettingsSchema,
    values: BTreeMap<&'a str, (Value, ValueOrigin)>,
    entries: BTreeMap<&'a str, Vec<Self>>,
    /// Prefix of setting names in messages: empty, or an entry's (`tenants[0].`).
    prefix: String,
    /// Position of an entry in its file.
    pub(super) origin: ValueOrigin,
    /// Problems found so far.
    pub(super) problems: ConfigErrors,
}

impl<'a> SettingValues<'a> {
    pub(super) fn defaults(schema: &'a SettingsSchema) -> Self {
        let values =
            schema.iter().map(|s| (s.name.as_str(), (s.default.clone(), ValueOrigin::Default))).collect();
        Self {
            schema,
            values,
            entries: BTreeMap::new(),
            prefix: String::new(),
            origin: ValueOrigin::Default,
            problems: ConfigErrors::default(),
        }
    }

    /// Returns the entries of a list, in the file's order.
    pub(super) fn entries(&self, list: &str) -> &[Self] {
        self.entries.get(list).map_or(&[], Vec::as_slice)
    }

    /// Returns the entries of a list, for validation.
    pub(super) fn entries_mut(&mut self, list: &str) -> &mut [Self] {
        self.entries.get_mut(list).map_or(&mut [], Vec::as_mut_slice)
    }

    /// Returns all problems, including those of entries.
    pub(super) fn into_problems(self) -> ConfigErrors {
        let mut problems = self.problems;
        for entry in self.entries.into_values().flatten() {
            problems.join(entry.into_problems());
        }
        problems
    }

    /// Returns the value in force and its origin.
    pub(super) fn get(&self, name: &str) -> Option<&(Value, ValueOrigin)> {
        self.values.get(name)
    }

    /// Returns the string in force; empty if there is no such setting or its value is not a string.
    pub(super) fn text(&self, name: &str) -> &str {
        self.get(name).and_then(|(value, _)| value.as_str()).unwrap_or("")
    }

    /// Adds a problem of a setting, with the origin of its value, or else of its entry. The value stays until
    /// [`Self::reset`].
    pub(super) fn add_problem(&mut self, name: &str, message: impl Into<String>) {
        let is_set = |origin: &&ValueOrigin| **origin != ValueOrigin::Default;
        let origin = self.get(name).map(|(_, origin)| origin).filter(is_set);
        let origin = Some(origin.unwrap_or(&self.origin)).filter(is_set).cloned();
        self.add_problem_at(name, message, origin);
    }

    fn add_problem_at(&mut self, name: &str, message: impl Into<String>, origin: Option<ValueOrigin>) {
        self.problems.add(ConfigProblem::new(format!("{}{name}", self.prefix), message, origin));
    }

    /// Whether a setting already has a problem, so that checks which depend on it are skipped.
    pub(super) fn has_problem(&self, name: &str) -> bool {
        self.problems.contains(&format!("{}{name}", self.prefix))
    }

    /// Resets a setting to its default, so that the rest can still be validated.
    pub(super) fn reset(&mut self, setting: &'a Setting) {
        self.values.insert(&setting.name, (setting.default.clone(), ValueOrigin::Default));
    }

    /// Applies a file; `false` if it could not be read or parsed.
    pub(super) fn apply_file(&mut self, path: &Path) -> bool {
        let unreadable = |why: String| ConfigProblem::new(path.display().to_string(), why, None);
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => {
                let check = "check the path, which is relative to the working directory";
                self.problems.add(unreadable(format!("cannot read the configuration: {error}; {check}")));
                return false;
            }
        };
        let document = match DeTable::parse(&text) {
            Ok(document) => document,
            Err(error) => {
                // The library's own Display quotes the line, which may contain a secret.
                let (line, column) = position(&text, error.span().map_or(0, |span| span.start));
                let why = match looks_like_yaml(path, &text) {
                    true => "this is YAML: the configuration is TOML, as in `[http]` and, below it, `graphiql = true`".to_owned(),
                    // A message of the parser that begins with `invalid ` is mostly caused by a text without quotes,
                    // as in `listen = 127.0.0.1:8080`.
                    false if error.message().starts_with("invalid ") => format!(
                        "line {line}, column {column}: not valid TOML: {}; texts are written in quotes",
                        error.message()
                    ),
                    false => format!("line {line}, column {column}: not valid TOML: {}", error.message()),
                };
                self.problems.add(unreadable(why));
                return false;
            }
        };
        // A table under the name of a setting is its value, of the wrong type, and no section.
        let leaves = toml_document::leaves_of(document.get_ref(), &|name| self.schema.get(name).is_some());
        self.apply_leaves(leaves, &|offset| ValueOrigin::File(path.to_owned(), position(&text, offset).0));
        true
    }

    fn apply_leaves(&mut self, leaves: Vec<Leaf>, at: &dyn Fn(usize) -> ValueOrigin) {
        for Leaf { name, content, offset } in leaves {
            match (content, self.schema.list(&name)) {
                (Content::Entries(entries), Some(list)) => self.apply_entries(list, entries, at),
                // An empty list has no entries.
                (Content::Value(Value::Array(none)), Some(_)) if none.is_empty() => {}
                (Content::Value(_) | Content::NumberTooLarge, Some(_)) => {
                    let message = format!("is a list of sections: begin each entry with [[{name}]]");
                    self.add_problem_at(&name, message, Some(at(offset)));
                }
                // Not a list of sections: `apply` only reports it as unknown or of the wrong type, for which the
                // entries do not matter.
                (Content::Entries(_), None) => self.apply(&name, Value::Array(Vec::new()), at(offset)),
                (Content::Value(value), None) => self.apply(&name, value, at(offset)),
                (Content::NumberTooLarge, None) => {
                    self.add_problem_at(&name, "the number is too large", Some(at(offset)));
                }
            }
        }
    }

    fn apply_entries(
        &mut self,
        list: &'a SectionList,
        entries: Vec<Entry>,
        at: &dyn Fn(usize) -> ValueOrigin,
    ) {
        let entries = entries.into_iter().enumerate().map(|(index, Entry { leaves, offset })| {
            let mut entry = Self::defaults(&list.entry_schema);
            entry.prefix = format!("{}{}[{index}].", self.prefix, list.name);
            entry.origin = at(offset);
            entry.apply_leaves(leaves, at);
            entry
        });
        let entries = entries.collect();
        self.entries.insert(&list.name, entries);
    }

    /// Applies the environment variables that begin with `SWITCHBOARD__`, and reports others that look like a misspelt
    /// one.
    pub(super) fn apply_variables(&mut self, mut variables: Vec<(OsString, OsString)>) {
        variables.sort();
        for (variable, text) in variables {
            let variable = variable.to_string_lossy().into_owned();
            let Some(rest) = variable.strip_prefix(PREFIX) else {
                if let Some(message) = variables::misspelling(self.schema, &variable, &text) {
                    self.add_problem_at(&variable, message, None);
                }
                continue;
            };
            let name = rest.replace("__", ".").to_lowercase();
            let origin = ValueOrigin::Variable(variable);
            match text.into_string() {
                Ok(text) => self.apply_text(&name, text, origin),
                Err(_) => self.add_problem_at(&name, "the value is not valid UTF-8", Some(origin)),
            }
        }
    }

    /// Applies a value given as text, converted to the setting's type.
    pub(super) fn apply_text(&mut self, name: &str, text: String, origin: ValueOrigin) {
        let default = self.schema.get(name).map(|setting| &setting.default);
        let value = match default {
            Some(Value::Integer(_)) => text.parse().map(Value::Integer).ok(),
            Some(Value::Boolean(_)) => text.parse().map(Value::Boolean).ok(),
            _ => None,
        };
        self.apply(name, value.unwrap_or(Value::String(text)), origin);
    }

    fn apply(&mut self, name: &str, value: Value, origin: ValueOrigin) {
        let Some(setting) = self.schema.get(name) else {
            // A section whose lines are all commented out sets nothing.
            if value.is_table() && self.schema.is_section(name) {
                return;
            }
            let message = self.unknown(name, &origin);
            return self.add_problem_at(name, message, Some(origin));
        };
        if !value.same_type(&setting.default) {
            let is_secret = self.schema.is_secret(setting);
            let expected = type_name(&setting.default);
            let message = if is_secret {
                format!("must be {expected}, not {}", type_name(&value))
            } else if setting.default.is_bool() {
                format!("must be {expected}, not {}", describe(&value))
            } else {
                format!("must be {expected}, like {}, not {}", shown(&setting.default), describe(&value))
            };
            return self.add_problem_at(name, message, Some(origin));
        }
        self.values.insert(&setting.name, (value, origin));
    }

    fn unknown(&self, name: &str, origin: &ValueOrigin) -> String {
        if self.schema.is_section(name) {
            return "this is a section: it has settings, not a value".to_owned();
        }
        let is_variable = matches!(origin, ValueOrigin::Variable(_));
        if let Some(SectionList { name: list, .. }) =
            self.schema.list(name).or_else(|| self.schema.list_containing(name))
        {
            return match is_variable {
                true => format!("{list} is a list of sections, which only a file can set"),
                false => format!("{list} is a list of sections: begin each entry with [[{list}]]"),
            };
        }
        match self.schema.nearest(name) {
            Some(near) if is_variable && self.schema.get(near).is_some() => {
                format!("unknown setting; did you mean {}?", schema::variable(near))
            }
            Some(near) => format!("unknown setting; did you mean {near}?"),
            None if self.prefix.is_empty() => {
                format!("unknown setting; the sections are {}", self.schema.sections().join(", "))
            }
            None => {
                let names: Vec<&str> = self.schema.iter().map(|setting| setting.name.as_str()).collect();
                format!("unknown setting; an entry has {}", names.join(", "))
            }
        }
    }

    /// Reads the secrets that are set by file.
    pub(super) fn read_secret_files(&mut self) {
        self.entries.values_mut().flatten().for_each(Self::read_secret_files);
        for secret in self.schema.iter() {
            let Some(by_file) = self.schema.file_setting_of(secret) else { continue };
            let path = self.text(&by_file.name).to_owned();
            if path.is_empty() {
                continue;
            }
            let is_set_directly = !self.text(&secret.name).is_empty();
            if let Some((_, origin)) = self.get(&secret.name).filter(|_| is_set_directly) {
                let message = format!("{} is set too ({origin}): set only one of the two", secret.name);
                self.add_problem(&by_file.name, message);
                continue;
            }
            match fs::read_to_string(&path) {
                Ok(text) => {
                    let text = text.strip_suffix('\n').map_or(&*text, |t| t.strip_suffix('\r').unwrap_or(t));
                    let problem = match text {
                        "" => Some("is empty: it must contain the secret"),
                        _ if text.contains(['\n', '\r']) => {
                            Some("has several lines: it must contain the secret and at most one line end")
                        }
                        _ => None,
                    };
                    if let Some(problem) = problem {
                        self.add_problem(&by_file.name, format!("{path:?} {problem}"));
                        continue;
                    }
                    let origin = self.get(&by_file.name).map_or(ValueOrigin::Default, |(_, o)| o.clone());
                    self.values.insert(&secret.name, (Value::String(text.to_owned()), origin));
                }
                Err(error) => self.add_problem(&by_file.name, format!("cannot read {path:?}: {error}")),
            }
        }
    }
}

/// Settings and values that `did you mean` never proposes, because they protect less than the other values.
const LESS_SECURE: [(&str, &str); 3] = [("auth.mode", "none"), ("documents.mode", "log"), ("role", "admin")];

/// Returns the message about a value that has the right type but is not allowed.
pub(super) fn invalid(setting: &Setting, value: &Value, reason: &str) -> String {
    let given = shown(value);
    // serde's message is: unknown variant `x`, expected one of `a`, `b`.
    let Some((_, list)) =
        reason.split_once("unknown variant ").and_then(|(_, rest)| rest.split_once(", expected "))
    else {
        return format!("{given} is not valid: {reason}; an example is {}", shown(&setting.default));
    };
    let allowed: Vec<&str> = list.split('`').skip(1).step_by(2).collect();
    let safe = allowed.iter().filter(|word| !LESS_SECURE.contains(&(&*setting.name, **word)));
    let similarity = |word: &str| {
        strsim::normalized_damerau_levenshtein(word, &value.as_str().unwrap_or("").to_lowercase())
    };
    let near = safe.map(|word| (similarity(word), *word)).filter(|(score, _)| *score >= 0.5);
    let near = near.max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, word)| format!("; did you mean \"{word}\"?"));
    let allowed: Vec<String> = allowed.iter().map(|word| format!("\"{word}\"")).collect();
    format!("{given} is not valid: it must be one of {}{}", allowed.join(", "), near.unwrap_or_default())
}

/// Whether a file that is not TOML is probably YAML, by its name or by its first line that is not a comment.
fn looks_like_yaml(path: &Path, text: &str) -> bool {
    let mut lines = text.lines().map(str::trim_end).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let is_key = |key: &str| {
        !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
    };
    path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml")
        || lines.next().is_some_and(|line| {
            line == "---"
                || line
                    .split_once(':')
                    .is_some_and(|(key, rest)| is_key(key) && (rest.is_empty() || rest.starts_with(' ')))
        })
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "a string in quotes",
        Value::Integer(_) => "a whole number",
        Value::Float(_) => "a number with a fraction",
        Value::Boolean(_) => "true or false",
        Value::Datetime(_) => "a date",
        Value::Array(_) => "a list",
        Value::Table(_) => "a section",
    }
}

fn describe(value: &Value) -> String {
    match value {
        Value::String(_) => format!("the string {}", shown(value)),
        Value::Integer(_) | Value::Float(_) => format!("the number {}", shown(value)),
        Value::Boolean(_) => shown(value),
        _ => type_name(value).to_owned(),
    }
}

/// Formats a value for a message, on one line.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => format!("{text:?}"),
        other => other.to_string(),
    }
}

/// Returns the values in force as nested tables, without the settings that only name a secret's file.
pub(super) fn nested_table(schema: &SettingsSchema, values: &SettingValues<'_>) -> Table {
    let mut table = Table::new();
    for setting in schema.iter().filter(|setting| !schema.is_file_of_secret(setting)) {
        if let Some((value, _)) = values.get(&setting.name) {
            schema::insert(&mut table, &setting.name, value.clone());
        }
    }
    for list in schema.lists() {
        let entries = values
            .entries(&list.name)
            .iter()
            .map(|entry| Value::Table(nested_table(&list.entry_schema, entry)));
        schema::insert(&mut table, &list.name, Value::Array(entries.collect()));
    }
    table
}
