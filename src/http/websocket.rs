//! GraphQL over WebSocket with the subprotocol `graphql-transport-ws` (the graphql-ws library's PROTOCOL).
//!
//! [`begin`] checks the upgrade request's origin, because browsers do not enforce CORS for WebSockets. A [`session`]
//! then authenticates the client by its first message ([`messages`]), runs its [`operations`], and ends with a close
//! code ([`close`]).
//!
//! Rejected: async-graphql's own server. It sends errors before execution as results, sends no pings, and lacks the
//! codes 4400, 4401, 4408 and 4409. Extended CONNECT (RFC 8441) is not supported, because a subscription over HTTP/2
//! needs no WebSocket.

mod close;
mod messages;
mod operations;
mod session;

use axum::extract::{FromRequestParts as _, Request, WebSocketUpgrade};
use axum::http::header::UPGRADE;
use axum::http::{HeaderValue, Method};
use axum::response::Response;

use super::edge::Edge;
use super::error::HttpError;
use super::origin;
use super::shutdown::ShutdownToken;
use crate::telemetry::request_scope::{RequestScope, in_request};
use crate::telemetry::traces::SpanOrigin;

const SUBPROTOCOL: &str = "graphql-transport-ws";

const OTHER_SUBPROTOCOL: &str = "`Sec-WebSocket-Protocol` must offer `graphql-transport-ws` (the library graphql-ws). The older \
                                 subscriptions-transport-ws is not supported.";

/// Size of the read buffer in bytes. The library's default of 128 KiB would be most of a subscriber's memory.
const READ_BUFFER_BYTES: usize = 4 * 1024;

/// Whether a request is a WebSocket upgrade.
pub(crate) fn is_upgrade(request: &Request) -> bool {
    let is_websocket = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"websocket");
    request.method() == Method::GET && request.headers().get(UPGRADE).is_some_and(is_websocket)
}

/// Upgrades a request.
pub(crate) async fn begin(
    edge: Edge,
    request: Request,
    shutdown: ShutdownToken,
) -> Result<Response, HttpError> {
    let (mut head, _) = request.into_parts();
    if !edge.settings.cors_origins.allows(&head.headers) {
        origin::refuse_cross_site(&head.headers, &head.uri)?;
    }
    let upgrade = WebSocketUpgrade::from_request_parts(&mut head, &()).await;
    let upgrade = upgrade.map_err(|rejection| HttpError::malformed(rejection.body_text()))?;
    let limit = edge.settings.body_limit_bytes;
    let upgrade = upgrade
        .protocols([SUBPROTOCOL])
        .read_buffer_size(READ_BUFFER_BYTES)
        // No buffering: each message is sent before the next one is made.
        .write_buffer_size(0)
        .max_message_size(limit)
        .max_frame_size(limit);
    if upgrade.selected_protocol().is_none() {
        return Err(HttpError::malformed(OTHER_SUBPROTOCOL));
    }
    let origin = SpanOrigin::current();
    let request = RequestScope::current();
    Ok(upgrade
        .on_upgrade(move |socket| in_request(request, session::run(socket, edge, head, shutdown, origin))))
}
