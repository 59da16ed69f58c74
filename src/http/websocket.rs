//! GraphQL over WebSocket: the subprotocol `graphql-transport-ws` whole (the graphql-ws library's PROTOCOL).
//!
//! A request to `/graphql` that asks for an upgrade is let in here as far as its place goes: browsers send `Origin` with a
//! WebSocket and enforce nothing by it, so it is judged like a request's. Who it is, is found out in the [`session`], whose
//! peer says so in its first [`messages`]; what it asks for is [`operations`] there, and whatever ends it has its code
//! ([`close`]).
//!
//! The library's own server was rejected: it sends errors before execution as results, has no pings, and lacks the codes 4400,
//! 4401, 4408 and 4409. Extended CONNECT (RFC 8441) is not offered: over HTTP/2 a subscription needs no WebSocket.

mod close;
mod messages;
mod operations;
mod session;

use axum::extract::{FromRequestParts as _, Request, WebSocketUpgrade};
use axum::http::Method;
use axum::http::header::UPGRADE;
use axum::response::Response;
use tracing::{Instrument as _, Span};

use super::error::HttpError;
use super::shutdown::ShutdownToken;
use super::{Edge, origin};
use crate::telemetry::traces::Origin;

const SUBPROTOCOL: &str = "graphql-transport-ws";

const OTHER_SUBPROTOCOL: &str = "The WebSocket subprotocol here is `graphql-transport-ws` (the library graphql-ws; the older \
                                 subscriptions-transport-ws is another one), and `Sec-WebSocket-Protocol` does not offer it.";

/// What is read ahead of a connection, in bytes. The library's default, 128 KiB, would be most of what a subscriber costs.
const READ_BUFFER_BYTES: usize = 4 * 1024;

/// Whether a request wants to become a WebSocket.
pub(crate) fn is_upgrade(request: &Request) -> bool {
    let upgrade = request.headers().get(UPGRADE);
    request.method() == Method::GET
        && upgrade.is_some_and(|it| it.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// Lets it become one.
pub(crate) async fn begin(edge: Edge, request: Request) -> Result<Response, HttpError> {
    let (mut head, _) = request.into_parts();
    if !edge.cors_origins.allows(&head.headers) {
        origin::refuse_cross_site(&head.headers, &head.uri)?;
    }
    let upgrade = WebSocketUpgrade::from_request_parts(&mut head, &()).await;
    let upgrade = upgrade.map_err(|rejection| HttpError::bad_websocket_request(rejection.body_text()))?;
    let limit = edge.settings.body_limit_bytes;
    let upgrade = upgrade
        .protocols([SUBPROTOCOL])
        .read_buffer_size(READ_BUFFER_BYTES)
        // One message at a time, each sent before the next is made.
        .write_buffer_size(0)
        .max_message_size(limit)
        .max_frame_size(limit);
    if upgrade.selected_protocol().is_none() {
        return Err(HttpError::bad_websocket_request(OTHER_SUBPROTOCOL));
    }
    let shutdown = ShutdownToken::from_extensions(&head.extensions);
    let origin = Origin::here();
    // What it asks for is told under the request's name.
    let span = Span::current();
    Ok(upgrade.on_upgrade(move |socket| session::run(socket, edge, head, shutdown, origin).instrument(span)))
}
