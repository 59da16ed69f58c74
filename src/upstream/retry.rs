//! Decides whether a failed call is repeated, and after which delay.
//!
//! A read is safe to repeat. A write is repeated only if the upstream cannot have processed it: there was no
//! connection, or the response was a 429. Whether a call is repeated depends on the kind of failure, the remaining time
//! and a retry budget. The budget limits the share of calls that may be repeated, because an upstream with problems
//! survives 10 % more calls, but not three times as many.
//!
//! The delay is random between zero and a bound that doubles ("full jitter"), so that calls that failed together are
//! not repeated together. `Retry-After` is honoured. If it is longer than a request can wait, the request fails at
//! once, with the time to retry.
//!
//! The budget is tower's, which uses Tokio's clock. Rejected for the delays: `backon`. It adds jitter to a fixed delay,
//! so all retries would come at about the same time.

use std::time::Duration;

use serde::Deserialize;
use tokio::time::Instant;
use tower::retry::budget::{Budget, TpsBudget};

use super::error::{UpstreamError, UpstreamFailure};
use crate::domain::settings::Ranges;

/// Longest delay of a retry within a request (docs/upstreams.md#composio-retries).
const WAIT_MAX: Duration = Duration::from_secs(2);

/// Time for which a call counts in the budget.
const BUDGET_WINDOW: Duration = Duration::from_secs(10);

/// Retries per second in addition to the share, for keys with few calls.
const BUDGET_PER_SECOND: u32 = 1;

/// Retry settings of one upstream.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetrySettings {
    /// Maximum retries of one call; 0 disables them.
    pub retries_max: u32,
    /// Maximum delay before the first retry, in milliseconds; doubled for each further retry.
    pub backoff_ms: u64,
    /// Percentage of a key's calls that may be repeated, in addition to one per second; at most 1,000.
    pub budget_percent: u16,
}

impl RetrySettings {
    /// Allowed ranges.
    pub(crate) const RANGES: Ranges =
        &[("retries_max", 0..=10), ("backoff_ms", 0..=60_000), ("budget_percent", 0..=1_000)];
}

/// Creates the retry budget of one credential.
pub(super) fn budget(settings: &RetrySettings) -> TpsBudget {
    let share = f32::from(settings.budget_percent.min(1_000)) / 100.0;
    TpsBudget::new(BUDGET_WINDOW, BUDGET_PER_SECOND, share)
}

/// Retries of one call.
pub(super) struct Retries<'a> {
    settings: &'a RetrySettings,
    budget: &'a TpsBudget,
    is_write: bool,
    retries_made: u32,
}

impl<'a> Retries<'a> {
    /// Starts the retries of a new call.
    pub(super) fn for_call(settings: &'a RetrySettings, budget: &'a TpsBudget, is_write: bool) -> Self {
        budget.deposit();
        Self { settings, budget, is_write, retries_made: 0 }
    }

    /// Returns the delay before the next attempt; `None` if the call is not repeated. `jitter` is between 0
    /// and 1.
    ///
    /// A call that the quota holds briefly is delayed in the same way. It costs no budget, because it is not an
    /// additional call.
    pub(super) fn wait(
        &mut self,
        failed: &UpstreamError,
        now: Instant,
        deadline: Instant,
        jitter: f64,
    ) -> Option<Duration> {
        let is_held = failed.is_call_held();
        if self.retries_made >= self.settings.retries_max
            || !failed.failure.is_retryable()
            || failed.is_permanent
            || (self.is_write && failed.is_outcome_unknown())
            || (is_held && failed.failure != UpstreamFailure::RateLimited)
        {
            return None;
        }
        // A server may close a kept-alive connection at any time, which is no sign of a problem. The first repetition
        // is then made at once and costs no budget.
        let is_free = is_held || (failed.is_on_closed_connection && self.retries_made == 0);
        let requested_delay = failed.retry_after.unwrap_or_default();
        let delay = if failed.is_on_closed_connection && is_free { Duration::ZERO } else { self.backoff() };
        let wait = requested_delay + delay.mul_f64(jitter.clamp(0.0, 1.0));
        if requested_delay > WAIT_MAX || now + wait >= deadline || (!is_free && !self.budget.withdraw()) {
            return None;
        }
        self.retries_made += 1;
        Some(wait)
    }

