//! An id for each request, to find a client's report in the log.

use axum::http::{HeaderMap, HeaderName, HeaderValue};

/// The header of the id, in requests and responses.
pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Returns the id of a request: the client's `x-request-id` if it is `[A-Za-z0-9_-]{1,64}`, otherwise a new one. No
/// other client text reaches the log.
pub(super) fn of(headers: &HeaderMap) -> HeaderValue {
    headers.get(X_REQUEST_ID).filter(|id| is_valid(id)).cloned().unwrap_or_else(new_id)
}

fn is_valid(id: &HeaderValue) -> bool {
    let id = id.as_bytes();
    (1..=64).contains(&id.len()) && id.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(byte))
}

fn hex_digit(value: u8) -> u8 {
    if value < 10 { b'0' + value } else { b'a' + value - 10 }
}

/// Creates a random id. Ids are unique across replicas and protect no secret.
fn new_id() -> HeaderValue {
    let digits = fastrand::u128(..).to_be_bytes().map(|byte| [byte >> 4, byte & 0xf].map(hex_digit));
    HeaderValue::from_bytes(digits.as_flattened()).unwrap_or_else(|_| HeaderValue::from_static("unnamed"))
}
