//! Decoders of the upstreams' JSON, by allow-list and item by item.
//!
//! Fields that are not named here are skipped by the parser and never stored: there is no `Value`, no map of values and
//! no `#[serde(flatten)]`. An unreadable item is a counted, located problem and does not make the page unreadable
//! ([`rows`]). An unreadable value makes only itself unreadable ([`lenient`]). Errors of serde are dropped, because
//! their text can quote a value.

pub(super) mod account_writes;
pub(super) mod accounts;
mod connection_state;
pub(super) mod lenient;
pub(super) mod providers;
mod repair;
mod rows;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use self::repair::repair;

/// Error: the response does not have the documented shape.
#[derive(Debug, thiserror::Error)]
#[error("the response does not have the documented shape")]
pub(super) struct UnexpectedShape;

/// Returns a body as text, without a byte order mark, which some servers send before JSON and RFC 8259, 8.1 allows
/// ignoring.
fn text(body: &[u8]) -> Result<&str, UnexpectedShape> {
    let text = std::str::from_utf8(body).map_err(|_| UnexpectedShape)?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// Decodes a JSON object. A list is refused, although serde would read its items as fields in order.
fn object<'j, T: Deserialize<'j>>(json: &'j str) -> Option<T> {
    json.trim_start().starts_with('{').then(|| serde_json::from_str(json).ok()).flatten()
}

/// The same, but a value that cannot be read or a repeated name costs only itself.
fn object_with_faults<T: DeserializeOwned>(json: &str) -> Option<T> {
    object(json).or_else(|| object(&repair(json)?))
}