    fn backoff(&self) -> Duration {
        let bound = self.settings.backoff_ms.saturating_mul(2_u64.saturating_pow(self.retries_made));
        Duration::from_millis(bound).min(WAIT_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::upstream_name::UpstreamName;

    const SETTINGS: RetrySettings = RetrySettings { retries_max: 4, backoff_ms: 400, budget_percent: 20 };

    fn failed(failure: UpstreamFailure, retry_after_ms: Option<u64>) -> UpstreamError {
        let mut error = UpstreamError::new(UpstreamName::Composio, failure);
        error.retry_after = retry_after_ms.map(Duration::from_millis);
        error
    }

    /// Delays of one call that fails each time, in milliseconds.
    fn waits(error: &UpstreamError, left_ms: u64, jitter: f64) -> Vec<u128> {
        let budget = budget(&SETTINGS);
        let mut retries = Retries::for_call(&SETTINGS, &budget, false);
        let now = Instant::now();
        let deadline = now + Duration::from_millis(left_ms);
        std::iter::from_fn(|| Some(retries.wait(error, now, deadline, jitter)?.as_millis())).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn delays_are_random_up_to_a_bound_that_doubles() {
        let error = failed(UpstreamFailure::Unavailable, None);
        assert_eq!(waits(&error, 60_000, 1.0), [400, 800, 1_600, 2_000]);
        assert_eq!(waits(&error, 60_000, 0.5), [200, 400, 800, 1_000]);
        assert_eq!(waits(&error, 60_000, 0.0), [0; 4]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_closed_connection_is_replaced_at_once_and_at_no_cost_to_the_budget() {
        let mut closed = failed(UpstreamFailure::Unavailable, None);
        closed.is_on_closed_connection = true;
        assert_eq!(waits(&closed, 60_000, 1.0), [0, 800, 1_600, 2_000]);
        let settings = RetrySettings { budget_percent: 0, ..SETTINGS };
        let budget = TpsBudget::new(BUDGET_WINDOW, 0, 0.0);
        let mut retries = Retries::for_call(&settings, &budget, false);
        let now = Instant::now();
        let deadline = now + Duration::from_secs(60);
        assert_eq!(retries.wait(&closed, now, deadline, 1.0), Some(Duration::ZERO));
        assert_eq!(retries.wait(&closed, now, deadline, 1.0), None);
    }

    #[tokio::test(start_paused = true)]
    async fn retry_after_is_honoured_up_to_two_seconds() {
        let after = |ms| failed(UpstreamFailure::Unavailable, Some(ms));
        assert_eq!(waits(&after(1_500), 60_000, 0.5)[..2], [1_700, 1_900]);
        assert_eq!(waits(&after(2_001), 60_000, 0.0), []);
    }

    #[tokio::test(start_paused = true)]
    async fn no_delay_exceeds_the_deadline() {
        let error = failed(UpstreamFailure::Timeout, None);
        assert_eq!(waits(&error, 800, 1.0), [400]);
        assert_eq!(waits(&error, 0, 0.0), []);
    }

    #[tokio::test(start_paused = true)]
    async fn only_retryable_failures_are_repeated() {
        use UpstreamFailure as F;
        for failure in [F::Timeout, F::Unavailable, F::RateLimited, F::BadResponse] {
            assert_eq!(waits(&failed(failure, None), 60_000, 0.0).len(), 4, "{failure:?}");
        }
        for failure in [F::Unauthorized, F::Forbidden, F::Rejected, F::Internal, F::NoCredential] {
            assert_eq!(waits(&failed(failure, None), 60_000, 0.0), [], "{failure:?}");
        }
        let held = |failure| UpstreamError::held(UpstreamName::Composio, failure, Duration::from_secs(1));
        assert_eq!(waits(&held(F::RateLimited), 60_000, 0.0), [1_000; 4], "a held call is waited for");
        assert_eq!(waits(&held(F::Unavailable), 60_000, 0.0), [], "an open breaker fails at once");
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_is_repeated_only_if_the_upstream_did_not_process_it() {
        use UpstreamFailure as F;
        let budget = budget(&SETTINGS);
        let is_repeated = |error: &UpstreamError| {
            let (now, deadline) = (Instant::now(), Instant::now() + Duration::from_secs(60));
            Retries::for_call(&SETTINGS, &budget, true).wait(error, now, deadline, 0.0).is_some()
        };
        for failure in [F::Timeout, F::Unavailable, F::BadResponse, F::Rejected, F::Forbidden] {
            assert!(!is_repeated(&failed(failure, None)), "{failure:?}");
        }
        let mut unavailable = failed(F::Unavailable, None);
        unavailable.is_on_closed_connection = true;
        assert!(!is_repeated(&unavailable));
        unavailable.is_unsent = true;
        assert!(is_repeated(&unavailable));
        assert!(is_repeated(&failed(F::RateLimited, Some(1_000))));
    }

    #[tokio::test(start_paused = true)]
    async fn the_budget_is_a_fifth_of_the_calls_plus_one_per_second() {
        let error = failed(UpstreamFailure::Unavailable, None);
        let budget = budget(&SETTINGS);
        let repeated = |calls: usize| {
            let (now, deadline) = (Instant::now(), Instant::now() + Duration::from_secs(60));
            (0..calls)
                .filter(|_| {
                    Retries::for_call(&SETTINGS, &budget, false).wait(&error, now, deadline, 0.0).is_some()
                })
                .count()
        };
        assert_eq!(repeated(1_000), 210, "ten for the last ten seconds, and the share");
        assert_eq!(repeated(5), 1);
        tokio::time::advance(BUDGET_WINDOW * 2).await;
        assert_eq!(repeated(10), 10, "a key with few calls may repeat each");
    }
}
