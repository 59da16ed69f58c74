//! How an upstream stands for one credential, by what its calls told.
//!
//! A record of what was seen, and no probe: whoever looks costs the upstream nothing. A page that showed
//! the state by calling would spend the quota that it shows.

use std::sync::Arc;

use jiff::Timestamp;

use super::breaker::BreakerState;
use super::error::{UpstreamError, UpstreamFailure};
use super::quota::QuotaFigures;

/// How an upstream is, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UpstreamState {
    /// Its last answer was one.
    Up,
    /// Its last call failed, and the next may go.
    Degraded,
    /// A limit of its quota is met: no call goes before it ends.
    RateLimited,
    /// It refused the key, or a permission to it (401, 403).
    Unauthorized,
    /// It only fails: its breaker is not closed.
    Down,
    /// It was not called yet.
    Unknown,
}

/// The last call that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastError {
    /// The error code of answers.
    pub code: &'static str,
    /// When.
    pub at: Timestamp,
    /// The upstream's request id, for its support.
    pub request_id: Option<Arc<str>>,
}

/// How an upstream stands for one credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamStatus {
    /// In one word.
    pub state: UpstreamState,
    /// Whether calls reach it.
    pub breaker: BreakerState,
    /// Its quota, as far as it is known.
    pub quota: QuotaFigures,
    /// When it last answered what was asked.
    pub last_success_at: Option<Timestamp>,
    /// Its last failure; it stays when a success follows.
    pub last_error: Option<LastError>,
}

/// What calls told, one after the other.
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

    /// The whole picture, where the quota holds calls back or does not.
    pub(super) fn status(&self, quota: QuotaFigures, is_held: bool, breaker: BreakerState) -> UpstreamStatus {
        use UpstreamFailure as F;
        let state = match self.last {
            Some(Err(F::Unauthorized | F::Forbidden)) => UpstreamState::Unauthorized,
            _ if breaker != BreakerState::Closed => UpstreamState::Down,
            _ if is_held => UpstreamState::RateLimited,
            None => UpstreamState::Unknown,
            // The hold that a 429 brought is over: it answers again, as far as anybody knows.
            Some(Ok(()) | Err(F::RateLimited)) => UpstreamState::Up,
            Some(Err(_)) => UpstreamState::Degraded,
        };
        let (last_success_at, last_error) = (self.last_success_at, self.last_error.clone());
        UpstreamStatus { state, breaker, quota, last_success_at, last_error }
    }
}
