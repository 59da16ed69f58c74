//! Status of an upstream for one credential, from the outcomes of its calls.
//!
//! Reading the status makes no call. A status page that called the upstream would use the quota that it shows.

use std::sync::Arc;

use jiff::Timestamp;

use super::breaker::BreakerState;
use super::error::{UpstreamError, UpstreamFailure};
use super::quota::QuotaFigures;

/// State of an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UpstreamState {
    /// The last call succeeded.
    Up,
    /// The upstream answered the last call, but not with a usable response.
    Degraded,
    /// The rate limit is exhausted. No call is sent until it is reset.
    RateLimited,
    /// The upstream rejected the key, or the key lacks a permission (401, 403).
    Unauthorized,
    /// The last call got no response or a server error (5xx), or the breaker suspends calls.
    Down,
    /// No call has been made yet.
    Unknown,
}

/// The last failed call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastError {
    /// Error code in responses to clients.
    pub code: &'static str,
    /// Time of the failure.
    pub at: Timestamp,
    /// The upstream's request id, for its support.
    pub request_id: Option<Arc<str>>,
}

/// Status of an upstream for one credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamStatus {
    /// Summary.
    pub state: UpstreamState,
    /// State of the breaker.
    pub breaker: BreakerState,
    /// The quota, as far as known.
    pub quota: QuotaFigures,
    /// Time of the last successful call.
    pub last_success_at: Option<Timestamp>,
    /// The last failure; a later success does not clear it.
    pub last_error: Option<LastError>,
}

/// Outcomes of calls.
#[derive(Debug, Default)]
pub(super) struct CallHistory {
    last: Option<Result<(), UpstreamFailure>>,
    last_success_at: Option<Timestamp>,
    last_error: Option<LastError>,
}

impl CallHistory {
    pub(super) fn record(&mut self, at: Timestamp, outcome: Result<(), &UpstreamError>) {
        self.last = Some(outcome.map_err(|error| error.failure));
        match outcome {
            Ok(()) => self.last_success_at = Some(at),
            Err(error) => {
                let (code, request_id) = (error.failure.code(), error.request_id.clone());
                self.last_error = Some(LastError { code, at, request_id });
            }
        }
    }

    /// Returns the status. `is_held` is true if the quota holds calls now.
    pub(super) fn status(&self, quota: QuotaFigures, is_held: bool, breaker: BreakerState) -> UpstreamStatus {
        use UpstreamFailure as F;
        let state = match self.last {
            Some(Err(F::Unauthorized | F::Forbidden)) => UpstreamState::Unauthorized,
            _ if breaker != BreakerState::Closed => UpstreamState::Down,
            _ if is_held => UpstreamState::RateLimited,
            None => UpstreamState::Unknown,
            // The wait after the 429 is over, so the upstream is assumed to answer again.
            Some(Ok(()) | Err(F::RateLimited)) => UpstreamState::Up,
            Some(Err(F::Unavailable | F::Timeout)) => UpstreamState::Down,
            Some(Err(_)) => UpstreamState::Degraded,
        };
        let (last_success_at, last_error) = (self.last_success_at, self.last_error.clone());
        UpstreamStatus { state, breaker, quota, last_success_at, last_error }
    }
}
