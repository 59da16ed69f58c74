//! Shared state of replicas, over an in-memory store with a paused clock and over a real Redis.

mod channel;
mod check;
mod contract;
mod facade;
mod failing;
pub(crate) mod memory;
pub(crate) mod server;
mod silent_proxy;

use std::time::Duration;

use switchboard::replicas::settings::ReplicaSettings;
use switchboard::replicas::store::Entry;

/// The default timeouts. An in-memory store needs no server.
pub(crate) fn settings() -> ReplicaSettings {
    ReplicaSettings {
        url: String::new(),
        username: String::new(),
        password: "".into(),
        ca_file: String::new(),
        key_prefix: "test".to_owned(),
        timeout_ms: 50,
        claim_ms: 1_000,
        wait_ms: 5_000,
    }
}

/// An entry that lives for a minute.
fn entry(key: &str, value: &[u8]) -> Entry {
    Entry { key: key.to_owned(), value: value.to_vec(), ttl: Duration::from_secs(60) }
}
