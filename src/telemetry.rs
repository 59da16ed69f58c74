//! What whoever operates this is told: what is written to standard error, and [`metrics`]; both of [`requests`].
//!
//! HTTP libraries write requests, headers and URLs at `debug` and `trace`, and those hold keys. So a
//! filter of our own decides: this crate's level is a setting, every other crate's is `warn` at most.
//! The usual `RUST_LOG` filter is not read, as its directives could not be held to that. Of [`panics`] the place is logged.
//! [`traces`] go another way.

pub mod connections;
pub mod metrics;
pub mod panics;
pub mod reloads;
pub mod requests;
pub mod traces;

use std::io::{self, IsTerminal};

use serde::Deserialize;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{Layer, Registry, fmt, reload};

/// The crate whose level can be set; its modules' targets begin with it.
const OURS: &str = env!("CARGO_CRATE_NAME");

/// `[log]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogSettings {
    /// What is written.
    pub level: LogLevel,
    /// How it is written.
    pub format: LogFormat,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// A line each, for people; coloured on a terminal.
    Pretty,
    /// An object each, for machines.
    Json,
}

/// A level, with those of single modules, as `info,switchboard::upstream=debug`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct LogLevel {
    level: LevelFilter,
    modules: Vec<(String, LevelFilter)>,
}

impl TryFrom<String> for LogLevel {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let mut level = None;
        let mut modules = Vec::new();
        for part in text.split(',').map(str::trim) {
            match part.split_once('=') {
                None => level = Some(read_level(part)?),
                Some((module, of_module)) if module == OURS || module.starts_with("switchboard::") => {
                    modules.push((module.to_owned(), read_level(of_module)?));
                }
                Some((module, _)) => {
                    return Err(format!("`{module}` is no module of {OURS}: only those have a level"));
                }
            }
        }
        Ok(Self { level: level.unwrap_or(LevelFilter::INFO), modules })
    }
}

/// `LevelFilter` itself also reads numbers, and takes a slip for a target.
fn read_level(text: &str) -> Result<LevelFilter, String> {
    Ok(match text {
        "off" => LevelFilter::OFF,
        "error" => LevelFilter::ERROR,
        "warn" => LevelFilter::WARN,
        "info" => LevelFilter::INFO,
        "debug" => LevelFilter::DEBUG,
        "trace" => LevelFilter::TRACE,
        _ => return Err(format!("`{text}` is none of off, error, warn, info, debug, trace")),
    })
}

impl LogLevel {
    /// The filter: as set for this crate, `warn` at most for all others.
    fn targets(&self) -> Targets {
        Targets::new()
            .with_default(self.level.min(LevelFilter::WARN))
            .with_target(OURS, self.level)
            .with_targets(self.modules.iter().cloned())
    }
}

/// The level in force, which can become another.
#[derive(Debug, Clone)]
pub struct Level(reload::Handle<Targets, Registry>);

impl Level {
    /// From now on what these settings say is written; the form stays.
    pub fn set(&self, settings: &LogSettings) {
        // Without anything that writes there is no level.
        let _ = self.0.reload(settings.level.targets());
    }
}

/// Begins to write what happens to standard error, for the rest of the process's life.
///
/// # Errors
/// Where something else already does.
pub fn start(settings: &LogSettings) -> Result<Level, TryInitError> {
    let (level, set) = reload::Layer::new(settings.level.targets());
    let written: Box<dyn Layer<Registry> + Send + Sync> = match settings.format {
        LogFormat::Pretty => {
            fmt::layer().compact().with_writer(io::stderr).with_ansi(io::stderr().is_terminal()).boxed()
        }
        // The span that a line is of, once: there is one around each request, and a list of it would say the same.
        LogFormat::Json => fmt::layer().json().with_span_list(false).with_writer(io::stderr).boxed(),
    };
    tracing_subscriber::registry().with(written.with_filter(level)).try_init()?;
    panics::hush();
    Ok(Level(set))
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use tracing::Level;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is logged, on this thread, while something is done.
    pub(crate) fn logged(done: impl FnOnce()) -> String {
        let written = Written::default();
        let writer = written.clone();
        let subscriber = fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
        tracing::subscriber::with_default(subscriber, done);
        let bytes = written.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    fn level(text: &str) -> LogLevel {
        text.to_owned().try_into().unwrap()
    }

    #[test]
    fn no_level_lets_another_crate_write_more_than_warnings() {
        for text in ["trace", "debug,switchboard=trace", "switchboard::upstream=trace"] {
            let targets = level(text).targets();
            for library in ["hyper", "hyper::proto::h1", "h2::codec", "reqwest::connect", "rustls", "log"] {
                for level in [Level::INFO, Level::DEBUG, Level::TRACE] {
                    assert!(!targets.would_enable(library, &level), "{text}: {library} at {level}");
                }
                assert!(targets.would_enable(library, &Level::WARN));
            }
        }
    }

    #[test]
    fn the_level_is_that_of_this_crate_and_of_its_modules() {
        let targets = level("warn,switchboard::upstream=debug").targets();
        assert!(targets.would_enable("switchboard::upstream::transport", &Level::DEBUG));
        assert!(!targets.would_enable("switchboard::http", &Level::INFO));
        assert!(targets.would_enable("switchboard::http", &Level::WARN));
        let off = level("off").targets();
        assert!(!off.would_enable("switchboard", &Level::ERROR) && !off.would_enable("hyper", &Level::ERROR));
    }

    #[test]
    fn a_slip_and_a_foreign_module_are_refused() {
        let refused = |text: &str| LogLevel::try_from(text.to_owned()).unwrap_err();
        assert_eq!(refused("inf"), "`inf` is none of off, error, warn, info, debug, trace");
        assert!(refused("info,hyper=trace").contains("`hyper` is no module"));
        assert!(refused("info,switchboardx=trace").contains("no module"));
        assert!(refused("").contains("none of"));
    }
}
