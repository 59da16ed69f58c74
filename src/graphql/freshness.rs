//! How old an object is, and why it is served.

use async_graphql::Enum;

use super::date_time::DateTime;
use super::object_type::{object_type, write_enum};
use crate::loaders::cache::freshness;

/// How old the data is, and why it is served.
pub(super) struct DataFreshness(pub(super) freshness::Freshness);

/// Why data is served.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "freshness::FreshnessState")]
pub(super) enum FreshnessState {
    /// It is within its time.
    Fresh,
    /// It is past its time and is being read again, or waits until the upstream's quota allows that.
    Stale,
    /// It is past its time, and reading it again has failed.
    StaleOnError,
}

object_type! {
    /// How old the data is, and why it is served.
    impl DataFreshness |Self(freshness)| {
        /// When the upstream was asked for it.
        fetched_at: DateTime = DateTime(freshness.fetched_at);
        state: FreshnessState = freshness.state.into();

        /// When it will be read again if somebody asks.
        refresh_due_at: DateTime = DateTime(freshness.refresh_due_at);
    }
}

write_enum!(FreshnessState);
