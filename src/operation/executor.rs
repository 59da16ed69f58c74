//! What executes operations, as everything above execution sees it.

use std::sync::Arc;

use async_graphql::{Request, Response};
use futures_util::future::{BoxFuture, FutureExt as _};

use crate::domain::caller::{Caller, Tenant};
use crate::graphql::graph::Graph;
use crate::graphql::schema;
use crate::graphql::subscription::Event;
use crate::loaders::cache::upstream_cache::Revision;
use crate::loaders::stats::Ledger;
use crate::loaders::watch::change::{AccountChange, ProviderChange};
use crate::loaders::watch::feed::WatchError;
use crate::loaders::watch::feed::{Listener, Position};
use crate::telemetry::metrics::Metrics;

/// What executes operations: the [`Graph`], or in tests a schema that fails on demand.
pub trait Executor: Send + Sync + 'static {
    /// The schema in GraphQL's schema definition language.
    fn sdl(&self) -> String;

    /// Executes one operation, already judged, on a caller's behalf, and enters what it cost upstream
    /// in the ledger, where there is one.
    fn execute(&self, request: Request, caller: Caller, ledger: Arc<Ledger>) -> BoxFuture<'_, Response>;

    /// In which state everything is that the caller's answers are made of; while it is the same, and until the
    /// ledger's freshness says that it changes by itself, an operation gives the same answer.
    fn revision(&self, caller: &Caller) -> Revision;

    /// A tenant's accounts are not what they were: all of them are read again before they are served.
    fn accounts_changed(&self, _: &Tenant) {}

    /// What measures its operations: metrics that nobody reads, unless it says otherwise.
    fn metrics(&self) -> Metrics {
        Metrics::default()
    }

    /// Listens to what a root field of a subscription is about, from now on or from a position on. An executor whose
    /// schema has no subscriptions is never asked.
    ///
    /// # Errors
    /// Where the upstream has no key, the position is not known any more, or too many listen.
    fn listen(&self, _: &str, _: &Caller, _: Option<Position>) -> Result<EventSource, WatchError> {
        Err(WatchError::PositionGone)
    }

    /// Executes a subscription for one event; no answer where it is none for this caller.
    fn execute_event(
        &self,
        _: Request,
        _: Caller,
        _: Arc<Ledger>,
        _: Event,
    ) -> BoxFuture<'_, Option<Response>> {
        std::future::ready(None).boxed()
    }
}

/// The changes that a subscription receives.
pub enum EventSource {
    /// Changes of integrations.
    Providers(Listener<ProviderChange>),
    /// Changes of connected accounts.
    Accounts(Listener<AccountChange>),
}

impl Executor for Graph {
    fn sdl(&self) -> String {
        schema::whole_sdl()
    }

    fn execute(&self, request: Request, caller: Caller, ledger: Arc<Ledger>) -> BoxFuture<'_, Response> {
        self.execute(request, caller, ledger).boxed()
    }

    fn revision(&self, caller: &Caller) -> Revision {
        self.revision(caller)
    }

    fn accounts_changed(&self, tenant: &Tenant) {
        self.accounts_changed(tenant);
    }

    fn metrics(&self) -> Metrics {
        self.metrics()
    }

    fn listen(
        &self,
        field: &str,
        caller: &Caller,
        after: Option<Position>,
    ) -> Result<EventSource, WatchError> {
        match field {
            "providerChanged" => self.watches().providers(&caller.tenant, after).map(EventSource::Providers),
            _ => self.watches().accounts(&caller.tenant, after).map(EventSource::Accounts),
        }
    }

    fn execute_event(
        &self,
        request: Request,
        caller: Caller,
        ledger: Arc<Ledger>,
        event: Event,
    ) -> BoxFuture<'_, Option<Response>> {
        self.execute_event(request, caller, ledger, event).boxed()
    }
}
