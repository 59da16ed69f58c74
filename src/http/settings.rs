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
