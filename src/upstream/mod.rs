//! The two REST APIs, seen as a client sees them.
//!
//! [`providers`] and [`accounts`] know paths, parameters and answers, one upstream each;
//! [`transport`] holds the only client of the crate; `wire` decodes by allow-list, so that a secret never
//! gets a place in memory that outlives the answer's bytes.
//!
//! Before each call stands the credential's `gate`, with a policy in each file: the [`quota`], the places in
//! [`concurrency`], the [`breaker`]; behind it, [`retry`]. What was seen of an upstream is [`standing`] and
//! [`counts`], of which [`metrics`] tell; what is wrong with its answers, the log is told by [`drift`]. [`jwks`] reads the keys of whoever signs callers' tokens.

pub mod accounts;
pub mod breaker;
pub mod concurrency;
mod content_coding;
pub mod counts;
mod drift;
pub mod error;
mod failure_body;
mod gate;
mod jitter;
pub mod jwks;
mod metrics;
pub mod probe;
pub mod providers;
pub mod quota;
pub mod rate_limit;
pub mod retry;
pub mod settings;
pub mod standing;
pub mod transport;
mod wire;
