//! Both hops at once: the accounts of providers that are still being asked for.
//!
//! A query for providers with their accounts takes two hops in a row, as the accounts are asked for by
//! the providers' toolkits. Which providers a workspace has changes rarely, so where they have to be
//! read again, the accounts of those last known are asked for at the same moment. The questions are the
//! very ones that the resolvers will ask, so theirs find the pages under way; what turns out not to be
//! needed is kept in the cache, and what is missing is asked for then.

use std::collections::BTreeSet;
use std::sync::Arc;

use tracing::Instrument as _;

use super::data_sources::DataSources;
use super::lists::multi_parent::AccountQuery;
use super::lists::parent::Parent;
use super::lists::scan::Reader;
use crate::telemetry::traces;

/// Starts the questions about the parents that are expected. Their answers go into the cache, and
/// their failures nowhere: whoever needs the page asks again, and is told.
pub(super) fn start(
    sources: &Arc<DataSources>,
    reader: &Reader,
    queries: Vec<AccountQuery>,
    parents: BTreeSet<Parent>,
) {
    for query in queries {
        let reader = Reader { is_prefetch: true, ..reader.clone() };
        let (sources, parents) = (Arc::clone(sources), parents.clone());
        let asking = async move { sources.lists.slices(&reader, &query, parents).await };
        tokio::spawn(traces::carried(asking).in_current_span());
    }
}
