//! The context of one operation, which its resolvers read.

use std::sync::{Arc, LazyLock};

use async_graphql::Context;
use async_graphql::dataloader::{DataLoader, Loader};
use std::convert::Infallible;
use std::hash::Hash;

use super::errors::FieldError;
use crate::domain::accounts::SharedAccount;
use crate::domain::actions::Action;
use crate::domain::caller::Caller;
use crate::domain::input::{BadInput, BadInputReason};
use crate::domain::toolkits::{ToolkitDetails, ToolkitMapping, ToolkitSlug};
use crate::domain::upstream_name::UpstreamName;
use crate::loaders::actions::outcome::{ActionError, ActionResult};
use crate::loaders::actions::request::ActionRequest;
use crate::loaders::actions::{AccountActions, ActionContext};
use crate::loaders::batch_scheduler::BatchScheduler;
use crate::loaders::cache::freshness::Cached;
use crate::loaders::data_sources::DataSources;
use crate::loaders::lists::counts::Counts;
use crate::loaders::lists::providers::ProviderList;
use crate::loaders::lists::slice::Slice;
use crate::loaders::loader::{
    AccountByIdKey, AccountsKey, CountKey, OperationLoader, ProviderListKey, ToolkitDetailsKey, loader,
};
use crate::loaders::settings::ConnectionSettings;
use crate::loaders::stats::OperationStats;
use crate::loaders::watch::feeds::ChangeFeeds;
use crate::upstream::error::{UpstreamError, UpstreamFailure};

/// Shared state that the resolvers of all operations read.
pub(super) struct GraphParts {
    pub(super) sources: Arc<DataSources>,
    pub(super) mapping: ToolkitMapping,
    pub(super) change_feeds: Arc<ChangeFeeds>,
    pub(super) connections: ConnectionSettings,
    pub(super) actions: AccountActions,
    /// The schema as a subgraph of Apollo Federation.
    pub(super) federation_schema: LazyText,
    /// The schema with the directives of schema stitching.
    pub(super) stitching_schema: &'static LazyLock<String>,
}

/// A text that is printed on first use.
pub(super) type LazyText = LazyLock<String, Box<dyn FnOnce() -> String + Send>>;

/// Context of one operation: its loader, and the shared parts of the graph.
pub(super) struct OperationContext {
    pub(super) parts: Arc<GraphParts>,
    /// For `viewer`. The loader decides which data the caller may read.
    pub(super) caller: Caller,
    loader: DataLoader<OperationLoader>,
    batches: BatchScheduler,
}

/// Returns the operation of a resolver's context.
pub(super) fn operation<'c>(ctx: &Context<'c>) -> &'c OperationContext {
    ctx.data_unchecked()
}

impl OperationContext {
    pub(super) fn new(
        parts: Arc<GraphParts>,
        caller: Caller,
        stats: Arc<OperationStats>,
        batches: BatchScheduler,
    ) -> Self {
        let loader = loader(Arc::clone(&parts.sources), &caller, stats, batches.clone());
        Self { parts, caller, loader, batches }
    }

    /// Waits until all other fields of the operation have their values.
    pub(super) async fn after_all_others(&self) {
        self.batches.after_all_others().await;
    }

    pub(super) fn loader(&self) -> &OperationLoader {
        self.loader.loader()
    }

    /// Rejects more ids than one field allows.
    pub(super) fn check_ids(&self, name: &str, ids: usize) -> Result<(), BadInput> {
        let max = self.parts.connections.ids_max;
        if ids <= max {
            return Ok(());
        }
        let message = format!(
            "`{name}` holds {ids} values, but at most {max} are allowed: request the others in another field."
        );
        Err(BadInput::new(BadInputReason::TooManyIds, message))
    }

    /// Loads the workspace's providers.
    pub(super) async fn providers(&self) -> Result<Cached<ProviderList>, FieldError> {
        Ok(self.load(ProviderListKey, UpstreamName::Leadlex).await??)
    }

    /// Loads an account by its `ca_…` id.
    pub(super) async fn account(&self, id: Box<str>) -> Result<Cached<Option<SharedAccount>>, FieldError> {
        Ok(self.load(AccountByIdKey(id), UpstreamName::Composio).await??)
    }

    /// Loads a toolkit's name, logo, categories and description.
    pub(super) async fn toolkit_details(
        &self,
        slug: ToolkitSlug,
    ) -> Result<Option<Arc<ToolkitDetails>>, FieldError> {
        Ok(self.load(ToolkitDetailsKey(slug), UpstreamName::Composio).await??)
    }

    /// Loads a page of a parent's accounts.
    pub(super) async fn accounts(&self, key: AccountsKey) -> Result<Arc<Slice>, FieldError> {
        Ok(self.load(key, UpstreamName::Composio).await??)
    }

    /// Loads the number of accounts of a parent.
    pub(super) async fn counts(&self, key: CountKey) -> Result<Counts, FieldError> {
        Ok(self.load(key, UpstreamName::Composio).await??)
    }

    /// Returns the actions that the caller may take.
    pub(super) fn allowed_actions(&self) -> Vec<Action> {
        self.parts.actions.allowed(&self.caller)
    }

    /// Runs an action on an account.
    pub(super) async fn run_action(&self, request: ActionRequest) -> Result<ActionResult, ActionError> {
        let context = ActionContext {
            sources: Arc::clone(&self.parts.sources),
            caller: self.caller.clone(),
            stats: Arc::clone(&self.loader().stats),
        };
        self.parts.actions.run(context, request).await
    }

    /// Loads one key. The loader returns a value for every key, so a missing one is an internal error.
    async fn load<K>(
        &self,
        key: K,
        upstream: UpstreamName,
    ) -> Result<<OperationLoader as Loader<K>>::Value, UpstreamError>
    where
        K: Send + Sync + Hash + Eq + Clone + 'static,
        OperationLoader: Loader<K, Error = Infallible>,
    {
        let Ok(value) = self.loader.load_one(key).await;
        value.ok_or_else(|| UpstreamError::new(upstream, UpstreamFailure::Internal))
    }
}
