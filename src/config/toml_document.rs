//! A TOML document as a list of settings: leaves under their dotted names, each with its position in the file.

use serde::Deserialize as _;
use toml::de::{DeTable, DeValue, ValueDeserializer};
use toml::{Spanned, Value};

/// A leaf of a document.
pub(super) struct Leaf {
    pub(super) name: String,
    pub(super) content: Content,
    /// Position of the name in the file, in bytes.
    pub(super) offset: usize,
}

pub(super) enum Content {
    Value(Value),
    /// A number outside the range of an `i64` or `f64`, or a list with one: valid TOML that no setting can have.
    NumberTooLarge,
    /// The entries of a list of sections (`[[name]]`).
    Entries(Vec<Entry>),
}

/// One section of a list of sections.
pub(super) struct Entry {
    pub(super) leaves: Vec<Leaf>,
    /// Position of its beginning in the file, in bytes.
    pub(super) offset: usize,
}

/// Returns the leaves of a document, in the document's order. A table is one leaf if `is_leaf` is true for its name or
/// if it is empty.
pub(super) fn leaves_of(table: &DeTable<'_>, is_leaf: &dyn Fn(&str) -> bool) -> Vec<Leaf> {
    fn walk(prefix: &str, table: &DeTable<'_>, is_leaf: &dyn Fn(&str) -> bool, leaves: &mut Vec<Leaf>) {
        for (key, value) in table {
            let name = if prefix.is_empty() {
                key.get_ref().to_string()
            } else {
                format!("{prefix}.{}", key.get_ref())
            };
            match value.get_ref() {
                DeValue::Table(inner) if !inner.is_empty() && !is_leaf(&name) => {
                    walk(&name, inner, is_leaf, leaves);
                }
                _ => leaves.push(Leaf { name, content: content(value), offset: key.span().start }),
            }
        }
    }
    let mut leaves = Vec::new();
    walk("", table, is_leaf, &mut leaves);
    leaves.sort_by_key(|leaf| leaf.offset);
    leaves
}

fn content(value: &Spanned<DeValue<'_>>) -> Content {
    let entry = |item: &Spanned<DeValue<'_>>| match item.get_ref() {
        DeValue::Table(table) => {
            Some(Entry { leaves: leaves_of(table, &|_| false), offset: item.span().start })
        }
        _ => None,
    };
    if let DeValue::Array(items) = value.get_ref()
        && !items.is_empty()
        && let Some(entries) = items.iter().map(entry).collect()
    {
        return Content::Entries(entries);
    }
    // Any other value can be converted, so a failure needs no further distinction.
    Value::deserialize(ValueDeserializer::from(value.clone())).map_or(Content::NumberTooLarge, Content::Value)
}

/// Returns line and column of a byte, counted from 1.
pub(super) fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    (line, column)
}
