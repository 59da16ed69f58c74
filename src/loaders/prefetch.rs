//! Reads the accounts of the expected providers while the list of providers is still being fetched.
//!
//! A query for providers with their accounts needs two calls, one after the other, because the accounts are requested
//! by the providers' toolkits. A workspace's providers rarely change. While their list is fetched again, [`start`]
//! therefore requests the accounts of the last known providers. The resolvers make the same requests later and join the
//! calls in flight. If the list has changed, unneeded pages remain in the cache, and missing ones are requested as
//! usual.

use std::collections::BTreeSet;
use std::sync::Arc;

use tracing::Instrument as _;

use super::data_sources::DataSources;
use super::lists::multi_parent::AccountQuery;
use super::lists::parent::Parent;
use super::lists::scan::Reader;
use crate::telemetry::traces;

/// Starts the requests for the expected parents. Results go into the cache. Errors are ignored: a resolver that needs
/// the page requests it again and reports the error.
pub(super) fn start(
    sources: &Arc<DataSources>,
    reader: &Reader,
    queries: Vec<AccountQuery>,
    parents: BTreeSet<Parent>,
) {
    for query in queries {
        let reader = Reader { is_prefetch: true, ..reader.clone() };
        let (sources, parents) = (Arc::clone(sources), parents.clone());
        let request = async move { sources.lists.slices(&reader, &query, parents).await };
        tokio::spawn(traces::in_current_trace(request).in_current_span());
    }
}
