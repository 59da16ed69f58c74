//! Clients of the two REST APIs.
//!
//! [`providers`] and [`accounts`] know the paths, parameters and responses of one API each; [`account_writes`] has the
//! calls that change an account, and [`toolkits`] reads the names of services. All use [`transport`], the only HTTP
//! client of the crate. `wire` decodes by allow-list, so no secret outlives the response's bytes; `content_coding`
//! decompresses before it, and `known_accounts` has the accounts that need not be decoded again. The `request_kind`
//! decides which policies apply to a call.
//!
//! Each call first acquires a permit from the credential's `call_limiter`, which applies the [`quota`] (read from the
//! headers by [`rate_limit`]), the [`breaker`] and the [`concurrency`] limit, for which a call waits. A call that gets
//! no permit is *held*: it is not sent. If the quota holds it for at most 2 s, [`retry`] tries again; otherwise its
//! caller gets the [`error`]. [`retry`] also repeats failed calls; `refusals` remembers requests that must not be
//! repeated. [`status`], [`counts`] and `metrics` report the outcomes, and `problem_log` logs unreadable parts of
//! responses. [`jwks`] fetches the keys of token issuers. [`connection_failure`] finds the cause of a failed
//! connection, and [`probe`] has the result of a call of `switchboard check`.

pub mod account_writes;
pub mod accounts;
pub mod breaker;
mod call_limiter;
pub mod concurrency;
pub mod connection_failure;
mod content_coding;
pub mod counts;
pub mod error;
mod error_body;
pub mod jwks;
mod known_accounts;
mod metrics;
pub mod probe;
mod problem_log;
pub mod providers;
pub mod quota;
pub mod rate_limit;
mod refusals;
mod request_kind;
pub mod retry;
pub mod settings;
pub mod status;
pub mod toolkits;
pub mod transport;
mod wire;
