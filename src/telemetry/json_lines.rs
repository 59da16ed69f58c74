//! JSON log lines: [`JsonLines`] is a layer that writes each event as one line.
//!
//! The structure is that of `tracing_subscriber`'s JSON format; `span` is the current request. That formatter parses
//! the fields of spans again for every line, and passes each piece of a line through three dynamic calls, which made
//! the request log the most expensive part of a response from the cache.
//!
//! The request log also bypasses `tracing`, whose dispatch took half of its instructions: [`write_request_line`].

use std::cell::Cell;
use std::fmt;
use std::io::Write;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Context, Layer};

use super::log_writer::LogWriter;
use super::request_scope::RequestScope;
use crate::domain::clock::Clock;
use crate::domain::json_text::plain_length;
use crate::domain::timestamps;

/// Target of the events of the bridge from the `log` crate.
const BRIDGE: &str = "log";

/// Prefix of the fields that the bridge adds to its events. They are not written.
const BRIDGE_PREFIX: &str = "log.";

/// Field with the target of a record of the `log` crate.
const BRIDGE_TARGET: &str = "log.target";

/// Target and level of the lines of the request log.
pub(super) const REQUESTS_TARGET: &str = "switchboard::requests";
pub(super) const REQUESTS_LEVEL: Level = Level::INFO;

/// The log of this process, if its lines are JSON.
static PROCESS_LOG: OnceLock<LogWriter> = OnceLock::new();

/// Whether the level of the log allows lines of the request log.
static HAS_REQUEST_LOG: AtomicBool = AtomicBool::new(false);

/// Capacity that a thread keeps for its next line.
const LINE_BYTES: usize = 4096;

thread_local! {
    /// The memory of this thread's last line. It is taken while a line is written: a value that logs while it is
    /// formatted gets new memory.
    static LINE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Writes an event as one line with one JSON object: its timestamp, level, fields, target and request.
#[derive(Debug)]
pub struct JsonLines<W> {
    writer: W,
}

impl<W> JsonLines<W> {
    /// Creates the layer; it writes each line to `writer` with one call.
    pub fn new(writer: W) -> Self {
        Self { writer }
    }
}

impl<S, W> Layer<S> for JsonLines<W>
where
    S: Subscriber,
    W: for<'writer> MakeWriter<'writer> + 'static,
{
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        let record = |fields: &mut Fields<'_>| {
            fields.is_bridged = metadata.target() == BRIDGE;
            event.record(fields);
        };
        write_line(metadata.level(), metadata.target(), record, self.writer.make_writer_for(metadata));
    }
}

/// Makes a writer the log of this process, so that [`write_request_line`] writes to it.
pub(super) fn set_process_log(writer: LogWriter) {
    // The log is started once.
    let _ = PROCESS_LOG.set(writer);
}

/// Sets whether the level of the log allows lines of the request log.
pub(super) fn set_has_request_log(has_request_log: bool) {
    HAS_REQUEST_LOG.store(has_request_log, Ordering::Relaxed);
}

/// Writes a line of the request log to the log of this process without an event of `tracing`. Returns whether it was
/// written: the process has a log, its lines are JSON, and its level allows the line.
pub(super) fn write_request_line(record: impl FnOnce(&mut Fields<'_>)) -> bool {
    let log = PROCESS_LOG.get().filter(|_| HAS_REQUEST_LOG.load(Ordering::Relaxed));
    let Some(log) = log else { return false };
    write_line(&REQUESTS_LEVEL, REQUESTS_TARGET, record, log.make_writer());
    true
}

/// Writes a line with the fields that `record` adds.
fn write_line(level: &Level, target: &str, record: impl FnOnce(&mut Fields<'_>), mut writer: impl Write) {
    let mut line = LINE.take();
    line.clear();
    line.extend(b"{\"timestamp\":\"");
    timestamps::write_microseconds(Clock::system().now(), &mut line);
    line.extend(b"\",\"level\":\"");
    line.extend(level.as_str().as_bytes());
    line.extend(b"\",\"fields\":{");
    let mut fields = Fields { line: &mut line, is_first: true, is_bridged: false, log_target: None };
    record(&mut fields);
    let log_target = fields.log_target;
    line.extend(b"},\"target\":");
    write_text(&mut line, log_target.as_deref().unwrap_or(target));
    write_request(&mut line);
    line.extend(b"}\n");
    // There is no other place to report an error of the log.
    let _ = writer.write_all(&line);
    line.shrink_to(LINE_BYTES);
    LINE.set(line);
}

/// Writes the current request as a span.
fn write_request(line: &mut Vec<u8>) {
    if let Some(RequestScope { id, method }) = RequestScope::current() {
        line.extend(b",\"span\":{\"id\":");
        write_text(line, id.to_str().unwrap_or_default());
        line.extend(b",\"method\":");
        write_text(line, method.as_str());
        line.extend(b",\"name\":\"request\"}");
    }
}

/// Writes the fields of a line as members of a JSON object. Writing to memory does not fail. The names come from the
/// source code and need no escapes.
pub(super) struct Fields<'w> {
    line: &'w mut Vec<u8>,
    is_first: bool,
    /// Whether the line is a record of the `log` crate.
    is_bridged: bool,
    log_target: Option<String>,
}

impl Fields<'_> {
    /// Adds a text, if there is one.
    pub(super) fn text<'t>(&mut self, name: &str, value: impl Into<Option<&'t str>>) {
        if let Some(value) = value.into() {
            self.field(name, |text| write_text(text, value));
        }
    }

    /// Adds a number, if there is one.
    pub(super) fn number(&mut self, name: &str, value: impl Into<Option<u64>>) {
        if let Some(value) = value.into() {
            self.field(name, |text| text.extend(itoa::Buffer::new().format(value).as_bytes()));
        }
    }

    /// Adds a number with decimals; null for NaN and infinity.
    pub(super) fn decimal(&mut self, name: &str, value: f64) {
        self.field(name, |text| drop(serde_json::to_writer(text, &value)));
    }

    fn field(&mut self, name: &str, write_value: impl FnOnce(&mut Vec<u8>)) {
        if self.is_bridged && name.starts_with(BRIDGE_PREFIX) {
            return;
        }
        if !std::mem::replace(&mut self.is_first, false) {
            self.line.push(b',');
        }
        self.line.push(b'"');
        self.line.extend_from_slice(name.as_bytes());
        self.line.extend_from_slice(b"\":");
        write_value(self.line);
    }
}

