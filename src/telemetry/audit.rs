//! The audit log: one line for each action on an account, including refused ones, and counts of the actions.
//!
//! The lines have their own target, which `log.level` does not filter. They contain the caller's name and role, the
//! action, account ids and the outcome; the request's id is in the span around them. They contain no URL, no alias and
//! no text of an upstream. [`super::log_writer`] reserves 4 MiB for unwritten audit lines; only if those are full is a
//! line dropped, and counted.

use std::sync::atomic::{AtomicU64, Ordering};

use super::metrics::declared;
use super::metrics::readings::Readings;
use crate::domain::actions::Action;
use crate::domain::caller::Caller;
use crate::domain::text_enum::text_enum;

/// Target of the lines.
pub(super) const TARGET: &str = "switchboard::audit";

text_enum! {
    /// The outcome of an action.
    pub enum ActionOutcome {
        /// The action took effect.
        Ok = "ok",
        /// Switchboard or Composio refused the action itself: it is not permitted, not valid, too frequent, or not
        /// possible in the account's state.
        Refused = "refused",
        /// The call failed for a technical reason, so the action had no effect: Composio could not be reached, or did
        /// not accept the API key or the rate of calls.
        Failed = "failed",
        /// Composio did not confirm the action: it may have taken effect.
        Unknown = "unknown",
    }
    /// Returns the value in metrics and in the log.
    pub fn label;
}

/// One action.
pub(crate) struct AuditRecord<'a> {
    pub(crate) caller: &'a Caller,
    pub(crate) action: Action,
    /// The account, `ca_…`; `None` for a new one, or if the id was invalid.
    pub(crate) account: Option<&'a str>,
    /// The account that the start of a sign-in has created.
    pub(crate) new_account: Option<&'a str>,
    pub(crate) outcome: ActionOutcome,
    /// The error code, unless the outcome is [`ActionOutcome::Ok`].
    pub(crate) code: Option<&'static str>,
}

/// Counts of actions by kind and outcome.
#[derive(Debug, Default)]
pub(crate) struct ActionCounts([[AtomicU64; ActionOutcome::ALL.len()]; Action::ALL.len()]);

impl ActionCounts {
    /// Counts an action and writes its line.
    pub(crate) fn record(&self, record: &AuditRecord<'_>) {
        let count = self.0.get(record.action as usize).and_then(|counts| counts.get(record.outcome as usize));
        if let Some(count) = count {
            count.fetch_add(1, Ordering::Relaxed);
        }
        let role = if record.caller.view().is_full() { "ADMIN" } else { "MEMBER" };
        tracing::info!(
            target: TARGET,
            caller = &*record.caller.name,
            role,
            action = record.action.name(),
            account = record.account,
            new_account = record.new_account,
            outcome = record.outcome.label(),
            code = record.code,
            "action"
        );
    }

    /// Adds the counts to the values of a scrape.
    pub(crate) fn read(&self, readings: &mut Readings) {
        for (action, counts) in Action::ALL.iter().zip(&self.0) {
            for (outcome, count) in ActionOutcome::ALL.iter().zip(counts) {
                let labels = [action.name(), outcome.label()];
                readings.count(&declared::ACTIONS, &labels, count.load(Ordering::Relaxed));
            }
        }
    }
}
