//! The answers' JSON, decoded by allow-list and item by item.
//!
//! What is not named in here is skipped by the parser and never stored: no `Value`, no map of
//! values, no flattened rest. A derived struct names the fields that are wanted; serde skips all
//! others without building them. One item that cannot be read is one counted, located problem and
//! not a lost page ([`rows`]), one value that cannot be read costs itself ([`lenient`]). No error of serde's is kept: its
//! text can quote the value that it tripped over.

pub(super) mod accounts;
mod connection_state;
pub(super) mod lenient;
pub(super) mod providers;
mod repair;
mod rows;

use serde::Deserialize;

/// An answer that is no page at all.
#[derive(Debug, thiserror::Error)]
#[error("the answer is not of the documented shape")]
pub(super) struct UnexpectedShape;

/// Returns a body's text, without the byte order mark that some servers put before JSON (RFC 8259, 8.1 lets a parser ignore it).
fn text(body: &[u8]) -> Result<&str, UnexpectedShape> {
    let text = std::str::from_utf8(body).map_err(|_| UnexpectedShape)?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// Reads a JSON object; a list is none, though serde would take its items for fields in order.
fn object<'j, T: Deserialize<'j>>(json: &'j str) -> Option<T> {
    json.trim_start().starts_with('{').then(|| serde_json::from_str(json).ok()).flatten()
}
