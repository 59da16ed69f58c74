//! Telemetry for operators: the log on standard error, [`metrics`], and [`traces`].
//!
//! [`start`] sets up the log, as text or [`json_lines`], which [`log_writer`] writes without blocking. Lines have the
//! id of the request in whose [`request_scope`] they were logged. [`requests`] records each request once, for the log
//! and the metrics. [`connections`] and [`reloads`] are counted. [`panics`] are logged with their location, and actions
//! in the [`audit`] log.
//!
//! At `debug` and `trace`, HTTP libraries log headers and URLs, which contain keys. So the `log.level` setting applies
//! to this crate only; all other crates are limited to `warn`. `RUST_LOG` is not read, because its directives could
//! exceed that limit.

pub mod audit;
pub mod connections;
pub mod json_lines;
pub mod log_writer;
pub mod metrics;
pub mod panics;
pub mod reloads;
pub(crate) mod request_scope;
pub mod requests;
pub mod traces;

use std::io::{self, IsTerminal};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use serde::Deserialize;
use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing::{Metadata, Subscriber};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::{DefaultFields, Writer};
use tracing_subscriber::fmt::{FormatFields, MakeWriter};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

use self::json_lines::{JsonLines, REQUESTS_LEVEL, REQUESTS_TARGET};
use self::request_scope::RequestScope;

/// The crate whose level can be set; the targets of its modules begin with this name.
const CRATE_NAME: &str = env!("CARGO_CRATE_NAME");

/// `[log]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogSettings {
    /// Level of this crate, and of single modules.
    pub level: LogLevel,
    /// Format of a line.
    pub format: LogFormat,
}

/// Format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Text for people; coloured on a terminal.
    Pretty,
    /// A JSON object per line, for machines.
    Json,
}

/// A level, and levels of single modules, as in `info,switchboard::upstream=debug`.
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
                Some((module, module_level))
                    if module == CRATE_NAME || module.starts_with("switchboard::") =>
                {
                    modules.push((module.to_owned(), read_level(module_level)?));
                }
                Some((module, _)) => {
                    return Err(format!(
                        "`{module}` is not a module of {CRATE_NAME}; only its modules have a level"
                    ));
                }
            }
        }
        Ok(Self { level: level.unwrap_or(LevelFilter::INFO), modules })
    }
}

/// Parses a level. `LevelFilter` would also accept numbers, and read a typing error as a target.
fn read_level(text: &str) -> Result<LevelFilter, String> {
    Ok(match text {
        "off" => LevelFilter::OFF,
        "error" => LevelFilter::ERROR,
        "warn" => LevelFilter::WARN,
        "info" => LevelFilter::INFO,
        "debug" => LevelFilter::DEBUG,
        "trace" => LevelFilter::TRACE,
        _ => return Err(format!("`{text}` is not a level; use off, error, warn, info, debug or trace")),
    })
}

impl LogLevel {
    /// Returns the filter: these levels for this crate, and at most `warn` for others.
    fn targets(&self) -> Targets {
        Targets::new()
            .with_default(self.level.min(LevelFilter::WARN))
            .with_target(CRATE_NAME, self.level)
            .with_targets(self.modules.iter().cloned())
            // Added last, so that no setting can filter the audit log.
            .with_target(audit::TARGET, LevelFilter::INFO)
    }
}

/// The level in force, which a reload can change.
///
/// Rejected: `tracing_subscriber::reload`. It takes its lock several times for each span and line. Here it is only taken
/// for log statements that tracing does not know yet.
#[derive(Debug, Clone)]
pub struct Level(Arc<RwLock<Targets>>);

impl Level {
    fn new(settings: &LogSettings) -> Self {
        Self(Arc::new(RwLock::new(targets_in_force(settings))))
    }

    /// Applies another level; the format does not change.
    pub fn set(&self, settings: &LogSettings) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = targets_in_force(settings);
        tracing::callsite::rebuild_interest_cache();
    }

    fn targets(&self) -> RwLockReadGuard<'_, Targets> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the filter of the settings, and applies it to the request log, which bypasses the filter.
fn targets_in_force(settings: &LogSettings) -> Targets {
    let targets = settings.level.targets();
    json_lines::set_has_request_log(targets.would_enable(REQUESTS_TARGET, &REQUESTS_LEVEL));
    targets
}

impl<S: Subscriber> Layer<S> for Level {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        Layer::<S>::register_callsite(&*self.targets(), metadata)
    }

    fn enabled(&self, metadata: &Metadata<'_>, context: Context<'_, S>) -> bool {
        self.targets().enabled(metadata, context)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Layer::<S>::max_level_hint(&*self.targets())
    }
}

