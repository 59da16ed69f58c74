//! `/__faults/{upstream}`: applies a fault to every request to an upstream, while another program runs against the
//! sandbox.
//!
//! The fault is the value of `X-Emulate`, as for a single request. A test in this process calls
//! [`super::Sandbox::emulate`].

use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, StatusCode};

use super::faults::Fault;
use super::{EmulatedUpstream, Sandbox};

/// `PUT` with `X-Emulate: status=503`: applies this fault until it is replaced or ended.
pub(super) async fn put(
    State(sandbox): State<Sandbox>,
    Path(upstream): Path<EmulatedUpstream>,
    headers: HeaderMap,
) -> Response {
    let Some(text) = headers.get("x-emulate").and_then(|value| value.to_str().ok()) else {
        let message = "the fault is missing: send it as the header X-Emulate, as in status=503";
        return (StatusCode::BAD_REQUEST, message).into_response();
    };
    match Fault::parse(text) {
        Ok(fault) => {
            sandbox.emulate(upstream, Some(fault));
            StatusCode::NO_CONTENT.into_response()
        }
        Err(error) => (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
    }
}

/// `DELETE`: ends the fault.
pub(super) async fn delete(
    State(sandbox): State<Sandbox>,
    Path(upstream): Path<EmulatedUpstream>,
) -> StatusCode {
    sandbox.emulate(upstream, None);
    StatusCode::NO_CONTENT
}