impl Visit for Fields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        if self.is_bridged && field.name() == BRIDGE_TARGET {
            self.log_target = Some(value.to_owned());
        }
        self.text(field.name(), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.number(field.name(), value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.field(field.name(), |text| text.extend(itoa::Buffer::new().format(value).as_bytes()));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.field(field.name(), |text| text.extend(if value { &b"true"[..] } else { b"false" }));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.decimal(field.name(), value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.field(field.name(), |text| {
            text.push(b'"');
            let _ = fmt::Write::write_fmt(&mut Escaped(text), format_args!("{value:?}"));
            text.push(b'"');
        });
    }
}

/// Writes a JSON string.
fn write_text(text: &mut Vec<u8>, value: &str) {
    text.push(b'"');
    write_escaped(text, value);
    text.push(b'"');
}

/// Writer that escapes text for a JSON string.
struct Escaped<'w>(&'w mut Vec<u8>);

impl fmt::Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        write_escaped(self.0, text);
        Ok(())
    }
}

/// Writes the content of a JSON string (RFC 8259, 7).
fn write_escaped(text: &mut Vec<u8>, value: &str) {
    let mut rest = value.as_bytes();
    while let Some((unescaped, [special, after @ ..])) = rest.split_at_checked(plain_length(rest)) {
        text.extend(unescaped);
        match special {
            b'"' => text.extend(b"\\\""),
            b'\\' => text.extend(b"\\\\"),
            b'\n' => text.extend(b"\\n"),
            control => drop(write!(text, "\\u{control:04x}")),
        }
        rest = after;
    }
    text.extend(rest);
}

#[cfg(test)]
pub(super) mod tests {
    use http::{HeaderValue, Method};
    use proptest::prelude::*;
    use serde_json::{Value, json};
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::super::tests::Written;
    use super::*;

    /// Returns a line with the fields that `record` adds.
    pub(in crate::telemetry) fn line(
        level: Level,
        target: &str,
        record: impl FnOnce(&mut Fields<'_>),
    ) -> String {
        let mut line = Vec::new();
        write_line(&level, target, record, &mut line);
        String::from_utf8(line).unwrap()
    }

    /// Returns the lines that a closure logs on this thread.
    fn lines(log: impl FnOnce()) -> Vec<Value> {
        let written = Written::default();
        let writer = written.clone();
        let subscriber = tracing_subscriber::registry().with(JsonLines::new(move || writer.clone()));
        tracing::subscriber::with_default(subscriber, log);
        written.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn a_line_has_the_fields_and_the_request() {
        let request = RequestScope { id: HeaderValue::from_static("a-1"), method: Method::POST };
        let log = || {
            tracing::warn!(
                text = "x\ny\u{1}\\", number = -3, large = u64::MAX, half = 0.5, none = None::<u64>, not_a_number = f64::NAN,
                is_set = true, list = ?["q\""], "message {}", 1
            );
        };
        let written = lines(|| request.enter(log));
        let [line] = &written[..] else { panic!("{written:?}") };
        assert_eq!(
            line["fields"],
            json!({
                "message": "message 1", "text": "x\ny\u{1}\\", "number": -3, "large": u64::MAX, "half": 0.5,
                "not_a_number": null, "is_set": true, "list": "[\"q\\\"\"]",
            })
        );
        assert_eq!(line["span"], json!({ "id": "a-1", "method": "POST", "name": "request" }));
        assert_eq!((&line["level"], &line["target"]), (&json!("WARN"), &json!(module_path!())));
        assert!(line["timestamp"].as_str().unwrap().ends_with('Z'));
    }

    #[test]
    fn a_line_without_request_and_fields_is_valid() {
        let written = lines(|| tracing::info!("started"));
        assert_eq!(written[0]["fields"], json!({ "message": "started" }));
        assert_eq!(written[0].get("span"), None);
    }

    proptest! {
        #[test]
        fn every_text_is_escaped_without_loss(text in "\\PC*|[\\x00-\\x7f]*") {
            let written = lines(|| tracing::info!(text, debug = ?text));
            prop_assert_eq!(written.len(), 1);
            prop_assert_eq!(&written[0]["fields"]["text"], &Value::String(text.clone()));
            prop_assert_eq!(&written[0]["fields"]["debug"], &Value::String(format!("{text:?}")));
        }
    }
}
