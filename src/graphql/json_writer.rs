//! Writer for the JSON of a response.
//!
//! Most of a response is rows whose fields are available at once. [`super::sync_fields`] serializes them directly into
//! [`Value::Binary`], a kind of the executor's values that no type of the schema uses, and [`JsonWriter::value`] copies
//! those bytes into the response. Rejected: async-graphql's feature `raw_value`, which copies the text and parses it
//! again.

use async_graphql::Value;
use async_graphql::resolver_utils::EnumType;
use jiff::Timestamp;
use serde::Serialize;

use crate::domain::json_text::plain_length;
use crate::domain::timestamps;

/// JSON text that is being written.
pub(crate) struct JsonWriter {
    text: Vec<u8>,
    /// Beyond this length, values are left out, and the text is no JSON.
    bytes_max: usize,
}

impl JsonWriter {
    /// Creates a writer with an initial capacity in bytes.
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self { text: Vec::with_capacity(bytes), bytes_max: usize::MAX }
    }

    /// The same with a maximum length. The last value may exceed it.
    pub(super) fn with_limit(self, bytes_max: usize) -> Self {
        Self { bytes_max, ..self }
    }

    /// Whether the text is longer than its maximum, and therefore incomplete.
    pub(super) fn is_over(&self) -> bool {
        self.text.len() > self.bytes_max
    }

    pub(super) fn len(&self) -> usize {
        self.text.len()
    }

    /// Appends text that is already JSON.
    pub(crate) fn raw(&mut self, json: &[u8]) {
        if !self.is_over() {
            self.text.extend_from_slice(json);
        }
    }

    /// Appends any serializable value.
    pub(crate) fn serialize(&mut self, value: impl Serialize) {
        if self.is_over() {
            return;
        }
        let start = self.text.len();
        if serde_json::to_writer(&mut self.text, &value).is_err() {
            // Unreachable: writing to memory does not fail, and the values are serializable to JSON.
            self.text.truncate(start);
            self.raw(b"null");
        }
    }

    /// Appends a string. Most contain nothing that JSON escapes.
    pub(crate) fn text(&mut self, text: &str) {
        match plain_length(text.as_bytes()) == text.len() {
            true => self.quoted(text.as_bytes()),
            false => self.serialize(text),
        }
    }

    /// Appends an enum value by its name in the schema.
    pub(super) fn enum_value<E: EnumType>(&mut self, value: E) {
        let item = E::items().iter().find(|item| item.value == value);
        self.quoted(item.map_or("", |item| item.name).as_bytes());
    }

    /// Appends a timestamp as the scalar `DateTime`.
    pub(super) fn date_time(&mut self, at: Timestamp) {
        self.text.push(b'"');
        timestamps::write(at, &mut self.text);
        self.text.push(b'"');
    }

    /// Appends a string that contains no characters that JSON escapes.
    pub(super) fn quoted(&mut self, text: &[u8]) {
        self.text.push(b'"');
        self.raw(text);
        self.text.push(b'"');
    }

    /// Appends a list, whose items `each` writes.
    pub(super) fn list<I>(&mut self, items: impl IntoIterator<Item = I>, mut each: impl FnMut(&mut Self, I)) {
        self.text.push(b'[');
        for (place, item) in items.into_iter().enumerate() {
            if place > 0 {
                self.text.push(b',');
            }
            each(self, item);
        }
        self.text.push(b']');
    }

    /// Appends a value of the executor.
    pub(crate) fn value(&mut self, value: &Value) {
        match value {
            Value::Null => self.raw(b"null"),
            Value::Boolean(boolean) => self.serialize(boolean),
            Value::Number(number) => self.serialize(number),
            Value::String(text) => self.text(text),
            Value::Enum(name) => self.quoted(name.as_bytes()),
            Value::Binary(json) => self.raw(json),
            Value::List(items) => self.list(items, Self::value),
            Value::Object(fields) => {
                self.text.push(b'{');
                for (place, (name, value)) in fields.iter().enumerate() {
                    if place > 0 {
                        self.text.push(b',');
                    }
                    self.serialize(name.as_str());
                    self.text.push(b':');
                    self.value(value);
                }
                self.text.push(b'}');
            }
        }
    }

    /// Returns the text.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.text
    }

    /// Returns the text as a value of the executor.
    pub(super) fn into_value(self) -> Value {
        Value::Binary(self.text.into())
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::Name;
    use serde_json::json;

    use super::*;

    fn written(value: &Value) -> String {
        let mut json = JsonWriter::with_capacity(0);
        json.value(value);
        String::from_utf8(json.into_bytes()).unwrap()
    }

    #[test]
    fn values_are_written_as_by_serde() {
        let values = json!({
            "text": "a \"quoted\" \u{1} line\nand ü", "": "", "numbers": [0, -1, 2147483647, 1.5, 1e300], "none": null,
            "nested": { "empty": {}, "list": [[], [{ "yes": true }, { "no": false }]] },
        });
        let value = Value::from_json(values.clone()).unwrap();
        assert_eq!(written(&value), serde_json::to_string(&value).unwrap());
        assert_eq!(serde_json::from_str::<serde_json::Value>(&written(&value)).unwrap(), values);
        assert_eq!(written(&Value::Enum(Name::new("ACTIVE"))), "\"ACTIVE\"");
    }

    #[test]
    fn preserialized_text_is_copied_unchanged() {
        let mut rows = JsonWriter::with_capacity(0);
        rows.list(["a\"", "b"], |json, text| json.text(text));
        let value = Value::List(vec![Value::Null, rows.into_value()]);
        assert_eq!(written(&value), r#"[null,["a\"","b"]]"#);
    }
}
