//! The cache entries that an execution reads. A cached response depends on them, and is valid until one of them
//! changes.
//!
//! [`recorded`] runs an execution and returns its [`Dependencies`]. `entries` records each key that is looked up, with
//! or without an entry. Keys are hashed into groups, so that a response depends on a few groups instead of a long list
//! of keys. If another key of the same group changes, the response expires early, which is harmless.

use std::cell::Cell;
use std::hash::Hash;

use ahash::RandomState;

use super::key::CacheKey;
use crate::domain::upstream_name::{Upstream, UpstreamName};

/// Number of groups of each credential, one for each bit of a mask.
pub(crate) const GROUPS: usize = 64;

/// Equal keys have equal groups in all parts of the process. Keys that a client chooses to collide do no harm.
static GROUP_HASHER: RandomState = RandomState::with_seeds(1, 2, 3, 4);

tokio::task_local! {
    static RECORDED: Cell<Dependencies>;
}

/// Groups of the keys that an execution looked up, one bit for each group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Dependencies {
    pub(crate) leadlex: u64,
    pub(crate) composio: u64,
}

impl Dependencies {
    /// All groups.
    pub const ALL: Self = Self { leadlex: u64::MAX, composio: u64::MAX };
}

/// Returns the group of a key.
pub(super) fn group(key: &impl Hash) -> usize {
    usize::try_from(GROUP_HASHER.hash_one(key) % GROUPS as u64).unwrap_or_default()
}

/// Runs an execution and returns the groups of the keys that its task looked up. Keys that are looked up by other tasks
/// belong to fetches. They need no record, because a response with fetched parts is not cached.
pub(crate) async fn recorded<T>(execution: impl Future<Output = T>) -> (T, Dependencies) {
    let execution = async {
        let result = execution.await;
        (result, RECORDED.with(Cell::get))
    };
    RECORDED.scope(Cell::default(), execution).await
}

/// Records that a key is looked up.
pub(super) fn record<K: CacheKey>(key: &K) {
    let _ = RECORDED.try_with(|recorded| {
        let mut dependencies = recorded.get();
        let groups = match K::Upstream::NAME {
            UpstreamName::Leadlex => &mut dependencies.leadlex,
            UpstreamName::Composio => &mut dependencies.composio,
        };
        *groups |= 1 << group(key);
        recorded.set(dependencies);
    });
}
