//! What can be set about the edge.

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
    /// Where clients connect; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Whether a browser that opens `/` gets GraphiQL.
    pub graphiql: bool,
    /// Whether `/example` is the example page.
    pub example: bool,
    /// The largest request body that is read, in bytes.
    pub body_limit_bytes: usize,
    /// How long a request's body may take to arrive, in milliseconds.
    pub body_timeout_ms: u64,
    /// How much memory the bodies of all requests may take that are being read or answered, in bytes.
    pub bodies_limit_bytes: usize,
    /// Whose pages may ask from a browser.
    pub cors_origins: AllowedOrigins,
    /// Whether answers are compressed for those who take that.
    pub compression: bool,
    /// How long a WebSocket may take to say who it is, in milliseconds.
    pub ws_init_timeout_ms: u64,
    /// How often it is made sure that whoever subscribes is still there, in milliseconds.
    pub stream_ping_ms: u64,
    /// How many operations run at once over one WebSocket.
    pub subscriptions_per_connection_max: usize,
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

/// `[server]`: how connections are kept, on both listeners.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerSettings {
    /// How many connections each listener has at once.
    pub connections_max: usize,
    /// The longest head of a request, its URL and headers, in bytes.
    pub head_limit_bytes: usize,
    /// How long a request's head may take to arrive, in milliseconds.
    pub head_timeout_ms: u64,
    /// How long a connection is kept without any request, in milliseconds.
    pub idle_timeout_ms: u64,
    /// How long a client may take to take an answer, in milliseconds.
    pub write_timeout_ms: u64,
    /// How long requests are still taken when the end is asked for, in milliseconds, while `/ready` says that none should come.
    pub drain_ms: u64,
    /// How long running requests are given when the end is asked for, in milliseconds.
    pub shutdown_ms: u64,
}

impl ServerSettings {
    /// Allowed ranges.
    pub(crate) const RANGES: Ranges = &[
        ("connections_max", 1..=1_000_000),
        // Below it hyper reads no head at all.
        ("head_limit_bytes", 8_192..=1_048_576),
        ("head_timeout_ms", 1..=600_000),
        ("idle_timeout_ms", 1..=86_400_000),
        ("write_timeout_ms", 1..=600_000),
        ("drain_ms", 0..=600_000),
        ("shutdown_ms", 0..=600_000),
    ];

    /// How long requests are still taken at the end.
    pub(crate) fn drain(&self) -> Duration {
        Duration::from_millis(self.drain_ms)
    }

    /// How long running requests are given at the end.
    pub(crate) fn shutdown(&self) -> Duration {
        Duration::from_millis(self.shutdown_ms)
    }

    /// How long a connection may take for what.
    pub(crate) fn timeouts(&self) -> ConnectionTimeouts {
        ConnectionTimeouts {
            head: Duration::from_millis(self.head_timeout_ms),
            idle: Duration::from_millis(self.idle_timeout_ms),
            write: Duration::from_millis(self.write_timeout_ms),
        }
    }
}

/// `[ops]`: the second listener, for probes.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpsSettings {
    /// Where probes connect; port 0 takes a free one.
    pub listen: SocketAddr,
}
