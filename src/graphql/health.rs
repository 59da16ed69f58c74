//! The types of health: `HealthVerdict`, its states and reasons, and the search for disagreements of the upstreams.

use async_graphql::{Context, Enum};

use super::date_time::{DateTime, date_time};
use super::errors::FieldError;
use super::object_type::{object_type, write_enum};
use super::operation_context::{OperationContext, operation};
use super::upstreams::UpstreamName;
use crate::domain::accounts::AccountStatus;
use crate::domain::filters::{AccountFilter, AccountOrder, status_values};
use crate::domain::health;
use crate::domain::open_enum::OpenEnum as _;
use crate::domain::page::{Direction, PageRequest};
use crate::domain::providers::{Provider, ProviderStatus};
use crate::domain::upstream_name;
use crate::loaders::lists::multi_parent::AccountQuery;
use crate::loaders::lists::parent::Parent;
use crate::loaders::loader::AccountsKey;

/// The health of an integration or an account.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "health::HealthState")]
pub(super) enum HealthState {
    /// It works.
    Healthy,
    /// It works with restrictions, or its last successful sync is too long ago.
    Degraded,
    /// The user has started to connect it. Needs attention if that was too long ago.
    Pending,
    /// It has to be connected again.
    NeedsReauth,
    /// It is disabled.
    Disabled,
    /// It is not connected.
    Disconnected,
    /// The upstream reports an unrecognized status.
    Unknown,
}

/// A reason for a health state.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "health::HealthReasonCode")]
pub(super) enum HealthReasonCode {
    /// The upstream no longer accepts the workspace's authorization.
    ReauthRequired,
    /// The authorization has expired.
    Expired,
    /// Connecting or renewing the authorization failed.
    Failed,
    /// The authorization was revoked.
    Revoked,
    /// It is not connected.
    Disconnected,
    /// The upstream reports that it works with restrictions.
    Degraded,
    /// It is disabled.
    Disabled,
    /// Its auth config is disabled for the whole project.
    AuthConfigDisabled,
    /// The user has started to connect it.
    Pending,
    /// The user started to connect it and did not finish in time.
    Abandoned,
    /// The last successful sync is too long ago.
    SyncStale,
    /// The two upstreams report contradictory states of the same integration.
    Disagreement,
    /// The upstream reports an unrecognized status.
    UnknownStatus,
}

write_enum!(HealthState, HealthReasonCode);

pub(super) struct HealthVerdict(pub(super) health::HealthVerdict);

object_type! {
    /// The health of an integration or an account, derived from the statuses of both upstreams by one documented table.
    impl HealthVerdict |Self(verdict)| {
        state: HealthState = verdict.state.into();

        /// Whether someone has to act.
        needs_attention: bool = verdict.needs_attention;

        /// The reasons for the state. Empty if it is healthy.
        object reasons: Vec<HealthReason> = verdict.reasons.iter().copied().map(HealthReason).collect();
    }
}

pub(super) struct HealthReason(health::HealthReason);

object_type! {
    /// A reason for a health state.
    impl HealthReason |Self(reason)| {
        code: HealthReasonCode = reason.code.into();

        /// A human-readable explanation. It contains no secrets and no upstream text.
        message: &str = reason.code.message();

        /// The upstream that reported it.
        source: UpstreamName = reason.source.into();

        /// The time since which the reason applies, if the upstream reports it.
        since: Option<DateTime> = date_time(reason.since);
    }
}

/// Returns the status that contradicts a provider's status if all its accounts have it.
fn opposite(status: ProviderStatus) -> Option<AccountStatus> {
    match status {
        ProviderStatus::Healthy => Some(AccountStatus::Expired),
        ProviderStatus::NeedsReauth | ProviderStatus::Disconnected => Some(AccountStatus::Active),
        ProviderStatus::Degraded | ProviderStatus::Unknown => None,
    }
}

/// Finds a contradiction between an integration and its accounts: all of them have the opposite status. It first looks
/// for an account of another status, which usually exists, so that one call is usually enough for many integrations.
pub(super) async fn disagreement(
    ctx: &Context<'_>,
    provider: &Provider,
) -> Result<Option<HealthReason>, FieldError> {
    let Some(status) = opposite(provider.status.kind()) else { return Ok(None) };
    let operation = operation(ctx);
    let slugs = operation.parts.mapping.toolkits_of(provider);
    if slugs.is_empty() {
        return Ok(None);
    }
    let parent = Parent::toolkits(slugs)?;
    let others = AccountStatus::KNOWN.iter().copied().filter(|other| *other != status);
    if is_any(operation, &parent, others).await? || !is_any(operation, &parent, [status]).await? {
        return Ok(None);
    }
    Ok(Some(HealthReason(health::HealthReason {
        code: health::HealthReasonCode::Disagreement,
        source: upstream_name::UpstreamName::Composio,
        since: None,
    })))
}

/// Whether a parent has an account with one of these statuses.
async fn is_any(
    operation: &OperationContext,
    parent: &Parent,
    statuses: impl IntoIterator<Item = AccountStatus>,
) -> Result<bool, FieldError> {
    let filter = AccountFilter { statuses: Some(status_values(statuses)?), ..AccountFilter::default() };
    let page = PageRequest { has_more_selected: false, ..PageRequest::from_end(Direction::Forward, 1) };
    let query = AccountQuery { filter, order: AccountOrder::NEWEST_FIRST, page };
    let slice = operation.accounts(AccountsKey::new(parent.clone(), query.into())).await?;
    // If the list was not read to its end, assume that it contains one.
    Ok(slice.accounts().len() > 0 || !slice.is_complete)
}
