//! JSON log lines: [`JsonLines`] formats events, [`JsonFields`] the fields of spans.
//!
//! The structure is that of `tracing_subscriber`'s JSON format, without its list of spans. That formatter parses the
//! span's fields again for every line, which made logging the most expensive part of a response from the cache.

use std::fmt::{self, Write};

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

/// Prefix of the fields that the bridge from the `log` crate adds to its events. They are not written.
const BRIDGE_PREFIX: &str = "log.";

/// Field with the target of a record of the `log` crate.
const BRIDGE_TARGET: &str = "log.target";

/// Writes an event as one line with one JSON object: its timestamp, level, fields, target and innermost span.
#[derive(Debug)]
pub struct JsonLines;

impl<S> FormatEvent<S, JsonFields> for JsonLines
where
    S: Subscriber + for<'lookup> LookupSpan<'lookup>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, JsonFields>,
        mut line: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let metadata = event.metadata();
        line.write_str("{\"timestamp\":\"")?;
        SystemTime.format_time(&mut line)?;
        line.write_str("\",\"level\":\"")?;
        line.write_str(metadata.level().as_str())?;
        line.write_str("\",\"fields\":{")?;
        let mut members = Members::new(&mut line);
        event.record(&mut members);
        let log_target = members.finish()?;
        line.write_str("},\"target\":")?;
        write_text(&mut line, log_target.as_deref().unwrap_or_else(|| metadata.target()))?;
        if let Some(span) =
            event.parent().and_then(|id| context.span(id)).or_else(|| context.lookup_current())
        {
            line.write_str(",\"span\":{")?;
            if let Some(fields) =
                span.extensions().get::<FormattedFields<JsonFields>>().filter(|it| !it.is_empty())
            {
                line.write_str(fields)?;
                line.write_char(',')?;
            }
            line.write_str("\"name\":\"")?;
            line.write_str(span.name())?;
            line.write_str("\"}")?;
        }
        line.write_str("}\n")
    }
}

/// Formats the fields of a span as the members of a JSON object, without its braces.
#[derive(Debug)]
pub struct JsonFields;

impl<'writer> FormatFields<'writer> for JsonFields {
    fn format_fields<R: RecordFields>(&self, mut writer: Writer<'writer>, fields: R) -> fmt::Result {
        write_members(&mut writer, fields)
    }

    fn add_fields(
        &self,
        current: &'writer mut FormattedFields<Self>,
        fields: &tracing::span::Record<'_>,
    ) -> fmt::Result {
        let mut added = String::new();
        write_members(&mut Writer::new(&mut added), fields)?;
        if !current.is_empty() && !added.is_empty() {
            current.fields.push(',');
        }
        current.fields.push_str(&added);
        Ok(())
    }
}

fn write_members(writer: &mut Writer<'_>, fields: impl RecordFields) -> fmt::Result {
    let mut members = Members::new(writer);
    fields.record(&mut members);
    members.finish().map(drop)
}

/// Writes fields as members of a JSON object.
struct Members<'w, 'f> {
    writer: &'w mut Writer<'f>,
    is_first: bool,
    log_target: Option<String>,
    result: fmt::Result,
}

impl<'w, 'f> Members<'w, 'f> {
    fn new(writer: &'w mut Writer<'f>) -> Self {
        Self { writer, is_first: true, log_target: None, result: Ok(()) }
    }

    /// Returns the target of the event, if it is a record of the `log` crate.
    fn finish(self) -> Result<Option<String>, fmt::Error> {
        self.result.map(|()| self.log_target)
    }

