//! Health of integrations and accounts: one state, the reasons for it, and whether it needs attention.
//!
//! [`HealthRules`] is the entry point. [`PROVIDERS`] and [`ACCOUNTS`] are tables from the statuses of both upstreams to
//! health states. [`HealthRules`] then considers age: an account that is pending for too long, a sync that is too old.
//! Each object is evaluated from its own upstream alone, so the evaluation needs no call. Rejected: one state from both
//! upstreams. It would need calls to both upstreams for every object of a list, and would blame a provider for accounts
//! that do not belong to the workspace.
//!
//! `docs/health.md` lists every case of the tables; a test writes it.

use std::time::Duration;

use jiff::Timestamp;

use super::accounts::{AccountStatus, ConnectedAccount};
use super::providers::{Provider, ProviderStatus};
use super::text_enum::text_enum;
use super::upstream_name::UpstreamName;

/// The health of an integration or account in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HealthState {
    /// It works.
    Healthy,
    /// It works with restrictions, or its data may be stale.
    Degraded,
    /// Its user started to connect it.
    Pending,
    /// It must be connected again.
    NeedsReauth,
    /// It was disabled.
    Disabled,
    /// It is not connected.
    Disconnected,
    /// The upstream returned a status that this version does not know.
    Unknown,
}

text_enum! {
    /// The reason for a health state.
    pub enum HealthReasonCode {
        /// The workspace's sign-in is no longer accepted.
        ReauthRequired =
            "The sign-in to this integration is no longer accepted. A workspace member must sign in again.",
        /// The authorization has expired.
        Expired = "The authorization has expired. The user must connect the account again.",
        /// Connecting or refreshing failed.
        Failed = "Connecting the account failed. The user must connect it again.",
        /// It was revoked deliberately.
        Revoked = "The account's authorization was revoked deliberately.",
        /// It is not connected.
        Disconnected = "The integration is not connected.",
        /// The upstream reports restrictions.
        Degraded = "The integration works with restrictions.",
        /// It was disabled.
        Disabled = "The account is disabled.",
        /// Its auth config was disabled.
        AuthConfigDisabled = "The account's auth config is disabled for the whole project.",
        /// Its user started to connect it.
        Pending = "The user started to connect the account and has not finished yet.",
        /// Its user started to connect it and did not finish in time.
        Abandoned = "The user started to connect the account and did not finish in time. It must be started again.",
        /// Its last successful sync is too long ago.
        SyncStale = "The last successful sync is too long ago.",
        /// The two upstreams contradict each other. The tables do not contain it: the field `Provider.disagreement`
        /// compares both upstreams.
        Disagreement = "The workspace and the connected accounts contradict each other about this integration.",
        /// The upstream returned a status that this version does not know.
        UnknownStatus = "The upstream returned a status that this version does not know.",
    }

    /// Returns a sentence for users. It never contains upstream text, which could hold anything.
    pub fn message;
}

/// One reason for a health state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HealthReason {
    /// The reason code.
    pub code: HealthReasonCode,
    /// The upstream that it comes from.
    pub source: UpstreamName,
    /// The time since which the reason applies, as far as the upstream returns it: for an account, usually its last
    /// update. For [`HealthReasonCode::SyncStale`], the last successful sync.
    pub since: Option<Timestamp>,
}

/// The health of one object at one time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthVerdict {
    /// The state.
    pub state: HealthState,
    /// Whether the user or the workspace must act.
    pub needs_attention: bool,
    /// The reasons; empty if everything works.
    pub reasons: Vec<HealthReason>,
    /// The time at which the verdict changes without a change upstream.
    pub changes_at: Option<Timestamp>,
}

/// One row of the table: the meaning of a status, regardless of age.
#[derive(Debug, Clone, Copy)]
struct TableRow {
    state: HealthState,
    reason: Option<HealthReasonCode>,
    needs_attention: bool,
}

const fn row(state: HealthState, reason: Option<HealthReasonCode>) -> TableRow {
    TableRow { state, reason, needs_attention: false }
}

const fn attention_row(state: HealthState, reason: HealthReasonCode) -> TableRow {
    TableRow { state, reason: Some(reason), needs_attention: true }
}

/// LeadLex's statuses (docs/upstreams.md#leadlex-providers). `connected` is not evaluated: if it contradicts the
/// status, the status is right (docs/upstreams.md#leadlex-open-questions).
const PROVIDERS: [(ProviderStatus, TableRow); 5] = [
    (ProviderStatus::Healthy, row(HealthState::Healthy, None)),
    (ProviderStatus::Degraded, row(HealthState::Degraded, Some(HealthReasonCode::Degraded))),
    (ProviderStatus::NeedsReauth, attention_row(HealthState::NeedsReauth, HealthReasonCode::ReauthRequired)),
    (ProviderStatus::Disconnected, row(HealthState::Disconnected, Some(HealthReasonCode::Disconnected))),
    (ProviderStatus::Unknown, row(HealthState::Unknown, Some(HealthReasonCode::UnknownStatus))),
];

