//! The two REST APIs, seen as a client sees them.
//!
//! [`providers`] and [`accounts`] know paths, parameters and answers, one upstream each;
//! [`transport`] holds the only client of the crate; `wire` decodes by allow-list, so that a secret never
//! gets a place in memory that outlives the answer's bytes.
//!
//! Before each call stands the credential's `limiter`, with a policy in each file: the [`quota`], the places in
//! [`concurrency`], the [`breaker`]; behind it, [`retry`]. What was seen of an upstream is [`status`] and
//! [`counts`], of which [`metrics`] tell; what is wrong with its answers, the log is told by [`problem_log`]. [`jwks`] reads the keys of whoever signs callers' tokens.

pub mod accounts;
pub mod breaker;
mod call_limiter;
pub mod concurrency;
mod content_coding;
pub mod counts;
pub mod error;
mod error_body;
mod jitter;
pub mod jwks;
mod metrics;
pub mod probe;
mod problem_log;
pub mod providers;
pub mod quota;
pub mod rate_limit;
pub mod retry;
pub mod settings;
pub mod status;
pub mod transport;
mod wire;
