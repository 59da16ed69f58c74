//! What can be set about the edge.

use std::net::SocketAddr;

use serde::Deserialize;

/// `[http]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpSettings {
    /// Where clients connect; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Whether a browser that opens `/` gets GraphiQL.
    pub graphiql: bool,
    /// The largest request body that is read, in bytes.
    pub body_limit_bytes: usize,
}

/// `[ops]`: the second listener, for probes.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpsSettings {
    /// Where probes connect; port 0 takes a free one.
    pub listen: SocketAddr,
}

/// `[auth]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthSettings {
    /// Who may ask.
    pub mode: AuthMode,
}

/// Who may ask, and with whose keys the upstreams are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AuthMode {
    /// Anybody on this machine, as ADMIN of the tenant `default`; refused off loopback.
    None,
    /// Whoever brings keys of their own, each for its own upstream alone.
    Passthrough,
}
