//! The parts that all operations of a graph share.

use std::sync::{Arc, LazyLock};

use crate::domain::toolkits::ToolkitMapping;
use crate::loaders::actions::AccountActions;
use crate::loaders::data_sources::DataSources;
use crate::loaders::settings::ConnectionSettings;
use crate::loaders::watch::feeds::ChangeFeeds;

/// Shared state that the resolvers of all operations read.
pub(super) struct GraphParts {
    pub(super) sources: Arc<DataSources>,
    pub(super) mapping: ToolkitMapping,
    pub(super) change_feeds: Arc<ChangeFeeds>,
    pub(super) connections: ConnectionSettings,
    pub(super) actions: AccountActions,
    /// The schema as a subgraph of Apollo Federation.
    pub(super) federation_schema: LazyText,
}

/// A text that is printed on first use.
pub(super) type LazyText = LazyLock<String, Box<dyn FnOnce() -> String + Send>>;
