//! Settings of the HTTP edge.

use std::net::SocketAddr;
use std::time::Duration;

use serde::Deserialize;

use super::activity::ConnectionTimeouts;
use super::cors::AllowedOrigins;
use crate::domain::settings::{GIB, Ranges};

/// `[http]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpSettings {
    /// The address of the public listener; port 0 picks a free port.
    pub listen: SocketAddr,
    /// Whether `/` serves GraphiQL.
    pub graphiql: bool,
    /// Whether `/example` serves the example page.
    pub example: bool,
    /// The origins of images that the example page may load.
    pub image_origins: AllowedOrigins,
    /// Maximum size of a request body in bytes.
    pub body_limit_bytes: usize,
    /// Milliseconds in which a request body must arrive.
    pub body_timeout_ms: u64,
    /// Maximum memory of all request bodies that are being read or processed, in bytes.
    pub bodies_limit_bytes: usize,
    /// The origins whose pages may send requests from a browser.
    pub cors_origins: AllowedOrigins,
    /// Whether responses are compressed for clients that accept it.
    pub compression: bool,
    /// Milliseconds in which a WebSocket client must send `connection_init`.
    pub ws_init_timeout_ms: u64,
    /// Interval of heartbeats to subscribers in milliseconds.
    pub stream_ping_ms: u64,
    /// Maximum number of concurrent operations on one WebSocket.
    pub subscriptions_per_connection_max: usize,
    /// Whether responses have the status codes 294 and 422 of the newest GraphQL-over-HTTP draft.
    pub draft_status_codes: bool,
}

impl HttpSettings {
    /// Allowed ranges.
    pub(crate) const RANGES: Ranges = &[
        ("body_limit_bytes", 1..=GIB),
        ("body_timeout_ms", 1..=600_000),
        ("bodies_limit_bytes", 1..=1024 * GIB),
        ("ws_init_timeout_ms", 1..=600_000),
        ("stream_ping_ms", 100..=3_600_000),
        ("subscriptions_per_connection_max", 1..=100_000),
    ];

    pub(crate) fn ws_init_timeout(&self) -> Duration {
        Duration::from_millis(self.ws_init_timeout_ms)
    }

    pub(crate) fn stream_ping(&self) -> Duration {
        Duration::from_millis(self.stream_ping_ms)
    }
}

/// `[server]`: connections of both listeners.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerSettings {
    /// Maximum number of connections of the listener.
    pub connections_max: usize,
    /// Maximum size of a request head (URL and headers) in bytes.
    pub head_limit_bytes: usize,
    /// Milliseconds in which a request head must arrive.
    pub head_timeout_ms: u64,
    /// Milliseconds after which a connection without a request is closed.
    pub idle_timeout_ms: u64,
    /// Milliseconds after which a response that is not read ends: its HTTP/2 stream, or else its connection.
    pub write_timeout_ms: u64,
    /// Milliseconds between a shutdown request and the end of accepting requests; `/ready` returns 503 meanwhile.
    pub drain_ms: u64,
    /// Milliseconds that running requests get to finish during shutdown.
    pub shutdown_ms: u64,
}

impl ServerSettings {
    /// Allowed ranges.
    pub(crate) const RANGES: Ranges = &[
        ("connections_max", 1..=1_000_000),
        // hyper cannot parse heads with a smaller buffer.
        ("head_limit_bytes", 8_192..=1_048_576),
        ("head_timeout_ms", 1..=600_000),
        ("idle_timeout_ms", 1..=86_400_000),
        ("write_timeout_ms", 1..=600_000),
        ("drain_ms", 0..=600_000),
        ("shutdown_ms", 0..=600_000),
    ];

    /// Returns the time between a shutdown request and the end of accepting requests.
    pub(crate) fn drain(&self) -> Duration {
        Duration::from_millis(self.drain_ms)
    }

    /// Returns the time that running requests get to finish during shutdown.
    pub(crate) fn shutdown(&self) -> Duration {
        Duration::from_millis(self.shutdown_ms)
    }

    /// Returns the timeouts of connections.
    pub(crate) fn timeouts(&self) -> ConnectionTimeouts {
        ConnectionTimeouts {
            head: Duration::from_millis(self.head_timeout_ms),
            idle: Duration::from_millis(self.idle_timeout_ms),
            write: Duration::from_millis(self.write_timeout_ms),
        }
    }
}

/// `[ops]`: the second listener for probes and metrics.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpsSettings {
    /// The address of the ops listener; port 0 picks a free port.
    pub listen: SocketAddr,
}
