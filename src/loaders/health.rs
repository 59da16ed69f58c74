//! Health evaluation for one operation, by the rules of [`crate::domain::health`] and at one point in time.
//!
//! A health status can change by the passage of time alone. [`HealthEvaluator`] records the time of the next such
//! change in the operation's statistics, which limits how long the response may be cached.

use std::sync::Arc;

use jiff::Timestamp;

use super::stats::OperationStats;
use crate::domain::accounts::ConnectedAccount;
use crate::domain::clock::Clock;
use crate::domain::health::{HealthRules, HealthVerdict};
use crate::domain::providers::Provider;

/// Evaluates health for one operation.
#[derive(Debug)]
pub struct HealthEvaluator {
    /// The rules in use.
    pub rules: HealthRules,
    clock: Clock,
    now: Timestamp,
    stats: Arc<OperationStats>,
}

impl HealthEvaluator {
    pub(super) fn new(rules: HealthRules, clock: Clock, stats: Arc<OperationStats>) -> Self {
        Self { rules, clock, now: clock.now(), stats }
    }

    /// Evaluates an integration.
    #[must_use]
    pub fn provider(&self, provider: &Provider) -> HealthVerdict {
        self.record_next_change(self.rules.evaluate_provider(provider, self.now))
    }

    /// Evaluates an account.
    #[must_use]
    pub fn account(&self, account: &ConnectedAccount) -> HealthVerdict {
        self.record_next_change(self.rules.evaluate_account(account, self.now))
    }

    fn record_next_change(&self, verdict: HealthVerdict) -> HealthVerdict {
        if let Some(moment) = verdict.changes_at {
            self.stats.record_valid_until(self.clock.instant(moment));
        }
        verdict
    }
}
