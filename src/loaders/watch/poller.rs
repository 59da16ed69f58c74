//! The [`Poller`] trait: finds the changes of one credential's data. `providers` and `accounts` implement it, and
//! `feeds` runs it.

use tokio::time::Instant;

use super::change::ViewedChange;
use crate::domain::change::ChangeCause;
use crate::domain::upstream_name::Upstream;
use crate::domain::view::View;
use crate::upstream::error::UpstreamError;

/// The changes that one poll found, and the time of the next.
pub(super) struct PollResult<E> {
    pub(super) changes: Vec<E>,
    pub(super) next_at: Instant,
}

/// A source of changes that is polled repeatedly.
pub(super) trait Poller: Send + 'static {
    type Upstream: Upstream;
    type Change: ViewedChange + Send + Sync + 'static;

    /// Returns a poller for one view alone, if the changes that this poller finds cannot be assigned to views.
    fn for_view(&self, _view: &View) -> Option<Self>
    where
        Self: Sized,
    {
        None
    }

    /// Polls once. The first poll finds no changes, because it has no earlier state to compare with.
    fn poll(
        &mut self,
        cause: ChangeCause,
    ) -> impl Future<Output = Result<PollResult<Self::Change>, UpstreamError>> + Send;
}
