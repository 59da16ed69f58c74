//! How old an object is, and why it is served.

use async_graphql::{Enum, Object};

use super::moment::DateTime;
use super::plain::Plain;
use super::plain::PlainField::{self, Leaf};
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

/// How old the data is, and why it is served.
#[Object]
impl DataFreshness {
    /// When the upstream was asked for it.
    async fn fetched_at(&self) -> DateTime {
        DateTime(self.0.fetched_at)
    }

    async fn state(&self) -> FreshnessState {
        self.0.state.into()
    }

    /// When it will be read again if somebody asks.
    async fn refresh_due_at(&self) -> DateTime {
        DateTime(self.0.refresh_due_at)
    }
}

impl Plain for DataFreshness {
    const FIELDS: &'static [(&'static str, PlainField<Self>)] = &[
        ("fetchedAt", Leaf(|Self(freshness), json| json.moment(Some(freshness.fetched_at)))),
        ("state", Leaf(|Self(freshness), json| json.word(FreshnessState::from(freshness.state)))),
        ("refreshDueAt", Leaf(|Self(freshness), json| json.moment(Some(freshness.refresh_due_at)))),
    ];
}
