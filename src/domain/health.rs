//! The verdict on an integration or an account: one state, the reasons for it, and whether somebody has to act.
//!
//! One truth table over both upstreams' vocabularies, as data: [`PROVIDERS`] and [`ACCOUNTS`] say what a status means,
//! [`HealthRules`] from which age on. Every object is judged from its own upstream alone, so that a verdict costs no
//! call and one upstream that is away takes none with it. The rejected choice was one verdict over both: it would ask
//! both upstreams for every row, and blame a provider for accounts that are none of the workspace's.
//!
//! `docs/health.md` shows what the table comes to in every case; a test holds the two together.

use std::time::Duration;

use jiff::Timestamp;

use super::accounts::{AccountStatus, ConnectedAccount};
use super::providers::{Provider, ProviderStatus};
use super::upstream_name::UpstreamName;

/// How something fares, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HealthState {
    /// It works.
    Healthy,
    /// It works with restrictions, or may not any more.
    Degraded,
    /// Its user has begun to connect it.
    Pending,
    /// Somebody has to connect it again.
    NeedsReauth,
    /// It was switched off.
    Disabled,
    /// It is not connected.
    Disconnected,
    /// The upstream uses a word that this layer does not know.
    Unknown,
}

/// Why it has its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HealthReasonCode {
    /// The workspace's sign-in is not accepted any more.
    ReauthRequired,
    /// The authorisation has run out.
    Expired,
    /// Connecting or renewing failed.
    Failed,
    /// It was revoked on purpose.
    Revoked,
    /// It is not connected.
    Disconnected,
    /// The upstream says that it works with restrictions.
    Degraded,
    /// It was switched off.
    Disabled,
    /// What it was made with was switched off.
    AuthConfigDisabled,
    /// Its user has begun to connect it.
    Pending,
    /// Its user has begun to connect it and did not finish in time.
    Abandoned,
    /// Its last successful sync is too long ago.
    SyncStale,
    /// The two upstreams say opposite things.
    Disagreement,
    /// The upstream uses a word that this layer does not know.
    UnknownStatus,
}

impl HealthReasonCode {
    /// Every reason.
    pub const ALL: [Self; 13] = [
        Self::ReauthRequired,
        Self::Expired,
        Self::Failed,
        Self::Revoked,
        Self::Disconnected,
        Self::Degraded,
        Self::Disabled,
        Self::AuthConfigDisabled,
        Self::Pending,
        Self::Abandoned,
        Self::SyncStale,
        Self::Disagreement,
        Self::UnknownStatus,
    ];

    /// A sentence for people. It is this layer's own: an upstream's text could hold anything.
    #[must_use]
    pub fn message(self) -> &'static str {
        match self {
            Self::ReauthRequired => {
                "The sign-in to this integration is no longer accepted: somebody of the workspace has to sign in again."
            }
            Self::Expired => "The authorisation has expired: the user has to connect the account again.",
            Self::Failed => "Connecting the account failed: the user has to connect it again.",
            Self::Revoked => "The account's authorisation was revoked on purpose.",
            Self::Disconnected => "The integration is not connected.",
            Self::Degraded => "The integration works with restrictions.",
            Self::Disabled => "The account was switched off.",
            Self::AuthConfigDisabled => {
                "What the account was connected with is switched off for the whole project."
            }
            Self::Pending => "The user has begun to connect the account, and has not finished yet.",
            Self::Abandoned => {
                "The user began to connect the account and did not finish in time: it has to be begun anew."
            }
            Self::SyncStale => "The last successful sync is longer ago than it should be.",
            Self::Disagreement => {
                "The workspace and the connected accounts say opposite things of this integration."
            }
            Self::UnknownStatus => "The upstream reports a status that this layer does not know.",
        }
    }
}

/// One reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HealthReason {
    /// Which.
    pub code: HealthReasonCode,
    /// Whose word it is.
    pub source: UpstreamName,
    /// Since when, where the upstream told a moment.
    pub since: Option<Timestamp>,
}

/// What the table says of one object at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthVerdict {
    /// In one word.
    pub state: HealthState,
    /// Whether somebody has to act.
    pub needs_attention: bool,
    /// Why; empty where nothing is wrong.
    pub reasons: Vec<HealthReason>,
    /// When time alone will change it.
    pub changes_at: Option<Timestamp>,
}

/// One row of the table: what a status means by itself.
#[derive(Debug, Clone, Copy)]
struct Row {
    state: HealthState,
    reason: Option<HealthReasonCode>,
    needs_attention: bool,
}

const fn row(state: HealthState, reason: Option<HealthReasonCode>) -> Row {
    Row { state, reason, needs_attention: false }
}

const fn act(state: HealthState, reason: HealthReasonCode) -> Row {
    Row { state, reason: Some(reason), needs_attention: true }
}

/// LeadLex's statuses (UPSTREAMS.md B1). `connected` is no part of it: where the two disagree, the status is the one to
/// trust (UPSTREAMS.md B2).
const PROVIDERS: [(ProviderStatus, Row); 5] = [
    (ProviderStatus::Healthy, row(HealthState::Healthy, None)),
    (ProviderStatus::Degraded, row(HealthState::Degraded, Some(HealthReasonCode::Degraded))),
    (ProviderStatus::NeedsReauth, act(HealthState::NeedsReauth, HealthReasonCode::ReauthRequired)),
    (ProviderStatus::Disconnected, row(HealthState::Disconnected, Some(HealthReasonCode::Disconnected))),
    (ProviderStatus::Unknown, row(HealthState::Unknown, Some(HealthReasonCode::UnknownStatus))),
];