/// Composio's statuses (docs/upstreams.md#composio-account).
const ACCOUNTS: [(AccountStatus, TableRow); 8] = [
    (AccountStatus::Initializing, row(HealthState::Pending, Some(HealthReasonCode::Pending))),
    (AccountStatus::Initiated, row(HealthState::Pending, Some(HealthReasonCode::Pending))),
    (AccountStatus::Active, row(HealthState::Healthy, None)),
    (AccountStatus::Failed, attention_row(HealthState::NeedsReauth, HealthReasonCode::Failed)),
    (AccountStatus::Expired, attention_row(HealthState::NeedsReauth, HealthReasonCode::Expired)),
    (AccountStatus::Inactive, row(HealthState::Disabled, Some(HealthReasonCode::Disabled))),
    (AccountStatus::Revoked, row(HealthState::Disconnected, Some(HealthReasonCode::Revoked))),
    (AccountStatus::Unknown, row(HealthState::Unknown, Some(HealthReasonCode::UnknownStatus))),
];

/// The row for an account that was pending for too long.
const ABANDONED: TableRow = attention_row(HealthState::Pending, HealthReasonCode::Abandoned);

/// The row for a status that is missing from a table. Both tables are complete.
const UNKNOWN: TableRow = row(HealthState::Unknown, Some(HealthReasonCode::UnknownStatus));

fn lookup<S: PartialEq>(table: &[(S, TableRow)], status: &S) -> TableRow {
    table.iter().find(|(known, _)| known == status).map_or(UNKNOWN, |(_, row)| *row)
}

/// The statuses of accounts that need attention, at once or after some time.
pub const STATUSES_NEEDING_ATTENTION: [AccountStatus; 4] =
    [AccountStatus::Initializing, AccountStatus::Initiated, AccountStatus::Failed, AccountStatus::Expired];

/// Whether an account waits for its user to finish connecting it.
fn is_pending(status: AccountStatus) -> bool {
    matches!(status, AccountStatus::Initializing | AccountStatus::Initiated)
}

/// The age limits after which a verdict changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct HealthRules {
    /// The time after which a pending account counts as abandoned.
    pub abandoned_after: Duration,
    /// The time after which a provider's last sync counts as stale; `None` disables the check.
    pub sync_stale_after: Option<Duration>,
}

impl HealthRules {
    /// Evaluates an integration of the workspace.
    pub(crate) fn evaluate_provider(&self, provider: &Provider, now: Timestamp) -> HealthVerdict {
        let found = lookup(&PROVIDERS, &provider.status.kind());
        let mut verdict = HealthVerdict::from_row(found, UpstreamName::Leadlex, None);
        // A broken integration does not sync, so a stale sync is no further reason.
        let can_sync = matches!(verdict.state, HealthState::Healthy | HealthState::Degraded);
        if let (true, Some(synced_at), Some(max_age)) =
            (can_sync, provider.last_sync_at, self.sync_stale_after)
        {
            let due_at = after(synced_at, max_age);
            if due_at <= now {
                verdict.state = HealthState::Degraded;
                verdict.add_reason(HealthReasonCode::SyncStale, UpstreamName::Leadlex, Some(synced_at));
            } else {
                verdict.changes_at = Some(due_at);
            }
        }
        verdict
    }

    /// Evaluates a connected account.
    pub(crate) fn evaluate_account(&self, account: &ConnectedAccount, now: Timestamp) -> HealthVerdict {
        let status = account.status.kind();
        let mut found = lookup(&ACCOUNTS, &status);
        let mut changes_at = None;
        if let Some(abandoned_at) = self.abandoned_at(account) {
            if abandoned_at <= now {
                found = ABANDONED;
            } else {
                changes_at = Some(abandoned_at);
            }
        }
        let since = match status {
            AccountStatus::Expired => account.state.expired_at.or(account.updated_at),
            AccountStatus::Revoked => account.state.revoked_at.or(account.updated_at),
            _ => account.updated_at.or(account.created_at),
        };
        let mut verdict =
            HealthVerdict { changes_at, ..HealthVerdict::from_row(found, UpstreamName::Composio, since) };
        let has_disabled_reason =
            verdict.reasons.iter().any(|reason| reason.code == HealthReasonCode::Disabled);
        for (applies, code) in [
            (account.is_disabled && !has_disabled_reason, HealthReasonCode::Disabled),
            (account.auth_config.is_disabled, HealthReasonCode::AuthConfigDisabled),
        ] {
            if applies {
                verdict.add_reason(code, UpstreamName::Composio, None);
                if verdict.state == HealthState::Healthy {
                    verdict.state = HealthState::Disabled;
                }
            }
        }
        verdict
    }

    /// Returns the time at which a pending account counts as abandoned. `None` for other accounts, and if the upstream
    /// returned no timestamp. The last change counts, not the creation, because a user can restart the connection.
    pub(crate) fn abandoned_at(&self, account: &ConnectedAccount) -> Option<Timestamp> {
        let started_at =
            account.updated_at.or(account.created_at).filter(|_| is_pending(account.status.kind()))?;
        Some(after(started_at, self.abandoned_after))
    }
}

fn after(time: Timestamp, duration: Duration) -> Timestamp {
    time.saturating_add(duration).unwrap_or(Timestamp::MAX)
}

impl HealthVerdict {
    fn from_row(row: TableRow, source: UpstreamName, since: Option<Timestamp>) -> Self {
        let reasons = row.reason.map(|code| HealthReason { code, source, since }).into_iter().collect();
        Self { state: row.state, needs_attention: row.needs_attention, reasons, changes_at: None }
    }

    fn add_reason(&mut self, code: HealthReasonCode, source: UpstreamName, since: Option<Timestamp>) {
        self.reasons.push(HealthReason { code, source, since });
    }
}

#[cfg(test)]
mod tests;
