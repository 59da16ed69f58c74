//! The two REST APIs, seen as a client sees them.
//!
//! [`providers`] and [`accounts`] know paths, parameters and answers, one upstream each;
//! [`transport`] holds the only `send` of the crate; `gate` stands before it, one for each credential,
//! and lets pass what the [`quota`] allows; `wire` decodes by allow-list, so that a secret never gets a
//! place in memory that outlives the answer's bytes.

pub mod accounts;
pub mod error;
mod failure_body;
mod gate;
pub mod probe;
pub mod providers;
pub mod quota;
pub mod rate_limit;
pub mod settings;
pub mod standing;
pub mod transport;
mod wire;
