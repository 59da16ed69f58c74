//! Close codes of a WebSocket (RFC 6455, 7.4; graphql-transport-ws defines 4000 to 4999).

use std::error::Error as _;

use axum::extract::ws::CloseFrame;
use tokio_tungstenite::tungstenite::Error as WsError;

use crate::http::error::HttpError;

/// Maximum length of a close reason in bytes (RFC 6455, 5.5).
const REASON_BYTES: usize = 123;

/// The reason why a session ends.
#[derive(Debug)]
pub(super) enum SessionEnd {
    /// The connection is lost; no close frame can be sent.
    Disconnected,
    /// A close frame with this code and reason.
    Close(u16, String),
}

impl SessionEnd {
    /// Ends the session with 4400: an invalid message.
    pub(super) fn invalid(why: impl Into<String>) -> Self {
        Self::Close(4400, why.into())
    }

    /// Ends the session with 4401: an operation before `connection_init`.
    pub(super) fn unacknowledged() -> Self {
        Self::Close(4401, "Unauthorized: `connection_init` must be sent first".to_owned())
    }

    /// Ends the session with 4403: the credentials are refused, with the message of the HTTP error. 1013 if a retry may
    /// succeed.
    pub(super) fn refused(error: &HttpError) -> Self {
        Self::Close(if error.is_transient() { 1013 } else { 4403 }, error.message().to_owned())
    }

    /// Ends the session with 4408: `connection_init` did not arrive in time.
    pub(super) fn init_timeout() -> Self {
        Self::Close(4408, "Connection initialisation timeout".to_owned())
    }

    /// Ends the session with 4409: the id is in use.
    pub(super) fn duplicate_id(id: &str) -> Self {
        Self::Close(4409, format!("Subscriber for {id} already exists"))
    }

    /// Ends the session with 4429: a second `connection_init`.
    pub(super) fn duplicate_init() -> Self {
        Self::Close(4429, "Too many initialisation requests".to_owned())
    }

    /// Ends the session with 1001: the server shuts down. Clients reconnect to another one.
    pub(super) fn going_away() -> Self {
        Self::Close(1001, HttpError::going_away().message().to_owned())
    }

    /// Returns the close code for an error of the WebSocket itself.
    pub(super) fn of(error: &axum::Error) -> Self {
        match error.source().and_then(|error| error.downcast_ref()) {
            Some(WsError::Capacity(_)) => Self::Close(1009, "The message is too long".to_owned()),
            Some(WsError::Utf8(_)) => Self::Close(1007, "The message is not UTF-8".to_owned()),
            Some(WsError::Protocol(_)) => Self::Close(1002, "The data is not a WebSocket frame".to_owned()),
            _ => Self::Disconnected,
        }
    }

    /// Returns the close frame, if one can be sent.
    pub(super) fn frame(self) -> Option<CloseFrame> {
        let Self::Close(code, mut reason) = self else { return None };
        reason.truncate(reason.floor_char_boundary(REASON_BYTES));
        Some(CloseFrame { code, reason: reason.into() })
    }
}
