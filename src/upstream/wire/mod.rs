//! Decoders of the upstreams' JSON, by allow-list and item by item.
//!
//! Fields that are not named here are skipped by the reader ([`json`]) and never stored: there is no `Value` and no map
//! of values. An unreadable item is a counted, located problem and does not make the page unreadable ([`rows`]). An
//! unreadable value makes only itself unreadable ([`lenient`]). Errors have no text, because it could quote a value.

pub(super) mod account_writes;
pub(super) mod accounts;
mod connection_state;
pub(super) mod json;
pub(super) mod lenient;
mod name_lists;
pub(super) mod providers;
mod rows;
pub(super) mod toolkits;

use json::JsonError;
use lenient::FromJson;

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

/// Decodes a body of one JSON value.
fn decode<T: FromJson>(body: &[u8]) -> Result<T, UnexpectedShape> {
    Ok(json::read(text(body)?)?)
}

impl From<JsonError> for UnexpectedShape {
    fn from(_: JsonError) -> Self {
        Self
    }
}
