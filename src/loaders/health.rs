//! Verdicts on what one operation reads: by the table of [`crate::domain::health`], all at one moment.
//!
//! A verdict can change by time alone, so whoever asks for one makes the whole answer good for no longer than that: it
//! is recorded in the statistics here, and cannot be forgotten elsewhere.

use std::sync::Arc;

use jiff::Timestamp;

use super::stats::OperationStats;
use crate::domain::accounts::ConnectedAccount;
use crate::domain::clock::Clock;
use crate::domain::health::{HealthRules, HealthVerdict};
use crate::domain::providers::Provider;

/// Judges on behalf of one operation.
#[derive(Debug)]
pub struct HealthEvaluator {
    rules: HealthRules,
    clock: Clock,
    now: Timestamp,
    stats: Arc<OperationStats>,
}

impl HealthEvaluator {
    pub(super) fn new(rules: HealthRules, clock: Clock, stats: Arc<OperationStats>) -> Self {
        Self { rules, clock, now: clock.now(), stats }
    }

    /// The rules that it goes by.
    #[must_use]
    pub fn rules(&self) -> &HealthRules {
        &self.rules
    }

    /// The verdict on an integration.
    #[must_use]
    pub fn provider(&self, provider: &Provider) -> HealthVerdict {
        self.entered(self.rules.evaluate_provider(provider, self.now))
    }

    /// The verdict on an account.
    #[must_use]
    pub fn account(&self, account: &ConnectedAccount) -> HealthVerdict {
        self.entered(self.rules.evaluate_account(account, self.now))
    }

    fn entered(&self, verdict: HealthVerdict) -> HealthVerdict {
        if let Some(moment) = verdict.changes_at {
            self.stats.changes_at(self.clock.instant(moment));
        }
        verdict
    }
}
