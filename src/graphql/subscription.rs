//! The subscription root.
//!
//! Each event is executed as an operation of its own (specification, 6.2.3.2 "MapSourceToResponseEvent"), with its own
//! loaders and deadline. So a field here does not wait for changes: it is executed for one [`Event`], and its stream
//! contains the change if the filter and the caller's view match it, or else nothing.
//!
//! Rejected: the library's way, one stream and one context for the whole subscription, whose loaders would return old
//! data.

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, Object, Subscription as GraphqlSubscription};
use futures_util::stream::{self, Stream};

use super::account_filters::ConnectedAccountFilter;
use super::accounts::ConnectedAccount;
use super::date_time::DateTime;
use super::enums::{ConnectedAccountStatus, ProviderStatus};
use super::errors::FieldError;
use super::operation_context::operation;
use super::provider_connection::{ProviderFilter, provider_query};
use super::providers::Provider;
use crate::domain::accounts::SharedAccount;
use crate::domain::change;
use crate::domain::global_id::GlobalId;
use crate::domain::input::{BadInput, BadInputReason};
use crate::loaders::lists::providers::ListedProvider;
use crate::loaders::watch;

/// The event that a subscription is executed for.
#[derive(Debug, Clone)]
pub enum Event {
    /// No event: the execution only finds out whether the subscription is allowed.
    None,
    /// A change of an integration.
    Provider(Arc<watch::change::ProviderChange>),
    /// A change of a connected account.
    Account(Arc<watch::change::AccountChange>),
}

pub(super) struct Subscription;

/// The root of every subscription.
#[GraphqlSubscription]
impl Subscription {
    /// Integrations that are added, modified or removed after the subscription starts.
    async fn provider_changed(
        &self,
        ctx: &Context<'_>,
        filter: Option<ProviderFilter>,
    ) -> Result<impl Stream<Item = ProviderChange>, FieldError> {
        let query = provider_query(filter.unwrap_or_default(), None)?;
        let Event::Provider(change) = ctx.data_unchecked::<Event>() else {
            return Ok(stream::iter(None));
        };
        let is_match = operation(ctx).loader().matches_provider_change(change, &query);
        Ok(stream::iter(is_match.then(|| ProviderChange(Arc::clone(change)))))
    }

    /// Connected accounts that are added, modified or removed after the subscription starts. A removal is detected when
    /// the project's total falls and a scan of all its accounts no longer finds the account; projects with too many
    /// accounts for a scan report no removals.
    async fn connected_account_changed(
        &self,
        ctx: &Context<'_>,
        filter: Option<ConnectedAccountFilter>,
    ) -> Result<impl Stream<Item = ConnectedAccountChange>, FieldError> {
        let filter = filter.unwrap_or_default().check()?;
        if operation(ctx).loader().hides_users_of_changes(&filter) {
            let message = "`userIds`: Composio does not name the users of accounts, so changes cannot be filtered by user. \
                Omit the list, or subscribe as a MEMBER of one user.";
            return Err(BadInput::new(BadInputReason::BadFilter, message).into());
        }
        let Event::Account(change) = ctx.data_unchecked::<Event>() else {
            return Ok(stream::iter(None));
        };
        let is_match = operation(ctx).loader().matches_account_change(change, &filter);
        Ok(stream::iter(is_match.then(|| ConnectedAccountChange(Arc::clone(change)))))
    }
}

/// The kind of change.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "change::ChangeKind")]
pub(super) enum ChangeKind {
    /// The object was added.
    Added,
    /// The object was modified.
    Updated,
    /// The object was removed.
    Removed,
}

/// The trigger by which a change was detected.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "change::ChangeCause")]
pub(super) enum ChangeCause {
    /// Periodic polling while there are subscribers.
    Poll,
    /// A webhook from the upstream.
    Webhook,
    /// A `refresh` mutation.
    Refresh,
    /// A mutation that changed a connected account, by any client.
    Mutation,
}

pub(super) struct ProviderChange(Arc<watch::change::ProviderChange>);

/// A change of an integration.
#[Object]
impl ProviderChange {
    async fn kind(&self) -> ChangeKind {
        self.0.states.kind().into()
    }

    async fn cause(&self) -> ChangeCause {
        self.0.cause.into()
    }

    /// The global ID of the integration.
    async fn id(&self) -> ID {
        GlobalId::Provider(self.0.states.last().id).encode().into()
    }

    /// The current state; null if it was removed.
    async fn provider(&self, ctx: &Context<'_>) -> Option<Provider> {
        let listed: &Arc<ListedProvider> = self.0.states.after()?;
        Some(Provider(Arc::clone(listed), self.0.freshness, Arc::clone(&operation(ctx).loader().evaluator)))
    }

    /// The previous status, if known.
    async fn previous_status(&self) -> Option<ProviderStatus> {
        Some(self.0.states.before()?.provider.status.kind().into())
    }

    /// When the change was detected.
    async fn at(&self) -> DateTime {
        DateTime(self.0.at)
    }
}

pub(super) struct ConnectedAccountChange(Arc<watch::change::AccountChange>);

/// A change of a connected account.
#[Object]
impl ConnectedAccountChange {
    async fn kind(&self) -> ChangeKind {
        self.0.states.kind().into()
    }

    async fn cause(&self) -> ChangeCause {
        self.0.cause.into()
    }

    /// The global ID of the account.
    async fn id(&self) -> ID {
        GlobalId::Account(self.0.states.last().id.clone()).encode().into()
    }

    /// The current state; null if it was removed.
    async fn connected_account(&self, ctx: &Context<'_>) -> Option<ConnectedAccount> {
        let account: &SharedAccount = self.0.states.after()?;
        let evaluator = Arc::clone(&operation(ctx).loader().evaluator);
        Some(ConnectedAccount(Arc::clone(account), self.0.freshness, evaluator))
    }

    /// The previous status, if known.
    async fn previous_status(&self) -> Option<ConnectedAccountStatus> {
        Some(self.0.states.before()?.status.kind().into())
    }

    /// When the change was detected.
    async fn at(&self) -> DateTime {
        DateTime(self.0.at)
    }
}
