//! How a WebSocket ends, and the codes that say why (RFC 6455, 7.4; 4000 to 4999 are graphql-transport-ws's own).

use std::error::Error as _;

use axum::extract::ws::CloseFrame;
use tokio_tungstenite::tungstenite::Error as WsError;

use crate::http::error::HttpError;

/// The longest reason that a close frame holds, in bytes (RFC 6455, 5.5).
const REASON_BYTES: usize = 123;

/// Why it ends.
#[derive(Debug)]
pub(super) enum SessionEnd {
    /// Nobody is there to be told.
    Disconnected,
    /// The peer is told.
    Close(u16, String),
}

impl SessionEnd {
    /// 4400: what came is no message of the protocol.
    pub(super) fn invalid(why: impl Into<String>) -> Self {
        Self::Close(4400, why.into())
    }

    /// 4401: something is asked for before it is known who asks.
    pub(super) fn unacknowledged() -> Self {
        Self::Close(4401, "Unauthorized: `connection_init` comes first".to_owned())
    }

    /// 4403: whoever asks is not let in, and is told why in the words of HTTP. 1013 where the same may pass a moment later.
    pub(super) fn refused(error: &HttpError) -> Self {
        Self::Close(if error.is_transient() { 1013 } else { 4403 }, error.message().to_owned())
    }

    /// 4408: nobody has said who it is.
    pub(super) fn init_timeout() -> Self {
        Self::Close(4408, "Connection initialisation timeout".to_owned())
    }

    /// 4409: the id means another operation.
    pub(super) fn duplicate_id(id: &str) -> Self {
        Self::Close(4409, format!("Subscriber for {id} already exists"))
    }

    /// 4429: it was said before who it is.
    pub(super) fn duplicate_init() -> Self {
        Self::Close(4429, "Too many initialisation requests".to_owned())
    }

    /// 1001: the server ends. Clients connect again, to another one.
    pub(super) fn going_away() -> Self {
        Self::Close(1001, HttpError::going_away().message().to_owned())
    }

    /// What could not be read.
    pub(super) fn of(error: &axum::Error) -> Self {
        match error.source().and_then(|error| error.downcast_ref()) {
            Some(WsError::Capacity(_)) => Self::Close(1009, "The message is too long".to_owned()),
            Some(WsError::Utf8(_)) => Self::Close(1007, "The message is not UTF-8".to_owned()),
            Some(WsError::Protocol(_)) => Self::Close(1002, "This is no WebSocket".to_owned()),
            _ => Self::Disconnected,
        }
    }

    /// What the peer is told, if there is one.
    pub(super) fn frame(self) -> Option<CloseFrame> {
        let Self::Close(code, mut reason) = self else { return None };
        reason.truncate(reason.floor_char_boundary(REASON_BYTES));
        Some(CloseFrame { code, reason: reason.into() })
    }
}
