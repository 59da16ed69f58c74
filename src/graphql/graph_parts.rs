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
    pub(super) printed_schemas: PrintedSchemas,
}

/// A text that is printed on first use.
type LazyText = LazyLock<String, Box<dyn FnOnce() -> String + Send>>;

/// The printed schemas for gateways, which make this graph part of a larger one.
pub(super) struct PrintedSchemas {
    federation: LazyText,
    stitching: LazyText,
}

impl PrintedSchemas {
    pub(super) fn new(
        federation: impl FnOnce() -> String + Send + 'static,
        stitching: impl FnOnce() -> String + Send + 'static,
    ) -> Self {
        Self {
            federation: LazyLock::new(Box::new(federation)),
            stitching: LazyLock::new(Box::new(stitching)),
        }
    }

    /// Returns the schema as a subgraph of Apollo Federation.
    pub(super) fn federation(&self) -> &str {
        &self.federation
    }

    /// Returns the schema with the directives of schema stitching.
    pub(super) fn stitching(&self) -> &str {
        &self.stitching
    }
}
