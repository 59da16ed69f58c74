//! The cache entries that an execution reads. A cached response depends on them and is valid while none of them changes.
//!
//! [`recorded`] runs an execution and returns its [`Dependencies`]; `entries` records each key that is looked up, whether or
//! not it has an entry. Keys are assigned to groups by their hash. So a response depends on a few groups instead of a list
//! of keys of any length, and a change of another key in the same group ends it early, which is harmless.

use std::cell::Cell;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::key::CacheKey;
use crate::domain::upstream_name::{Upstream, UpstreamName};

/// Number of groups of each credential: the bits of a mask.
pub(crate) const GROUPS: usize = 64;

tokio::task_local! {
    static RECORDED: Cell<Dependencies>;
}

/// Groups of keys that an execution looked up, as one bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Dependencies {
    pub(crate) leadlex: u64,
    pub(crate) composio: u64,
}

impl Dependencies {
    /// All groups.
    pub const ALL: Self = Self { leadlex: u64::MAX, composio: u64::MAX };
}

/// The group of a key.
pub(super) fn group(key: &impl Hash) -> usize {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    usize::try_from(hasher.finish() % GROUPS as u64).unwrap_or_default()
}

/// Runs an execution, and returns the keys that it looked up in its own task. Keys that only a task of its own looks up are
/// fetched for it, and responses with fetched parts are not cached.
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
