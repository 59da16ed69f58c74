//! The quota of one limiter that other replicas share, for `sharing`.

use tokio::time::Instant;

use crate::replicas::Replicas;
use crate::upstream::quota::Exchange;

/// A shared quota, and the access to the store.
pub(super) struct SharedQuota {
    pub(super) replicas: Replicas,
    pub(super) exchange: Exchange,
    /// Time of the last attempt.
    pub(super) exchanged_at: Option<Instant>,
    /// Whether a task shares what is unshared.
    pub(super) is_pushing: bool,
}
