//! An id for each request, to find a client's report in the log.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use tracing::Span;

/// The header of the id, in requests and responses.
pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Returns the id of a request: the client's `x-request-id` if it is `[A-Za-z0-9_-]{1,64}`, otherwise a new one. No
/// other client text reaches the log.
pub(super) fn of(headers: &HeaderMap) -> HeaderValue {
    headers.get(X_REQUEST_ID).filter(|id| is_valid(id)).cloned().unwrap_or_else(new_id)
}

/// Returns the span of a request, which adds its id to every line that is logged within. No setting filters it out
/// ([`crate::telemetry`]).
pub(super) fn span(id: &HeaderValue, method: &Method) -> Span {
    tracing::info_span!("request", id = id.to_str().unwrap_or_default(), method = method.as_str())
}

fn is_valid(id: &HeaderValue) -> bool {
    let id = id.as_bytes();
    (1..=64).contains(&id.len()) && id.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(byte))
}

/// Creates an id: a counter hashed with two keys that are new at each start. Ids are unique across replicas and protect
/// no secret.
fn new_id() -> HeaderValue {
    static KEYS: LazyLock<(RandomState, RandomState)> = LazyLock::new(Default::default);
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let id = format!("{:016x}{:016x}", KEYS.0.hash_one(count), KEYS.1.hash_one(count));
    HeaderValue::from_str(&id).unwrap_or_else(|_| HeaderValue::from_static("unnamed"))
}