    fn member(&mut self, field: &Field, write_value: impl FnOnce(&mut Writer<'f>) -> fmt::Result) {
        if self.result.is_err() || field.name().starts_with(BRIDGE_PREFIX) {
            return;
        }
        let is_first = std::mem::replace(&mut self.is_first, false);
        self.result = (|| {
            if !is_first {
                self.writer.write_char(',')?;
            }
            // Field names come from the source code and need no escapes.
            self.writer.write_char('"')?;
            self.writer.write_str(field.name())?;
            self.writer.write_str("\":")?;
            write_value(self.writer)
        })();
    }
}

impl Visit for Members<'_, '_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == BRIDGE_TARGET {
            self.log_target = Some(value.to_owned());
        }
        self.member(field, |writer| write_text(writer, value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.member(field, |writer| write!(writer, "{value}"));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.member(field, |writer| write!(writer, "{value}"));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.member(field, |writer| writer.write_str(if value { "true" } else { "false" }));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.member(field, |writer| match value.is_finite() {
            true => write!(writer, "{value}"),
            false => writer.write_str("null"),
        });
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.member(field, |writer| {
            writer.write_char('"')?;
            write!(Escaped(writer), "{value:?}")?;
            writer.write_char('"')
        });
    }
}

/// Writes a JSON string.
fn write_text(writer: &mut Writer<'_>, text: &str) -> fmt::Result {
    writer.write_char('"')?;
    Escaped(writer).write_str(text)?;
    writer.write_char('"')
}

/// Writer that escapes text for a JSON string (RFC 8259, 7).
struct Escaped<'w, 'f>(&'w mut Writer<'f>);

impl Write for Escaped<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let needs_escape = |byte: u8| byte < 0x20 || byte == b'"' || byte == b'\\';
        let mut rest = text;
        while let Some((unescaped, from_special)) =
            rest.bytes().position(needs_escape).and_then(|at| rest.split_at_checked(at))
        {
            self.0.write_str(unescaped)?;
            let mut characters = from_special.chars();
            match characters.next() {
                Some('"') => self.0.write_str("\\\"")?,
                Some('\\') => self.0.write_str("\\\\")?,
                Some('\n') => self.0.write_str("\\n")?,
                Some(control) => write!(self.0, "\\u{:04x}", u32::from(control))?,
                None => {}
            }
            rest = characters.as_str();
        }
        self.0.write_str(rest)
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use proptest::prelude::*;
    use serde_json::{Value, json};
    use tracing_subscriber::fmt;

    use super::*;

    /// Returns the lines that a closure logs on this thread.
    fn lines(log: impl FnOnce()) -> Vec<Value> {
        #[derive(Clone, Default)]
        struct Buffer(Arc<Mutex<Vec<u8>>>);

        impl io::Write for Buffer {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.lock().unwrap().write(bytes)
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }

        let buffer = Buffer::default();
        let writer = buffer.clone();
        let subscriber =
            fmt().fmt_fields(JsonFields).event_format(JsonLines).with_writer(move || writer.clone());
        tracing::subscriber::with_default(subscriber.finish(), log);
        let bytes = buffer.0.lock().unwrap().clone();
        let text = String::from_utf8(bytes).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn a_line_has_the_fields_and_the_span() {
        let written = lines(|| {
            let span =
                tracing::info_span!("request", id = "a\"b", method = %"POST", late = tracing::field::Empty);
            span.record("late", None::<u64>).record("late", 1);
            let _entered = span.enter();
            tracing::warn!(
                text = "x\ny\u{1}\\", number = -3, large = u64::MAX, half = 0.5, none = None::<u64>, not_a_number = f64::NAN,
                is_set = true, list = ?["q\""], "message {}", 1
            );
        });
        let [line] = &written[..] else { panic!("{written:?}") };
        assert_eq!(
            line["fields"],
            json!({
                "message": "message 1", "text": "x\ny\u{1}\\", "number": -3, "large": u64::MAX, "half": 0.5,
                "not_a_number": null, "is_set": true, "list": "[\"q\\\"\"]",
            })
        );
        assert_eq!(line["span"], json!({ "id": "a\"b", "method": "POST", "late": 1, "name": "request" }));
        assert_eq!((&line["level"], &line["target"]), (&json!("WARN"), &json!(module_path!())));
        assert!(line["timestamp"].as_str().unwrap().ends_with('Z'));
    }

    #[test]
    fn a_line_without_span_and_fields_is_valid() {
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
