//! What polls one credential's data for changes.

use tokio::time::Instant;

use crate::domain::change::ChangeCause;
use crate::domain::upstream_name::Upstream;
use crate::upstream::error::UpstreamError;

/// What one look found, and when the next is due.
pub(super) struct Look<E> {
    pub(super) changes: Vec<E>,
    pub(super) next_at: Instant,
}

/// Something that is looked at again and again.
pub(super) trait Watched: Send + 'static {
    type Upstream: Upstream;
    type Change: Send + Sync + 'static;

    /// Looks, for a reason; the first look finds nothing, as there is nothing to hold it against.
    fn look(
        &mut self,
        cause: ChangeCause,
    ) -> impl Future<Output = Result<Look<Self::Change>, UpstreamError>> + Send;
}
