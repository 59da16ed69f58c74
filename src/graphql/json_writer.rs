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
use std::io::Write as _;

/// JSON text that is being written.
pub(crate) struct JsonWriter(Vec<u8>);

impl JsonWriter {
    /// Creates a writer with an initial capacity in bytes.
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    /// Appends text that is already JSON.
    pub(crate) fn raw(&mut self, json: &[u8]) {
        self.0.extend_from_slice(json);
    }

    /// Appends any serializable value.
    pub(crate) fn serialize(&mut self, value: impl Serialize) {
        let start = self.0.len();
        if serde_json::to_writer(&mut self.0, &value).is_err() {
            // Unreachable: writing to memory does not fail, and the values are serializable to JSON.
            self.0.truncate(start);
            self.raw(b"null");
        }
    }

    /// Appends an enum value by its name in the schema.
    pub(super) fn enum_value(&mut self, value: impl EnumType) {
        let item = value_of(value);
        self.quoted(item.as_bytes());
    }

    /// Appends a timestamp as the scalar `DateTime`.
    pub(super) fn date_time(&mut self, at: Timestamp) {
        // Writing to a vector does not fail.
        let _ = write!(self.0, "\"{at}\"");
    }

    /// Appends a string that contains no characters that JSON escapes.
    pub(super) fn quoted(&mut self, text: &[u8]) {
        self.0.push(b'"');
        self.raw(text);
        self.0.push(b'"');
    }

    /// Appends a list, whose items `each` writes.
    pub(super) fn list<I>(&mut self, items: impl IntoIterator<Item = I>, mut each: impl FnMut(&mut Self, I)) {
        self.0.push(b'[');
        for (place, item) in items.into_iter().enumerate() {
            if place > 0 {
                self.0.push(b',');
            }
            each(self, item);
        }
        self.0.push(b']');
    }

    /// Appends a value of the executor.
    pub(crate) fn value(&mut self, value: &Value) {
        match value {
            Value::Null => self.raw(b"null"),
            Value::Boolean(boolean) => self.serialize(boolean),
            Value::Number(number) => self.serialize(number),
            Value::String(text) => self.serialize(text),
            Value::Enum(name) => self.quoted(name.as_bytes()),
            Value::Binary(json) => self.raw(json),
            Value::List(items) => self.list(items, Self::value),
            Value::Object(fields) => {
                self.0.push(b'{');
                for (place, (name, value)) in fields.iter().enumerate() {
                    if place > 0 {
                        self.0.push(b',');
                    }
                    self.serialize(name.as_str());
                    self.0.push(b':');
                    self.value(value);
                }
                self.0.push(b'}');
            }
        }
    }

    /// Returns the text.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// Returns the text as a value of the executor.
    pub(super) fn into_value(self) -> Value {
        Value::Binary(self.0.into())
    }
}

fn value_of<E: EnumType>(value: E) -> &'static str {
    E::items().iter().find(|item| item.value == value).map_or("", |item| item.name)
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
        rows.list(["a\"", "b"], |json, text| json.serialize(text));
        let value = Value::List(vec![Value::Null, rows.into_value()]);
        assert_eq!(written(&value), r#"[null,["a\"","b"]]"#);
    }
}
