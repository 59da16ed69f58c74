//! Model of the rate limit that one credential has at one upstream: when the next call may be sent, and at
//! which pace data is refreshed.
//!
//! A pure model on the caller's clock: no waiting, no locks, no I/O. The [call limiter](super::call_limiter)
//! reports each call ([`Quota::on_sent`]) and each response ([`Quota::on_response`],
//! [`Quota::on_rate_limited`]), and asks before each call ([`Quota::may_call`]). A local token bucket would be
//! simpler, but the customer's other programs use the same limit, and only the response headers count their
//! calls.
//!
//! - `credential_quota` is the model itself.
//! - `headers` parses the rate limit headers of one response.
//! - `window` is the window that the headers count: a day at LeadLex, a minute at Composio
//!   (docs/upstreams.md#composio-rate-limits, #leadlex-rate-limits).
//! - `calls` are our own calls of the last minutes, for LeadLex's limit per minute, which has no header, and
//!   for calls that no header confirms yet.
//! - `pace` spreads the remaining calls evenly over the remaining time.
//! - `exchange` shares calls and responses with other replicas; `shared_state` is the state that they share.

mod calls;
mod credential_quota;
mod exchange;
mod headers;
mod moment;
mod pace;
mod settings;
mod shared_state;
mod window;

#[cfg(test)]
mod day_tests;
#[cfg(test)]
mod property_tests;
#[cfg(test)]
mod tests;

pub use self::calls::Call;
pub use self::credential_quota::{CallDecision, Purpose, Quota, QuotaFigures};
pub(super) use self::exchange::{CallNumber, Exchange, PendingResponse};
pub(super) use self::headers::QuotaHeaders;
pub(super) use self::moment::Moment;
pub use self::settings::QuotaSettings;
