//! The two REST APIs, seen as a client sees them.
//!
//! [`providers`] and [`accounts`] know paths, parameters and answers, one upstream each;
//! [`jwks`] reads the keys of whoever signs callers' tokens; [`transport`] holds the only client of the crate; `wire` decodes by allow-list, so that a secret
//! never gets a place in memory that outlives the answer's bytes.

pub mod accounts;
pub mod error;
mod failure_body;
pub mod jwks;
pub mod probe;
pub mod providers;
pub mod quota;
pub mod rate_limit;
mod refused_keys;
pub mod settings;
pub mod transport;
mod wire;
