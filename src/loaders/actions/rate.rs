//! Limit of actions per caller and minute. Each replica applies it on its own.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::domain::bounded_map::BoundedMap;
use crate::domain::caller::{Caller, CallerKey};

/// Maximum number of callers with recorded actions. An evicted caller starts again from zero.
const CALLERS_MAX: u64 = 10_000;

const MINUTE: Duration = Duration::from_secs(60);

/// The recent actions of each caller.
pub(super) struct ActionRate(BoundedMap<CallerKey, Arc<Mutex<VecDeque<Instant>>>>);

impl Default for ActionRate {
    fn default() -> Self {
        Self(BoundedMap::with_max_entries(CALLERS_MAX))
    }
}

impl ActionRate {
    /// Records an action.
    ///
    /// # Errors
    /// The time until the next action is allowed, if there were `per_minute` in the last minute.
    pub(super) fn record(&self, caller: &Caller, per_minute: u32) -> Result<(), Duration> {
        let recent = self.0.get_or_insert_with(&caller.key(), Arc::default);
        let mut recent = recent.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        while recent.front().is_some_and(|first| now - *first >= MINUTE) {
            recent.pop_front();
        }
        match recent.front() {
            Some(first) if recent.len() >= usize::try_from(per_minute).unwrap_or(usize::MAX) => {
                Err(*first + MINUTE - now)
            }
            _ => {
                recent.push_back(now);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::caller::Tenant;

    #[tokio::test(start_paused = true)]
    async fn each_caller_has_its_own_limit_per_minute() {
        let rate = ActionRate::default();
        let caller = |name| Caller::admin(name, Tenant { leadlex: None, composio: None });
        let (ann, ben) = (caller("ann"), caller("ben"));
        assert_eq!(rate.record(&ann, 2), Ok(()));
        tokio::time::advance(Duration::from_secs(40)).await;
        assert_eq!(rate.record(&ann, 2), Ok(()));
        assert_eq!(rate.record(&ann, 2), Err(Duration::from_secs(20)));
        assert_eq!(rate.record(&ben, 2), Ok(()));
        tokio::time::advance(Duration::from_secs(20)).await;
        assert_eq!(rate.record(&ann, 2), Ok(()));
        assert_eq!(rate.record(&ann, 2), Err(Duration::from_secs(40)));
    }
}