/// Formats the fields of a line as `tracing_subscriber` does, followed by the current request.
#[derive(Debug)]
struct FieldsAndRequest(DefaultFields);

impl<'writer> FormatFields<'writer> for FieldsAndRequest {
    fn format_fields<R: RecordFields>(&self, mut writer: Writer<'writer>, fields: R) -> std::fmt::Result {
        self.0.format_fields(writer.by_ref(), fields)?;
        let Some(RequestScope { id, method }) = RequestScope::current() else { return Ok(()) };
        write!(writer, " id={id:?} method={method}")
    }
}

/// Returns the layer that writes lines for people.
fn pretty_lines<S, W>(writer: W, ansi: bool) -> impl Layer<S>
where
    S: Subscriber + for<'lookup> LookupSpan<'lookup>,
    W: for<'writer> MakeWriter<'writer> + 'static,
{
    let fields = FieldsAndRequest(DefaultFields::new());
    fmt::layer().compact().fmt_fields(fields).with_writer(writer).with_ansi(ansi)
}

/// Starts to log to standard error, for the rest of the process's life.
///
/// # Errors
/// If a subscriber is set already, or no thread can be started.
pub fn start(settings: &LogSettings) -> io::Result<Level> {
    let writer = log_writer::standard_error()?;
    let level = Level::new(settings);
    let output = match settings.format {
        LogFormat::Pretty => pretty_lines(writer.clone(), io::stderr().is_terminal()).boxed(),
        LogFormat::Json => JsonLines::new(writer.clone()).boxed(),
    };
    // A filter of the whole subscriber, whose result tracing caches for each log statement. A filter of the writer
    // alone would be asked for each line.
    tracing_subscriber::registry().with(level.clone()).with(output).try_init().map_err(io::Error::other)?;
    if settings.format == LogFormat::Json {
        json_lines::set_process_log(writer);
    }
    panics::install_hook();
    Ok(level)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use tracing::Level;

    /// Receives the lines of a log.
    #[derive(Clone, Default)]
    pub(super) struct Written(Arc<Mutex<Vec<u8>>>);

    impl Written {
        pub(super) fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Returns the lines that a closure logs on this thread.
    pub(crate) fn logged(done: impl FnOnce()) -> String {
        let written = Written::default();
        let writer = written.clone();
        let subscriber = fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
        tracing::subscriber::with_default(subscriber, done);
        written.text()
    }

    fn level(text: &str) -> LogLevel {
        text.to_owned().try_into().unwrap()
    }

    #[test]
    fn a_line_for_people_ends_with_the_request() {
        let (written, request) =
            (Written::default(), RequestScope { id: "a-1".parse().unwrap(), method: http::Method::POST });
        let writer = written.clone();
        let subscriber = tracing_subscriber::registry().with(pretty_lines(move || writer.clone(), false));
        tracing::subscriber::with_default(subscriber, || {
            request.enter(|| tracing::info!(count = 1, "read"));
            tracing::info!("idle");
        });
        let text = written.text();
        let lines: Vec<_> = text.lines().collect();
        assert!(lines[0].ends_with("tests: read count=1 id=\"a-1\" method=POST"), "{text}");
        assert!(lines[1].ends_with("tests: idle"), "{text}");
    }

    #[test]
    fn other_crates_log_only_warnings_and_errors() {
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
    fn levels_apply_to_this_crate_and_its_modules() {
        let targets = level("warn,switchboard::upstream=debug").targets();
        assert!(targets.would_enable("switchboard::upstream::transport", &Level::DEBUG));
        assert!(!targets.would_enable("switchboard::http", &Level::INFO));
        assert!(targets.would_enable("switchboard::http", &Level::WARN));
        let off = level("off").targets();
        assert!(!off.would_enable("switchboard", &Level::ERROR) && !off.would_enable("hyper", &Level::ERROR));
    }

    #[test]
    fn no_level_filters_the_audit_log() {
        for text in ["off", "error", "off,switchboard::audit=off"] {
            let targets = level(text).targets();
            assert!(targets.would_enable(audit::TARGET, &Level::INFO), "{text}");
        }
        assert!(module_path!().starts_with("switchboard::"));
    }

    #[test]
    fn unknown_levels_and_foreign_modules_are_refused() {
        let refused = |text: &str| LogLevel::try_from(text.to_owned()).unwrap_err();
        assert_eq!(refused("inf"), "`inf` is not a level; use off, error, warn, info, debug or trace");
        assert!(refused("info,hyper=trace").contains("`hyper` is not a module"));
        assert!(refused("info,switchboardx=trace").contains("not a module"));
        assert!(refused("").contains("not a level"));
    }
}
