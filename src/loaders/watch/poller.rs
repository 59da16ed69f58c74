//! What polls one credential's data for changes.

use tokio::time::Instant;

use crate::domain::change::ChangeCause;
use crate::domain::upstream_name::Upstream;
use crate::upstream::error::UpstreamError;

/// What one poll found, and when the next is due.
pub(super) struct PollResult<E> {
    pub(super) changes: Vec<E>,
    pub(super) next_at: Instant,
}

/// Something that is looked at again and again.
pub(super) trait Poller: Send + 'static {
    type Upstream: Upstream;
    type Change: Send + Sync + 'static;

    /// Looks, for a reason; the first poll finds nothing, as there is nothing to defer_retry it against.
    fn poll(
        &mut self,
        cause: ChangeCause,
    ) -> impl Future<Output = Result<PollResult<Self::Change>, UpstreamError>> + Send;
}
