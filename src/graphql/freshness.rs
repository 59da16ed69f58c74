//! The age of data, and whether it comes from an expired cache entry.

use async_graphql::Enum;

use super::date_time::DateTime;
use super::object_type::{object_type, write_enum};
use crate::loaders::cache::freshness;

/// The age of the data, and whether it is served from an expired cache entry.
pub(super) struct DataFreshness(pub(super) freshness::Freshness);

/// The freshness of data.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "freshness::FreshnessState")]
pub(super) enum FreshnessState {
    /// Within its time to live.
    Fresh,
    /// Expired. A refresh is in progress, or waits for the upstream's rate limit.
    Stale,
    /// Expired, and the refresh failed.
    StaleOnError,
}

object_type! {
    /// The age of the data, and whether it is served from an expired cache entry.
    impl DataFreshness |Self(freshness)| {
        /// When the data was requested from the upstream.
        fetched_at: DateTime = DateTime(freshness.fetched_at);
        state: FreshnessState = freshness.state.into();

        /// The earliest time at which a request fetches the data again.
        refresh_due_at: DateTime = DateTime(freshness.refresh_due_at);
    }
}

write_enum!(FreshnessState);