/// Composio's statuses (UPSTREAMS.md A3).
const ACCOUNTS: [(AccountStatus, Row); 8] = [
    (AccountStatus::Initializing, row(HealthState::Pending, Some(HealthReasonCode::Pending))),
    (AccountStatus::Initiated, row(HealthState::Pending, Some(HealthReasonCode::Pending))),
    (AccountStatus::Active, row(HealthState::Healthy, None)),
    (AccountStatus::Failed, act(HealthState::NeedsReauth, HealthReasonCode::Failed)),
    (AccountStatus::Expired, act(HealthState::NeedsReauth, HealthReasonCode::Expired)),
    (AccountStatus::Inactive, row(HealthState::Disabled, Some(HealthReasonCode::Disabled))),
    (AccountStatus::Revoked, row(HealthState::Disconnected, Some(HealthReasonCode::Revoked))),
    (AccountStatus::Unknown, row(HealthState::Unknown, Some(HealthReasonCode::UnknownStatus))),
];

/// What a pending account is that was left for too long.
const ABANDONED: Row = act(HealthState::Pending, HealthReasonCode::Abandoned);

/// What no table knows, though both are whole.
const UNKNOWN: Row = row(HealthState::Unknown, Some(HealthReasonCode::UnknownStatus));

fn lookup<S: PartialEq>(table: &[(S, Row)], status: &S) -> Row {
    table.iter().find(|(known, _)| known == status).map_or(UNKNOWN, |(_, row)| *row)
}

/// The statuses of accounts that somebody has to act on, at once or after a while.
pub const STATUSES_NEEDING_ATTENTION: [AccountStatus; 4] =
    [AccountStatus::Initializing, AccountStatus::Initiated, AccountStatus::Failed, AccountStatus::Expired];

/// Whether an account waits for its user to finish connecting it.
fn is_pending(status: AccountStatus) -> bool {
    matches!(status, AccountStatus::Initializing | AccountStatus::Initiated)
}

/// From which ages on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct HealthRules {
    /// How long connecting an account may take, before it counts as abandoned.
    pub abandoned_after: Duration,
    /// How long ago a provider's last successful sync may be; `None` where that is not looked at.
    pub sync_stale_after: Option<Duration>,
}

impl HealthRules {
    /// The verdict on an integration of the workspace.
    #[must_use]
    pub fn evaluate_provider(&self, provider: &Provider, now: Timestamp) -> HealthVerdict {
        let found = lookup(&PROVIDERS, &provider.status.kind());
        let mut verdict = HealthVerdict::of(found, UpstreamName::Leadlex, None);
        // One that is known to be broken does not sync: that is no news.
        let syncs = matches!(verdict.state, HealthState::Healthy | HealthState::Degraded);
        if let (true, Some(synced_at), Some(within)) = (syncs, provider.last_sync_at, self.sync_stale_after) {
            let due_at = after(synced_at, within);
            if due_at <= now {
                verdict.state = HealthState::Degraded;
                verdict.because(HealthReasonCode::SyncStale, UpstreamName::Leadlex, Some(synced_at));
            } else {
                verdict.changes_at = Some(due_at);
            }
        }
        verdict
    }

    /// The verdict on a connected account.
    #[must_use]
    pub fn evaluate_account(&self, account: &ConnectedAccount, now: Timestamp) -> HealthVerdict {
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
            HealthVerdict { changes_at, ..HealthVerdict::of(found, UpstreamName::Composio, since) };
        let is_known_off = verdict.reasons.iter().any(|reason| reason.code == HealthReasonCode::Disabled);
        for (is_off, code) in [
            (account.is_disabled && !is_known_off, HealthReasonCode::Disabled),
            (account.auth_config.is_disabled, HealthReasonCode::AuthConfigDisabled),
        ] {
            if is_off {
                verdict.because(code, UpstreamName::Composio, None);
                if verdict.state == HealthState::Healthy {
                    verdict.state = HealthState::Disabled;
                }
            }
        }
        verdict
    }

    /// The moment at which a pending account counts as abandoned; none for others, and where the upstream told no
    /// moment. Its last change counts, not its creation: an account can be connected anew.
    #[must_use]
    pub fn abandoned_at(&self, account: &ConnectedAccount) -> Option<Timestamp> {
        let begun_at =
            account.updated_at.or(account.created_at).filter(|_| is_pending(account.status.kind()))?;
        Some(after(begun_at, self.abandoned_after))
    }
}

fn after(moment: Timestamp, time: Duration) -> Timestamp {
    moment.saturating_add(time).unwrap_or(Timestamp::MAX)
}

impl HealthVerdict {
    fn of(row: Row, source: UpstreamName, since: Option<Timestamp>) -> Self {
        let reasons = row.reason.map(|code| HealthReason { code, source, since }).into_iter().collect();
        Self { state: row.state, needs_attention: row.needs_attention, reasons, changes_at: None }
    }

    fn because(&mut self, code: HealthReasonCode, source: UpstreamName, since: Option<Timestamp>) {
        self.reasons.push(HealthReason { code, source, since });
    }
}

#[cfg(test)]
mod tests;
