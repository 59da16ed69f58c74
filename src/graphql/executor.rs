//! The [`Executor`] trait between the engine and the schema. `Graph` implements it.

use std::sync::Arc;

use async_graphql::{Request, Response};
use futures_util::future::{BoxFuture, FutureExt as _};

use super::subscription::Event;
use crate::domain::caller::{Caller, Tenant};
use crate::loaders::cache::upstream_cache::DataState;
use crate::loaders::stats::OperationStats;
use crate::loaders::watch::change::{AccountChange, ProviderChange};
use crate::loaders::watch::feed::{FeedPosition, SubscribeError, Subscriber};
use crate::telemetry::metrics::Metrics;

/// Executes operations: the `Graph`, or in tests a schema that fails on demand.
pub trait Executor: Send + Sync + 'static {
    /// Returns the schema in GraphQL's schema definition language.
    fn sdl(&self) -> String;

    /// Returns the schema that introspection shows. Called at the first introspection. By default, the whole schema.
    fn published_sdl(&self) -> String {
        self.sdl()
    }

    /// Executes one validated operation for a caller, and records its upstream calls in the statistics.
    fn execute(
        &self,
        request: Request,
        caller: Caller,
        stats: Arc<OperationStats>,
    ) -> BoxFuture<'_, Response>;

    /// Returns the state of the caller's data. An operation returns the same response while the state's revision of the
    /// data that it depends on is unchanged, until the time at which the freshness of that data changes.
    fn data_state(&self, caller: &Caller) -> DataState;

    /// Expires a tenant's accounts, so that they are fetched again before they are served.
    fn accounts_changed(&self, _: &Tenant) {}

    /// Returns the metrics of its operations. By default, metrics that are never read.
    fn metrics(&self) -> Metrics {
        Metrics::default()
    }

    /// Subscribes to the changes of a subscription's root field, from now on or after a position. Not called for
    /// schemas without subscriptions.
    ///
    /// # Errors
    /// If there is no credential for the upstream, the position is unknown, or there are too many subscribers.
    fn subscribe(&self, _: &str, _: &Caller, _: Option<FeedPosition>) -> Result<EventSource, SubscribeError> {
        Err(SubscribeError::PositionGone)
    }

    /// Executes a subscription for one event. Returns `None` if the event does not match for this caller. With
    /// [`Event::None`], it returns a response only if the subscription is not allowed.
    fn execute_event(
        &self,
        _: Request,
        _: Caller,
        _: Arc<OperationStats>,
        _: Event,
    ) -> BoxFuture<'_, Option<Response>> {
        std::future::ready(None).boxed()
    }
}

/// Source of the changes that a subscription receives.
pub enum EventSource {
    /// Changes of integrations.
    Providers(Subscriber<ProviderChange>),
    /// Changes of connected accounts.
    Accounts(Subscriber<AccountChange>),
}
