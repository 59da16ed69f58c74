//! Problems of a configuration, one line each, all reported at once.
//!
//! A line names the setting, says what is wrong and what is expected, and where the value was set. It never repeats a
//! secret and contains no control character, even if the value does.

use std::fmt;
use std::path::PathBuf;

/// Origin of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ValueOrigin {
    /// `switchboard.default.toml`
    Default,
    /// The file of `--config`, and the line in it, counted from 1.
    File(PathBuf, usize),
    /// An environment variable.
    Variable(String),
    /// A flag of the command line, or the command itself.
    Flag(&'static str),
}

impl fmt::Display for ValueOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path, line) => write!(f, "{}, line {line}", path.display()),
            Self::Variable(name) => write!(f, "variable {name}"),
            Self::Flag(name) => f.write_str(name),
        }
    }
}

/// One problem of a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigProblem {
    /// The setting or file with the problem.
    pub(super) subject: String,
    message: String,
    origin: Option<ValueOrigin>,
}

impl ConfigProblem {
    pub(super) fn new(
        subject: impl Into<String>,
        message: impl Into<String>,
        origin: Option<ValueOrigin>,
    ) -> Self {
        Self { subject: subject.into(), message: message.into(), origin }
    }
}

impl fmt::Display for ConfigProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = match &self.origin {
            Some(origin) => format!("{}: {} ({origin})", self.subject, self.message),
            None => format!("{}: {}", self.subject, self.message),
        };
        line.chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .try_for_each(|c| fmt::Write::write_char(f, c))
    }
}

/// All problems of a configuration; at least one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConfigErrors(Vec<ConfigProblem>);

impl ConfigErrors {
    /// Returns the problems, in the order in which they were found.
    pub fn iter(&self) -> impl Iterator<Item = &ConfigProblem> {
        self.0.iter()
    }

    pub(super) fn add(&mut self, problem: ConfigProblem) {
        self.0.push(problem);
    }

    pub(super) fn join(&mut self, others: Self) {
        self.0.extend(others.0);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a setting already has a problem, so that checks which depend on it are skipped.
    pub(super) fn contains(&self, setting: &str) -> bool {
        self.0.iter().any(|problem| problem.subject == setting)
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

impl From<ConfigProblem> for ConfigErrors {
    fn from(problem: ConfigProblem) -> Self {
        Self(vec![problem])
    }
}
